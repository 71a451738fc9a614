//! `pmatch`: whether one of many paths is a prefix of a path, component by component. Components may be patterns.

use super::glob::Glob;

/// The paths to look for.
#[derive(Clone, Debug)]
pub(crate) struct PathPrefixes {
    paths: Box<[Box<[Component]>]>,
}

#[derive(Clone, Debug)]
pub(crate) enum Component {
    Exact(Box<[u8]>),
    Pattern(Glob),
    Never,
}

impl PathPrefixes {
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> PathPrefixes {
        let compile = |c: &[u8]| match memchr::memchr3(b'?', b'*', b'[', c) {
            None => Component::Exact(c.into()),
            Some(_) => Glob::new(c, false).map_or(Component::Never, Component::Pattern),
        };
        PathPrefixes {
            paths: paths
                .into_iter()
                .map(|p| components(p).map(compile).collect())
                .collect(),
        }
    }

    /// The paths, each by its components.
    pub(crate) fn paths(&self) -> &[Box<[Component]>] {
        &self.paths
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|prefix| {
            let mut given = components(path);
            prefix
                .iter()
                .all(|wanted| given.next().is_some_and(|c| wanted.takes(c)))
        })
    }
}

impl Component {
    fn takes(&self, c: &[u8]) -> bool {
        match self {
            Component::Exact(e) => e.as_ref() == c,
            Component::Pattern(g) => g.matches(c),
            Component::Never => false,
        }
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|c| !c.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_components() {
        let paths = PathPrefixes::new([&b"/var/run"[..], b"/etc", b"/home/*/.ssh"]);
        for (path, expected) in [
            ("/var/run/docker", true),
            ("/var/runx", false),
            ("/var", false),
            ("/etc", true),
            ("/home/a/.ssh/id", true),
            ("/home/a/x", false),
        ] {
            assert_eq!(paths.matches(path.as_bytes()), expected, "{path}");
        }
        assert!(PathPrefixes::new([&b"/"[..]]).matches(b"/any"));
    }
}

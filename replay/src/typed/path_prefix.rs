//! `pmatch`: whether one of many paths is a prefix of a path, component by component. Components may be patterns.

use super::glob::Glob;

/// The paths to look for.
#[derive(Clone, Debug)]
pub(crate) struct PathPrefixes {
    /// Those whose first components are no patterns, sorted by these.
    exact: Box<[(Box<[u8]>, Path)]>,
    /// The others.
    open: Box<[Path]>,
}

type Path = Box<[Component]>;

#[derive(Clone, Debug)]
enum Component {
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
        let (mut exact, mut open) = (Vec::new(), Vec::new());
        for path in paths {
            let path: Path = components(path).map(compile).collect();
            match path.first() {
                Some(Component::Exact(first)) => exact.push((first.clone(), path)),
                _ => open.push(path),
            }
        }
        exact.sort_by(|(a, _), (b, _)| a.cmp(b));
        PathPrefixes {
            exact: exact.into(),
            open: open.into(),
        }
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.like(path).any(|prefix| {
            let mut given = components(path);
            prefix
                .iter()
                .all(|wanted| given.next().is_some_and(|c| wanted.takes(c)))
        })
    }

    /// Whether a path of one more component than `folder` may match.
    pub(crate) fn may_match_in(&self, folder: &[u8]) -> bool {
        let depth = components(folder).count();
        let mut prefixes: Box<dyn Iterator<Item = &Path>> = match depth {
            0 => Box::new(self.exact.iter().map(|(_, path)| path).chain(&self.open)),
            _ => Box::new(self.like(folder)),
        };
        prefixes.any(|prefix| {
            let mut both = prefix.iter().zip(components(folder));
            prefix.len() <= depth + 1 && both.all(|(wanted, c)| wanted.takes(c))
        })
    }

    /// Whether the first component of one of the paths fits.
    pub(crate) fn any_first(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        !self.open.is_empty() || self.exact.iter().any(|(first, _)| fits(first))
    }

    /// The paths that may match one that begins with these components.
    fn like<'a>(&'a self, path: &[u8]) -> impl Iterator<Item = &'a Path> {
        let first = components(path).next().unwrap_or_default();
        let start = self.exact.partition_point(|(name, _)| name.as_ref() < first);
        let end = self.exact.partition_point(|(name, _)| name.as_ref() <= first);
        let exact = self.exact.get(start..end).unwrap_or_default();
        exact.iter().map(|(_, path)| path).chain(&self.open)
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

    #[test]
    fn folders_tell_what_may_match_in_them() {
        let paths = PathPrefixes::new([&b"/var/run"[..], b"/etc", b"/home/*/.ssh"]);
        for (folder, expected) in [
            ("/", true),
            ("", true),
            ("/var/", true),
            ("/var/lib/", false),
            ("/home/", false),
            ("/home/a/", true),
            ("/home/a/b/", false),
            ("/usr/", false),
        ] {
            assert_eq!(paths.may_match_in(folder.as_bytes()), expected, "{folder}");
        }
    }
}

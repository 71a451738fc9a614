//! The acting process of an event in a test, with its ancestors and container.

use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::{ProcessImage, exe_flag};

use super::field;

/// Ancestors further up are refused.
const MAX_ANCESTORS: usize = 64;

/// The process, its parent, and so on.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    images: Vec<ProcessImage>,
    container: Option<Container>,
}

/// Whether a field was one of the process, and fits.
pub(super) enum Set {
    Done,
    /// The value does not fit; what would.
    Wrong(&'static str),
    /// It is no field of a process that a test can set.
    Other,
}

impl Lineage {
    /// Sets a field.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Set {
        if let Some(rest) = name.strip_prefix("container.") {
            return self.container(rest, value);
        }
        let Some((image, name)) = self.image(name) else {
            return Set::Other;
        };
        let text = || value.as_bytes().to_vec();
        match name.as_str() {
            "proc.name" => image.name = text(),
            "proc.exepath" => image.exe_path = text(),
            "proc.cmdline" => image.argv = argv(value).into(),
            "proc.args" => image.argv = [&first(&image.argv)[..], b"\0", &argv(value)].concat().into(),
            "proc.exe" => image.argv = [value.as_bytes(), b"\0", rest(&image.argv)].concat().into(),
            "proc.cwd" => image.cwd = text(),
            "proc.env" => {
                image.env = value
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join("\0")
                    .into_bytes()
                    .into()
            }
            "user.name" => image.user = text(),
            "user.loginname" => image.login_user = text(),
            "group.name" => image.group = text(),
            _ => return number_field(image, &name, value),
        }
        Set::Done
    }

    /// The image that a field is about, and the field's name for the process itself: `proc.pname` is its parent's
    /// `proc.name`, `proc.aname[2]` its grandparent's.
    fn image(&mut self, name: &str) -> Option<(&mut ProcessImage, String)> {
        const OWN: [&str; 5] = ["name", "exepath", "cmdline", "exe", "vpid"];
        let field = name.strip_prefix("proc.");
        let parent = field.and_then(|f| f.strip_prefix('p')).filter(|f| OWN.contains(f));
        let ancestor = field
            .and_then(|f| f.strip_prefix('a')?.strip_suffix(']')?.split_once('['))
            .filter(|(f, _)| OWN.contains(f) || *f == "pid");
        let (depth, own) = match (ancestor, parent) {
            (Some((field, depth)), _) => (depth.parse().ok()?, format!("proc.{field}")),
            (None, Some(field)) => (1, format!("proc.{field}")),
            (None, None) if name == "proc.ppid" => (1, "proc.pid".to_owned()),
            (None, None) => (0, name.to_owned()),
        };
        if depth > MAX_ANCESTORS {
            return None;
        }
        if self.images.len() <= depth {
            self.images.resize_with(depth + 1, ProcessImage::default);
        }
        Some((self.images.get_mut(depth)?, own))
    }

    fn container(&mut self, name: &str, value: &str) -> Set {
        if name == "id" && value == "host" {
            return Set::Done;
        }
        let container = self.container.get_or_insert_with(|| Container {
            id: "c".repeat(64),
            engine: "docker".to_owned(),
            ..Container::default()
        });
        match name {
            "id" | "full_id" => container.id = value.to_owned(),
            "name" => container.name = value.to_owned(),
            "type" => container.engine = value.to_owned(),
            "image" => container.image = value.to_owned(),
            "image.repository" => container.image = format!("{value}:{}", tag(&container.image)),
            "image.tag" => container.image = format!("{}:{value}", repository(&container.image)),
            "privileged" => match field::boolean(value) {
                Some(privileged) => container.privileged = Some(privileged),
                None => return Set::Wrong("true or false"),
            },
            _ => return Set::Other,
        }
        Set::Done
    }

    /// The image with its parents, all in one container; ids are counted on from `next_id`.
    pub(super) fn finish(self, next_id: &mut u64) -> Option<Arc<ProcessImage>> {
        let container = self.container.map(Arc::new);
        let count = self.images.len();
        let mut parent: Option<Arc<ProcessImage>> = None;
        for (depth, mut image) in self.images.into_iter().enumerate().rev() {
            *next_id += 1;
            image.id = *next_id;
            if image.pid == 0 {
                image.pid = 1000 + (count - depth) as u32;
            }
            image.ppid = parent.as_ref().map_or(image.ppid, |p| p.pid);
            image.vpid = if image.vpid == 0 { image.pid } else { image.vpid };
            image.container = container.clone();
            image.parent = parent;
            parent = Some(Arc::new(image));
        }
        parent.or_else(|| {
            container.map(|container| {
                *next_id += 1;
                Arc::new(ProcessImage {
                    id: *next_id,
                    container: Some(container),
                    ..ProcessImage::default()
                })
            })
        })
    }
}

fn number_field(image: &mut ProcessImage, name: &str, value: &str) -> Set {
    let flag = match name {
        "proc.is_exe_upper_layer" => Some(exe_flag::UPPER_LAYER),
        "proc.is_exe_lower_layer" => Some(exe_flag::LOWER_LAYER),
        "proc.is_exe_from_memfd" => Some(exe_flag::MEMFD),
        "proc.is_exe_writable" => Some(exe_flag::WRITABLE),
        _ => None,
    };
    if let Some(flag) = flag {
        match field::boolean(value) {
            Some(true) => image.exe_flags |= flag,
            Some(false) => image.exe_flags &= !flag,
            None => return Set::Wrong("true or false"),
        }
        return Set::Done;
    }
    let place = match name {
        "proc.pid" => &mut image.pid,
        "proc.vpid" => &mut image.vpid,
        "proc.tty" => &mut image.tty,
        "proc.sid" => &mut image.sid,
        "proc.pgid" => &mut image.pgid,
        "user.uid" => &mut image.euid,
        "user.loginuid" => &mut image.loginuid,
        "group.gid" => &mut image.egid,
        _ => return Set::Other,
    };
    match value.parse::<i64>() {
        // Falco shows the login user of nobody as -1.
        Ok(n) if (-1..=i64::from(u32::MAX)).contains(&n) => *place = n as u32,
        _ => return Set::Wrong("a number"),
    }
    Set::Done
}

/// The arguments of a command line, split at white space.
fn argv(text: &str) -> Vec<u8> {
    text.split_whitespace().collect::<Vec<_>>().join("\0").into_bytes()
}

fn first(argv: &[u8]) -> Vec<u8> {
    argv.split(|b| *b == 0).next().unwrap_or(b"").to_vec()
}

fn rest(argv: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, argv).map_or(argv.len(), |i| i + 1);
    argv.get(end..).unwrap_or(b"")
}

fn tag(image: &str) -> &str {
    image.rsplit_once(':').map_or("latest", |(_, tag)| tag)
}

fn repository(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(repository, _)| repository)
}

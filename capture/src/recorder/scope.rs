//! Which events are recorded and whose, and what a recording of some processes may tell of everything else: nothing but the
//! name of the process that their first ones descend from.
//!
//! The kernel side leaves out most syscalls already, but not the life of processes, and it knows no names of containers.

use std::sync::Arc;

use ctrace_trace::event::{Event, EventType};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_trace::snapshot::{HostSnapshot, ProcessState};
use ctrace_wire::record::FLAG_WANTED;
use hashbrown::HashMap;

use crate::resolver::Resolver;
use crate::scope::{self, Scope};
use crate::snaplen::Snaplen;
use crate::syscall::{SyscallSource, is_below};
use crate::syscall_set::SyscallSet;

/// Narrowed images that are kept to be handed out again.
const MAX_IMAGES: usize = 32_768;

/// Leaves out what was not asked for.
#[derive(Debug)]
pub(super) struct Selection {
    scopes: Vec<Scope>,
    /// One of them is the host.
    everyone: bool,
    /// So that all that is wanted is recorded as it is.
    is_whole: bool,
    /// Of what the bytes that were read and written are kept.
    snaplen: Snaplen,
    /// What the kernel side says of the record in hand.
    flags: u8,
    /// By number of the event type: recorded, not only seen by the resolver.
    wanted: Vec<bool>,
    /// Images with their ancestors cut, by the id of the original.
    images: HashMap<u64, Arc<ProcessImage>>,
}

impl Selection {
    pub(super) fn new(scopes: Vec<Scope>, syscalls: &SyscallSet, snaplen: Snaplen) -> Selection {
        let largest = Schema::current().specs().iter().map(|s| s.id.0).max().unwrap_or(0);
        let everyone = scopes.contains(&Scope::Host);
        Selection {
            everyone,
            is_whole: everyone && snaplen.keeps_all(),
            scopes,
            snaplen,
            flags: 0,
            wanted: (0..=largest).map(|id| syscalls.holds(EventType(id))).collect(),
            images: HashMap::new(),
        }
    }

    /// Takes note of what the kernel side says of the record whose events come next.
    #[inline]
    pub(super) fn mark(&mut self, flags: u8) {
        self.flags = flags;
    }

    /// Tells the kernel side which containers need not be recorded, by their names and ids.
    pub(super) fn tell(&self, source: &SyscallSource, resolver: &Resolver) {
        let by_name = |scope: &Scope| matches!(scope, Scope::Container(which) if !is_id(which));
        let names_matter = self.scopes.iter().any(by_name);
        if !self
            .scopes
            .iter()
            .any(|s| matches!(s, Scope::Containers | Scope::Container(_)))
        {
            return;
        }
        for image in resolver.living() {
            let Some(container) = &image.container else { continue };
            let wanted = covers(&self.scopes, &container.id, &container.name);
            if wanted || !names_matter || !container.name.is_empty() {
                source.judge(image.pid, &container.id, wanted);
            }
        }
    }

    /// Whether events of a type are recorded, not only seen by the resolver.
    #[inline]
    pub(super) fn wants(&self, kind: EventType) -> bool {
        self.wanted.get(usize::from(kind.0)).is_some_and(|wanted| *wanted)
    }

    /// Whether all that is wanted is recorded as it is.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Hands an event on, if it is in the scope. Events that are not syscalls come from a source of their own and
    /// stay, but say no more of a process outside than its name.
    pub(super) fn pass(&mut self, event: &Event<'_>, sink: impl FnOnce(&Event<'_>)) {
        if !self.wants(event.kind) {
            return;
        }
        let data = if self.snaplen.keeps(event.fd.map(|fd| fd.kind)) {
            event.data
        } else {
            &[]
        };
        if self.everyone {
            return sink(&Event { data, ..event.clone() });
        }
        let is_marked = self.flags & FLAG_WANTED != 0;
        let inside = is_marked || event.image.is_some_and(|image| holds(&self.scopes, image));
        if !inside && (event.kind.is_syscall() || matches!(event.kind, EventType::PROCEXIT | EventType::IO_URING_REQ)) {
            return;
        }
        let image = event.image.map(|image| self.narrow(image));
        sink(&Event {
            image: image.as_ref(),
            data,
            ..event.clone()
        });
    }

    /// Takes what lies outside the scope out of a snapshot.
    pub(super) fn reduce(scopes: &[Scope], snapshot: &mut HostSnapshot) {
        if scopes.contains(&Scope::Host) {
            return;
        }
        let containers = std::mem::take(&mut snapshot.containers);
        let name_of = |id: &str| containers.iter().find(|c| c.id == id).map_or("", |c| c.name.as_str());
        let line = Lines::of(&snapshot.processes);
        snapshot.processes.retain(|p| {
            let contained = !p.container.is_empty() && covers(scopes, &p.container, name_of(&p.container));
            contained || scopes.iter().any(|scope| in_cgroup(scope, &p.cgroup)) || line.descends(p.pid, scopes)
        });
        let runs = |id: &str| snapshot.processes.iter().any(|p| p.container == id);
        snapshot.containers = containers
            .iter()
            .filter(|c| covers(scopes, &c.id, &c.name) || runs(&c.id))
            .cloned()
            .collect();
        snapshot.listening.clear();
        snapshot.mounts.clear();
        let reason = format!("only what is in the scope {}", scope::text(scopes));
        for part in ["listening", "mounts", "processes"] {
            snapshot.incomplete.push((part.to_owned(), reason.clone()));
        }
    }

    /// An image whose line of ancestors ends with the first that is outside.
    fn narrow(&mut self, image: &Arc<ProcessImage>) -> Arc<ProcessImage> {
        if let Some(narrowed) = self.images.get(&image.id) {
            return narrowed.clone();
        }
        let narrowed = if covers_image(&self.scopes, image) {
            let parent = image.parent.as_ref().map(|parent| self.narrow(parent));
            ProcessImage {
                parent,
                ..(**image).clone()
            }
        } else {
            let (argv, env, cwd) = Default::default();
            ProcessImage {
                parent: None,
                argv,
                env,
                cwd,
                ..(**image).clone()
            }
        };
        if self.images.len() >= MAX_IMAGES {
            self.images.clear();
        }
        let narrowed = Arc::new(narrowed);
        self.images.insert(image.id, narrowed.clone());
        narrowed
    }
}

/// Who descends from whom among the processes of a snapshot.
struct Lines(HashMap<u32, (u32, Vec<u8>)>);

impl Lines {
    fn of(processes: &[ProcessState]) -> Lines {
        Lines(processes.iter().map(|p| (p.pid, (p.ppid, p.name.clone()))).collect())
    }

    /// Whether a process or one that it descends from was asked for.
    fn descends(&self, pid: u32, scopes: &[Scope]) -> bool {
        let mut at = pid;
        // Parents may form a circle in a snapshot that was read while processes came and went.
        for _ in 0..=self.0.len() {
            let Some((parent, name)) = self.0.get(&at) else {
                return false;
            };
            if scopes.iter().any(|scope| is_named(scope, at, name)) {
                return true;
            }
            at = *parent;
        }
        false
    }
}

/// Whether a container is in one of the scopes.
pub(super) fn covers(scopes: &[Scope], id: &str, name: &str) -> bool {
    scopes.iter().any(|scope| match scope {
        Scope::Host | Scope::Containers => true,
        Scope::Container(wanted) => name == wanted || is_id(wanted) && id.starts_with(wanted.as_str()),
        Scope::Cgroup(_) | Scope::Pid(_) | Scope::Comm(_) => false,
    })
}

/// Whether a process is in one of the scopes by its own container or cgroup.
fn holds(scopes: &[Scope], image: &ProcessImage) -> bool {
    let container = image.container.as_ref();
    container.is_some_and(|c| covers(scopes, &c.id, &c.name))
        || scopes.iter().any(|scope| in_cgroup(scope, &image.cgroup))
}

/// The same, or by its descent: what an image's ancestors are called may be told then.
fn covers_image(scopes: &[Scope], image: &ProcessImage) -> bool {
    let line = std::iter::successors(Some(image), |image| image.parent.as_deref());
    holds(scopes, image)
        || line
            .into_iter()
            .any(|i| scopes.iter().any(|scope| is_named(scope, i.pid, &i.name)))
}

fn in_cgroup(scope: &Scope, path: &[u8]) -> bool {
    matches!(scope, Scope::Cgroup(above) if is_below(path, above.as_bytes()))
}

fn is_named(scope: &Scope, pid: u32, name: &[u8]) -> bool {
    match scope {
        Scope::Pid(wanted) => *wanted == pid,
        Scope::Comm(wanted) => wanted.as_bytes() == name,
        _ => false,
    }
}

/// Whether a text can be the beginning of a container's id: as long as `docker ps` shows it, or longer.
fn is_id(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use ctrace_trace::container::Container;
    use ctrace_trace::event::Arg;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn image(id: u64, container: Option<&str>, parent: Option<&Arc<ProcessImage>>) -> Arc<ProcessImage> {
        let container = container.map(|name| Container {
            id: ID.to_owned(),
            name: name.to_owned(),
            ..Default::default()
        });
        Arc::new(ProcessImage {
            id,
            name: format!("p{id}").into_bytes(),
            argv: b"secret".to_vec().into(),
            container: container.map(Arc::new),
            parent: parent.cloned(),
            ..ProcessImage::default()
        })
    }

    fn passed(scope: &str, image: Option<&Arc<ProcessImage>>, kind: EventType) -> Option<Option<Arc<ProcessImage>>> {
        let mut selection = Selection::new(
            vec![scope.parse().expect("a scope")],
            &SyscallSet::all(),
            Snaplen::default(),
        );
        let mut out = None;
        let event = Event {
            image,
            ..Event::bare(1, kind, &[Arg::None])
        };
        selection.pass(&event, |e| out = Some(e.image.cloned()));
        out
    }

    #[test]
    fn syscalls_and_exits_are_recorded_inside_the_scope_only() {
        let (outside, inside) = (image(1, None, None), image(2, Some("web-1"), None));
        let syscall = EventType::syscall(0);
        for (scope, want) in [
            ("host", true),
            ("containers", true),
            ("container=web-1", true),
            ("container=0123456789ab", true),
            ("container=0123", false),
            ("container=web", false),
        ] {
            assert_eq!(passed(scope, Some(&inside), syscall).is_some(), want, "{scope}");
            assert_eq!(
                passed(scope, Some(&outside), EventType::PROCEXIT).is_some(),
                scope == "host",
                "{scope}"
            );
            assert_eq!(passed(scope, None, syscall).is_some(), scope == "host", "{scope}");
            assert!(passed(scope, None, EventType::DOCKER).is_some(), "{scope}");
        }
    }

    #[test]
    fn what_only_the_resolver_needs_is_not_recorded() {
        let mut selection = Selection::new(
            vec![Scope::Host],
            &"openat".parse().expect("a syscall"),
            Snaplen::default(),
        );
        let mut kept = Vec::new();
        for kind in [
            EventType::syscall(3),
            EventType::syscall(257),
            EventType::PROCEXIT,
            EventType::GAP,
        ] {
            selection.pass(&Event::bare(1, kind, &[]), |event| kept.push(event.kind));
        }
        assert_eq!(kept, [EventType::syscall(257), EventType::PROCEXIT, EventType::GAP]);
    }

    #[test]
    fn of_processes_outside_only_the_nearest_ancestors_name_is_told() {
        let shell = image(1, None, None);
        let shim = image(2, None, Some(&shell));
        let init = image(3, Some("web-1"), Some(&shim));
        let child = image(4, Some("web-1"), Some(&init));
        let got = passed("containers", Some(&child), EventType::syscall(0))
            .flatten()
            .expect("recorded");
        assert_eq!(got.argv, b"secret");
        let got_init = got.parent.as_ref().expect("its parent");
        assert_eq!(got_init.argv, b"secret");
        let got_shim = got_init.parent.as_ref().expect("its parent");
        assert_eq!(
            (&got_shim.name[..], &got_shim.argv[..], got_shim.parent.is_none()),
            (&b"p2"[..], &b""[..], true)
        );
        let audit = passed("containers", Some(&shim), EventType::AUDIT)
            .flatten()
            .expect("recorded");
        assert!(audit.argv.is_empty() && audit.parent.is_none());
        let whole = passed("host", Some(&child), EventType::syscall(0))
            .flatten()
            .expect("recorded");
        assert!(Arc::ptr_eq(&whole, &child));
    }

    #[test]
    fn a_snapshot_keeps_what_is_in_the_scope() {
        let process = |pid, container: &str| ProcessState {
            pid,
            container: container.to_owned(),
            ..Default::default()
        };
        let other = ID.replace('0', "f");
        let container = |id: &str, name: &str| Container {
            id: id.to_owned(),
            name: name.to_owned(),
            ..Default::default()
        };
        let snapshot = HostSnapshot {
            processes: vec![process(1, ""), process(2, ID), process(3, &other)],
            containers: vec![container(ID, "web-1"), container(&other, "db")],
            ..HostSnapshot::default()
        };
        for (scope, want) in [
            ("host", &[1, 2, 3][..]),
            ("containers", &[2, 3]),
            ("container=db", &[3]),
        ] {
            let mut reduced = snapshot.clone();
            Selection::reduce(&[scope.parse().expect("a scope")], &mut reduced);
            assert_eq!(
                reduced.processes.iter().map(|p| p.pid).collect::<Vec<_>>(),
                want,
                "{scope}"
            );
        }
    }
}

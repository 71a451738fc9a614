//! Which events are recorded and whose, and what a recording of some containers may tell of everything else: nothing but the
//! name of the process that their first ones descend from.

use std::sync::Arc;

use ctrace_trace::event::{Event, EventType};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_trace::snapshot::HostSnapshot;
use hashbrown::HashMap;

use crate::record_args::Scope;
use crate::syscall_set::SyscallSet;

/// Narrowed images that are kept to be handed out again.
const MAX_IMAGES: usize = 32_768;

/// Leaves out what was not asked for.
#[derive(Debug)]
pub(super) struct Selection {
    scope: Scope,
    /// By number of the event type: recorded, not only seen by the resolver.
    wanted: Vec<bool>,
    /// Images with their ancestors cut, by the id of the original.
    images: HashMap<u64, Arc<ProcessImage>>,
}

impl Selection {
    pub(super) fn new(scope: Scope, syscalls: &SyscallSet) -> Selection {
        let largest = Schema::current().specs().iter().map(|s| s.id.0).max().unwrap_or(0);
        Selection {
            scope,
            wanted: (0..=largest).map(|id| syscalls.holds(EventType(id))).collect(),
            images: HashMap::new(),
        }
    }

    /// Hands an event on, if it is in the scope. Events that are not syscalls come from a source of their own and
    /// stay, but say no more of a process outside than its name.
    pub(super) fn pass(&mut self, event: &Event<'_>, sink: impl FnOnce(&Event<'_>)) {
        if !self.wanted.get(usize::from(event.kind.0)).is_some_and(|w| *w) {
            return;
        }
        if self.scope == Scope::Host {
            return sink(event);
        }
        let inside = event.image.is_some_and(|image| self.covers(image));
        if !inside && (event.kind.is_syscall() || event.kind == EventType::PROCEXIT) {
            return;
        }
        let image = event.image.map(|image| self.narrow(image));
        sink(&Event {
            image: image.as_ref(),
            ..event.clone()
        });
    }

    /// Takes what lies outside the scope out of a snapshot.
    pub(super) fn reduce(scope: &Scope, snapshot: &mut HostSnapshot) {
        if *scope == Scope::Host {
            return;
        }
        let containers = std::mem::take(&mut snapshot.containers);
        let name_of = |id: &str| containers.iter().find(|c| c.id == id).map_or("", |c| c.name.as_str());
        snapshot
            .processes
            .retain(|p| !p.container.is_empty() && covers(scope, &p.container, name_of(&p.container)));
        snapshot.containers = containers
            .iter()
            .filter(|c| covers(scope, &c.id, &c.name))
            .cloned()
            .collect();
        snapshot.listening.clear();
        snapshot.mounts.clear();
        let reason = format!("only what is in the scope {scope}");
        for part in ["listening", "mounts", "processes"] {
            snapshot.incomplete.push((part.to_owned(), reason.clone()));
        }
    }

    fn covers(&self, image: &ProcessImage) -> bool {
        image
            .container
            .as_ref()
            .is_some_and(|c| covers(&self.scope, &c.id, &c.name))
    }

    /// An image whose line of ancestors ends with the first that is outside.
    fn narrow(&mut self, image: &Arc<ProcessImage>) -> Arc<ProcessImage> {
        if let Some(narrowed) = self.images.get(&image.id) {
            return narrowed.clone();
        }
        let narrowed = if self.covers(image) {
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

fn covers(scope: &Scope, id: &str, name: &str) -> bool {
    match scope {
        Scope::Host | Scope::Containers => true,
        Scope::Container(wanted) => name == wanted || is_id(wanted) && id.starts_with(wanted.as_str()),
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
            argv: b"secret".to_vec(),
            container: container.map(Arc::new),
            parent: parent.cloned(),
            ..ProcessImage::default()
        })
    }

    fn passed(scope: &str, image: Option<&Arc<ProcessImage>>, kind: EventType) -> Option<Option<Arc<ProcessImage>>> {
        let mut selection = Selection::new(scope.parse().expect("a scope"), &SyscallSet::all());
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
        let mut selection = Selection::new(Scope::Host, &"openat".parse().expect("a syscall"));
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
        use ctrace_trace::snapshot::ProcessState;
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
            Selection::reduce(&scope.parse().expect("a scope"), &mut reduced);
            assert_eq!(
                reduced.processes.iter().map(|p| p.pid).collect::<Vec<_>>(),
                want,
                "{scope}"
            );
        }
    }
}

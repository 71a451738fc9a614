//! What the slower sources have to say, waiting for its place among the syscalls.

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;

use crate::audit::{AuditEvent, AuditMessage, Loss, Syscall};
use crate::docker::{DockerEvent, DockerMessage};
use crate::resolver::Resolver;

use super::gaps::{Class, Gap};
use super::lateness::Late;

/// Something that becomes an event of its own.
#[derive(Debug)]
pub(super) enum Message {
    Docker(Box<DockerEvent>),
    Audit(Box<AuditEvent>),
    Gap(Gap),
    Late(Late),
    SourceLost { source: &'static str, reason: String },
    SourceFound { source: &'static str, detail: String },
    ClockStep { delta_ns: i64 },
}

/// Messages by the time they happened; equal times keep the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: BTreeMap<(u64, u64), Message>,
    arrived: u64,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, ts: u64, message: Message) {
        self.bytes += size(&message);
        self.messages.insert((ts, self.arrived), message);
        self.arrived += 1;
    }

    /// About how much memory waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest message, if it is not newer than `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Message)> {
        let (key, _) = self.messages.first_key_value()?;
        if key.0 > until {
            return None;
        }
        let ((ts, _), message) = self.messages.pop_first()?;
        self.bytes = self.bytes.saturating_sub(size(&message));
        Some((ts, message))
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Docker(e) => e.raw.len() + 512,
        Message::Audit(e) => e.raw.len() + 512,
        _ => 256,
    }
}

/// Puts a message of the Docker source where it belongs. Container knowledge takes effect at once: the earlier a name
/// is known, the fewer events lack it.
pub(super) fn take_docker(
    message: DockerMessage,
    resolver: &mut Resolver,
    images: &mut ContainerImages,
    queue: &mut Queue,
) {
    const SOURCE: &str = "docker";
    match message {
        DockerMessage::Event(event) => queue.push(event.ts_ns, Message::Docker(event)),
        DockerMessage::Container(container) => {
            images.learn(&container);
            resolver.container(container);
        }
        DockerMessage::Vanished { at_ns, id } => {
            let detail = format!("container {id} ended while the engine was away");
            queue.push(at_ns, Message::SourceFound { source: SOURCE, detail });
        }
        DockerMessage::Lost { at_ns, reason } => queue.push(at_ns, Message::SourceLost { source: SOURCE, reason }),
        DockerMessage::Found {
            at_ns,
            window: (from, to),
        } => {
            let detail = format!("away for {} ms", to.saturating_sub(from) / 1_000_000);
            queue.push(at_ns, Message::SourceFound { source: SOURCE, detail });
            queue.push(
                at_ns,
                Message::Gap(Gap {
                    source: SOURCE,
                    class: Class::Away,
                    count: 0,
                    cpu: -1,
                    from,
                    to,
                }),
            );
        }
        DockerMessage::Gap { count, from_ns, to_ns } => {
            let gap = Gap {
                source: SOURCE,
                class: Class::Reader,
                count,
                cpu: -1,
                from: from_ns,
                to: to_ns,
            };
            queue.push(to_ns, Message::Gap(gap));
        }
        DockerMessage::Malformed { at_ns, .. } => {
            let gap = Gap {
                source: SOURCE,
                class: Class::Malformed,
                count: 1,
                cpu: -1,
                from: at_ns,
                to: at_ns,
            };
            queue.push(at_ns, Message::Gap(gap));
        }
    }
}

/// Puts a message of the audit source where it belongs.
pub(super) fn take_audit(message: AuditMessage, queue: &mut Queue) {
    const SOURCE: &str = "audit";
    match message {
        AuditMessage::Event(event) => queue.push(event.ts_ns, Message::Audit(event)),
        AuditMessage::Gap {
            loss,
            records,
            from_ns,
            to_ns,
        } => {
            let class = match loss {
                Loss::Kernel => Class::Kernel,
                Loss::Reader => Class::Reader,
            };
            let gap = Gap {
                source: SOURCE,
                class,
                count: records,
                cpu: -1,
                from: from_ns,
                to: to_ns,
            };
            queue.push(to_ns, Message::Gap(gap));
        }
        AuditMessage::Status { at_ns, status } => {
            let detail = format!("enabled={} pid={} lost={}", status.enabled, status.pid, status.lost);
            queue.push(at_ns, Message::SourceFound { source: SOURCE, detail });
        }
        AuditMessage::Malformed { at_ns, .. } => {
            let gap = Gap {
                source: SOURCE,
                class: Class::Malformed,
                count: 1,
                cpu: -1,
                from: at_ns,
                to: at_ns,
            };
            queue.push(at_ns, Message::Gap(gap));
        }
        AuditMessage::Lost { at_ns, reason } => queue.push(at_ns, Message::SourceLost { source: SOURCE, reason }),
    }
}

/// Images that stand for "some process of this container": what an engine's event refers to.
#[derive(Debug, Default)]
pub(super) struct ContainerImages {
    by_id: BTreeMap<String, Arc<ProcessImage>>,
    made: u64,
}

/// Ids of these images are taken from the end of the range, far from those that the resolver gives.
const FIRST_ID: u64 = 1 << 63;
/// No more containers than this are remembered.
const MAX_CONTAINERS: usize = 65_536;

impl ContainerImages {
    /// Takes over what is known of a container.
    pub(super) fn learn(&mut self, container: &Arc<Container>) {
        if self.by_id.len() >= MAX_CONTAINERS {
            self.by_id.pop_first();
        }
        self.made += 1;
        let image = ProcessImage {
            id: FIRST_ID + self.made,
            container: Some(container.clone()),
            loginuid: u32::MAX,
            ..ProcessImage::default()
        };
        self.by_id.insert(container.id.clone(), Arc::new(image));
    }

    /// Every container that an engine told of.
    pub(super) fn containers(&self) -> Vec<Container> {
        self.by_id
            .values()
            .filter_map(|image| image.container.as_deref().cloned())
            .collect()
    }

    fn get(&mut self, event: &DockerEvent) -> Option<Arc<ProcessImage>> {
        let id = event.container.as_ref()?;
        if !self.by_id.contains_key(id) {
            // The inspection may still be under way; the event itself tells the most important.
            let container = Container {
                id: id.clone(),
                engine: "docker".to_owned(),
                name: event.name.clone(),
                image: event.image.clone(),
                ..Container::default()
            };
            self.learn(&Arc::new(container));
        }
        self.by_id.get(id).cloned()
    }
}

/// Hands a message to `sink` as an event.
pub(super) fn emit(
    ts: u64,
    message: &Message,
    resolver: &Resolver,
    images: &mut ContainerImages,
    sink: &mut impl FnMut(&Event<'_>),
) {
    match message {
        Message::Docker(event) => emit_docker(event, images, sink),
        Message::Audit(event) => emit_audit(event, resolver, sink),
        Message::Gap(gap) => gap.emit(ts, sink),
        Message::Late(late) => late.emit(ts, sink),
        Message::SourceLost { source, reason } => {
            let args = [Arg::Str(source.as_bytes()), Arg::Str(reason.as_bytes())];
            sink(&own(ts, EventType::SOURCE_LOST, &args));
        }
        Message::SourceFound { source, detail } => {
            let args = [Arg::Str(source.as_bytes()), Arg::Str(detail.as_bytes())];
            sink(&own(ts, EventType::SOURCE_FOUND, &args));
        }
        Message::ClockStep { delta_ns } => sink(&own(ts, EventType::CLOCK_STEP, &[Arg::Num(*delta_ns)])),
    }
}

/// An event without a process.
pub(super) fn own<'a>(ts: u64, kind: EventType, args: &'a [Arg<'a>]) -> Event<'a> {
    Event {
        ts,
        kind,
        cpu: 0,
        tid: 0,
        image: None,
        ret: None,
        fd_num: None,
        fd: None,
        args,
        data: &[],
    }
}

fn text(s: &[u8]) -> Arg<'_> {
    if s.is_empty() { Arg::None } else { Arg::Str(s) }
}

fn emit_docker(event: &DockerEvent, images: &mut ContainerImages, sink: &mut impl FnMut(&Event<'_>)) {
    let image = images.get(event);
    let args = [
        text(event.kind.as_bytes()),
        text(event.action.as_bytes()),
        text(event.id.as_bytes()),
        text(event.name.as_bytes()),
        text(event.image.as_bytes()),
        event.exit_code.map_or(Arg::None, Arg::Num),
        text(&event.raw),
    ];
    sink(&Event {
        image: image.as_ref(),
        ..own(event.ts_ns, EventType::DOCKER, &args)
    });
}

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386` (`linux/audit.h`).
const ARCH_X86_64: u32 = 0xC000_003E;
const ARCH_I386: u32 = 0x4000_0003;

/// The name that auditd gave, or that the table has; the number where neither knows one.
fn syscall_name(syscall: &Syscall) -> String {
    let kind = match syscall.arch {
        ARCH_X86_64 => Some(EventType::syscall(syscall.number)),
        ARCH_I386 => Some(EventType::compat_syscall(syscall.number)),
        _ => None,
    };
    let declared = || {
        Some(
            Schema::current()
                .get(kind.filter(|k| *k != EventType::UNKNOWN_SYSCALL)?)?
                .name
                .clone(),
        )
    };
    syscall
        .name
        .clone()
        .or_else(declared)
        .unwrap_or_else(|| syscall.number.to_string())
}

fn emit_audit(event: &AuditEvent, resolver: &Resolver, sink: &mut impl FnMut(&Event<'_>)) {
    let types = event.type_names().join(",");
    let keys = event.keys.join(&b","[..]);
    let syscall = event.syscall.as_ref().map(syscall_name);
    let success = event.success.map(|ok| if ok { "yes" } else { "no" });
    // -1 is how both auditd and Falco show an unset login user.
    let auid = event.auid.map(|id| if id == u32::MAX { -1 } else { i64::from(id) });
    let args = [
        i64::try_from(event.serial).map_or(Arg::None, Arg::Num),
        text(types.as_bytes()),
        text(&keys),
        text(syscall.as_deref().unwrap_or_default().as_bytes()),
        text(success.unwrap_or_default().as_bytes()),
        event.pid.map_or(Arg::None, |p| Arg::Num(i64::from(p))),
        auid.map_or(Arg::None, Arg::Num),
        text(&event.exe),
        text(&event.raw),
    ];
    let image = event.pid.and_then(|pid| resolver.image_of(pid));
    let tid = event.pid.unwrap_or(0);
    sink(&Event {
        image: image.as_ref(),
        tid,
        ..own(event.ts_ns, EventType::AUDIT, &args)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_syscalls_have_names_without_auditd() {
        let name = |arch, number, name: Option<&str>| {
            syscall_name(&Syscall {
                arch,
                number,
                name: name.map(str::to_owned),
            })
        };
        assert_eq!(name(ARCH_X86_64, 59, None), "execve");
        assert_eq!(name(ARCH_I386, 11, None), "execve");
        assert_eq!(name(ARCH_X86_64, 59, Some("as auditd says")), "as auditd says");
        assert_eq!(name(ARCH_X86_64, 4095, None), "4095");
        assert_eq!(name(ARCH_X86_64, u32::MAX, None), u32::MAX.to_string());
        assert_eq!(name(0x8000_0016, 11, None), "11");
    }
}

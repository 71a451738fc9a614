//! What the slower sources have to say, waiting for its place among the syscalls.

use std::collections::BTreeMap;

use ctrace_trace::artifact::Artifact;
use ctrace_trace::event::{Arg, Event, EventType};

use crate::audit::{AuditEvent, AuditMessage, Loss};
use crate::docker::logs::{LogLine, LogMessage};
use crate::docker::{ContainerImages, DockerEvent, DockerMessage};
use crate::resolver::Resolver;

use super::artifacts::Actor;
use super::gaps::{Class, Gap};
use super::lateness::Late;

/// Something that becomes an event of its own.
#[derive(Debug)]
pub(super) enum Message {
    Docker(Box<DockerEvent<'static>>),
    Audit(Box<AuditEvent>),
    Log(LogLine),
    Gap(Gap),
    Late(Late),
    SourceLost { source: &'static str, reason: String },
    SourceFound { source: &'static str, detail: String },
    ClockStep { delta_ns: i64 },
    Suspend { slept_ns: u64 },
    Artifact(Box<Artifact>, Actor),
}

/// Messages by the time they happened; equal times keep the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: BTreeMap<(u64, u64), Message>,
    /// When the oldest happened, as each record asks.
    oldest: Option<u64>,
    arrived: u64,
    bytes: usize,
    /// What is to be told at once.
    news: Vec<String>,
}

/// No more news wait.
const MAX_NEWS: usize = 64;

impl Queue {
    pub(super) fn push(&mut self, ts: u64, message: Message) {
        self.bytes += size(&message);
        self.messages.insert((ts, self.arrived), message);
        self.arrived += 1;
        self.find_oldest();
    }

    /// A source is gone, or is there again.
    fn announce(&mut self, ts: u64, message: Message) {
        let news = match &message {
            Message::SourceLost { source, reason } => Some(format!("{source} is gone: {reason}")),
            Message::SourceFound { source, detail } => Some(format!("{source} is there again: {detail}")),
            _ => None,
        };
        self.news.extend(news.filter(|_| self.news.len() < MAX_NEWS));
        self.push(ts, message);
    }

    /// What was announced since the last time.
    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// About how much memory waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message is not newer than `until`.
    #[inline]
    pub(super) fn has(&self, until: u64) -> bool {
        self.oldest.is_some_and(|oldest| oldest <= until)
    }

    fn find_oldest(&mut self) {
        self.oldest = self.messages.first_key_value().map(|((ts, _), _)| *ts);
    }

    /// The oldest message, if it is not newer than `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Message)> {
        if !self.has(until) {
            return None;
        }
        let ((ts, _), message) = self.messages.pop_first()?;
        self.find_oldest();
        self.bytes = self.bytes.saturating_sub(size(&message));
        Some((ts, message))
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Docker(e) => e.raw.len() + 512,
        Message::Audit(e) => e.raw.len() + 512,
        Message::Log(line) => line.text.len() + 256,
        Message::Artifact(..) => 512,
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
        DockerMessage::Event(event) => {
            if let Some(id) = event.container().filter(|_| event.verb() == "die") {
                resolver.container_ended(id);
            }
            queue.push(event.ts_ns, Message::Docker(event));
        }
        DockerMessage::Init { id, init } => resolver.container_started(&id, init),
        DockerMessage::Container(container) => {
            images.learn(&container);
            resolver.container(container);
        }
        DockerMessage::Vanished { at_ns, id } => {
            resolver.container_ended(&id);
            let detail = format!("container {id} ended while the engine was away");
            queue.push(at_ns, Message::SourceFound { source: SOURCE, detail });
        }
        DockerMessage::Lost { at_ns, reason } => queue.announce(at_ns, Message::SourceLost { source: SOURCE, reason }),
        DockerMessage::Found {
            at_ns,
            window: (from, to),
        } => {
            let detail = format!("away for {} ms", to.saturating_sub(from) / 1_000_000);
            queue.announce(at_ns, Message::SourceFound { source: SOURCE, detail });
            queue.push(
                at_ns,
                Message::Gap(Gap {
                    source: SOURCE,
                    class: Class::Away,
                    count: 0,
                    cpu: -1,
                    from,
                    to,
                    reason: "",
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
                reason: "",
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
                reason: "",
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
                reason: "",
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
                reason: "",
            };
            queue.push(at_ns, Message::Gap(gap));
        }
        AuditMessage::Lost { at_ns, reason } => queue.announce(at_ns, Message::SourceLost { source: SOURCE, reason }),
    }
}

/// Puts a message of the container logs where it belongs.
pub(super) fn take_log(message: LogMessage, resolver: &mut Resolver, images: &mut ContainerImages, queue: &mut Queue) {
    const SOURCE: &str = "container-logs";
    match message {
        LogMessage::Line(line) => queue.push(line.ts_ns, Message::Log(line)),
        // The engine's own source may have told the same.
        LogMessage::Container(container) if images.get(&container.id) == Some(&container) => {}
        LogMessage::Container(container) => {
            images.learn(&container);
            resolver.container(container);
        }
        LogMessage::Lost { at_ns, reason } => queue.announce(at_ns, Message::SourceLost { source: SOURCE, reason }),
        LogMessage::Found { at_ns, lost_ns } => {
            let away = at_ns.saturating_sub(lost_ns) / 1_000_000;
            let detail = format!("away for {away} ms; each log goes on where it was");
            queue.announce(at_ns, Message::SourceFound { source: SOURCE, detail });
        }
        LogMessage::Unread { at_ns, from_ns, reason } => {
            queue.announce(at_ns, Message::SourceLost { source: SOURCE, reason });
            let gap = Gap {
                source: SOURCE,
                class: Class::Away,
                count: 0,
                cpu: -1,
                from: from_ns,
                to: at_ns,
                reason: "",
            };
            queue.push(at_ns, Message::Gap(gap));
        }
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
        Message::Docker(event) => {
            event.with_event(images.of_event(event), |e| sink(e));
        }
        Message::Audit(event) => {
            let image = event.pid.and_then(|pid| resolver.image_of(pid));
            event.with_event(image.as_ref(), |e| sink(e));
        }
        Message::Log(line) => {
            let image = images.get_image(&line.container);
            line.with_event(image, |e| sink(e));
        }
        Message::Gap(gap) => gap.emit(ts, sink),
        Message::Late(late) => late.emit(ts, sink),
        Message::SourceLost { source, reason } => {
            let args = [Arg::Str(source.as_bytes()), Arg::Str(reason.as_bytes())];
            sink(&Event::bare(ts, EventType::SOURCE_LOST, &args));
        }
        Message::SourceFound { source, detail } => {
            let args = [Arg::Str(source.as_bytes()), Arg::Str(detail.as_bytes())];
            sink(&Event::bare(ts, EventType::SOURCE_FOUND, &args));
        }
        Message::Suspend { slept_ns } => {
            let slept = i64::try_from(*slept_ns).unwrap_or(i64::MAX);
            sink(&Event::bare(ts, EventType::SUSPEND, &[Arg::Num(slept)]));
        }
        // Without an actor the event that it belongs to was not recorded: it is not in the scope.
        Message::Artifact(artifact, actor) => {
            if let Some(image) = actor.get() {
                artifact.with_event(ts, Some(image), |e| sink(e));
            }
        }
        Message::ClockStep { delta_ns } => sink(&Event::bare(ts, EventType::CLOCK_STEP, &[Arg::Num(*delta_ns)])),
    }
}

//! The way out of the docker threads: a bounded channel whose full state stops nobody and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::DockerMessage;

/// How many messages may wait for the consumer.
pub(super) const CAPACITY: usize = 16_384;

/// One thread's end of the channel.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: SyncSender<DockerMessage>,
    stop: Arc<AtomicBool>,
    /// Messages that found the channel full, and when the first of them came.
    shed: Option<(u64, u64)>,
}

impl Outbox {
    pub(super) fn new(sender: SyncSender<DockerMessage>, stop: Arc<AtomicBool>) -> Outbox {
        Outbox {
            sender,
            stop,
            shed: None,
        }
    }

    /// Sends, or counts where the consumer is too slow: an engine whose reader stalls drops events without a word.
    pub(super) fn send(&mut self, message: DockerMessage) {
        self.report_shed();
        if self.shed.is_some() {
            self.count_shed();
            return;
        }
        match self.sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.count_shed(),
            Err(TrySendError::Disconnected(_)) => self.stop.store(true, Ordering::Relaxed),
        }
    }

    /// Tells about messages that were shed, as soon as there is room. Call it now and then when nothing is sent.
    pub(super) fn report_shed(&mut self) {
        if let Some((count, from_ns)) = self.shed {
            let to_ns = now_ns();
            let gap = DockerMessage::Gap { count, from_ns, to_ns };
            if self.sender.try_send(gap).is_ok() {
                self.shed = None;
            }
        }
    }

    /// Whether the source was stopped, or nobody listens any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn count_shed(&mut self) {
        let (count, from_ns) = self.shed.unwrap_or_else(|| (0, now_ns()));
        self.shed = Some((count + 1, from_ns));
    }
}

/// The wall clock, nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn lost(at_ns: u64) -> DockerMessage {
        let reason = String::new();
        DockerMessage::Lost { at_ns, reason }
    }

    #[test]
    fn what_a_slow_consumer_misses_is_counted_in_its_place() {
        let (sender, receiver) = sync_channel(2);
        let mut outbox = Outbox::new(sender, Arc::default());
        (0..5).for_each(|n| outbox.send(lost(n)));
        assert_eq!(receiver.try_iter().count(), 2);
        outbox.send(lost(9));
        let after: Vec<DockerMessage> = receiver.try_iter().collect();
        assert!(matches!(
            after[..],
            [
                DockerMessage::Gap { count: 3, .. },
                DockerMessage::Lost { at_ns: 9, .. }
            ]
        ));
    }

    #[test]
    fn a_consumer_that_went_away_stops_the_source() {
        let (sender, receiver) = sync_channel(2);
        let mut outbox = Outbox::new(sender, Arc::default());
        drop(receiver);
        outbox.send(lost(0));
        assert!(outbox.is_stopped());
    }
}

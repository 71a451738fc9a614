//! The way into the case: what is selected is written, and what cannot be written is counted.

use ctrace_trace::case::{CaseError, CaseWriter, Summary};
use ctrace_trace::event::Event;

use super::durable::Durable;
use super::lateness::Lateness;
use super::messages::{self, Queue};
use super::scope::Selection;
use crate::docker::ContainerImages;
use crate::resolver::Resolver;

/// The case being written.
pub(super) struct Output {
    writer: CaseWriter,
    selection: Selection,
    lateness: Lateness,
    durable: Durable,
    /// Losses at this end that were told already.
    told: u64,
    failed: Option<CaseError>,
    /// Events were lost because there was no room, or somebody removed them.
    unkept: bool,
    /// Old segments make room where the disk is full.
    drops: bool,
}

impl Output {
    /// What is let through.
    pub(super) fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    /// Writes what the selection lets through.
    pub(super) fn new(writer: CaseWriter, selection: Selection, durable: Durable, drops: bool) -> Output {
        Output {
            writer,
            selection,
            lateness: Lateness::default(),
            durable,
            told: 0,
            failed: None,
            unkept: false,
            drops,
        }
    }

    /// How much was written.
    pub(super) fn summary(&self) -> Summary {
        self.writer.summary()
    }

    /// Closes the case with these last words, for which there is room also on a full disk.
    pub(super) fn finish(&mut self, last: &Event<'_>) {
        self.flush();
        self.push(last);
        if let Err(error) = self.writer.close() {
            self.note(error);
        }
    }

    /// What is known of events out of order.
    pub(super) fn lateness(&mut self) -> &mut Lateness {
        &mut self.lateness
    }

    /// Writes an event, and says whether it is in the scope. What cannot be written is counted, and the recording goes on
    /// if that makes sense.
    #[inline(never)]
    pub(super) fn push(&mut self, event: &Event<'_>) -> bool {
        if !self.selection.wants(event.kind) {
            return false;
        }
        if !self.selection.is_whole() {
            return self.push_narrowed(event);
        }
        self.lateness.note(event);
        if let Err(error) = self.writer.push(event) {
            self.note(error);
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn push_narrowed(&mut self, event: &Event<'_>) -> bool {
        let (lateness, writer) = (&mut self.lateness, &mut self.writer);
        let mut written = None;
        self.selection.pass(event, |event| {
            lateness.note(event);
            written = Some(writer.push(event));
        });
        let passed = written.is_some();
        if let Some(Err(error)) = written {
            self.note(error);
        }
        passed
    }

    /// Writes what has been taken, so that a recorder that is killed loses no more than the last second, and has it
    /// brought to the disk, so that neither does a host whose power is cut.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.writer.flush() {
            self.note(error);
        }
        if let Some(segment) = self.writer.file() {
            self.durable.order(segment);
        }
    }

    /// Why the disk does not keep what was written, once.
    pub(super) fn undurable(&mut self) -> Option<&str> {
        self.durable.failure()
    }

    /// What cannot be written is told in the case as soon as that is possible. A single event that does not fit is no
    /// reason to end; a full disk is none where old segments may make room, some day.
    #[cold]
    fn note(&mut self, error: CaseError) {
        self.unkept |= error.is_storage_full() || matches!(error, CaseError::Removed { .. });
        let passes = match error {
            CaseError::Event(_) | CaseError::Block { .. } | CaseError::Removed { .. } => true,
            ref full if full.is_storage_full() => self.drops,
            _ => false,
        };
        if !passes && self.failed.is_none() {
            self.failed = Some(error);
        }
    }

    /// What ends the recording, if something does: the first that did not work.
    pub(super) fn failure(&self) -> Option<&CaseError> {
        self.failed.as_ref()
    }

    /// The same for good, and whether events were lost at this end.
    pub(super) fn end(self) -> (Option<CaseError>, bool) {
        (self.failed, self.unkept)
    }

    /// How many events could not be written since the last question.
    pub(super) fn unwritten(&mut self) -> u64 {
        let lost = self.writer.summary().lost;
        let new = lost.saturating_sub(self.told);
        self.told = lost;
        new
    }

    /// Writes the messages that are not newer than a moment.
    #[inline]
    pub(super) fn emit_until(
        &mut self,
        until: u64,
        queue: &mut Queue,
        resolver: &Resolver,
        images: &mut ContainerImages,
    ) {
        if queue.has(until) {
            self.emit(until, queue, resolver, images);
        }
    }

    #[cold]
    fn emit(&mut self, until: u64, queue: &mut Queue, resolver: &Resolver, images: &mut ContainerImages) {
        while let Some((ts, message)) = queue.pop(until) {
            messages::emit(ts, &message, resolver, images, &mut |event| {
                self.push(event);
            });
        }
    }
}

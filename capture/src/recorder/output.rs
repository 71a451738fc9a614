//! The way into the case: what is selected is written, and what cannot be written is counted.

use ctrace_trace::case::{CaseError, CaseWriter, Summary};
use ctrace_trace::event::Event;

use super::RecordError;
use super::gaps::{Class, Gap};
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
    /// Losses at this end that were told already.
    told: u64,
    failed: Option<CaseError>,
}

impl Output {
    /// What is let through.
    pub(super) fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    /// Writes what the selection lets through.
    pub(super) fn new(writer: CaseWriter, selection: Selection) -> Output {
        Output {
            writer,
            selection,
            lateness: Lateness::default(),
            told: 0,
            failed: None,
        }
    }

    /// How much was written.
    pub(super) fn summary(&self) -> Summary {
        self.writer.summary()
    }

    /// Closes the case.
    pub(super) fn finish(self) -> Result<Summary, CaseError> {
        self.writer.finish()
    }

    /// What is known of events out of order.
    pub(super) fn lateness(&mut self) -> &mut Lateness {
        &mut self.lateness
    }

    /// Writes an event, and says whether it is in the scope. What cannot be written is counted, and the recording goes on
    /// if that makes sense.
    pub(super) fn push(&mut self, event: &Event<'_>) -> bool {
        if self.failed.is_some() {
            return false;
        }
        let (mut result, mut passed) = (Ok(()), false);
        let Output {
            writer,
            selection,
            lateness,
            ..
        } = self;
        selection.pass(event, |event| {
            passed = true;
            lateness.note(event);
            result = writer.push(event).map(|_| ());
        });
        if let Err(error) = result {
            self.note(error);
        }
        passed
    }

    /// Writes what has been taken, so that a recorder that is killed loses no more than the last second.
    pub(super) fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.writer.flush()
        {
            self.note(error);
        }
    }

    fn note(&mut self, error: CaseError) {
        // A single event that does not fit is a gap; a disk that is full or gone ends the recording.
        if !matches!(error, CaseError::Event(_) | CaseError::Block { .. }) {
            self.failed = Some(error);
        }
    }

    /// What stopped the writing, if something did.
    pub(super) fn take_failure(&mut self) -> Result<(), RecordError> {
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// The loss at this end since the last question.
    pub(super) fn unwritten(&mut self, now: u64) -> Option<Gap> {
        let lost = self.writer.summary().lost;
        let new = lost.saturating_sub(self.told);
        self.told = lost;
        (new > 0).then_some(Gap {
            source: "case",
            class: Class::Unwritten,
            count: new,
            cpu: -1,
            from: now,
            to: now,
        })
    }

    /// Writes the messages that are not newer than a moment.
    pub(super) fn emit_until(
        &mut self,
        until: u64,
        queue: &mut Queue,
        resolver: &Resolver,
        images: &mut ContainerImages,
    ) {
        while let Some((ts, message)) = queue.pop(until) {
            messages::emit(ts, &message, resolver, images, &mut |event| {
                self.push(event);
            });
        }
    }
}

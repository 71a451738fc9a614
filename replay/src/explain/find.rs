//! Finding events by their number.

use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::block::{Decoder, Need};
use ctrace_trace::case::Case;
use ctrace_trace::segment::Problem;

/// Finds events of a case by number, with all their columns. The block that was read last is kept, so asking in
/// ascending order reads each block once.
#[derive(Debug)]
pub struct Finder<'a> {
    case: &'a Case,
    resolve_late: bool,
    decoder: Decoder,
    decoded: Decoded,
    /// Number of the first event of the block in `decoded`.
    held: Option<u64>,
}

impl<'a> Finder<'a> {
    /// Over a case; with `resolve_late`, events are shown what the case learned about containers later.
    pub fn new(case: &'a Case, resolve_late: bool) -> Finder<'a> {
        Finder {
            case,
            resolve_late,
            decoder: Decoder::new(),
            decoded: Decoded::default(),
            held: None,
        }
    }

    /// Calls `look` with the event of a number; `None` where the case has no such event.
    ///
    /// # Errors
    /// Where the event's block cannot be read.
    pub fn with<R>(&mut self, seq: u64, look: impl FnOnce(EventView<'_>) -> R) -> Result<Option<R>, Problem> {
        let numbers = |first: u64, events: u32| first..first.saturating_add(u64::from(events));
        let block = self
            .case
            .blocks()
            .find(|b| numbers(b.head().first_seq, b.head().events).contains(&seq));
        let Some(block) = block else { return Ok(None) };
        if self.held != Some(block.head().first_seq) {
            self.held = None;
            self.decoded = block.decode(&mut self.decoder, Need::ALL)?;
            if self.resolve_late {
                self.case.late_facts(1).resolve(&mut self.decoded);
            }
            self.held = Some(block.head().first_seq);
        }
        let decoded = &self.decoded;
        let row = seq
            .checked_sub(decoded.first_seq)
            .and_then(|row| usize::try_from(row).ok())
            .filter(|row| *row < decoded.len);
        Ok(row.map(|row| look(decoded.event(row))))
    }
}

//! Totals and losses of a case, from footers where there are some and from the blocks where not.

use std::collections::BTreeMap;

use super::Case;
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use crate::segment::{BlockReader, BlockRef, Problem, Segment, Totals};

/// The class of what is no events, of [`crate::schema::NameSet::GapClass`]: what the recorder knew of processes and
/// descriptors and forgot, so that it keeps within its memory. Events behind that may say less than they could.
const FORGOTTEN: i64 = 9;

/// Events that were lost, as a gap event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Number of the gap event.
    pub seq: u64,
    /// Source that lost events; what was forgotten where no events were lost ([`Loss::is_of_events`]).
    pub source: String,
    /// Class of the lost events ([`crate::schema::NameSet::GapClass`]).
    pub class: i64,
    /// How many.
    pub count: u64,
    /// CPU; -1 where the loss is not of one CPU.
    pub cpu: i64,
    /// When it may have begun, UTC nanoseconds.
    pub from_ts: u64,
    /// When it was over, UTC nanoseconds.
    pub to_ts: u64,
    /// The option that asked for it, or why events could not be written; empty where the class says it all.
    pub reason: String,
}

impl Loss {
    /// Whether events are missing; where not, [`Loss::source`] says what was forgotten, and [`Loss::count`] of how many.
    pub fn is_of_events(&self) -> bool {
        self.class != FORGOTTEN
    }

    fn of(event: EventView<'_>) -> Loss {
        Loss {
            seq: event.seq(),
            source: text(event, "source"),
            class: num(event, "class"),
            count: num(event, "count") as u64,
            cpu: num(event, "cpu"),
            from_ts: num(event, "from") as u64,
            to_ts: num(event, "to") as u64,
            reason: text(event, "reason"),
        }
    }
}

/// Events of one source that stand behind newer ones, as the recorder's late events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// Source whose events came late.
    pub source: String,
    /// How many.
    pub count: u64,
    /// The largest distance from a newer event before it, nanoseconds.
    pub delay_ns: u64,
}

impl Late {
    fn of(event: EventView<'_>) -> Late {
        Late {
            source: text(event, "source"),
            count: num(event, "count") as u64,
            delay_ns: num(event, "delay_ns") as u64,
        }
    }
}

fn num(event: EventView<'_>, name: &str) -> i64 {
    match event.arg_named(name) {
        Arg::Num(n) => n,
        _ => 0,
    }
}

fn text(event: EventView<'_>, name: &str) -> String {
    match event.arg_named(name) {
        Arg::Str(s) => String::from_utf8_lossy(s).into_owned(),
        _ => String::new(),
    }
}

/// The gap events of a block.
pub(crate) fn losses_of(reader: &mut BlockReader, block: &BlockRef) -> Result<Vec<Loss>, Problem> {
    each_of(EventType::GAP, Need::NOTHING, reader, block, Loss::of)
}

/// What the events of a type in a block say. Beside their arguments it may need more.
pub(crate) fn each_of<T>(
    kind: EventType,
    need: Need,
    reader: &mut BlockReader,
    block: &BlockRef,
    of: impl Fn(EventView<'_>) -> T,
) -> Result<Vec<T>, Problem> {
    if !block.head().has_kind(kind) {
        return Ok(Vec::new());
    }
    let decoded = reader.read(block, Need::KIND | Need::ARGS_HOT | need)?;
    let kinds = decoded.kinds.iter().filter(|k| k.spec.id == kind);
    let rows = kinds.flat_map(|k| k.rows.iter());
    Ok(rows
        .filter(|row| (**row as usize) < decoded.len)
        .map(|row| of(decoded.event(*row as usize)))
        .collect())
}

/// What was counted in some blocks.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) totals: Totals,
    pub(crate) losses: Vec<Loss>,
    pub(crate) problems: Vec<Problem>,
}

/// The totals of some blocks, counted from them.
pub(crate) fn count(blocks: &[BlockRef]) -> Counted {
    let mut out = Counted::default();
    let mut reader = BlockReader::new();
    for block in blocks {
        out.totals.add_block(block.head(), block.schema());
        match losses_of(&mut reader, block) {
            Ok(losses) => out.losses.extend(losses),
            Err(p) => out.problems.push(p),
        }
    }
    out.losses.iter().for_each(|l| add_loss(&mut out.totals, l));
    out
}

fn add_loss(totals: &mut Totals, loss: &Loss) {
    let sum = totals.lost.entry((loss.source.clone(), loss.class)).or_default();
    *sum = sum.saturating_add(loss.count);
}

impl Totals {
    /// How many events were lost, as far as that is known.
    pub fn lost_events(&self) -> u64 {
        self.sum_of(|class| class != FORGOTTEN)
    }

    /// How many processes, long texts and descriptors the recorder forgot.
    pub fn forgotten(&self) -> u64 {
        self.sum_of(|class| class == FORGOTTEN)
    }

    fn sum_of(&self, is_wanted: impl Fn(i64) -> bool) -> u64 {
        let wanted = self.lost.iter().filter(|((_, class), _)| is_wanted(*class));
        wanted.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

impl Segment {
    /// The footer's totals; where there is no footer, counted from the blocks.
    pub fn totals(&self) -> Totals {
        match self.footer() {
            Some(footer) => footer.totals.clone(),
            None => count(self.blocks()).totals,
        }
    }
}

impl Case {
    /// The totals of all segments.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.segments().iter().for_each(|s| totals.add(&s.totals()));
        totals
    }

    /// Every loss that the recorder noted, and the blocks that could not be asked.
    pub fn losses(&self) -> (Vec<Loss>, Vec<Problem>) {
        self.collect(losses_of)
    }

    /// Which sources had events recorded out of order, sorted by name, and the blocks that could not be asked.
    pub fn late(&self) -> (Vec<Late>, Vec<Problem>) {
        let (notes, problems) =
            self.collect(|reader, block| each_of(EventType::LATE, Need::NOTHING, reader, block, Late::of));
        let mut late: BTreeMap<String, Late> = BTreeMap::new();
        for note in notes {
            match late.get_mut(&note.source) {
                Some(known) => {
                    known.count = known.count.saturating_add(note.count);
                    known.delay_ns = known.delay_ns.max(note.delay_ns);
                }
                None => drop(late.insert(note.source.clone(), note)),
            }
        }
        (late.into_values().collect(), problems)
    }

    pub(crate) fn collect<T>(
        &self,
        of: impl Fn(&mut BlockReader, &BlockRef) -> Result<Vec<T>, Problem>,
    ) -> (Vec<T>, Vec<Problem>) {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        let mut reader = BlockReader::new();
        for block in self.blocks() {
            match of(&mut reader, block) {
                Ok(found) => all.extend(found),
                Err(p) => problems.push(p),
            }
        }
        (all, problems)
    }
}

//! Totals and losses of a case, from footers where there are some and from the blocks where not.

use super::Case;
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use crate::segment::{BlockReader, BlockRef, Problem, Segment, Totals};

/// Events that were lost, as a gap event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Number of the gap event.
    pub seq: u64,
    /// Source that lost events.
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
}

impl Loss {
    fn of(event: EventView<'_>) -> Loss {
        let num = |name: &str| match event.arg_named(name) {
            Arg::Num(n) => n,
            _ => 0,
        };
        let source = match event.arg_named("source") {
            Arg::Str(s) => String::from_utf8_lossy(s).into_owned(),
            _ => String::new(),
        };
        Loss {
            seq: event.seq(),
            source,
            class: num("class"),
            count: num("count") as u64,
            cpu: num("cpu"),
            from_ts: num("from") as u64,
            to_ts: num("to") as u64,
        }
    }
}

/// The gap events of a block.
pub(crate) fn losses_of(reader: &mut BlockReader, block: &BlockRef) -> Result<Vec<Loss>, Problem> {
    if !block.head().has_kind(EventType::GAP) {
        return Ok(Vec::new());
    }
    let decoded = reader.read(block, Need::KIND | Need::ARGS_HOT)?;
    let gaps = decoded.kinds.iter().filter(|k| k.spec.id == EventType::GAP);
    let rows = gaps.flat_map(|k| k.rows.iter());
    Ok(rows
        .filter(|row| (**row as usize) < decoded.len)
        .map(|row| Loss::of(decoded.event(*row as usize)))
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
        let (mut losses, mut problems) = (Vec::new(), Vec::new());
        let mut reader = BlockReader::new();
        for block in self.blocks() {
            match losses_of(&mut reader, block) {
                Ok(found) => losses.extend(found),
                Err(p) => problems.push(p),
            }
        }
        (losses, problems)
    }
}

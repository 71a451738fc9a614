//! Which blocks a scan has to read, told from their heads: event types, bounds of time and number, containers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use ctrace_trace::block::decoded::{Decoded, ImageEntry};
use ctrace_trace::block::{BlockHead, Need};
use ctrace_trace::container::Container;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::BlockRef;
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column as ColumnName, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use crate::column::Column;
use crate::filter::{Conditions, EntryFilter};
use crate::socket_values::SocketValues;
use crate::values;

/// A block that has to be read.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The block.
    pub(crate) block: BlockRef,
    /// The event types whose rows are wanted; `None` where that is all of them.
    pub(crate) kinds: Option<Arc<BTreeSet<EventType>>>,
}

impl Candidate {
    /// How many of the block's events are of a wanted type.
    pub(crate) fn events(&self) -> u64 {
        let kinds = self.block.head().kinds.iter().filter(|k| self.wants(k.id));
        kinds.map(|k| u64::from(k.events)).sum()
    }

    /// Whether events of this type are wanted.
    pub(crate) fn wants(&self, id: EventType) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&id))
    }

    /// What has to be decoded of this block: a family of event types of which no row is wanted is left out.
    pub(crate) fn narrow(&self, need: Need) -> Need {
        const HOT: Need = Need(Need::FD_HOT.0 | Need::ARGS_HOT.0 | Need::RET_HOT.0);
        const BULK: Need = Need(Need::FD_BULK.0 | Need::ARGS_BULK.0 | Need::RET_BULK.0);
        let wanted = |hot: bool| {
            let is_hot = |id| self.block.schema().get(id).is_some_and(|s| s.hot);
            self.block
                .head()
                .kinds
                .iter()
                .any(|k| self.wants(k.id) && is_hot(k.id) == hot)
        };
        let mut out = need.0;
        if !wanted(true) {
            out &= !HOT.0;
        }
        if !wanted(false) {
            out &= !BULK.0;
        }
        Need(out)
    }

    /// The rows of the wanted types; `None` stands for all. Event types must have been decoded where `kinds` is given.
    pub(crate) fn rows(&self, block: &Decoded) -> Option<Vec<u32>> {
        let kinds = self.kinds.as_ref()?;
        let wanted: Vec<bool> = block.kinds.iter().map(|k| kinds.contains(&k.spec.id)).collect();
        let mut single = block.kinds.iter().zip(&wanted).filter(|(_, w)| **w);
        if let (Some((only, _)), None) = (single.next(), single.next()) {
            return Some(only.rows.clone());
        }
        let rows = block.kind.iter().zip(0u32..);
        Some(
            rows.filter(|(k, _)| wanted.get(**k as usize).copied().unwrap_or(false))
                .map(|(_, row)| row)
                .collect(),
        )
    }
}

/// The blocks that can hold a row that passes, in order. `only` is the event type that the table is about.
pub(crate) fn candidates(
    blocks: &[BlockRef],
    only: Option<EventType>,
    conditions: &Conditions,
    sockets: &SocketValues,
    table: &SchemaRef,
    state: &dyn Session,
) -> Result<Vec<Candidate>> {
    let in_range = in_range(blocks, conditions, table, state)?;
    let in_container = Containers::new(blocks, &conditions.entries)?;
    let mut kinds = Kinds::new(only, &conditions.kinds);
    let mut out = Vec::new();
    for (block, in_range) in blocks.iter().zip(in_range) {
        if !in_range || block.head().events == 0 || !in_container.may_match(block.head()) {
            continue;
        }
        if conditions.known_to_rule_out(block, sockets)? {
            continue;
        }
        out.extend(kinds.candidate(block)?);
    }
    Ok(out)
}

/// The event types that pass, for each schema of the case: all segments of a recording share one.
struct Kinds<'a> {
    only: Option<EventType>,
    filters: &'a [EntryFilter],
    by_schema: Vec<(Arc<Schema>, Arc<BTreeSet<EventType>>)>,
}

impl<'a> Kinds<'a> {
    fn new(only: Option<EventType>, filters: &'a [EntryFilter]) -> Kinds<'a> {
        Kinds {
            only,
            filters,
            by_schema: Vec::new(),
        }
    }

    fn candidate(&mut self, block: &BlockRef) -> Result<Option<Candidate>> {
        let candidate = |kinds| Candidate {
            block: block.clone(),
            kinds,
        };
        if self.only.is_none() && self.filters.is_empty() {
            return Ok(Some(candidate(None)));
        }
        let passing = self.passing(block.schema())?;
        let present = &block.head().kinds;
        let count = present.iter().filter(|k| passing.contains(&k.id)).count();
        Ok(match count {
            0 => None,
            n if n == present.len() => Some(candidate(None)),
            _ => Some(candidate(Some(passing))),
        })
    }

    fn passing(&mut self, schema: &Arc<Schema>) -> Result<Arc<BTreeSet<EventType>>> {
        let same = |(s, _): &&(Arc<Schema>, _)| Arc::ptr_eq(s, schema) || s == schema;
        if let Some((_, passing)) = self.by_schema.iter().find(same) {
            return Ok(passing.clone());
        }
        let specs = schema.specs();
        let masks = self.filters.iter().filter_map(|filter| match filter.column() {
            Column::Field(f) => Some(
                values::of_specs(f, specs)
                    .map_err(Into::into)
                    .and_then(|v| filter.mask(v)),
            ),
            _ => None,
        });
        let masks = masks.collect::<Result<Vec<_>>>()?;
        let passes =
            |at: u32, id: EventType| self.only.is_none_or(|only| only == id) && masks.iter().all(|m| m.has(Some(at)));
        let ids = specs
            .iter()
            .zip(0u32..)
            .filter(|(s, at)| passes(*at, s.id))
            .map(|(s, _)| s.id);
        let passing = Arc::new(ids.collect::<BTreeSet<_>>());
        self.by_schema.push((schema.clone(), passing.clone()));
        Ok(passing)
    }
}

/// Conditions on the container's id, evaluated once for each id that a head lists.
struct Containers {
    conditions: Vec<ContainerCondition>,
}

struct ContainerCondition {
    passing: BTreeSet<String>,
    outside: bool,
}

impl Containers {
    fn new(blocks: &[BlockRef], filters: &[EntryFilter]) -> Result<Containers> {
        let mut filters = filters.iter().filter(|f| f.column().is_container_id()).peekable();
        if filters.peek().is_none() {
            return Ok(Containers { conditions: Vec::new() });
        }
        let lists = blocks.iter().filter_map(|b| b.head().container_ids.as_ref());
        let ids: BTreeSet<&String> = lists.flatten().collect();
        let stand_in = stand_in(&ids);
        let condition = |filter: &EntryFilter| -> Result<ContainerCondition> {
            let entries = 0..stand_in.dict.images.len() as u32;
            let mask = filter.mask(filter.column().entries(&stand_in, entries)?)?;
            let passing = ids.iter().zip(1u32..).filter(|(_, at)| mask.has(Some(*at)));
            Ok(ContainerCondition {
                passing: passing.map(|(id, _)| (*id).clone()).collect(),
                outside: mask.has(Some(0)) || mask.has(None),
            })
        };
        Ok(Containers {
            conditions: filters.map(condition).collect::<Result<_>>()?,
        })
    }

    fn may_match(&self, head: &BlockHead) -> bool {
        let Some(ids) = &head.container_ids else { return true };
        let passes = |c: &ContainerCondition| {
            (head.outside_containers && c.outside) || ids.iter().any(|id| c.passing.contains(id))
        };
        self.conditions.iter().all(passes)
    }
}

/// A block whose image 0 runs on the host and whose others run in one container each.
fn stand_in(ids: &BTreeSet<&String>) -> Decoded {
    let mut block = Decoded::default();
    // Some process: fields of none are null.
    let image = ImageEntry {
        pid: 1,
        ..ImageEntry::default()
    };
    block.dict.images.push(image.clone());
    for (id, at) in ids.iter().zip(0u32..) {
        block.dict.containers.push(Container {
            id: (*id).clone(),
            ..Container::default()
        });
        block.dict.images.push(ImageEntry {
            container: Some(at),
            ..image.clone()
        });
    }
    block
}

/// Which blocks the bounds of time and number do not rule out.
fn in_range(blocks: &[BlockRef], conditions: &Conditions, table: &SchemaRef, state: &dyn Session) -> Result<Vec<bool>> {
    let Some(expr) = conjunction(conditions.ranges.iter().cloned()) else {
        return Ok(vec![true; blocks.len()]);
    };
    let expr = state.create_physical_expr(expr, &DFSchema::try_from(table.as_ref().clone())?)?;
    let predicate = PruningPredicateBuilder::new()
        .with_file_schema(table.clone())
        .try_build(expr)?;
    predicate.prune(&Bounds { blocks })
}

/// Smallest and largest time and number of each block.
struct Bounds<'a> {
    blocks: &'a [BlockRef],
}

impl Bounds<'_> {
    fn of(
        &self,
        column: &ColumnName,
        ts: impl Fn(&BlockHead) -> u64,
        seq: impl Fn(&BlockHead) -> u64,
    ) -> Option<ArrayRef> {
        let heads = self.blocks.iter().map(BlockRef::head);
        match column.name.as_str() {
            "ts" => {
                let utc = Some("UTC".into());
                let values = heads.map(|h| ScalarValue::TimestampNanosecond(Some(values::nanos(ts(h))), utc.clone()));
                ScalarValue::iter_to_array(values).ok()
            }
            "seq" => Some(Arc::new(UInt64Array::from_iter_values(heads.map(seq)))),
            _ => None,
        }
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.of(column, |h| h.min_ts, |h| h.first_seq)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.of(
            column,
            |h| h.max_ts,
            |h| h.first_seq + u64::from(h.events).saturating_sub(1),
        )
    }

    fn num_containers(&self) -> usize {
        self.blocks.len()
    }

    fn null_counts(&self, _column: &ColumnName) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &ColumnName, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

//! What a decoder keeps from block to block: memory of columns, and the specs that it hands out.

use std::sync::Arc;

use super::Need;
use super::decoded::{ArgColumn, Decoded, RawPath, StrId};
use crate::schema::EventSpec;

/// Specs that blocks hand out, shared between blocks.
#[derive(Debug, Default)]
pub(super) struct SpecCache(Vec<Option<Arc<EventSpec>>>);

impl SpecCache {
    /// The spec, shared where it was handed out before.
    pub(super) fn get(&mut self, spec: &EventSpec) -> Arc<EventSpec> {
        let at = spec.id.0 as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        match &mut self.0[at] {
            Some(known) if **known == *spec => known.clone(),
            other => other.insert(Arc::new(spec.clone())).clone(),
        }
    }
}

/// Memory of columns whose number differs from block to block.
#[derive(Debug, Default)]
pub(super) struct Pool {
    rows: Vec<Vec<u32>>,
    pub(super) nums: Vec<Vec<i64>>,
    pub(super) strs: Vec<Vec<StrId>>,
    pub(super) paths: Vec<Vec<(StrId, RawPath)>>,
}

impl Pool {
    /// Memory for the rows of a type.
    pub(super) fn rows(&mut self) -> Vec<u32> {
        self.rows.pop().unwrap_or_default()
    }

    /// Empties `out`, keeping its memory.
    ///
    /// What is taken first was put back last: the columns of a type get the memory that they had in the block before,
    /// which is large enough, and not that of another type, which would have to grow.
    pub(super) fn reset(&mut self, out: &mut Decoded) {
        for kind in out.kinds.drain(..).rev() {
            self.rows.push(emptied(kind.fds));
            self.rows.push(emptied(kind.rows));
            for column in kind.args.into_iter().rev() {
                match column {
                    ArgColumn::Num(v) => self.nums.push(emptied(v)),
                    ArgColumn::Str(v) => self.strs.push(emptied(v)),
                    ArgColumn::Path(v) => self.paths.push(emptied(v)),
                }
            }
        }
        out.have = Need::NOTHING;
        out.dict.strings.used = 0;
        out.dict.strings.spans.clear();
        out.dict.strings.cuts.clear();
        out.dict.images.clear();
        out.dict.containers.clear();
        out.dict.fds.clear();
        out.dict.contexts.clear();
        out.kind.clear();
        out.ordinal.clear();
        out.ts.clear();
        out.cpu.clear();
        out.context.clear();
        out.thread_ends.clear();
        out.thread_kinds.clear();
        out.ret.clear();
        out.fd_num.clear();
        out.fd.clear();
        out.data_ends.clear();
        out.data_bytes.clear();
        out.origins.clear();
        out.latency.clear();
    }
}

/// Empties memory and makes it hold so many elements. What does not fit any more is given back first: nothing in it is
/// copied, and what is new has room for somewhat larger blocks.
pub(crate) fn emptied_for<T>(v: &mut Vec<T>, len: usize) {
    v.clear();
    if v.capacity() < len {
        *v = Vec::new();
        v.reserve_exact(len.next_power_of_two());
    }
}

fn emptied<T>(mut v: Vec<T>) -> Vec<T> {
    v.clear();
    v
}

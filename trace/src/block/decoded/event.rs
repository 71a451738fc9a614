//! One event of a block, as everything looks at it.

use super::{ABSENT, ArgColumn, Context, Decoded, FdView, ImageView, KindColumns, OriginView, RawPath, StrId};
use crate::event::{Arg, EventType};
use crate::schema::EventSpec;

/// One event with the block it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// The block.
    pub block: &'a Decoded,
    /// Its row.
    pub row: usize,
}

/// Stands in a row that is none, but an event type, and a position among the events of that type.
const BY_TYPE: usize = 1 << 63;

/// The type and position that stand in a row.
#[cold]
fn by_type(row: usize) -> Option<(usize, u32)> {
    (row & BY_TYPE != 0).then_some(((row & !BY_TYPE) >> 32, row as u32))
}

fn present(v: Option<&i64>) -> Option<i64> {
    v.copied().filter(|v| *v != ABSENT)
}

impl<'a> EventView<'a> {
    /// That of an event of a type, of which no row is known.
    pub(super) fn of_type(block: &'a Decoded, kind: u16, ordinal: u32) -> EventView<'a> {
        EventView {
            block,
            row: BY_TYPE | usize::from(kind) << 32 | ordinal as usize,
        }
    }

    /// Number of the event in the recording. `evt.num`.
    pub fn seq(&self) -> u64 {
        self.block.first_seq.wrapping_add(self.row as u64)
    }

    /// UTC nanoseconds; 0 when the column was not asked for.
    pub fn ts(&self) -> u64 {
        self.block.ts.get(self.row).copied().unwrap_or(0)
    }

    /// CPU.
    pub fn cpu(&self) -> u16 {
        self.block.cpu.get(self.row).copied().unwrap_or(0)
    }

    /// The columns of the event's type; `None` when types were not asked for.
    pub fn kind_columns(&self) -> Option<&'a KindColumns> {
        let kind = match self.block.kind.get(self.row) {
            Some(kind) => usize::from(*kind),
            None => by_type(self.row)?.0,
        };
        self.block.kinds.get(kind)
    }

    /// What the event's type carries.
    pub fn spec(&self) -> Option<&'a EventSpec> {
        Some(&self.kind_columns()?.spec)
    }

    /// The event's type.
    pub fn kind(&self) -> Option<EventType> {
        Some(self.spec()?.id)
    }

    /// Who acted.
    pub fn context(&self) -> Option<Context> {
        self.block
            .dict
            .contexts
            .get(*self.block.context.get(self.row)? as usize)
            .copied()
    }

    /// The process image that acted.
    pub fn image(&self) -> Option<ImageView<'a>> {
        self.block.dict.image(self.context()?.image?)
    }

    /// The result.
    pub fn ret(&self) -> Option<i64> {
        present(self.block.ret.get(self.row))
    }

    /// How long the call took, in nanoseconds, where its beginning was recorded too.
    pub fn latency(&self) -> Option<u64> {
        u64::try_from(present(self.block.latency.get(self.row))?).ok()
    }

    /// The descriptor's number.
    pub fn fd_num(&self) -> Option<i64> {
        present(self.block.fd_num.get(self.row))
    }

    /// The object behind the descriptor.
    pub fn fd(&self) -> Option<FdView<'a>> {
        self.block.dict.fd(*self.block.fd.get(self.row)?)
    }

    /// The value of the type's parameter number `slot`.
    pub fn arg(&self, slot: usize) -> Arg<'a> {
        let ordinal = self.block.ordinal.get(self.row).copied();
        let ordinal = ordinal.or_else(|| Some(by_type(self.row)?.1));
        let (Some(kind), Some(at)) = (self.kind_columns(), ordinal) else {
            return Arg::None;
        };
        let strings = &self.block.dict.strings;
        match kind.args.get(slot) {
            Some(ArgColumn::Num(v)) => present(v.get(at as usize)).map_or(Arg::None, Arg::Num),
            Some(ArgColumn::Str(v)) => v
                .get(at as usize)
                .and_then(|id| strings.opt(*id))
                .map_or(Arg::None, Arg::Str),
            Some(ArgColumn::Path(v)) => match v.get(at as usize) {
                Some((id, raw)) if *id != StrId::NONE || !matches!(raw, RawPath::Same) => {
                    let resolved = strings.get(*id);
                    Arg::Path {
                        resolved,
                        raw: self.block.dict.raw_path(resolved, *raw),
                    }
                }
                _ => Arg::None,
            },
            None => Arg::None,
        }
    }

    /// The value of the parameter of that name.
    pub fn arg_named(&self, name: &str) -> Arg<'a> {
        self.spec()
            .and_then(|s| s.param(name))
            .map_or(Arg::None, |slot| self.arg(slot))
    }

    /// Where it was imported from, where it was.
    pub fn origin(&self) -> Option<OriginView<'a>> {
        let origins = &self.block.origins;
        let file = (*origins.file.get(self.row)? as usize).checked_sub(1)?;
        Some(OriginView {
            file: origins.names.get(file)?,
            offset: origins.offset.get(self.row).copied().unwrap_or(0),
            line: origins.line.get(self.row).copied().unwrap_or(0),
        })
    }

    /// Captured buffer bytes.
    pub fn data(&self) -> &'a [u8] {
        let end = self.block.data_ends.get(self.row).copied().unwrap_or(0) as usize;
        let start = match self.row.checked_sub(1) {
            Some(r) => self.block.data_ends.get(r).copied().unwrap_or(0) as usize,
            None => 0,
        };
        self.block.data_bytes.get(start..end).unwrap_or(&[])
    }
}

//! How a parameter's value is taken from a register: the kernel looks at 32 bits of an `int`, whatever the caller left
//! in the upper half.

use super::{Declared, row};
use crate::event::EventType;
use crate::schema::ParamKind;

/// Which part of an argument register counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The lower 32 bits, signed: `int`, descriptors, process ids.
    Signed32,
    /// The lower 32 bits, unsigned: flags, modes, user ids, and every word of a 32-bit program.
    Unsigned32,
    /// All 64 bits.
    Word,
}

impl Width {
    /// The value that stands in a register.
    pub const fn read(self, register: u64) -> i64 {
        match self {
            Width::Signed32 => register as u32 as i32 as i64,
            Width::Unsigned32 => register as u32 as i64,
            Width::Word => register as i64,
        }
    }
}

/// One per parameter of a syscall, in their order; empty for an event type without a row.
pub fn widths(kind: EventType) -> Vec<Width> {
    let params = row(kind).map_or(&[][..], |s| s.params);
    params.iter().map(|p| width(p, kind.is_compat())).collect()
}

fn width(param: &Declared, compat: bool) -> Width {
    match (param.width, param.kind) {
        (Some(width), _) if width != Width::Word || !compat => width,
        (_, ParamKind::Int | ParamKind::Fd | ParamKind::Pid | ParamKind::Signal) => Width::Signed32,
        (_, ParamKind::Uint | ParamKind::Addr | ParamKind::Size) if !compat => Width::Word,
        _ => Width::Unsigned32,
    }
}

//! The format's own numbers for flags and values, made the kernel's by way of their names.

use ctrace_trace::names;
use ctrace_trace::schema::{NameSet, ParamKind};

use super::facts::Facts;

/// Turns the values of one set into the kernel's.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// Whether values are made of bits.
    bits: bool,
    pairs: Vec<(u64, u64)>,
}

impl Mapping {
    /// The mapping of a set of the format to one of ours; `None` where both count alike.
    pub(super) fn of(set: &str, ours: NameSet, bits: bool) -> Option<Mapping> {
        let table = names::table(ours);
        let find = |name: &str| {
            table
                .iter()
                .find(|n| n.name == name || n.name.strip_prefix("MS_") == Some(name))
        };
        let pairs = Facts::get().set(set).iter();
        let pairs: Vec<(u64, u64)> = pairs
            .filter_map(|(name, value)| Some((*value, find(name)?.value)))
            .collect();
        let same = pairs.iter().all(|(from, to)| from == to);
        (!same).then_some(Mapping { bits, pairs })
    }

    /// The kernel's value. What has no name in the format has none here either.
    pub(super) fn apply(&self, value: u64) -> u64 {
        if !self.bits {
            let found = self.pairs.iter().find(|(from, _)| *from == value);
            return found.map_or(value, |(_, to)| *to);
        }
        let set = self
            .pairs
            .iter()
            .filter(|(from, _)| *from != 0 && value & from == *from);
        // The access mode of `open` has a value of zero for reading and three names for two bits.
        set.fold(0, |all, (_, to)| all | to)
    }
}

/// The mappings that are needed outside of parameters.
#[derive(Clone, Debug)]
pub(super) struct Flags {
    open: Mapping,
}

impl Flags {
    pub(super) fn new() -> Flags {
        let open = Mapping::of("file_flags", NameSet::Open, true).unwrap_or_default();
        Flags { open }
    }

    /// Flags of `open`, the kernel's.
    pub(super) fn open(&self, value: u32) -> u32 {
        open_mode(self.open.apply(u64::from(value)), u64::from(value)) as u32
    }
}

/// Corrects the access mode: reading and writing are bits of their own in the format, and a number in the kernel.
pub(super) fn open_mode(mapped: u64, value: u64) -> u64 {
    let mode = match value & 3 {
        2 => 1,
        3 => 2,
        _ => 0,
    };
    mapped & !3 | mode
}

/// How a parameter's values are to be changed.
pub(super) fn mapping(set: Option<&str>, kind: ParamKind) -> Option<Mapping> {
    match kind {
        ParamKind::Flags(ours) => Mapping::of(set?, ours, true),
        ParamKind::Enum(ours) => Mapping::of(set?, ours, false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands are bits in the format, and shifted past whose quota it is in the kernel.
    #[test]
    fn quota_commands_are_the_kernels() {
        let mapping = mapping(Some("quotactl_cmds"), ParamKind::Flags(NameSet::QuotaCmd)).expect("they differ");
        assert_eq!(mapping.apply(1), 0x8000_0200);
        assert_eq!(mapping.apply(0x1000), 0x58_0500);
        assert_eq!(mapping.apply(0x8000), 0);
    }
}

//! Which variables are looked for in environments that are too long to be kept whole.

use crate::Pod;

/// Names that can be looked for.
pub const NAMES_MAX: usize = 16;
/// Strings that are looked at. One of more than [`STRING_MAX`](crate::section::STRING_MAX) bytes counts as several.
pub const STRINGS_MAX: u32 = 256;

/// The beginning of a variable: those whose first eight bytes, masked, are this. More than the one may begin so, which user
/// space leaves out.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Which of the bytes count; 0 ends the list.
    pub mask: u64,
    /// What they are.
    pub bytes: u64,
}

/// What the kernel side is told.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// In any order.
    pub beginnings: [Beginning; NAMES_MAX],
    /// 1: all variables, because more names were asked for than there is room.
    pub all: u64,
}

// SAFETY: a C struct of integers without a gap.
unsafe impl Pod for Names {}

const _: () = assert!(size_of::<Names>() == 16 * NAMES_MAX + 8);

impl Names {
    /// No variable.
    pub const NONE: Self = Self {
        beginnings: [Beginning { mask: 0, bytes: 0 }; NAMES_MAX],
        all: 0,
    };

    /// Looks for these names too.
    pub fn add(&mut self, name: &[u8]) {
        let free = self.beginnings.iter_mut().find(|one| one.mask == 0);
        match free {
            Some(one) => *one = Beginning::of(name),
            None => self.all = 1,
        }
    }
}

impl Beginning {
    /// Of a variable with this name.
    fn of(name: &[u8]) -> Self {
        let (mut mask, mut bytes) = ([0; 8], [0; 8]);
        let variable = name.iter().chain(b"=");
        for ((mask, byte), own) in mask.iter_mut().zip(&mut bytes).zip(variable) {
            (*mask, *byte) = (0xff, *own);
        }
        Self {
            mask: u64::from_ne_bytes(mask),
            bytes: u64::from_ne_bytes(bytes),
        }
    }
}

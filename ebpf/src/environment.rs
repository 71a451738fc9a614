//! Environments: short ones whole, of long ones the variables that somebody asked for.

use ctrace_wire::{
    env::{NAMES_MAX, STRINGS_MAX},
    section::{self, ENV_CHOSEN_MAX, ENV_MAX, STRING_MAX},
};

use crate::{maps, read::is_zero, scratch::Writer};

/// Appends the environment that lies between two addresses of the current task.
#[inline(always)]
pub fn append(writer: Writer, start: u64, end: u64) {
    if end <= start {
        return;
    }
    if end - start <= ENV_MAX as u64 {
        writer.large::<{ ENV_MAX as u32 }>(section::EXEC_ENV, start, end - start);
    } else {
        search(writer, start, end);
    }
}

#[inline(never)]
fn search(writer: Writer, start: u64, end: u64) {
    let Some(section) = writer.strings_begin() else { return };
    let mut address = start;
    // Whether this is the rest of a string that was longer than what is read at once; whether such a one was kept.
    let (mut rest, mut cut) = (0, 0);
    let mut whole = false;
    for _ in 0..STRINGS_MAX {
        if address >= end {
            whole = true;
            break;
        }
        let Some(read) = writer.strings_read::<{ STRING_MAX as u32 }>(section, ENV_CHOSEN_MAX, address, true) else {
            break;
        };
        // 1 or 0: no more than STRING_MAX bytes are read.
        let is_cut = read / STRING_MAX as u64;
        let keep = is_wanted(writer.strings_word()) & !rest & 1;
        writer.strings_keep(read * keep);
        cut |= is_cut & keep;
        // The last byte of what was cut is a NUL that the string does not have.
        address += read - is_cut;
        rest = is_cut;
    }
    writer.strings_end(section, section::EXEC_ENV, 0, whole && cut == 0);
}

/// Whether a variable that begins with these bytes is looked for: 1 or 0, without a branch.
#[inline(always)]
fn is_wanted(word: u64) -> u64 {
    if maps::load(&maps::ENV_NAMES.all) != 0 {
        return 1;
    }
    let mut found = 0;
    for i in 0..NAMES_MAX {
        let name = maps::load(&maps::ENV_NAMES.beginnings[i]);
        if name.mask == 0 {
            break;
        }
        let differ = (word & name.mask) ^ name.bytes;
        found |= is_zero(differ);
    }
    found
}

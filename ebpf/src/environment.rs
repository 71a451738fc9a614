//! Environments: short ones whole, of long ones the variables that somebody asked for.

use ctrace_wire::{
    env::{NAMES_MAX, STRINGS_MAX},
    section::{self, ENV_CHOSEN_MAX, ENV_MAX, STRING_MAX},
};

use crate::{maps, scratch::Writer};

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
    // Whether this is the rest of a string that was longer than what is read at once.
    let mut rest = false;
    let (mut whole, mut cut) = (false, false);
    for _ in 0..STRINGS_MAX {
        if address >= end {
            whole = true;
            break;
        }
        let Some(read) = writer.strings_read::<{ STRING_MAX as u32 }>(section, ENV_CHOSEN_MAX, address, true) else {
            break;
        };
        let is_cut = read >= STRING_MAX as u64;
        if !rest && is_wanted(writer.strings_word()) {
            writer.strings_keep(read);
            cut |= is_cut;
        }
        // The last byte of what was cut is a NUL that the string does not have.
        address += if is_cut { read - 1 } else { read };
        rest = is_cut;
    }
    writer.strings_end(section, section::EXEC_ENV, 0, whole && !cut);
}

/// Whether a variable that begins with these bytes is looked for.
#[inline(always)]
fn is_wanted(word: u64) -> bool {
    if maps::load(&maps::ENV_NAMES.all) != 0 {
        return true;
    }
    for i in 0..NAMES_MAX {
        let name = maps::load(&maps::ENV_NAMES.beginnings[i]);
        if name.mask == 0 {
            return false;
        }
        if word & name.mask == name.bytes {
            return true;
        }
    }
    false
}

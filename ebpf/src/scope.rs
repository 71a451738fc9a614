//! Whose syscalls are recorded: a byte for each process, kept up where processes are made, start programs and are put
//! into cgroups, so that a syscall out of the scope costs one look-up.
//!
//! Where everyone is recorded `filter` is a constant zero, and the verifier removes all of this.

use aya_ebpf::{cty::c_void, helpers::generated as helper};
use ctrace_wire::{
    offsets::MISSING,
    record::{FLAG_UNSEEN, FLAG_WANTED},
    scope::{IN_CONTAINER, LIST_MAX, WANTED},
};

use crate::{
    maps::{self, NameFor},
    read::{self, member, offset, pointer},
};

/// A container's process may be in a cgroup that is this far below the container's own.
const LEVELS: usize = 8;
/// A container's full id.
const ID_LEN: usize = 64;
const SCOPE_SUFFIX: u64 = u64::from_ne_bytes(*b"\0\0.scope") >> 16;

macro_rules! asked {
    ($name:ident) => {
        maps::load(&maps::SCOPE.$name)
    };
}

/// The flags of a record that a process makes.
#[inline(always)]
pub fn flags(tgid: u32) -> u8 {
    if asked!(filter) == 0 {
        return 0;
    }
    match byte(tgid) {
        0 => FLAG_UNSEEN,
        byte if byte & WANTED != 0 => FLAG_WANTED,
        _ => 0,
    }
}

/// A process starts a program, of this name.
#[inline(always)]
pub fn on_exec(tgid: u32, comm: *const [u64; 2]) {
    if asked!(filter) == 0 {
        return;
    }
    // SAFETY: the caller gives sixteen aligned bytes of map memory.
    let comm = unsafe { comm.read() };
    for i in 0..LIST_MAX {
        let wanted = maps::load(&maps::SCOPE.comms[i]);
        if wanted == [0, 0] {
            break;
        }
        if wanted == comm {
            add(tgid, WANTED);
            break;
        }
    }
}

/// A process has made another one, which is in this cgroup of the version 2 hierarchy.
#[inline(always)]
pub fn on_fork(parent: u32, child: u32, cgroup: usize) {
    if asked!(filter) == 0 {
        return;
    }
    let inherited = byte(parent);
    if let Some(to) = maps::process(child) {
        // SAFETY: map memory.
        unsafe { to.write_volatile(inherited) };
    }
    // clone3 may put it elsewhere (CLONE_INTO_CGROUP).
    let here = pointer!(pointer!(read::current_task(), task_cgroups), css_set_dfl_cgrp);
    if cgroup != here {
        enters(child, cgroup, NameFor::Fork);
    }
}

/// A task is put into a cgroup of any hierarchy.
pub fn on_attach(cgroup: usize, task: usize) {
    if asked!(filter) != 0 {
        enters(member!(task, task_tgid, u32::MAX), cgroup, NameFor::Attach);
    }
}

#[inline(always)]
fn byte(tgid: u32) -> u8 {
    // SAFETY: map memory.
    maps::process(tgid).map_or(0, |byte| unsafe { byte.read_volatile() })
}

fn add(tgid: u32, bits: u8) {
    if let Some(byte) = maps::process(tgid) {
        // SAFETY: map memory. Another CPU may add at the same moment: only to a process that is being moved about while
        // it starts a program.
        unsafe { byte.write_volatile(byte.read_volatile() | bits) };
    }
}

/// Goes from a cgroup up to the root and marks the process where one of them is of the scope.
#[inline(never)]
fn enters(tgid: u32, cgroup: usize, owner: NameFor) {
    let mut node = pointer!(cgroup, cgroup_kn);
    // Each hierarchy of version 1 counts ids for itself.
    let unified = member!(pointer!(cgroup, cgroup_root), cgroup_root_hierarchy, 0u32) == 0;
    for _ in 0..LEVELS {
        if node == 0 {
            break;
        }
        if unified && is_listed(member!(node, kernfs_node_id, 0u64)) {
            add(tgid, WANTED);
        }
        if asked!(containers) != 0 && is_container(node, owner) {
            add(tgid, IN_CONTAINER);
        }
        node = pointer!(node, kernfs_node_parent);
    }
}

#[inline(always)]
fn is_listed(id: u64) -> bool {
    for i in 0..LIST_MAX {
        let listed = maps::load(&maps::SCOPE.cgroups[i]);
        if listed == 0 {
            return false;
        }
        if listed == id {
            return true;
        }
    }
    false
}

/// Whether a cgroup is named as engines name those of containers: the name ends with a full id, `.scope` apart. That is
/// more than what containers are, which user space decides. Where names cannot be had everything may be one.
#[inline(always)]
fn is_container(node: usize, owner: NameFor) -> bool {
    if offset!(kernfs_node_name) == MISSING {
        return true;
    }
    let Some(name) = maps::name(owner) else { return false };
    let address = pointer!(node, kernfs_node_name);
    // SAFETY: the buffer is map memory of that size.
    let read = unsafe {
        helper::bpf_probe_read_kernel_str(name.cast(), size_of::<maps::Name>() as u32, address as *const c_void)
    };
    if read <= ID_LEN as i64 || read > size_of::<maps::Name>() as i64 {
        return false;
    }
    // Without its NUL.
    let mut end = read as usize - 1;
    if end >= ID_LEN + 6 && suffix(name, end) == SCOPE_SUFFIX {
        end -= 6;
    }
    // Once more, to where the id is aligned.
    let id = (address + end - ID_LEN) as *const c_void;
    // SAFETY: as above; the buffer is aligned to words.
    unsafe {
        helper::bpf_probe_read_kernel(name.cast(), ID_LEN as u32, id);
        are_hex_digits(&*name.cast())
    }
}

/// Whether all bytes are hexadecimal digits. Eight at once and without a branch: with one of each the verifier would
/// follow every one of them both ways, on each level.
#[inline(always)]
fn are_hex_digits(words: &[u64; ID_LEN / 8]) -> bool {
    let mut all = HIGH;
    for i in 0..ID_LEN / 8 {
        let word = words[i];
        let letters = word | each(0x20);
        let is_digit = reaches(word, b'0') & !reaches(word, b'9' + 1);
        let is_letter = reaches(letters, b'a') & !reaches(letters, b'f' + 1);
        all &= (is_digit | is_letter) & !word;
    }
    all == HIGH
}

/// The highest bit of each byte.
const HIGH: u64 = each(0x80);

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Sets the highest bit of each byte that is as large as `least`. Those of 128 and more spoil the next one.
#[inline(always)]
const fn reaches(word: u64, least: u8) -> u64 {
    word.wrapping_add(each(0x80 - least)) & HIGH
}

/// The six bytes before `end`.
#[inline(always)]
fn suffix(name: *const maps::Name, end: usize) -> u64 {
    let mut bytes = [0u8; 8];
    for i in 0..6 {
        bytes[i] = at(name, end.wrapping_sub(6 - i));
    }
    u64::from_ne_bytes(bytes)
}

#[inline(always)]
fn at(name: *const maps::Name, index: usize) -> u8 {
    // SAFETY: the mask keeps the index within the buffer.
    unsafe { name.cast::<u8>().add(index & 255).read_volatile() }
}

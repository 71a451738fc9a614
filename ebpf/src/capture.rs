//! Follows the pointer arguments that a syscall's spec names.

use ctrace_wire::{
    record::{FLAG_COMPAT, Syscall},
    section,
    spec::{
        CAPTURE_BUFFER, CAPTURE_COUNT, CAPTURE_I32_PAIR, CAPTURE_MMSGHDR_NAMES, CAPTURE_MSGHDR_NAME, CAPTURE_RIGHTS,
        CAPTURE_SOCKADDR, CAPTURE_SOCKADDR_RESULT, CAPTURE_STRING, CAPTURE_STRING_ARRAY, CAPTURE_STRUCT, Capture,
        MESSAGES_MAX, RESULT, SyscallSpec,
    },
};

use crate::{maps, read, scratch::Writer};

const STRINGS_MAX: u32 = 128;
const STRINGS_BYTES: usize = 16384;

/// Parts of a message's control data that are looked at: before descriptors there may be credentials, a security label, a
/// pidfd and times.
const CONTROLS_MAX: u32 = 6;
// include/linux/socket.h
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;

#[inline(always)]
pub fn all(writer: Writer, record: *const Syscall, spec: &SyscallSpec) {
    for capture in &spec.captures {
        if capture.kind == 0 {
            break;
        }
        one(writer, record, capture);
    }
    // One place, not one of each slot's: the verifier follows every string of it wherever it may be asked for.
    let last = &spec.captures[CAPTURE_COUNT - 1];
    if last.kind == CAPTURE_STRING_ARRAY {
        let pointer = arg(record, last.arg);
        if pointer != 0 {
            string_array(writer, last.arg, pointer, pointer_size(record));
        }
    }
    if last.kind == CAPTURE_MMSGHDR_NAMES {
        mmsghdr_names(writer, record, last.arg);
    }
}

/// An argument, or the result when the call succeeded.
#[inline(always)]
pub fn value(record: *const Syscall, index: u8) -> Option<u64> {
    if index == RESULT {
        // SAFETY: record lies in the scratch map.
        let ret = unsafe { (*record).ret };
        return if ret < 0 { None } else { Some(ret as u64) };
    }
    if index > 5 {
        return None;
    }
    Some(arg(record, index))
}

#[inline(always)]
fn arg(record: *const Syscall, index: u8) -> u64 {
    // The record lies in map memory, which may be indexed by a variable; the stack may not.
    // SAFETY: seven bounds the index, and scratch memory goes on behind the record.
    unsafe {
        (&raw const (*record).args)
            .cast::<u64>()
            .add((index & 7) as usize)
            .read_volatile()
    }
}

// Not inlined: four copies of it would double the object.
#[inline(never)]
fn one(writer: Writer, record: *const Syscall, capture: &Capture) {
    let index = capture.arg;
    let pointer = arg(record, index);
    if pointer == 0 {
        return;
    }
    // SAFETY: record lies in the scratch map.
    let failed = unsafe { (*record).ret } < 0;
    match capture.kind {
        CAPTURE_STRING => writer.string::<{ section::STRING_MAX as u32 }>(section::STRING, index, pointer, true),
        CAPTURE_SOCKADDR => sockaddr(writer, index, pointer, arg(record, capture.len_arg)),
        CAPTURE_SOCKADDR_RESULT if !failed => {
            if let Some(len) = read::user::<u32>(arg(record, capture.len_arg)) {
                sockaddr(writer, index, pointer, u64::from(len));
            }
        }
        CAPTURE_I32_PAIR if !failed => writer.bytes::<8>(section::I32_PAIR, index, pointer, 8, true),
        CAPTURE_STRUCT => writer.bytes::<255>(section::STRUCT, index, pointer, u64::from(capture.size), true),
        CAPTURE_BUFFER => buffer(writer, record, capture, pointer),
        CAPTURE_MSGHDR_NAME => msghdr_name(writer, record, index, pointer),
        CAPTURE_RIGHTS if !failed => rights(writer, index, pointer, pointer_size(record)),
        _ => {}
    }
}

#[inline(always)]
fn sockaddr(writer: Writer, index: u8, pointer: u64, len: u64) {
    // An int in the ABI; a negative one was refused by the kernel.
    let len = u64::from(len as u32);
    if len == 0 || len > i32::MAX as u64 {
        return;
    }
    writer.bytes::<{ section::SOCKADDR_MAX as u32 }>(section::SOCKADDR, index, pointer, len, true);
}

#[inline(always)]
fn msghdr_name(writer: Writer, record: *const Syscall, index: u8, pointer: u64) {
    // SAFETY: record lies in the scratch map.
    let compat = unsafe { (*record).header.flags } & FLAG_COMPAT != 0;
    if let Some((name, len)) = message_name(pointer, compat) {
        sockaddr(writer, index, name, len);
    }
}

#[inline(never)]
fn mmsghdr_names(writer: Writer, record: *const Syscall, index: u8) {
    // struct mmsghdr: a msghdr of seven words, and an int that is padded to one.
    let size = pointer_size(record) * 8;
    let mut at = arg(record, index);
    // SAFETY: record lies in the scratch map.
    let told = unsafe { (*record).ret };
    for i in 0..MESSAGES_MAX {
        if at == 0 || i > 0 && i64::from(i) >= told {
            break;
        }
        msghdr_name(writer, record, index, at);
        at += u64::from(size);
    }
}

/// Address and length of the socket address that a `struct msghdr` of the caller's has; `None` where it has none.
#[inline(always)]
pub fn message_name(pointer: u64, compat: bool) -> Option<(u64, u64)> {
    // struct user_msghdr opens with msg_name and msg_namelen, a word for each; that of 32-bit programs, whose words are
    // half as long, is longer than this too.
    let [first, second] = read::user::<[u64; 2]>(pointer)?;
    let (name, len) = if compat {
        (u64::from(first as u32), first >> 32)
    } else {
        (first, second)
    };
    // An int in the ABI, with anything behind it.
    (name != 0).then_some((name, u64::from(len as u32)))
}

/// Reads a word of the caller's, of 4 or 8 bytes; of a shorter one the upper half stays as it is.
#[inline(always)]
fn read_word(to: &mut u64, size: u32, address: u64) -> bool {
    // Bounded anew, by what the compiler cannot know: a size that waited on the stack is any number to the verifier of 6.12.
    let more = core::hint::black_box(size) >> 1 & 4;
    read::user_into(to, 4 + more, address)
}

/// Address and length of what came with a message beside its data, of a caller with words so long; `None` where nothing did.
/// The kernel has written behind `message` how much it is.
#[inline(always)]
pub fn control(message: u64, word: u32) -> Option<(u64, u64)> {
    // struct user_msghdr: the fifth and sixth word.
    let at = message + 4 * u64::from(word);
    let (mut control, mut len) = (0u64, 0u64);
    let is_read = read_word(&mut control, word, at) && read_word(&mut len, word, at + u64::from(word));
    (is_read && len != 0).then_some((control, len))
}

/// Appends the numbers of the descriptors that came with a message.
#[inline(always)]
fn rights(writer: Writer, index: u8, message: u64, word: u32) {
    let Some((mut control, mut left)) = control(message, word) else {
        return;
    };
    // struct cmsghdr: a word and two integers.
    let (word_bytes, head) = (u64::from(word), u64::from(word) + 8);
    for _ in 0..CONTROLS_MAX {
        let mut len = 0u64;
        if left < head || !read_word(&mut len, word, control) || len < head || len > left {
            return;
        }
        if read::user(control + word_bytes) == Some([SOL_SOCKET, SCM_RIGHTS]) {
            const MAX: u32 = 4 * section::RIGHTS_MAX as u32;
            return writer.bytes::<MAX>(section::RIGHTS, index, control + head, len - head, true);
        }
        let step = (len + word_bytes - 1) & !(word_bytes - 1);
        control += step;
        left = left.saturating_sub(step);
    }
}

#[inline(always)]
fn buffer(writer: Writer, record: *const Syscall, capture: &Capture, pointer: u64) {
    let Some(len) = value(record, capture.len_arg) else {
        return;
    };
    let snaplen = u64::from(maps::load(&maps::SNAPLEN));
    if len == 0 || snaplen == 0 {
        return;
    }
    writer.bytes_up_to::<{ section::SNAPLEN_MAX }>(section::BUFFER, capture.arg, pointer, len, snaplen, true);
}

/// Bytes of the caller's pointers. Not chosen but computed: of two constants the verifier would follow each by itself.
#[inline(always)]
fn pointer_size(record: *const Syscall) -> u32 {
    const { assert!(FLAG_COMPAT == 1) };
    // SAFETY: record lies in the scratch map.
    let compat = unsafe { (&raw const (*record).header.flags).read_volatile() } & FLAG_COMPAT;
    8 - 4 * u32::from(compat)
}

#[inline(always)]
fn string_array(writer: Writer, index: u8, pointer: u64, size: u32) {
    let Some(start) = writer.strings_begin() else { return };
    let mut whole = false;
    for i in 0..STRINGS_MAX {
        let mut string = 0u64;
        // Of a shorter one the upper half stays zero.
        if !read::user_into(&mut string, size, pointer + u64::from(i * size)) {
            break;
        }
        if string == 0 {
            whole = true;
            break;
        }
        if !writer.strings_add::<{ section::STRING_MAX as u32 }>(start, STRINGS_BYTES, string, true) {
            break;
        }
    }
    writer.strings_end(start, section::STRING_ARRAY, index, whole);
}

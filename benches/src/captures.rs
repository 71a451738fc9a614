//! Captures of other tools, made larger.

use memchr::memmem::find_iter;

/// So many times faster than it was recorded: a busy host fills blocks before a second is over.
const FASTER: u64 = 1000;
/// Between the copies; the samples last a few seconds.
const STEP_NS: u64 = 10_000_000_000 / FASTER;
/// What sysdig notes each second of every process; no system calls, and it filters them like these.
const PROCINFO: [u8; 2] = 234u16.to_le_bytes();
/// A part of the folders of libraries, in which each copy writes its number: else no file would be opened but once.
const FOLDER: &[u8] = b"x86_64-linux-gnu/";

/// A `.scap` capture with its lists once and its events so many times, each time later and with libraries in folders of
/// their own; and how many events that are.
pub fn multiply(sample: &[u8], times: u64) -> (Vec<u8>, u64) {
    let (mut out, events) = split(sample);
    let time = |block: &[u8], at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
    let first = events.first().map_or(0, |(block, at)| time(block, *at));
    for copy in 0..times {
        let number = format!("{:05}", copy % 100_000);
        for (block, at) in &events {
            let start = out.len();
            out.extend_from_slice(block);
            let later = first + time(block, *at).saturating_sub(first) / FASTER + copy * STEP_NS;
            out[start + at..start + at + 8].copy_from_slice(&later.to_le_bytes());
            for folder in find_iter(block, FOLDER) {
                let linux = start + folder + "x86_64-".len();
                out[linux..linux + number.len()].copy_from_slice(number.as_bytes());
            }
        }
    }
    (out, times * events.len() as u64)
}

/// The lists of a capture, and its events with where their times stand.
fn split(sample: &[u8]) -> (Vec<u8>, Vec<(&[u8], usize)>) {
    let (mut lists, mut events) = (Vec::new(), Vec::new());
    let mut rest = sample;
    while let Some(head) = rest.get(..8) {
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (block, after) = rest.split_at(number(4) as usize);
        rest = after;
        // Behind type, length, CPU and flags stand time, thread, length and kind.
        let at = match number(0) {
            0x204 | 0x216 => 8 + 2,
            0x208 | 0x217 => 8 + 2 + 4,
            _ => {
                lists.extend_from_slice(block);
                continue;
            }
        };
        if block[at + 20..at + 22] != PROCINFO {
            events.push((block, at));
        }
    }
    (lists, events)
}

//! Threads as a dictionary, which event each acted in, and on which CPU.
//!
//! Events of a thread come in runs, and few threads run at a time: a run names its thread by how lately it ran. A
//! thread stays on its CPU for long: only changes are stored.

use hashbrown::HashMap;

use super::decoded::Context;
use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};

/// Threads of a block under construction.
#[derive(Debug)]
pub(super) struct ContextTable {
    index: HashMap<(u32, u32), u32>,
    list: Vec<Context>,
    /// Threads that ran lately, by the low bits of their ids.
    cache: [Option<(Context, u32)>; CACHE],
}

const CACHE: usize = 64;

impl Default for ContextTable {
    fn default() -> ContextTable {
        ContextTable {
            index: HashMap::new(),
            list: Vec::new(),
            cache: [None; CACHE],
        }
    }
}

/// Stands for "no image" in look-ups.
const NO_IMAGE: u32 = u32::MAX;

impl ContextTable {
    /// The index of a thread of an image.
    #[inline]
    pub(super) fn id(&mut self, context: Context) -> u32 {
        let cached = &mut self.cache[context.tid as usize % CACHE];
        if let Some((known, at)) = *cached
            && known == context
        {
            return at;
        }
        let key = (context.tid, context.image.unwrap_or(NO_IMAGE));
        let list = &mut self.list;
        let at = *self.index.entry(key).or_insert_with(|| {
            list.push(context);
            list.len() as u32 - 1
        });
        *cached = Some((context, at));
        at
    }

    /// All threads in order of their first event.
    pub(super) fn list(&self) -> &[Context] {
        &self.list
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.list.clear();
        self.cache = [None; CACHE];
    }
}

/// Appends the threads.
pub(super) fn write(list: &[Context], out: &mut Vec<u8>) {
    let mut last = 0i64;
    for context in list {
        put(out, zigzag(i64::from(context.tid) - last));
        last = i64::from(context.tid);
    }
    for context in list {
        put(out, context.image.map_or(0, |image| u64::from(image) + 1));
    }
}

/// Reads `count` threads, which may refer to `images` images.
pub(super) fn read(cursor: &mut Cursor<'_>, count: u32, images: u32, out: &mut Vec<Context>) -> Result<(), Malformed> {
    out.clear();
    if cursor.len() < count as usize {
        return Err(Malformed::Truncated);
    }
    let mut last = 0i64;
    for _ in 0..count {
        last = last.wrapping_add(unzigzag(cursor.get()?));
        let tid = u32::try_from(last).map_err(|_| Malformed::OutOfRange)?;
        out.push(Context { tid, image: None });
    }
    for context in out.iter_mut() {
        context.image = match cursor.get_u32()? {
            0 => None,
            image if image <= images => Some(image - 1),
            _ => return Err(Malformed::UnknownId),
        };
    }
    cursor.finish()
}

/// How many threads are named by how lately they ran.
const RECENT: usize = 16;

/// The threads that ran last, the latest first.
#[derive(Debug)]
struct Recent([u32; RECENT]);

impl Recent {
    fn new() -> Recent {
        Recent([u32::MAX; RECENT])
    }

    fn rank(&self, context: u32) -> Option<usize> {
        self.0.iter().position(|c| *c == context)
    }

    /// Puts a thread first; `rank` is where it was, or the place that is given up.
    #[inline]
    fn promote(&mut self, rank: usize, context: u32) {
        self.0.copy_within(0..rank.min(RECENT - 1), 1);
        self.0[0] = context;
    }
}

/// Appends the runs of `contexts`: how many bytes the names take, the names, the lengths less one. A name is 0 for a
/// thread that was not there before, 1 – 15 for its rank among the latest, else its index + 16.
pub(super) fn write_runs(contexts: &[u32], scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    if contexts.is_empty() {
        return;
    }
    scratch.clear();
    let mut recent = Recent::new();
    let mut seen = 0u32;
    let names_at = out.len();
    for run in contexts.chunk_by(|a, b| a == b) {
        let context = run[0];
        let rank = recent.rank(context);
        if context >= seen {
            put(out, 0);
            seen = context + 1;
        } else {
            put(out, rank.map_or(u64::from(context) + RECENT as u64, |r| r as u64));
        }
        recent.promote(rank.unwrap_or(RECENT - 1), context);
        put(scratch, run.len() as u64 - 1);
    }
    let names = out.len() - names_at;
    put(out, names as u64);
    let prefix = out.len() - names_at - names;
    out[names_at..].rotate_right(prefix);
    out.extend_from_slice(scratch);
}

/// Reads the runs of `events` events over `count` threads.
pub(super) fn read_runs(column: Cursor<'_>, events: u32, count: u32, out: &mut Vec<u32>) -> Result<(), Malformed> {
    out.clear();
    if events == 0 {
        return column.finish();
    }
    let mut lens = column;
    let names = lens.get_len()?;
    let mut names = Cursor::new(lens.take(names)?);
    let events = events as usize;
    let mut recent = Recent::new();
    let mut seen = 0;
    while out.len() < events {
        let (rank, context) = match names.get_u32()? {
            0 => {
                seen += 1;
                (RECENT - 1, seen - 1)
            }
            rank if rank < RECENT as u32 => (rank as usize, recent.0[rank as usize]),
            context => (RECENT - 1, context - RECENT as u32),
        };
        if context >= seen || seen > count {
            return Err(Malformed::UnknownId);
        }
        recent.promote(rank, context);
        let len = lens.get_len()?;
        if len >= events - out.len() {
            return Err(Malformed::Counts);
        }
        out.resize(out.len() + len + 1, context);
    }
    names.finish()?;
    lens.finish()
}

/// Appends where CPUs change: after how many events that were as predicted, and to which CPU. A thread is predicted to
/// stay where it was; one that did not run yet, to be nowhere.
pub(super) fn write_cpus(contexts: &[u32], cpus: &[u16], count: usize, out: &mut Vec<u8>) {
    let mut last = vec![None; count];
    let mut gap = 0u64;
    for (context, cpu) in contexts.iter().zip(cpus) {
        let predicted = &mut last[*context as usize];
        if *predicted == Some(*cpu) {
            gap += 1;
            continue;
        }
        put(out, gap);
        put(out, u64::from(*cpu));
        *predicted = Some(*cpu);
        gap = 0;
    }
}

/// Reads the CPUs of events whose threads are known.
pub(super) fn read_cpus(
    cursor: &mut Cursor<'_>,
    contexts: &[u32],
    count: u32,
    last: &mut Vec<u16>,
    out: &mut Vec<u16>,
) -> Result<(), Malformed> {
    out.clear();
    last.clear();
    last.resize(count as usize, 0);
    let mut rest = contexts;
    while cursor.len() > 0 {
        let gap = cursor.get_len()?;
        let cpu = u16::try_from(cursor.get()?).map_err(|_| Malformed::OutOfRange)?;
        let (as_predicted, changed) = rest.split_at_checked(gap).ok_or(Malformed::Counts)?;
        let (context, tail) = changed.split_first().ok_or(Malformed::Counts)?;
        out.extend(as_predicted.iter().map(|c| last.get(*c as usize).copied().unwrap_or(0)));
        *last.get_mut(*context as usize).ok_or(Malformed::UnknownId)? = cpu;
        out.push(cpu);
        rest = tail;
    }
    out.extend(rest.iter().map(|c| last.get(*c as usize).copied().unwrap_or(0)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(contexts: &[u32], count: u32) {
        let (mut scratch, mut bytes, mut back) = (Vec::new(), Vec::new(), Vec::new());
        write_runs(contexts, &mut scratch, &mut bytes);
        let read = read_runs(Cursor::new(&bytes), contexts.len() as u32, count, &mut back);
        assert_eq!(read, Ok(()));
        assert_eq!(back, contexts);
    }

    #[test]
    fn runs_come_back() {
        runs(&[], 0);
        runs(&[0, 0, 1, 0, 1, 1, 2, 0], 3);
        let mut many: Vec<u32> = (0..40).collect();
        many.extend([0, 39, 20, 20, 0, 1, 39]);
        many.extend((0..1000).map(|i| i * 7 % 40));
        runs(&many, 40);
    }

    #[test]
    fn cpus_come_back() {
        let contexts = [0, 0, 1, 0, 1, 1, 2, 0];
        let cpus = [0, 0, 700, 1, 700, 2, 0, 1];
        let (mut bytes, mut last, mut back) = (Vec::new(), Vec::new(), Vec::new());
        write_cpus(&contexts, &cpus, 3, &mut bytes);
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(read_cpus(&mut cursor, &contexts, 3, &mut last, &mut back), Ok(()));
        assert_eq!(back, cpus);
    }

    #[test]
    fn a_run_beyond_the_block_is_an_error() {
        let mut out = Vec::new();
        assert_eq!(
            read_runs(Cursor::new(&[1, 0, 5]), 5, 1, &mut out),
            Err(Malformed::Counts)
        );
        assert_eq!(
            read_runs(Cursor::new(&[1, 1, 4]), 5, 1, &mut out),
            Err(Malformed::UnknownId)
        );
    }
}

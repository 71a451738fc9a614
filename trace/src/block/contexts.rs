//! Threads as a dictionary, which event each acted in, and on which CPU.
//!
//! A CPU stays with a thread for long: an event says on which CPU it was, and only switches name threads.

use hashbrown::HashMap;

use super::decoded::Context;
use super::encode::Row;
use super::head::DictCounts;
use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};

/// Threads of a block under construction.
#[derive(Debug)]
pub(super) struct ContextTable {
    index: HashMap<(u32, u32), u32>,
    list: Vec<Context>,
    /// Threads that ran lately, by the low bits of their ids, with the id of the image and where they are in the list.
    cache: [(u32, u32, u64); CACHE],
}

const CACHE: usize = 64;
/// In each place of the cache stands a thread that belongs into another: nobody finds it.
const NOBODY: [(u32, u32, u64); CACHE] = {
    let mut nobody = [(1, 0, 0); CACHE];
    let mut place = 1;
    while place < CACHE {
        nobody[place].0 = 0;
        place += 1;
    }
    nobody
};

impl Default for ContextTable {
    fn default() -> ContextTable {
        ContextTable {
            index: HashMap::new(),
            list: Vec::new(),
            cache: NOBODY,
        }
    }
}

/// Stands for "no image" in look-ups.
const NO_IMAGE: u32 = u32::MAX;

impl ContextTable {
    /// The index of a thread that ran lately, of an image of that id.
    #[inline]
    pub(super) fn recent(&self, tid: u32, image: u64) -> Option<u32> {
        let (known, at, of) = self.cache[tid as usize % CACHE];
        (known == tid && of == image).then_some(at)
    }

    /// The index of a thread of an image, which has that id.
    pub(super) fn id(&mut self, context: Context, image: u64) -> u32 {
        let key = (context.tid, context.image.unwrap_or(NO_IMAGE));
        let list = &mut self.list;
        let at = *self.index.entry(key).or_insert_with(|| {
            list.push(context);
            list.len() as u32 - 1
        });
        self.cache[context.tid as usize % CACHE] = (context.tid, at, image);
        at
    }

    /// All threads in order of their first event.
    pub(super) fn list(&self) -> &[Context] {
        &self.list
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.list.clear();
        self.cache = NOBODY;
    }
}

/// Appends the threads; `events` is how many events each has.
pub(super) fn write(list: &[Context], events: &[u32], out: &mut Vec<u8>) {
    let mut last = 0i64;
    for context in list {
        put(out, zigzag(i64::from(context.tid) - last));
        last = i64::from(context.tid);
    }
    for context in list {
        put(out, context.image.map_or(0, |image| u64::from(image) + 1));
    }
    events.iter().for_each(|n| put(out, u64::from(*n)));
}

/// Reads the threads, and where the events of each end if they are taken thread by thread. All `events` are of one of
/// the threads.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    counts: &DictCounts,
    events: u32,
    out: &mut Vec<Context>,
    ends: &mut Vec<u32>,
) -> Result<(), Malformed> {
    let (count, images) = (counts.contexts, counts.images);
    out.clear();
    ends.clear();
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
    let mut end = 0;
    for _ in 0..count {
        end += cursor.get()?.min(u64::from(u32::MAX));
        ends.push(u32::try_from(end).map_err(|_| Malformed::Counts)?);
    }
    if end != u64::from(events) {
        return Err(Malformed::Counts);
    }
    cursor.finish()
}

/// A CPU on which no thread of the block ran yet.
const IDLE: u32 = u32::MAX;

/// How many CPUs one byte per event can tell apart.
const ONE_BYTE: usize = 256;

/// Names of threads in switches.
mod name_code {
    /// The next thread that was not there before.
    pub(super) const NEW: u64 = 0;
    /// Index + this.
    pub(super) const KNOWN: u64 = 1;
}

/// A CPU of a block under construction.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    /// Its place in the order of first use.
    place: u32,
    /// The thread that runs there.
    running: u32,
}

/// A CPU that no event was on.
const UNUSED: Cpu = Cpu {
    place: u32::MAX,
    running: IDLE,
};

/// Memory for coding CPUs, kept between blocks.
#[derive(Debug, Default)]
pub(super) struct CpuCoder {
    /// By CPU number.
    cpus: Vec<Cpu>,
    /// CPU numbers by place.
    numbers: Vec<u16>,
    names: Vec<u8>,
    gaps: Vec<u8>,
}

impl CpuCoder {
    /// Appends on which CPU each event was, and which thread it was where that is not the CPU's last.
    pub(super) fn write(&mut self, rows: &[Row], column: &mut Vec<u8>, switches: &mut Vec<u8>) {
        self.cpus.fill(UNUSED);
        self.numbers.clear();
        self.names.clear();
        self.gaps.clear();
        column.resize(rows.len(), 0);
        let (mut seen, mut gap) = (0, 0);
        for (Row { context, cpu, .. }, low) in rows.iter().zip(column.iter_mut()) {
            if let Some(cpu) = self.cpus.get(usize::from(*cpu))
                && cpu.running == *context
            {
                *low = cpu.place as u8;
                gap += 1;
                continue;
            }
            let cpu = self.cpu(*cpu);
            *low = cpu.place as u8;
            cpu.running = *context;
            put(&mut self.gaps, gap);
            gap = 0;
            if *context >= seen {
                put(&mut self.names, name_code::NEW);
                seen = *context + 1;
            } else {
                put(&mut self.names, u64::from(*context) + name_code::KNOWN);
            }
        }
        if rows.is_empty() {
            return;
        }
        if self.numbers.len() > ONE_BYTE {
            column.extend(rows.iter().map(|row| (self.cpu(row.cpu).place >> 8) as u8));
        }
        put(switches, self.numbers.len() as u64);
        self.numbers.iter().for_each(|n| put(switches, u64::from(*n)));
        put(switches, self.names.len() as u64);
        switches.extend_from_slice(&self.names);
        switches.extend_from_slice(&self.gaps);
    }

    /// A CPU, which gets the next place where no event was on it before.
    fn cpu(&mut self, number: u16) -> &mut Cpu {
        let at = usize::from(number);
        if self.cpus.len() <= at {
            self.cpus.resize(at + 1, UNUSED);
        }
        let cpu = &mut self.cpus[at];
        if cpu.place == UNUSED.place {
            cpu.place = self.numbers.len() as u32;
            self.numbers.push(number);
        }
        cpu
    }
}

/// Where each event of a block happened, read back.
#[derive(Debug, Default)]
pub(super) struct Cpus {
    /// CPU numbers by place.
    numbers: Vec<u16>,
    /// Per event: the place of its CPU.
    places: Vec<u16>,
    running: Vec<u32>,
}

impl Cpus {
    /// Reads the CPUs and the threads of `events` events; there are `count` threads.
    pub(super) fn read(
        &mut self,
        column: &Cursor<'_>,
        switches: Cursor<'_>,
        events: usize,
        count: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), Malformed> {
        out.clear();
        self.numbers.clear();
        self.places.clear();
        let bytes = column.remaining();
        if events == 0 {
            return if bytes.is_empty() {
                switches.finish()
            } else {
                Err(Malformed::LeftOver)
            };
        }
        let mut gaps = switches;
        self.read_numbers(&mut gaps, events)?;
        let names = gaps.get_len()?;
        let names = Cursor::new(gaps.take(names)?);
        let planes = if self.numbers.len() > ONE_BYTE { 2 } else { 1 };
        if bytes.len() != planes * events {
            return Err(Malformed::Counts);
        }
        let (low, high) = bytes.split_at(events);
        self.running.clear();
        self.running.resize(self.numbers.len().max(ONE_BYTE), IDLE);
        let mut switching = Switching {
            names,
            gaps,
            count,
            cpus: self.numbers.len(),
            seen: 0,
        };
        if planes == 1 {
            self.places.extend(low.iter().map(|low| u16::from(*low)));
            return switching.assign(low, &mut self.running, out);
        }
        let both = low.iter().zip(high);
        self.places
            .extend(both.map(|(low, high)| u16::from(*low) | u16::from(*high) << 8));
        switching.assign(&self.places, &mut self.running, out)
    }

    fn read_numbers(&mut self, cursor: &mut Cursor<'_>, events: usize) -> Result<(), Malformed> {
        let cpus = cursor.get_len()?;
        if cpus > events {
            return Err(Malformed::Counts);
        }
        for _ in 0..cpus {
            let number = u16::try_from(cursor.get()?).map_err(|_| Malformed::OutOfRange)?;
            self.numbers.push(number);
        }
        Ok(())
    }

    /// The CPU of each event.
    pub(super) fn expand(&self, out: &mut Vec<u16>) {
        let number = |place: &u16| self.numbers.get(usize::from(*place)).copied().unwrap_or(0);
        out.clear();
        out.extend(self.places.iter().map(number));
    }
}

/// The switches of a block, while they are read.
struct Switching<'a> {
    names: Cursor<'a>,
    gaps: Cursor<'a>,
    /// How many threads and CPUs there are.
    count: u32,
    cpus: usize,
    /// How many threads were met.
    seen: u32,
}

impl Switching<'_> {
    /// Names the thread of each event, given the places of their CPUs.
    fn assign<T: Copy + Into<usize>>(
        &mut self,
        places: &[T],
        running: &mut [u32],
        out: &mut Vec<u32>,
    ) -> Result<(), Malformed> {
        out.reserve(places.len());
        let mut rest = places;
        while self.names.len() > 0 {
            let gap = self.gaps.get_len()?;
            let (same, switched) = rest.split_at_checked(gap).ok_or(Malformed::Counts)?;
            let (place, tail) = switched.split_first().ok_or(Malformed::Counts)?;
            stay(same, running, out);
            let place = (*place).into();
            if place >= self.cpus {
                return Err(Malformed::UnknownId);
            }
            let context = self.name()?;
            *running.get_mut(place).ok_or(Malformed::UnknownId)? = context;
            out.push(context);
            rest = tail;
        }
        stay(rest, running, out);
        self.gaps.finish()?;
        // Threads have small numbers: one that is not there shows in the high bits.
        if out.iter().fold(0, |bits, context| bits | context) >= IDLE / 2 {
            return Err(Malformed::UnknownId);
        }
        Ok(())
    }

    #[inline]
    fn name(&mut self) -> Result<u32, Malformed> {
        let context = match self.names.get_u32()? {
            0 => {
                self.seen += 1;
                self.seen - 1
            }
            known => known - name_code::KNOWN as u32,
        };
        if context < self.seen && self.seen <= self.count {
            Ok(context)
        } else {
            Err(Malformed::UnknownId)
        }
    }
}

/// Events on whose CPUs the threads go on.
#[inline]
fn stay<T: Copy + Into<usize>>(places: &[T], running: &[u32], out: &mut Vec<u32>) {
    out.extend(
        places
            .iter()
            .map(|place| running.get((*place).into()).copied().unwrap_or(IDLE)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(contexts: &[u32], cpus: &[u16], count: u32) {
        let (mut column, mut switches) = (Vec::new(), Vec::new());
        let mut coder = CpuCoder::default();
        let row = |(context, cpu): (&u32, &u16)| Row {
            kind: 0,
            cpu: *cpu,
            context: *context,
            step: 0,
        };
        coder.write(&[row((&0, &9))], &mut Vec::new(), &mut Vec::new());
        let rows: Vec<Row> = contexts.iter().zip(cpus).map(row).collect();
        coder.write(&rows, &mut column, &mut switches);
        let (mut read, mut back, mut numbers) = (Cpus::default(), Vec::new(), Vec::new());
        let (column, switches) = (Cursor::new(&column), Cursor::new(&switches));
        assert_eq!(read.read(&column, switches, contexts.len(), count, &mut back), Ok(()));
        read.expand(&mut numbers);
        assert_eq!(back, contexts);
        assert_eq!(numbers, cpus);
    }

    #[test]
    fn threads_and_cpus_come_back() {
        round_trip(&[0], &[0], 1);
        round_trip(&[0, 0, 1, 0, 1, 1, 2, 0], &[0, 0, 700, 1, 700, 2, 0, 1], 3);
        let contexts: Vec<u32> = (0..40).chain((0..1000).map(|i| i * 7 % 40)).collect();
        let cpus: Vec<u16> = (0..1040u32).map(|i| (i * i % 11) as u16).collect();
        round_trip(&contexts, &cpus, 40);
        let many: Vec<u16> = (0..1040u16).map(|i| i * 63).collect();
        round_trip(&contexts, &many, 40);
    }

    #[test]
    fn what_is_no_thread_or_cpu_is_an_error() {
        let read = |column: &[u8], switches: &[u8]| {
            let (column, switches) = (Cursor::new(column), Cursor::new(switches));
            Cpus::default().read(&column, switches, 3, 1, &mut Vec::new())
        };
        assert_eq!(read(&[0, 0, 0], &[1, 5, 1, 0, 0]), Ok(()));
        // No thread runs there.
        assert_eq!(read(&[0, 1, 0], &[2, 5, 6, 1, 0, 0]), Err(Malformed::UnknownId));
        // No such CPU.
        assert_eq!(read(&[7, 7, 7], &[1, 5, 1, 0, 0]), Err(Malformed::UnknownId));
        // No such thread.
        assert_eq!(read(&[0, 0, 0], &[1, 5, 1, 1, 0]), Err(Malformed::UnknownId));
        assert_eq!(read(&[0, 0, 0], &[1, 5, 2, 0, 0, 0, 0]), Err(Malformed::UnknownId));
        // Behind the last event.
        assert_eq!(read(&[0, 0, 0], &[1, 5, 1, 0, 3]), Err(Malformed::Counts));
        assert_eq!(read(&[0, 0], &[1, 5, 1, 0, 0]), Err(Malformed::Counts));
        assert_eq!(read(&[0, 0, 0], &[1, 5, 1, 0, 0, 0]), Err(Malformed::LeftOver));
        assert_eq!(read(&[0, 0, 0], &[0, 0]), Err(Malformed::UnknownId));
    }
}

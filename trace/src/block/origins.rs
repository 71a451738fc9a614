//! Where imported events stood: file, offset and line of each; live recordings have none of it.

use std::sync::Arc;

use super::decoded::Origins;
use super::time;
use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};
use crate::event::{Origin, OriginFile};

/// The origins of a block's events while it is built.
#[derive(Debug, Default)]
pub(super) struct OriginTable {
    files: Vec<Arc<OriginFile>>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Which event of the block.
    event: u32,
    /// Index into `files`.
    file: u32,
    offset: u64,
    line: u64,
}

impl OriginTable {
    /// What naming the file may cost.
    pub(super) fn weight(&self, origin: &Origin<'_>) -> usize {
        if self.find(origin.file).is_some() {
            0
        } else {
            origin.file.name.len()
        }
    }

    /// The files of a block are few, and the one of the event before is the likeliest.
    fn find(&self, file: &Arc<OriginFile>) -> Option<usize> {
        let last = self.rows.last().map(|row| row.file as usize);
        let is_it = |at: &usize| self.files.get(*at).is_some_and(|f| f.id == file.id);
        last.filter(is_it).or_else(|| (0..self.files.len()).find(is_it))
    }

    /// Notes where an event stood.
    pub(super) fn add(&mut self, event: u32, origin: &Origin<'_>) {
        let file = self.find(origin.file).unwrap_or_else(|| {
            self.files.push(Arc::clone(origin.file));
            self.files.len() - 1
        });
        self.rows.push(Row {
            event,
            file: file as u32,
            offset: origin.offset,
            line: origin.line,
        });
    }

    /// Forgets everything, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.files.clear();
        self.rows.clear();
    }

    /// Writes files and which events are of which, places, and lines.
    pub(super) fn write(&self, events: usize, [which, low, middle, high, escapes, lines]: [&mut Vec<u8>; 6]) {
        if self.rows.is_empty() {
            return;
        }
        put(which, self.files.len() as u64);
        for file in &self.files {
            put(which, file.name.len() as u64);
            which.extend_from_slice(&file.name);
        }
        self.write_runs(events, which);
        let (mut places, mut sum, mut steps) = (Steps::new(self.files.len()), 0u64, time::Steps::default());
        let stored = self.rows.iter().map(|row| {
            sum = sum.wrapping_add(places.step(row.file as usize, row.offset));
            steps.step(sum)
        });
        time::write(stored, [low, middle, high]);
        escapes.extend_from_slice(steps.escapes());
        if self.rows.iter().any(|row| row.line > 0) {
            let mut numbers = Steps::new(self.files.len());
            for row in &self.rows {
                let step = numbers.step(row.file as usize, row.line);
                put(lines, zigzag(step as i64));
            }
        }
    }

    /// How many events in a row are of which file; 0 is none.
    fn write_runs(&self, events: usize, out: &mut Vec<u8>) {
        let mut run = (0, 0);
        let mut add = |file: u64, length: u64| {
            if run.0 != file && run.1 > 0 {
                put(out, run.0);
                put(out, run.1);
                run.1 = 0;
            }
            run = (file, run.1 + length);
        };
        let mut next = 0;
        for row in &self.rows {
            if row.event > next {
                add(0, u64::from(row.event - next));
            }
            add(u64::from(row.file) + 1, 1);
            next = row.event + 1;
        }
        if events as u64 > u64::from(next) {
            add(0, events as u64 - u64::from(next));
        }
        put(out, run.0);
        put(out, run.1);
    }
}

/// Differences to the value before of the same file; before the first it is 0.
struct Steps(Vec<u64>);

impl Steps {
    fn new(files: usize) -> Steps {
        Steps(vec![0; files])
    }

    #[inline]
    fn step(&mut self, file: usize, value: u64) -> u64 {
        match self.0.get_mut(file) {
            Some(last) => value.wrapping_sub(std::mem::replace(last, value)),
            None => value,
        }
    }

    #[inline]
    fn value(&mut self, file: usize, step: u64) -> u64 {
        match self.0.get_mut(file) {
            Some(last) => {
                *last = last.wrapping_add(step);
                *last
            }
            None => step,
        }
    }
}

/// Reads the origins of a block's events; `out` stays empty where there are none.
pub(super) fn read(
    mut which: Cursor<'_>,
    planes: [Cursor<'_>; 3],
    escapes: &mut Cursor<'_>,
    mut lines: Cursor<'_>,
    events: u32,
    out: &mut Origins,
) -> Result<(), Malformed> {
    out.clear();
    if which.len() > 0 {
        read_files(&mut which, events, out)?;
        read_runs(&mut which, events, out)?;
    }
    let present = out.file.iter().filter(|file| **file > 0).count();
    // Places are coded as times are: one behind the other, whatever their files.
    time::read(0, present as u32, planes, escapes, &mut out.offset)?;
    let files = out.file.iter().filter_map(|file| (*file as usize).checked_sub(1));
    let (mut places, mut last) = (Steps::new(out.names.len()), 0u64);
    for (file, sum) in files.clone().zip(&mut out.offset) {
        let step = sum.wrapping_sub(std::mem::replace(&mut last, *sum));
        *sum = places.value(file, step);
    }
    if lines.len() > 0 {
        let mut numbers = Steps::new(out.names.len());
        for file in files {
            let step = unzigzag(lines.get()?) as u64;
            out.line.push(numbers.value(file, step));
        }
    }
    lines.finish()?;
    spread(&out.file, events as usize, &mut out.offset);
    spread(&out.file, events as usize, &mut out.line);
    Ok(())
}

fn read_files(which: &mut Cursor<'_>, events: u32, out: &mut Origins) -> Result<(), Malformed> {
    let files = which.get_len()?;
    if files > events as usize {
        return Err(Malformed::Counts);
    }
    for _ in 0..files {
        let length = which.get_len()?;
        out.names.push(which.take(length)?.to_vec());
    }
    Ok(())
}

fn read_runs(which: &mut Cursor<'_>, events: u32, out: &mut Origins) -> Result<(), Malformed> {
    let mut met = 0;
    while which.len() > 0 {
        let (file, length) = (which.get_len()?, which.get_len()?);
        // Files are numbered in the order of their first events.
        if file > met + 1 || file > out.names.len() {
            return Err(Malformed::UnknownId);
        }
        met = met.max(file);
        let left = events as usize - out.file.len();
        if length == 0 || length > left {
            return Err(Malformed::Counts);
        }
        out.file.resize(out.file.len() + length, file as u32);
    }
    if met == out.names.len() && out.file.len() == events as usize {
        Ok(())
    } else {
        Err(Malformed::Counts)
    }
}

/// Moves the values of the events that have one to the rows of these events.
fn spread(file: &[u32], events: usize, values: &mut Vec<u64>) {
    let mut from = values.len();
    if from == 0 || from == events {
        return;
    }
    values.resize(events, 0);
    for (row, _) in file.iter().enumerate().rev() {
        let value = match file.get(row) {
            Some(0) | None => 0,
            Some(_) => {
                from = from.saturating_sub(1);
                values.get(from).copied().unwrap_or(0)
            }
        };
        if let Some(place) = values.get_mut(row) {
            *place = value;
        }
    }
}

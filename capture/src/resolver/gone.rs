//! Processes that do not live any more, for records that come late.

use std::collections::VecDeque;

use ctrace_trace::process::ProcessImage;

use super::process::Process;
use crate::ahead::fetch;

/// The image of the one after so many is fetched before it is freed, and its texts and its parent when it is the next.
const AHEAD: usize = 2;
/// Of a text so much is fetched: most are no longer.
const FETCHED: usize = 64;
/// So many ids that follow each other are told apart without a search.
const IN_ORDER: usize = 1 << 14;

/// Processes that ended, or whose id was taken by another, in the order in which that was told.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// With the time from which on they may be freed.
    processes: VecDeque<(u64, Process)>,
    /// Their ids, apart: they are looked through for each record of a process that does not live.
    pids: VecDeque<u32>,
    /// How many there are of the ids that are the same modulo [`IN_ORDER`]. Ids are given out in order, so where many
    /// processes went lately, and a new one is not known because its fork was lost, this says that it is none of them.
    alike: Alike,
    /// From when on the first may be freed, apart too: it is asked for with each record.
    first_free_at: Option<u64>,
}

#[derive(Debug)]
struct Alike(Box<[u32; IN_ORDER]>);

impl Default for Alike {
    fn default() -> Alike {
        Alike(Box::new([0; IN_ORDER]))
    }
}

impl Alike {
    fn count(&mut self, pid: u32) -> &mut u32 {
        &mut self.0[pid as usize % IN_ORDER]
    }

    fn is_none(&self, pid: u32) -> bool {
        self.0[pid as usize % IN_ORDER] == 0
    }
}

impl Gone {
    /// Adds one that may be freed after a time.
    pub(super) fn push(&mut self, free_at: u64, process: Process) {
        let pid = process.image.pid;
        *self.alike.count(pid) += 1;
        self.pids.push_back(pid);
        self.processes.push_back((free_at, process));
        self.first_free_at.get_or_insert(free_at);
    }

    /// Takes out the one that went first.
    pub(super) fn pop(&mut self) -> Option<Process> {
        *self.alike.count(self.pids.pop_front()?) -= 1;
        let (_, process) = self.processes.pop_front()?;
        self.first_free_at = self.processes.front().map(|(free_at, _)| *free_at);
        self.fetch();
        Some(process)
    }

    /// Asks for what will be given back next and made into something new: it has left the caches.
    fn fetch(&self) {
        if let Some((_, process)) = self.processes.get(AHEAD) {
            fetch(&*process.image);
        }
        if let Some((_, process)) = self.processes.front() {
            process.image.parent.iter().for_each(|parent| fetch(&**parent));
            let texts = texts_of(&process.image).into_iter();
            texts.for_each(|text| fetch(text.get(..FETCHED).unwrap_or(text)));
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.pids.len()
    }

    /// Whether the one that went first may be freed.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.first_free_at.is_some_and(|free_at| free_at < now)
    }

    /// All of them, the first first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().map(|(_, process)| process)
    }

    /// The process of an id that went last among those that satisfy a condition.
    pub(super) fn newest(&self, pid: u32, condition: impl Fn(&Process) -> bool) -> Option<&Process> {
        let at = self.newest_place(pid, condition)?;
        self.processes.get(at).map(|(_, process)| process)
    }

    /// Like [`Self::newest`], to change it.
    pub(super) fn newest_mut(&mut self, pid: u32, condition: impl Fn(&Process) -> bool) -> Option<&mut Process> {
        let at = self.newest_place(pid, condition)?;
        self.processes.get_mut(at).map(|(_, process)| process)
    }

    fn newest_place(&self, pid: u32, condition: impl Fn(&Process) -> bool) -> Option<usize> {
        if self.alike.is_none(pid) {
            return None;
        }
        let pids = self.pids.iter().enumerate().rev();
        let mut of_pid = pids.filter(|(_, of)| **of == pid).map(|(at, _)| at);
        of_pid.find(|at| self.processes.get(*at).is_some_and(|(_, p)| condition(p)))
    }
}

fn texts_of(image: &ProcessImage) -> [&[u8]; 5] {
    [&image.name, &image.exe_path, &image.argv, &image.cwd, &image.cgroup]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::resolver::fds::{ChunkBudget, FdTable};

    #[test]
    fn ids_that_are_alike_are_told_apart_and_freed_ones_forgotten() {
        let mut gone = Gone::default();
        let alike = [7, 7 + IN_ORDER as u32, 7];
        for (serial, pid) in alike.into_iter().enumerate() {
            let image = ProcessImage {
                pid,
                ..ProcessImage::default()
            };
            let fds = FdTable::new(&ChunkBudget::new(64));
            gone.push(serial as u64, Process::new(serial as u64, Arc::new(image), fds));
        }
        let newest = |gone: &Gone, pid| gone.newest(pid, |_| true).map(|p| p.serial);
        let found = |gone: &Gone| [alike[0], alike[1], 8, 7 + 2 * IN_ORDER as u32].map(|pid| newest(gone, pid));
        assert_eq!(found(&gone), [Some(2), Some(1), None, None]);
        assert_eq!(gone.newest(7, |p| p.serial < 2).map(|p| p.serial), Some(0));
        gone.pop();
        assert_eq!(gone.newest(7, |p| p.serial < 2).map(|p| p.serial), None);
        gone.pop();
        assert_eq!(found(&gone), [Some(2), None, None, None]);
        gone.pop();
        assert_eq!((found(&gone), gone.pop().is_none()), ([None; 4], true));
    }
}

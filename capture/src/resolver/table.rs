//! The process table: process id → process, over reuse of ids, late records and missed forks.
//!
//! A process that ended stays for a while, because records of other CPUs may come late. When its id is taken by a new
//! process in that time, it moves aside and is still found by the time of the record.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::process::Process;
use super::spare::Spare;

/// Processes whose id was taken by another while they lingered.
const MAX_REPLACED: usize = 256;

/// Id of a process and the serial that tells it from others of that id.
type Key = (u32, u64);

/// All processes by id.
#[derive(Debug)]
pub(super) struct ProcessTable {
    live: HashMap<u32, Box<Process>>,
    /// Ended processes, with the time from which on they may be freed.
    ended: VecDeque<(u64, Key)>,
    replaced: VecDeque<Box<Process>>,
    /// Order in which eviction looks at processes; may name some that are gone.
    clock: VecDeque<Key>,
    max: usize,
    linger_ns: u64,
    next_serial: u64,
    /// Images of processes that were freed.
    pub(super) spare: Spare,
    /// Processes that were dropped because there were too many.
    pub(super) evicted: u64,
}

impl ProcessTable {
    pub(super) fn new(max: usize, linger_ns: u64) -> ProcessTable {
        ProcessTable {
            live: HashMap::new(),
            ended: VecDeque::new(),
            replaced: VecDeque::new(),
            clock: VecDeque::new(),
            max: max.max(1),
            linger_ns,
            next_serial: 1,
            spare: Spare::default(),
            evicted: 0,
        }
    }

    /// A serial that no process had before.
    pub(super) fn serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// The process that had an id at a time of the boot clock.
    #[inline]
    pub(super) fn at(&mut self, pid: u32, ts: u64) -> Option<&mut Process> {
        let process = self.live.get_mut(&pid)?;
        if ts < process.start {
            let mut old = self.replaced.iter_mut().rev();
            return old.find(|p| p.image.pid == pid && p.start <= ts).map(Box::as_mut);
        }
        if ts > process.ended {
            return None;
        }
        process.touched = true;
        Some(process)
    }

    /// The process that had an id at a time, or one that had ended by then after a thread of it began: threads that end
    /// at once are seen one after another, and the first of them may be the last to live.
    pub(super) fn of_thread(&mut self, pid: u32, ts: u64, start: u64) -> Option<&Process> {
        if self.at(pid, ts).is_some() {
            return self.at(pid, ts).map(|p| &*p);
        }
        self.latest(pid).filter(|p| p.start <= ts && start <= p.ended)
    }

    /// The process that has an id now, or had it last.
    pub(super) fn latest(&self, pid: u32) -> Option<&Process> {
        self.live.get(&pid).map(Box::as_ref)
    }

    /// Like [`Self::latest`], to change it.
    pub(super) fn latest_mut(&mut self, pid: u32) -> Option<&mut Process> {
        self.live.get_mut(&pid).map(Box::as_mut)
    }

    /// The process of an id and a serial, for as long as it is known.
    pub(super) fn exact(&mut self, pid: u32, serial: u64) -> Option<&mut Process> {
        self.latest_mut(pid).filter(|p| p.serial == serial)
    }

    /// Adds a process, and sets the one aside that had its id.
    pub(super) fn insert(&mut self, process: Process) -> &mut Process {
        let (pid, serial) = (process.image.pid, process.serial);
        while self.live.len() >= self.max && !self.live.contains_key(&pid) {
            self.evict();
        }
        if let Some(old) = self.live.remove(&pid) {
            self.replaced.push_back(old);
            if self.replaced.len() > MAX_REPLACED {
                self.replaced.pop_front();
            }
        }
        self.remember(pid, serial);
        self.live.entry(pid).or_insert(Box::new(process))
    }

    /// Marks a process as ended.
    pub(super) fn end(&mut self, pid: u32, serial: u64, ts: u64) {
        if let Some(process) = self.exact(pid, serial)
            && process.ended == u64::MAX
        {
            process.ended = ts;
            let free_at = ts.saturating_add(self.linger_ns);
            self.ended.push_back((free_at, (pid, serial)));
        }
    }

    /// Frees processes that ended long before `now`.
    #[inline]
    pub(super) fn expire(&mut self, now: u64) {
        while self.ended.front().is_some_and(|(free_at, _)| *free_at < now) {
            self.expire_one();
        }
    }

    #[cold]
    fn expire_one(&mut self) {
        let Some((_, (pid, serial))) = self.ended.pop_front() else {
            return;
        };
        if self.live.get(&pid).is_some_and(|p| p.serial == serial) {
            if let Some(process) = self.live.remove(&pid) {
                self.spare.keep(process.image);
            }
        } else {
            self.replaced.retain(|p| p.serial != serial);
        }
    }

    /// How many processes are known, ended ones that linger included.
    pub(super) fn len(&self) -> usize {
        self.live.len() + self.replaced.len()
    }

    /// Every process that has an id now, in ascending order of ids.
    pub(super) fn sorted(&self) -> Vec<&Process> {
        let mut all: Vec<&Process> = self.live.values().map(Box::as_ref).collect();
        all.sort_unstable_by_key(|p| p.image.pid);
        all
    }

    /// Ids of the processes that satisfy a condition, in ascending order.
    pub(super) fn pids_where(&self, condition: impl Fn(&Process) -> bool) -> Vec<u32> {
        let matching = self.live.iter().filter(|(_, p)| condition(p));
        let mut pids: Vec<u32> = matching.map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        pids
    }

    fn remember(&mut self, pid: u32, serial: u64) {
        // Names of processes that are gone are swept out when they have become the larger part.
        if self.clock.len() > 64 + 2 * self.live.len() {
            let live = &self.live;
            self.clock
                .retain(|(pid, serial)| live.get(pid).is_some_and(|p| p.serial == *serial));
        }
        self.clock.push_back((pid, serial));
    }

    /// Drops one process: an ended one if there is one, else the first that was not used since this last looked.
    fn evict(&mut self) {
        self.evicted += 1;
        if !self.ended.is_empty() {
            return self.expire_one();
        }
        while let Some((pid, serial)) = self.clock.pop_front() {
            let Some(process) = self.exact(pid, serial) else {
                continue;
            };
            if process.touched {
                process.touched = false;
                self.clock.push_back((pid, serial));
            } else {
                self.live.remove(&pid);
                return;
            }
        }
        self.live.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ctrace_trace::process::ProcessImage;

    use super::*;
    use crate::resolver::fds::{ChunkBudget, FdTable};

    fn add(t: &mut ProcessTable, pid: u32, start: u64) -> u64 {
        let image = Arc::new(ProcessImage {
            pid,
            ..ProcessImage::default()
        });
        let serial = t.serial();
        let mut p = Process::new(serial, image, FdTable::new(&ChunkBudget::new(64)));
        p.start = start;
        t.insert(p);
        serial
    }

    fn serial_at(t: &mut ProcessTable, pid: u32, ts: u64) -> Option<u64> {
        t.at(pid, ts).map(|p| p.serial)
    }

    #[test]
    fn a_reused_id_is_told_apart_by_time() {
        let mut t = ProcessTable::new(100, 1000);
        let first = add(&mut t, 7, 10);
        t.end(7, first, 50);
        assert_eq!(serial_at(&mut t, 7, 40), Some(first));
        assert_eq!(serial_at(&mut t, 7, 51), None, "a new process whose fork was missed");
        let second = add(&mut t, 7, 60);
        assert_eq!(serial_at(&mut t, 7, 60), Some(second));
        assert_eq!(serial_at(&mut t, 7, 45), Some(first), "a late record of the first");
        t.expire(1049);
        assert_eq!(t.len(), 2);
        t.expire(1051);
        assert_eq!(t.len(), 1);
        assert_eq!(serial_at(&mut t, 7, 45), None);
        assert_eq!(serial_at(&mut t, 7, 70), Some(second));
    }

    #[test]
    fn too_many_processes_evict_the_ended_then_the_unused() {
        let mut t = ProcessTable::new(3, 1000);
        for pid in 1..=3 {
            add(&mut t, pid, 0);
        }
        let two = serial_at(&mut t, 2, 5).unwrap();
        t.end(2, two, 5);
        add(&mut t, 4, 0);
        assert!(t.latest(2).is_none());
        assert_eq!((t.len(), t.evicted), (3, 1));
        // All are marked as used; the sweep clears the marks and takes the oldest that nobody used since.
        add(&mut t, 5, 0);
        assert!(t.latest(1).is_none());
        t.at(3, 1);
        add(&mut t, 6, 0);
        assert!(t.latest(3).is_some());
        assert_eq!(t.len(), 3);
    }

    #[test]
    fn names_of_gone_processes_do_not_pile_up() {
        let mut t = ProcessTable::new(10, 0);
        for i in 0..10_000u64 {
            let serial = add(&mut t, 1 + (i % 5) as u32, i);
            t.end(1 + (i % 5) as u32, serial, i);
            t.expire(i);
        }
        assert!(t.clock.len() < 200, "{}", t.clock.len());
        assert!(t.ended.len() < 20 && t.len() < 20);
    }
}

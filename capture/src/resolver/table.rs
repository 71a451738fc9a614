//! The process table: process id → process, over reuse of ids, late records and missed forks.
//!
//! A process that ended stays for a while, because records of other CPUs may come late. It is then among those that are
//! gone, in the order in which they went, and is found by the time of the record; whoever has its id since is another one.
//! What lives is kept apart from them: it is asked for several times an event, and where programs start all the time it
//! would be a small part of the whole. For the same reason a new process gets the place that became free last.

use hashbrown::HashMap;

use super::budget::{Budget, weight};
use super::gone::Gone;
use super::process::Process;
use super::spare::Spare;

/// Living processes that are found without looking into the index, by the low bits of their ids.
const NEAR: usize = 32;
/// No place.
const NOWHERE: u32 = u32::MAX;

/// All processes by id.
#[derive(Debug)]
pub(super) struct ProcessTable {
    /// Living processes; free places are in `free`.
    places: Vec<Option<Process>>,
    free: Vec<u32>,
    /// Where the process of an id is.
    index: HashMap<u32, u32>,
    /// The same of ids that were asked for lately; [`NOWHERE`] where no such process lives.
    near: [(u32, u32); NEAR],
    gone: Gone,
    /// Id and serial of those that eviction looks at next, the last first; some may have ended since.
    candidates: Vec<(u32, u64)>,
    max: usize,
    linger_ns: u64,
    next_serial: u64,
    /// Images of processes that were freed.
    pub(super) spare: Spare,
    /// What the images of processes and of their ancestors take.
    pub(super) images: Budget,
    /// Processes that were dropped because there were too many.
    pub(super) evicted: u64,
}

impl ProcessTable {
    pub(super) fn new(max: usize, linger_ns: u64, images: Budget) -> ProcessTable {
        ProcessTable {
            places: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            near: [(0, NOWHERE); NEAR],
            gone: Gone::default(),
            candidates: Vec::new(),
            max: max.max(1),
            linger_ns,
            next_serial: 1,
            spare: Spare::default(),
            images,
            evicted: 0,
        }
    }

    /// A serial that no process had before.
    pub(super) fn serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// The process that has an id now, where it had it at a time of the boot clock.
    #[inline(always)]
    pub(super) fn living_at(&mut self, pid: u32, ts: u64) -> Option<&mut Process> {
        let place = self.near_place(pid) as usize;
        let process = self.places.get_mut(place)?.as_mut()?;
        if ts < process.start {
            return None;
        }
        process.touched = true;
        Some(process)
    }

    /// The process that had an id at a time of the boot clock.
    #[inline]
    pub(super) fn at(&mut self, pid: u32, ts: u64) -> Option<&mut Process> {
        let place = self.near_place(pid) as usize;
        match self.places.get(place) {
            Some(Some(process)) if ts >= process.start => {}
            _ => return self.gone_at(pid, ts),
        }
        let process = self.places.get_mut(place)?.as_mut()?;
        process.touched = true;
        Some(process)
    }

    /// The same where it does not live.
    #[cold]
    fn gone_at(&mut self, pid: u32, ts: u64) -> Option<&mut Process> {
        // Between two processes of an id it was the first one's; after the last one it is that of a new process.
        let is_between = self.living(pid).is_some();
        let process = self.gone.newest_mut(pid, |p| p.start <= ts)?;
        (is_between || ts <= process.ended).then_some(process)
    }

    /// The process that had an id at a time, or one that had ended by then after a thread of it began: threads that end
    /// at once are seen one after another, and the first of them may be the last to live.
    pub(super) fn of_thread(&mut self, pid: u32, ts: u64, start: u64) -> Option<&Process> {
        if self.at(pid, ts).is_some() {
            return self.at(pid, ts).map(|p| &*p);
        }
        self.latest(pid).filter(|p| p.start <= ts && start <= p.ended)
    }

    /// The process that has an id now.
    pub(super) fn living(&self, pid: u32) -> Option<&Process> {
        let place = match self.near.get(pid as usize % NEAR) {
            Some((near, place)) if *near == pid => place,
            _ => self.index.get(&pid)?,
        };
        self.places.get(*place as usize)?.as_ref()
    }

    /// Like [`Self::living`], to change it.
    pub(super) fn living_mut(&mut self, pid: u32) -> Option<&mut Process> {
        let place = self.near_place(pid);
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// The process that has an id now, or had it last.
    pub(super) fn latest(&self, pid: u32) -> Option<&Process> {
        self.living(pid).or_else(|| self.gone.newest(pid, |_| true))
    }

    /// The process of an id and a serial, for as long as it is known and no other has its id.
    pub(super) fn exact(&mut self, pid: u32, serial: u64) -> Option<&mut Process> {
        match self.living(pid) {
            Some(process) if process.serial != serial => None,
            Some(_) => self.living_mut(pid),
            // A parent that was never seen is not looked for.
            None if serial == 0 => None,
            None => self.gone.newest_mut(pid, |_| true).filter(|p| p.serial == serial),
        }
    }

    /// Adds a process, and sets the one aside that had its id.
    pub(super) fn insert(&mut self, process: Process) {
        let pid = process.image.pid;
        self.images.add(weight(&process.image) + process.bytes_of_texts());
        if let Some(old) = self.take(pid) {
            let free_at = process.start.max(old.start).saturating_add(self.linger_ns);
            self.gone.push(free_at, old);
        }
        while self.len() >= self.max {
            self.evict();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        if let Some(free) = self.places.get_mut(place as usize) {
            *free = Some(process);
        }
        self.index.insert(pid, place);
        self.note(pid, place);
    }

    /// Marks a process as ended. Of what it had only who it was is kept: a record that comes so late that it needs more
    /// is rare, and what is given back now is at hand for the next process.
    pub(super) fn end(&mut self, pid: u32, serial: u64, ts: u64) {
        if self.living(pid).is_none_or(|p| p.serial != serial) {
            return;
        }
        if let Some(mut process) = self.take(pid) {
            process.end(ts);
            self.gone.push(ts.saturating_add(self.linger_ns), process);
        }
    }

    /// Frees processes that ended long before `now`.
    #[inline]
    pub(super) fn expire(&mut self, now: u64) {
        if self.gone.is_due(now) {
            self.expire_due(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn expire_due(&mut self, now: u64) {
        while self.gone.is_due(now) {
            self.expire_one();
        }
    }

    fn expire_one(&mut self) {
        if let Some(process) = self.gone.pop() {
            self.spare.keep(process.image);
        }
    }

    /// How many processes are known, ended ones that linger included.
    pub(super) fn len(&self) -> usize {
        self.index.len() + self.gone.len()
    }

    /// The processes that live, in ascending order of ids.
    pub(super) fn sorted(&self) -> Vec<&Process> {
        let mut all: Vec<&Process> = self.places.iter().flatten().collect();
        all.sort_unstable_by_key(|p| p.image.pid);
        all
    }

    /// All processes, in no order.
    pub(super) fn each(&self) -> impl Iterator<Item = &Process> {
        self.places.iter().flatten().chain(self.gone.iter())
    }

    /// The processes that live, in no order, to change them.
    pub(super) fn each_living(&mut self) -> impl Iterator<Item = &mut Process> {
        self.places.iter_mut().flatten()
    }

    /// Ids of which the process that has it now, or had it last, satisfies a condition, in ascending order.
    pub(super) fn pids_where(&self, condition: impl Fn(&Process) -> bool) -> Vec<u32> {
        let gone = self.gone.iter().filter(|p| condition(p));
        let gone = gone.filter(|p| self.latest(p.image.pid).is_some_and(|last| last.serial == p.serial));
        let living = self.places.iter().flatten().filter(|p| condition(p));
        let mut pids: Vec<u32> = living.chain(gone).map(|p| p.image.pid).collect();
        pids.sort_unstable();
        pids
    }

    /// Where the process of an id lives, [`NOWHERE`] if it does not.
    #[inline]
    fn near_place(&mut self, pid: u32) -> u32 {
        match self.near.get(pid as usize % NEAR) {
            Some((near, place)) if *near == pid => *place,
            _ => self.far_place(pid),
        }
    }

    #[cold]
    #[inline(never)]
    fn far_place(&mut self, pid: u32) -> u32 {
        let place = self.index.get(&pid).copied().unwrap_or(NOWHERE);
        self.note(pid, place);
        place
    }

    fn note(&mut self, pid: u32, place: u32) {
        if let Some(near) = self.near.get_mut(pid as usize % NEAR) {
            *near = (pid, place);
        }
    }

    /// Takes the process of an id from those that live.
    fn take(&mut self, pid: u32) -> Option<Process> {
        let place = self.near_place(pid);
        if place == NOWHERE {
            return None;
        }
        self.index.remove(&pid);
        self.note(pid, NOWHERE);
        self.free.push(place);
        self.places.get_mut(place as usize)?.take()
    }

    /// Drops the processes that ended.
    pub(super) fn evict_ended(&mut self) {
        while self.gone.len() > 0 {
            self.evict();
        }
    }

    /// Drops half of all processes, those first that did nothing lately.
    pub(super) fn evict_half(&mut self) {
        for _ in 0..self.len().div_ceil(2) {
            self.evict();
        }
    }

    /// Drops one process: an ended one if there is one, else the first that was not used since this last looked.
    fn evict(&mut self) {
        self.evicted += 1;
        if self.gone.len() > 0 {
            return self.expire_one();
        }
        // What was used is looked at once more, after all others: the second round finds one.
        for _ in 0..2 {
            while let Some((pid, serial)) = self.candidates.pop() {
                let Some(process) = self.living_mut(pid).filter(|p| p.serial == serial) else {
                    continue;
                };
                if !process.touched {
                    self.take(pid);
                    return;
                }
                process.touched = false;
            }
            let living = self.places.iter().flatten();
            self.candidates.extend(living.map(|p| (p.image.pid, p.serial)));
            self.candidates
                .sort_unstable_by_key(|(_, serial)| std::cmp::Reverse(*serial));
        }
        if let Some((pid, _)) = self.candidates.pop() {
            self.take(pid);
        }
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
        let mut t = ProcessTable::new(100, 1000, Budget::new(1 << 20));
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
    fn what_is_in_turns_near_and_far_is_found() {
        let mut t = ProcessTable::new(1000, 1000, Budget::new(1 << 20));
        let far = 1 + NEAR as u32;
        let (one, other) = (add(&mut t, 1, 10), add(&mut t, far, 10));
        for ts in 10..20 {
            assert_eq!(
                (serial_at(&mut t, 1, ts), serial_at(&mut t, far, ts)),
                (Some(one), Some(other))
            );
        }
        t.end(1, one, 20);
        assert_eq!(serial_at(&mut t, far, 30), Some(other));
        assert_eq!((serial_at(&mut t, 1, 20), serial_at(&mut t, 1, 21)), (Some(one), None));
        let next = add(&mut t, 1, 30);
        assert_eq!(
            (serial_at(&mut t, 1, 30), serial_at(&mut t, 1, 20)),
            (Some(next), Some(one))
        );
        assert_eq!(t.latest(1).map(|p| p.serial), Some(next));
        assert!(t.exact(1, one).is_none() && t.exact(1, next).is_some());
        assert_eq!(t.places.len(), 2, "the new one is where the old one was");
        assert_eq!(t.pids_where(|p| p.serial == one), [0; 0], "another has its id");
        assert_eq!(t.pids_where(|_| true), [1, far]);
    }

    #[test]
    fn ids_that_are_taken_again_and_again_are_bounded() {
        let mut t = ProcessTable::new(10, 1000, Budget::new(1 << 20));
        for start in 0..100 {
            add(&mut t, 5, start);
        }
        assert_eq!((t.len(), t.evicted), (10, 90));
        assert_eq!(t.latest(5).map(|p| p.start), Some(99));
    }

    #[test]
    fn too_many_processes_evict_the_ended_then_the_unused() {
        let mut t = ProcessTable::new(3, 1000, Budget::new(1 << 20));
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
    fn places_of_gone_processes_are_used_again() {
        let mut t = ProcessTable::new(10, 0, Budget::new(1 << 20));
        for i in 0..10_000u64 {
            let serial = add(&mut t, 1 + (i % 5) as u32, i);
            t.end(1 + (i % 5) as u32, serial, i);
            t.expire(i);
        }
        assert!(t.places.len() < 20 && t.free.len() < 20 && t.len() < 20);
    }
}

//! What processes share without being threads of one, and what a thread does not share with the others of its process:
//! tables of descriptors (`CLONE_FILES`) and working directories with their roots (`CLONE_FS`).
//!
//! Such a table lies in the process that used it last, and goes to the next of its owners that makes a call. A directory is
//! kept apart, and each owner takes it over with its next call. So a call costs the same however many owners there are,
//! and all others nothing: a process that shares says so by a bit, for which its calls leave the short ways.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ctrace_trace::fd::FdEntry;
use hashbrown::HashSet;

use super::fds::{FdTable, Parts};
use super::process::{MAX_PRIVATE, Process};
use super::state::State;

/// Id and serial of a process.
type Who = (u32, u64);

/// A table of descriptors that several processes have, or not all threads of one.
#[derive(Debug)]
pub(super) struct Files(RefCell<Lies>);

/// Where a table is.
#[derive(Debug)]
enum Lies {
    /// In the process that used it last.
    With(Who),
    /// With none, until the next of its owners makes a call.
    Here(FdTable),
}

impl Files {
    fn new(lies: Lies) -> Rc<Files> {
        Rc::new(Files(RefCell::new(lies)))
    }

    fn lies_with(&self, who: Who) -> bool {
        matches!(*self.0.borrow(), Lies::With(with) if with == who)
    }
}

/// A working directory and the root of the paths of its owners, empty for none.
#[derive(Debug)]
pub(super) struct Place {
    cwd: Vec<u8>,
    root: Vec<u8>,
}

/// A place with several owners.
pub(super) type SharedPlace = Rc<RefCell<Place>>;

/// What tables of descriptors take, and how many they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) fds: usize,
}

/// Of what several processes have, what was looked at.
#[derive(Debug, Default)]
pub(super) struct Weighed {
    parts: Parts,
    apart: HashSet<*const Files>,
}

/// What a process shares, or its threads do not share with each other.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// The table of all threads but those in `apart`, where it is that of another process too, or where there are such.
    files: Option<Rc<Files>>,
    /// Threads with another table.
    apart: Vec<(u32, Rc<Files>)>,
    /// The place of all threads but those with one of their own, where another process is there too.
    pub(super) place: Option<SharedPlace>,
}

/// What a place takes: of one with several owners the part of one.
pub(super) fn place_bytes(place: &SharedPlace) -> usize {
    let texts = place.borrow();
    (texts.cwd.len() + texts.root.len()) / Rc::strong_count(place)
}

impl Sharing {
    /// No more than a place.
    pub(super) fn of_place(place: Option<SharedPlace>) -> Sharing {
        Sharing {
            place,
            ..Sharing::default()
        }
    }

    fn each_files(&self) -> impl Iterator<Item = &Rc<Files>> {
        self.files.iter().chain(self.apart.iter().map(|(_, files)| files))
    }
}

impl Process {
    fn who(&self) -> Who {
        (self.image.pid, self.serial)
    }

    fn sharing(&self) -> Option<&Sharing> {
        self.rare.as_ref().map(|rare| &rare.sharing)
    }

    /// The table that a thread uses; `None` where all threads have one, and no other process has it.
    fn files_of(&self, tid: u32) -> Option<&Rc<Files>> {
        let sharing = self.sharing()?;
        let apart = sharing.apart.iter().find(|(of, _)| *of == tid);
        apart.map(|(_, files)| files).or(sharing.files.as_ref())
    }

    /// Whether a thread may have another table than the others.
    pub(super) fn has_threads_apart(&self) -> bool {
        self.sharing().is_some_and(|sharing| !sharing.apart.is_empty())
    }

    /// The place in which a thread is with others that are no threads of its process, or have left its directory.
    pub(super) fn place_of(&self, tid: u32) -> Option<&SharedPlace> {
        match self.private().iter().find(|own| own.is_elsewhere(tid)) {
            Some(own) => own.place.as_ref(),
            None => self.sharing()?.place.as_ref(),
        }
    }

    /// The working directory of a thread, also where others that are in it moved it since its last call.
    pub(super) fn directory_of(&self, tid: u32) -> Vec<u8> {
        let place = self.place_of(tid);
        place.map_or_else(|| self.image_of(tid).cwd.clone(), |place| place.borrow().cwd.clone())
    }

    /// The same of the directory of its `chroot`.
    pub(super) fn root_in(&self, tid: u32) -> Vec<u8> {
        let place = self.place_of(tid);
        place.map_or_else(|| self.root_of(tid).to_vec(), |place| place.borrow().root.clone())
    }

    /// Whether a thread has left the directory of its process.
    pub(super) fn has_own_place(&self, tid: u32) -> bool {
        self.private().iter().any(|own| own.is_elsewhere(tid))
    }

    /// Makes the table of a thread, which lies here, one that others may have too.
    pub(super) fn share_files(&mut self, tid: u32) -> Rc<Files> {
        if let Some(files) = self.files_of(tid) {
            return files.clone();
        }
        let files = Files::new(Lies::With(self.who()));
        self.rare_mut().sharing.files = Some(files.clone());
        self.shares = true;
        files
    }

    /// Makes the place of a thread one in which others may be too.
    pub(super) fn share_place(&mut self, tid: u32) -> SharedPlace {
        if let Some(place) = self.place_of(tid) {
            return place.clone();
        }
        let place = Rc::new(RefCell::new(Place {
            cwd: self.image_of(tid).cwd.clone(),
            root: self.root_of(tid).to_vec(),
        }));
        self.shares = true;
        match self.private_mut().iter_mut().find(|own| own.is_elsewhere(tid)) {
            Some(own) => own.place = Some(place.clone()),
            None => self.rare_mut().sharing.place = Some(place.clone()),
        }
        place
    }

    /// A new process has these, where there are any; the table lies with it.
    pub(super) fn join(&mut self, files: Option<Rc<Files>>, place: Option<SharedPlace>) {
        if files.is_none() && place.is_none() {
            return;
        }
        if let Some(files) = &files {
            files.0.replace(Lies::With(self.who()));
        }
        if let Some(place) = &place {
            // It may have moved before its fork was told.
            place.borrow_mut().cwd.clone_from(&self.image.cwd);
        }
        let sharing = &mut self.rare_mut().sharing;
        (sharing.files, sharing.place) = (files, place);
        self.shares = true;
    }

    /// A thread that has just been made uses the table of its maker.
    pub(super) fn share_files_with(&mut self, by: u32, tid: u32) {
        let Some(rare) = &mut self.rare else { return };
        let apart = &mut rare.sharing.apart;
        if let Some((_, files)) = apart.iter().find(|(of, _)| *of == by)
            && apart.len() < MAX_PRIVATE
        {
            let files = files.clone();
            apart.push((tid, files));
        }
    }

    /// Gives a thread a copy of the table that lies here. Alone in its process it keeps this, and leaves those with whom it
    /// shared it.
    pub(super) fn unshare_files(&mut self, tid: u32) {
        if self.threads <= 1 {
            return self.leave_files();
        }
        let own = Files::new(Lies::Here(self.fds.clone()));
        // The others then have one that is not all threads'.
        if !self.has_threads_apart() {
            self.share_files(tid);
        }
        self.end_apart(tid);
        let apart = &mut self.rare_mut().sharing.apart;
        if apart.len() < MAX_PRIVATE {
            apart.push((tid, own));
        }
    }

    /// Leaves all tables but the one that lies here, of which others that have it get a copy.
    pub(super) fn leave_files(&mut self) {
        let who = self.who();
        let Some(rare) = &mut self.rare else { return };
        let sharing = &mut rare.sharing;
        let left = sharing.files.take().into_iter();
        for files in left.chain(sharing.apart.drain(..).map(|(_, files)| files)) {
            put_back(&files, who, &self.fds);
        }
        self.settle_sharing();
    }

    /// A thread has no table of its own any more.
    pub(super) fn end_apart(&mut self, tid: u32) {
        let who = self.who();
        let Some(rare) = &mut self.rare else { return };
        let apart = &mut rare.sharing.apart;
        if let Some(at) = apart.iter().position(|(of, _)| *of == tid) {
            let (_, files) = apart.swap_remove(at);
            put_back(&files, who, &self.fds);
        }
    }

    /// Leaves all tables and places.
    pub(super) fn leave_all(&mut self) {
        self.leave_files();
        if let Some(rare) = &mut self.rare {
            rare.sharing.place = None;
            rare.private.iter_mut().for_each(|own| own.place = None);
        }
        self.shares = false;
    }

    /// Tells the others in the place of a thread where they are now.
    pub(super) fn tell_place(&self, tid: u32, cwd: Option<&[u8]>, root: Option<&[u8]>) {
        let Some(place) = self.place_of(tid) else { return };
        let mut place = place.borrow_mut();
        if let Some(cwd) = cwd {
            place.cwd = cwd.to_vec();
        }
        if let Some(root) = root {
            place.root = root.to_vec();
        }
    }

    /// Forgets what is behind descriptors, also in tables that lie apart.
    pub(super) fn forget_fds(&mut self) {
        self.fds.forget();
        self.each_table_apart(|_, table| table.forget());
    }

    /// Forgets the directories that others are in too; whether there are such, or threads that have left its directory.
    pub(super) fn forget_places(&mut self) -> bool {
        self.settle_sharing();
        let Some(rare) = &self.rare else { return false };
        let mut any = rare.private.iter().any(|own| own.root.is_some());
        let places = rare.private.iter().map(|own| &own.place).chain([&rare.sharing.place]);
        for place in places.flatten() {
            place.borrow_mut().cwd.clear();
            any = true;
        }
        any
    }

    /// Calls `look` for each of its tables that lies with no process.
    fn each_table_apart(&self, mut look: impl FnMut(&Rc<Files>, &mut FdTable)) {
        for files in self.sharing().into_iter().flat_map(Sharing::each_files) {
            if let Lies::Here(table) = &mut *files.0.borrow_mut() {
                look(files, table);
            }
        }
    }

    /// What the tables of descriptors take that it has, and how many they know. One that lies with no process is that of
    /// the first of its owners that is asked: whoever forgets it, it is gone for all.
    pub(super) fn weigh_fds(&self, weighed: &mut Weighed) -> Held {
        let mut held = Held {
            bytes: self.fds.bytes(&mut weighed.parts),
            fds: self.fds.len(),
        };
        self.each_table_apart(|files, table| {
            if weighed.apart.insert(Rc::as_ptr(files)) {
                held.bytes += table.bytes(&mut weighed.parts);
                held.fds += table.len();
            }
        });
        held
    }

    /// What all others have left is its own, and it shares nothing when nothing else is left.
    pub(super) fn settle_sharing(&mut self) {
        let who = self.who();
        let Some(rare) = &mut self.rare else { return };
        let (sharing, private) = (&mut rare.sharing, &mut rare.private);
        if sharing.apart.is_empty() {
            sharing
                .files
                .take_if(|files| Rc::strong_count(files) == 1 && files.lies_with(who));
        }
        let places = private.iter_mut().map(|own| &mut own.place);
        for place in places.chain([&mut sharing.place]) {
            place.take_if(|place| Rc::strong_count(place) == 1);
        }
        let places = private.iter().map(|own| &own.place).chain([&sharing.place]);
        self.shares = sharing.files.is_some() || places.flatten().next().is_some();
    }
}

/// Where a table lies with its owner that leaves it, others that have it find a copy.
fn put_back(files: &Rc<Files>, owner: Who, fds: &FdTable) {
    if files.lies_with(owner) {
        files.0.replace(Lies::Here(fds.clone()));
    }
}

impl State {
    /// Gives the process of a thread the table that this uses, and the directory in which it is now.
    #[cold]
    #[inline(never)]
    pub(super) fn take_shared(&mut self, pid: u32, tid: u32, ts: u64) {
        self.take_files(pid, tid, ts);
        self.take_place(pid, tid, ts);
        if let Some(process) = self.table.at(pid, ts) {
            process.settle_sharing();
        }
    }

    /// `unshare(CLONE_FILES)`: a thread goes its own way with a copy of its table.
    pub(super) fn unshare_files(&mut self, pid: u32, tid: u32, ts: u64) {
        if let Some(process) = self.table.at(pid, ts) {
            self.files.bytes.add(process.fds.room());
            process.unshare_files(tid);
        }
        self.take_files(pid, tid, ts);
    }

    fn take_files(&mut self, pid: u32, tid: u32, ts: u64) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let who = process.who();
        let wanted = process.files_of(tid).filter(|files| !files.lies_with(who)).cloned();
        let Some(files) = wanted else { return };
        let other = process.fds.take();
        let here = process.sharing().into_iter().flat_map(Sharing::each_files);
        for files in here.filter(|files| files.lies_with(who)) {
            files.0.replace(Lies::Here(other.clone()));
        }
        let found = match files.0.replace(Lies::With(who)) {
            Lies::Here(fds) => Some(fds),
            // Nothing is known of one that was lost with its process.
            Lies::With((pid, serial)) => self.table.exact(pid, serial).map(|last| last.fds.take()),
        };
        if let (Some(fds), Some(process)) = (found, self.table.at(pid, ts)) {
            process.fds = fds;
        }
    }

    fn take_place(&mut self, pid: u32, tid: u32, ts: u64) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let Some(place) = process.place_of(tid).cloned() else {
            return;
        };
        let (cwd, root) = {
            let place = place.borrow();
            if place.cwd == process.image_of(tid).cwd && place.root == process.root_of(tid) {
                return;
            }
            (place.cwd.clone(), place.root.clone())
        };
        self.change_directory(pid, tid, ts, Some(&cwd), Some(&root));
    }

    /// What is behind a descriptor of a thread, wherever its table lies.
    pub(super) fn descriptor(&mut self, pid: u32, tid: u32, ts: u64, fd: i32) -> Option<Arc<FdEntry>> {
        let process = self.table.at(pid, ts)?;
        let Some(files) = process.files_of(tid).cloned() else {
            return process.fds.get(fd).cloned();
        };
        match &*files.0.borrow() {
            Lies::Here(fds) => fds.get(fd).cloned(),
            Lies::With((pid, serial)) => self.table.exact(*pid, *serial)?.fds.get(fd).cloned(),
        }
    }

    /// The descriptors of a process in ascending order, wherever its table lies.
    pub(super) fn descriptors(&self, process: &Process) -> Vec<(i32, Arc<FdEntry>)> {
        let of = |fds: &FdTable| fds.iter().map(|(fd, entry)| (fd, entry.clone())).collect();
        let Some(files) = process.files_of(process.image.pid) else {
            return of(&process.fds);
        };
        match &*files.0.borrow() {
            Lies::Here(fds) => of(fds),
            Lies::With((pid, serial)) => {
                let with = self.table.living(*pid).filter(|p| p.serial == *serial);
                with.map_or_else(Vec::new, |with| of(&with.fds))
            }
        }
    }
}

//! Making new process images and keeping their lineage.
//!
//! A parent is the one that forked the process: when that ends and the kernel hands the child to `init`, the recorded
//! parent stays, since it says more about where the process comes from. Chains of parents are cut to bounded length.

use std::sync::Arc;

use ctrace_trace::process::ProcessImage;

use super::budget::weight;
use super::call::Call;
use super::identity::Ids;
use super::process::Private;
use super::snapshot::Directories;
use super::spare::set;
use super::state::State;

/// Longest chain of images, the first one included.
pub(super) const MAX_CHAIN: usize = 32;
/// Length to which a chain is cut that has become too long. Much less than [`MAX_CHAIN`], so that cutting, which needs
/// new images, is rare.
const CUT_CHAIN: usize = 16;

/// The kernel's name of a thread has at most so many bytes.
pub(super) const COMM: usize = 15;

impl State {
    /// The image of a parent to hang below a new image, for as long as the parent is known.
    pub(super) fn parent_image(&mut self, ppid: u32, serial: u64) -> Option<Arc<ProcessImage>> {
        let image = self.table.exact(ppid, serial)?.image.clone();
        Some(self.bounded(image, ppid, serial))
    }

    /// Puts a new image below that of its parent, where it is not there yet and for as long as the parent is known.
    pub(super) fn put_below(&mut self, image: &mut ProcessImage, serial: u64) {
        let Some(parent) = self.table.exact(image.ppid, serial) else {
            return;
        };
        if image
            .parent
            .as_ref()
            .is_some_and(|above| Arc::ptr_eq(above, &parent.image))
        {
            return;
        }
        let above = parent.image.clone();
        image.parent = Some(self.bounded(above, image.ppid, serial));
    }

    /// The image of a process, or the beginning of its chain where that is too long.
    fn bounded(&mut self, image: Arc<ProcessImage>, pid: u32, serial: u64) -> Arc<ProcessImage> {
        if chain_len(&image) < MAX_CHAIN {
            return image;
        }
        // The parent itself takes over the cut chain, so that its other children share it.
        let cut = self.cut_chain(&image);
        if let Some(parent) = self.table.exact(pid, serial) {
            parent.image = cut.clone();
        }
        cut
    }

    /// A copy of the nearest ancestors, without the farther ones.
    fn cut_chain(&mut self, image: &Arc<ProcessImage>) -> Arc<ProcessImage> {
        let mut kept: Vec<&Arc<ProcessImage>> = Vec::with_capacity(CUT_CHAIN);
        let mut next = Some(image);
        while let Some(image) = next.filter(|_| kept.len() < CUT_CHAIN) {
            kept.push(image);
            next = image.parent.as_ref();
        }
        let mut parent = None;
        for image in kept.into_iter().rev() {
            let mut copy = (**image).clone();
            copy.id = self.image_id();
            copy.parent = parent.take();
            self.table.images.add(weight(&copy));
            parent = Some(Arc::new(copy));
        }
        parent.unwrap_or_else(|| image.clone())
    }

    /// Gives a process and all of its threads new images that differ from the old ones.
    pub(super) fn change(&mut self, pid: u32, ts: u64, with: impl Fn(&mut ProcessImage)) {
        self.change_shared(pid, ts, &with, |_| true);
    }

    /// The same where threads may have for themselves what changes: of these only some.
    fn change_shared(
        &mut self,
        pid: u32,
        ts: u64,
        with: &impl Fn(&mut ProcessImage),
        thread: impl Fn(&Private) -> bool,
    ) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let olds = process.private().iter().filter(|p| thread(p)).map(|p| &p.image);
        // Threads that were alike stay so.
        let mut olds: Vec<_> = olds.chain([&process.image]).cloned().collect();
        olds.sort_by_key(|image| image.id);
        olds.dedup_by_key(|image| image.id);
        let news: Vec<_> = olds.iter().map(|old| (old.id, self.changed(old, with))).collect();
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let renew = |image: &mut Arc<ProcessImage>| {
            if let Some((_, new)) = news.iter().find(|(old, _)| *old == image.id) {
                *image = new.clone();
            }
        };
        renew(&mut process.image);
        let threads = process.private_mut().iter_mut().filter(|p| thread(p));
        threads.for_each(|own| renew(&mut own.image));
        olds.into_iter().for_each(|old| self.table.spare.keep(old));
    }

    /// Gives a thread other ids. Its process has them too when no thread of it has others.
    pub(super) fn change_ids(&mut self, call: &Call<'_>, ids: &Ids, with: &impl Fn(&mut ProcessImage)) {
        let (pid, tid, ts) = (call.pid, call.tid, call.ts);
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        if process.living <= 1 {
            return self.change(pid, ts, with);
        }
        let old = process.image_of(tid).clone();
        // The C library has one thread after the other make the same call.
        let images = process.private().iter().map(|p| &p.image).chain([&process.image]);
        let alike = images.filter(|image| Ids::of(image) == *ids && image.cwd == old.cwd);
        let alike = alike.max_by_key(|image| image.id).cloned();
        let image = alike.unwrap_or_else(|| self.changed(&old, with));
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        match process.own_mut(tid) {
            Some(own) => (own.image, own.ids) = (image.clone(), true),
            None => process.image = image.clone(),
        }
        let own = || process.private().iter().filter(|p| p.ids);
        if own().count() >= process.living as usize && own().all(|p| Ids::of(&p.image) == *ids) {
            match process.image.cwd == image.cwd {
                true => process.image = image,
                false => self.change_shared(pid, ts, with, |_| false),
            }
        }
        self.unite(pid, ts);
    }

    /// Threads with the ids of their process have none of their own.
    fn unite(&mut self, pid: u32, ts: u64) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let of_process = Ids::of(&process.image);
        let Some(rare) = &mut process.rare else { return };
        for own in &mut rare.private {
            own.ids &= Ids::of(&own.image) != of_process;
        }
        rare.private.retain(|own| own.ids || own.root.is_some());
    }

    /// Names a process of which nothing is known after one of its threads.
    pub(super) fn name_unknown(&mut self, pid: u32, ts: u64, name: &[u8]) {
        if self.table.at(pid, ts).is_some_and(|p| p.image.name.is_empty()) && !name.is_empty() {
            self.change(pid, ts, |image| set(&mut image.name, name));
        }
    }

    /// What the kernel calls the first thread is its process's name: it may have written that to its `comm` in `/proc`.
    pub(super) fn name_changed(&mut self, pid: u32, ts: u64, name: &[u8]) {
        // `/proc` tells of workers of the kernel more than that.
        let differs = |image: &ProcessImage| image.name.len() <= COMM && image.name != name;
        if self.table.at(pid, ts).is_some_and(|p| differs(&p.image)) && !name.is_empty() {
            self.change(pid, ts, |image| set(&mut image.name, name));
        }
    }

    /// Gives a thread a new working directory or root: its process too, unless it left that behind.
    pub(super) fn change_directory(&mut self, pid: u32, tid: u32, ts: u64, cwd: Option<&[u8]>, root: Option<&[u8]>) {
        self.table.images.add(root.map_or(0, <[u8]>::len));
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        if process.shares {
            process.tell_place(tid, cwd, root);
        }
        let old = process.image_of(tid).clone();
        let alone = process
            .private_mut()
            .iter_mut()
            .find(|p| p.tid == tid && p.root.is_some());
        let is_alone = alone.is_some();
        if let Some(root) = root {
            match alone.and_then(|own| own.root.as_mut()) {
                Some(of_thread) => *of_thread = root.to_vec(),
                None => process.set_root(root.to_vec()),
            }
        }
        let Some(cwd) = cwd.filter(|cwd| old.cwd != *cwd) else {
            return;
        };
        let with = |image: &mut ProcessImage| set(&mut image.cwd, cwd);
        if !is_alone {
            return self.change_shared(pid, ts, &with, |own| own.root.is_none());
        }
        let image = self.changed(&old, &with);
        if let Some(own) = self.table.at(pid, ts).and_then(|p| p.own_mut(tid)) {
            own.image = image;
        }
    }

    /// Puts a process into the directories that the host told of its first thread after calls that change them were not
    /// recorded. Without its word the working directory is not known; nor is it where some of the threads were elsewhere, or
    /// other processes there too: who is where and with whom may have changed.
    pub(super) fn renew_directories(&mut self, pid: u32, ts: u64, told: Option<&Directories>) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let is_apart = process.forget_places();
        let told = told.filter(|_| !is_apart);
        if let Some(told) = told {
            process.set_root(told.root.clone());
        }
        let cwd = told.map_or(&[][..], |told| &told.cwd);
        let of_threads = process.private().iter().map(|own| &own.image);
        let was_elsewhere = of_threads.chain([&process.image]).any(|image| image.cwd != cwd);
        if was_elsewhere {
            self.change(pid, ts, |image| set(&mut image.cwd, cwd));
        }
    }

    /// A changed copy of an image, below its parent as that is now.
    fn changed(&mut self, old: &Arc<ProcessImage>, with: &impl Fn(&mut ProcessImage)) -> Arc<ProcessImage> {
        let mut made = self.table.spare.copy_of(old);
        let image = Arc::make_mut(&mut made);
        with(image);
        image.id = self.image_id();
        self.table.images.add(weight(image));
        made
    }
}

/// How many images a chain has.
pub(super) fn chain_len(image: &Arc<ProcessImage>) -> usize {
    let mut len = 1;
    let mut next = image.parent.as_ref();
    while let Some(parent) = next {
        len += 1;
        next = parent.parent.as_ref();
    }
    len
}

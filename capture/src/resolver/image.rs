//! Making new process images and keeping their lineage.
//!
//! A parent is the one that forked the process: when that ends and the kernel hands the child to `init`, the recorded
//! parent stays, since it says more about where the process comes from. Chains of parents are cut to bounded length.

use std::sync::Arc;

use ctrace_trace::process::ProcessImage;

use super::state::State;

/// Longest chain of images, the first one included.
pub(super) const MAX_CHAIN: usize = 32;
/// Length to which a chain is cut that has become too long. Much less than [`MAX_CHAIN`], so that cutting, which needs
/// new images, is rare.
const CUT_CHAIN: usize = 16;

impl State {
    /// The image of a parent to hang below a new image, for as long as the parent is known.
    pub(super) fn parent_image(&mut self, ppid: u32, serial: u64) -> Option<Arc<ProcessImage>> {
        let image = self.table.exact(ppid, serial)?.image.clone();
        if chain_len(&image) < MAX_CHAIN {
            return Some(image);
        }
        // The parent itself takes over the cut chain, so that its other children share it.
        let cut = self.cut_chain(&image);
        if let Some(parent) = self.table.exact(ppid, serial) {
            parent.image = cut.clone();
        }
        Some(cut)
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
            parent = Some(Arc::new(copy));
        }
        parent.unwrap_or_else(|| image.clone())
    }

    /// Gives a process a new image that differs from the old one.
    pub(super) fn change(&mut self, pid: u32, ts: u64, with: impl Fn(&mut ProcessImage)) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let (old, private) = (process.image.clone(), process.private.len());
        let image = self.changed(&old, &with);
        // Threads with a directory of their own are the same process in all else.
        let mut threads = Vec::new();
        for at in 0..private {
            let of_thread = self
                .table
                .at(pid, ts)
                .and_then(|p| Some(p.private.get(at)?.image.clone()));
            threads.extend(of_thread.map(|old| self.changed(&old, &with)));
        }
        if let Some(process) = self.table.at(pid, ts) {
            process.image = image;
            for (private, image) in process.private.iter_mut().zip(threads) {
                private.image = image;
            }
        }
    }

    /// Names a process of which nothing is known after one of its threads.
    pub(super) fn name_unknown(&mut self, pid: u32, ts: u64, name: &[u8]) {
        if self.table.at(pid, ts).is_some_and(|p| p.image.name.is_empty()) && !name.is_empty() {
            self.change(pid, ts, |image| image.name = name.to_vec());
        }
    }

    /// Gives a thread a new working directory or root: its process too, unless it left that behind.
    pub(super) fn change_directory(&mut self, pid: u32, tid: u32, ts: u64, cwd: Option<&[u8]>, root: Option<&[u8]>) {
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let old = process.image_of(tid).clone();
        let image = match cwd {
            Some(cwd) if old.cwd != cwd => self.changed(&old, &|image: &mut ProcessImage| image.cwd = cwd.to_vec()),
            _ => old,
        };
        let Some(process) = self.table.at(pid, ts) else {
            return;
        };
        let (of_image, of_root) = match process.private.iter().position(|p| p.tid == tid) {
            Some(at) => match process.private.get_mut(at) {
                Some(private) => (&mut private.image, &mut private.root),
                None => return,
            },
            None => (&mut process.image, &mut process.root),
        };
        *of_image = image;
        if let Some(root) = root {
            *of_root = root.to_vec();
        }
    }

    /// A changed copy of an image, below its parent as that is now.
    fn changed(&mut self, old: &Arc<ProcessImage>, with: &impl Fn(&mut ProcessImage)) -> Arc<ProcessImage> {
        let mut image = (**old).clone();
        with(&mut image);
        image.id = self.image_id();
        Arc::new(image)
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

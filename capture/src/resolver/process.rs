//! One process as the resolver knows it: its current image and what is not part of an image.

use std::mem;
use std::sync::Arc;

use ctrace_trace::process::ProcessImage;

use super::fds::FdTable;
use super::sharing::{SharedPlace, Sharing, place_bytes};

/// Exec attempts of one process that are remembered between entry and result; only threads that call `exec` at the
/// same moment need more than one.
const MAX_ATTEMPTS: usize = 8;
/// Threads with a working directory or ids of their own that are remembered per process.
pub(super) const MAX_PRIVATE: usize = 256;

/// A process, from its fork (or the first record of it) until its records can no longer come.
#[derive(Debug)]
pub(super) struct Process {
    /// Who it is now.
    pub(super) image: Arc<ProcessImage>,
    pub(super) fds: FdTable,
    /// Tells this process from others that had or will have its id.
    pub(super) serial: u64,
    /// The parent's serial; 0 when the parent was never seen.
    pub(super) parent: u64,
    /// From when on records are its, nanoseconds of the boot clock: when it was forked, or else the earliest that this can
    /// have been.
    pub(super) start: u64,
    /// When its last thread ended, nanoseconds of the boot clock; `u64::MAX` while it lives.
    pub(super) ended: u64,
    /// Id of its cgroup in the v2 hierarchy.
    pub(super) cgroup: u64,
    /// Threads it ever had since its last exec, the leader included.
    pub(super) threads: u32,
    /// Threads that it has now, as far as is known.
    pub(super) living: u32,
    /// The kernel told that it was forked at `start`.
    start_is_told: bool,
    /// Made from a record that came before any that says where it comes from.
    pub(super) provisional: bool,
    /// Used since eviction last looked at it.
    pub(super) touched: bool,
    /// An exec event was made whose `sys_exit` has not come yet.
    pub(super) exec_reported: bool,
    /// It shares with other processes, or its threads do not share with each other: what it has may lie elsewhere
    /// ([`State::take_shared`](super::state::State::take_shared)).
    pub(super) shares: bool,
    /// What it has that few have.
    pub(super) rare: Option<Box<Rare>>,
}

/// What few processes have. Apart, since where programs start all the time processes are moved from place to place.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Directory of its `chroot`; empty for none.
    root: Vec<u8>,
    /// Status with which the leader ended, while other threads went on.
    pub(super) leader_status: Option<u32>,
    /// The thread that entered `rt_sigreturn` last.
    pub(super) sigreturn: Option<u32>,
    /// Exec calls that were entered and have not returned.
    attempts: Vec<Attempt>,
    /// Threads that are not in all what their process is.
    pub(super) private: Vec<Private>,
    pub(super) sharing: Sharing,
}

/// An exec call between its entry and its result.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) tid: u32,
    /// Number of the call, in the 32-bit table where it is of that.
    pub(super) nr: i32,
    pub(super) is_compat: bool,
    pub(super) args: [u64; 6],
    /// The file name as the caller wrote it, where it was read.
    pub(super) filename: Option<Vec<u8>>,
}

impl Attempt {
    /// A register.
    pub(super) fn arg(&self, at: u8) -> u64 {
        self.args.get(usize::from(at)).copied().unwrap_or(0)
    }
}

/// A thread that is not in all what its process is.
#[derive(Clone, Debug)]
pub(super) struct Private {
    pub(super) tid: u32,
    pub(super) image: Arc<ProcessImage>,
    /// Its root directory, where its working directory and root are its own (`unshare(CLONE_FS)`).
    pub(super) root: Option<Vec<u8>>,
    /// The same, where others have left with it.
    pub(super) place: Option<SharedPlace>,
    /// Its ids and capabilities are its own: the kernel sets those of the calling thread only.
    pub(super) ids: bool,
}

impl Private {
    /// Whether it is this thread's, and that has left the directory of its process.
    pub(super) fn is_elsewhere(&self, tid: u32) -> bool {
        self.tid == tid && self.root.is_some()
    }
}

impl Process {
    /// A living process of which nothing but its image and descriptors is known.
    pub(super) fn new(serial: u64, image: Arc<ProcessImage>, fds: FdTable) -> Process {
        Process {
            image,
            fds,
            serial,
            parent: 0,
            start: 0,
            ended: u64::MAX,
            cgroup: 0,
            threads: 1,
            living: 1,
            start_is_told: false,
            provisional: false,
            touched: true,
            exec_reported: false,
            shares: false,
            rare: None,
        }
    }

    /// The kernel says when it was forked; 0 where it does not.
    pub(super) fn began(&mut self, told: u64) {
        if told != 0 {
            (self.start, self.start_is_told) = (told, true);
        }
    }

    /// When it was forked, by the word of the kernel; 0 when unknown.
    pub(super) fn told_start(&self) -> u64 {
        if self.start_is_told { self.start } else { 0 }
    }

    /// Its last thread ended. Gives back what only those need that go on.
    pub(super) fn end(&mut self, ts: u64) {
        self.ended = ts;
        self.leave_all();
        self.fds.forget();
        if let Some(rare) = &mut self.rare {
            rare.root = Vec::new();
            rare.attempts = Vec::new();
        }
    }

    /// What it has that few have, to give it some of that.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Status with which the leader ended, while other threads went on.
    pub(super) fn leader_status(&self) -> Option<u32> {
        self.rare.as_ref()?.leader_status
    }

    /// Whether it was this thread that entered `rt_sigreturn` last; it has left it then.
    pub(super) fn take_sigreturn(&mut self, tid: u32) -> bool {
        let entered = self.rare.as_mut().map(|rare| &mut rare.sigreturn);
        entered.is_some_and(|entered| entered.take_if(|by| *by == tid).is_some())
    }

    /// Threads that are not in all what the process is.
    #[inline]
    pub(super) fn private(&self) -> &[Private] {
        self.rare.as_ref().map_or(&[], |rare| &rare.private)
    }

    /// The same, to change them.
    pub(super) fn private_mut(&mut self) -> &mut [Private] {
        self.rare.as_mut().map_or(&mut [], |rare| &mut rare.private)
    }

    /// The image that a thread acts as.
    #[inline]
    pub(super) fn image_of(&self, tid: u32) -> &Arc<ProcessImage> {
        match &self.rare {
            Some(rare) if !rare.private.is_empty() => rare.own(tid).map_or(&self.image, |p| &p.image),
            _ => &self.image,
        }
    }

    /// The image that a thread acts as, for the process to get another one in its place: until then it has `meanwhile`.
    pub(super) fn lend_image(&mut self, tid: u32, meanwhile: &Arc<ProcessImage>) -> Arc<ProcessImage> {
        match self.private().is_empty() {
            true => mem::replace(&mut self.image, meanwhile.clone()),
            false => self.image_of(tid).clone(),
        }
    }

    /// The directory of the `chroot` of the process; empty for none.
    pub(super) fn root(&self) -> &[u8] {
        self.rare.as_ref().map_or(&[], |rare| &rare.root)
    }

    /// What the texts take that are not of its images.
    pub(super) fn bytes_of_texts(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.bytes_of_texts())
    }

    /// The directory of the `chroot` that a thread is in.
    pub(super) fn root_of(&self, tid: u32) -> &[u8] {
        let Some(rare) = &self.rare else { return &[] };
        rare.own(tid).and_then(|p| p.root.as_ref()).unwrap_or(&rare.root)
    }

    /// Puts the process into the directory of a `chroot`.
    pub(super) fn set_root(&mut self, root: Vec<u8>) {
        if !root.is_empty() || self.rare.is_some() {
            self.rare_mut().root = root;
        }
    }

    /// What a thread has for itself: begins as what its process is. `None` where there is no room for more.
    pub(super) fn own_mut(&mut self, tid: u32) -> Option<&mut Private> {
        let image = &self.image;
        let private = &mut self.rare.get_or_insert_default().private;
        if let Some(at) = private.iter().position(|p| p.tid == tid) {
            return private.get_mut(at);
        }
        if private.len() >= MAX_PRIVATE {
            return None;
        }
        private.push(Private {
            tid,
            image: image.clone(),
            root: None,
            place: None,
            ids: false,
        });
        private.last_mut()
    }

    /// Gives a thread a working directory and root of its own, as `unshare(CLONE_FS)` does.
    pub(super) fn unshare_fs(&mut self, tid: u32) {
        let root = self.root_of(tid).to_vec();
        if self.threads <= 1 {
            if let Some(rare) = &mut self.rare {
                rare.sharing.place = None;
            }
        } else if let Some(own) = self.own_mut(tid) {
            (own.root, own.place) = (Some(root), None);
        }
    }

    /// A thread made another one, which is in all what the first is.
    pub(super) fn add_thread(&mut self, by: u32, tid: u32) {
        self.threads += 1;
        self.living += 1;
        let Some(rare) = &mut self.rare else { return };
        rare.private.retain(|p| p.tid != tid);
        if let Some(of_maker) = rare.own(by).cloned()
            && rare.private.len() < MAX_PRIVATE
        {
            rare.private.push(Private { tid, ..of_maker });
        }
    }

    /// Forgets what was known of one thread.
    pub(super) fn end_thread(&mut self, tid: u32) {
        self.end_apart(tid);
        if let Some(rare) = &mut self.rare {
            rare.private.retain(|p| p.tid != tid);
            rare.attempts.retain(|a| a.tid != tid);
        }
    }

    /// The thread that executed a program, in the directory of its own `chroot`, is the only one that is left.
    pub(super) fn leave_one_thread(&mut self, tid: u32) {
        (self.threads, self.living) = (1, 1);
        self.leave_files();
        let root = self.root_of(tid).to_vec();
        let place = self.place_of(tid).cloned();
        self.shares = place.is_some();
        if let Some(rare) = &mut self.rare {
            **rare = Rare {
                root,
                sigreturn: rare.sigreturn,
                sharing: Sharing::of_place(place),
                ..Rare::default()
            };
        }
    }

    /// Remembers an exec call that was entered.
    pub(super) fn begin_attempt(&mut self, attempt: Attempt) {
        let attempts = &mut self.rare_mut().attempts;
        attempts.retain(|a| a.tid != attempt.tid);
        if attempts.len() < MAX_ATTEMPTS {
            attempts.push(attempt);
        }
    }

    /// The exec call that a thread had entered.
    pub(super) fn take_attempt(&mut self, tid: u32) -> Option<Attempt> {
        let attempts = &mut self.rare.as_mut()?.attempts;
        let at = attempts.iter().position(|a| a.tid == tid)?;
        Some(attempts.swap_remove(at))
    }
}

impl Rare {
    fn bytes_of_texts(&self) -> usize {
        let roots = self
            .private
            .iter()
            .filter_map(|own| own.root.as_ref())
            .chain([&self.root]);
        let places = self.private.iter().map(|own| &own.place).chain([&self.sharing.place]);
        let attempts = self
            .attempts
            .iter()
            .filter_map(|attempt| attempt.filename.as_ref().map(Vec::len));
        let texts = roots.map(Vec::len).chain(attempts);
        texts.chain(places.flatten().map(place_bytes)).sum()
    }

    #[inline(never)]
    fn own(&self, tid: u32) -> Option<&Private> {
        self.private.iter().find(|p| p.tid == tid)
    }
}

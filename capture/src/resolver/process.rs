//! One process as the resolver knows it: its current image and what is not part of an image.

use std::sync::Arc;

use ctrace_trace::process::ProcessImage;

use super::fds::FdTable;

/// Exec attempts of one process that are remembered between entry and result; only threads that call `exec` at the
/// same moment need more than one.
const MAX_ATTEMPTS: usize = 8;
/// Threads with a working directory or ids of their own that are remembered per process.
const MAX_PRIVATE: usize = 256;

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
    /// When it was forked, nanoseconds of the boot clock; 0 when unknown.
    pub(super) start: u64,
    /// When its last thread ended, nanoseconds of the boot clock; `u64::MAX` while it lives.
    pub(super) ended: u64,
    /// Id of its cgroup in the v2 hierarchy.
    pub(super) cgroup: u64,
    /// Directory of its `chroot`; empty for none.
    pub(super) root: Vec<u8>,
    /// Threads it ever had since its last exec, the leader included.
    pub(super) threads: u32,
    /// Threads that it has now, as far as is known.
    pub(super) living: u32,
    /// Status with which the leader ended, while other threads went on.
    pub(super) leader_status: Option<u32>,
    /// Made from a record that came before any that says where it comes from.
    pub(super) provisional: bool,
    /// Used since eviction last looked at it.
    pub(super) touched: bool,
    /// An exec event was made whose `sys_exit` has not come yet.
    pub(super) exec_reported: bool,
    /// The thread that entered `rt_sigreturn` last.
    pub(super) sigreturn: Option<u32>,
    /// Exec calls that were entered and have not returned.
    pub(super) attempts: Vec<Attempt>,
    /// Threads that are not in all what their process is.
    pub(super) private: Vec<Private>,
}

/// An exec call between its entry and its result.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) tid: u32,
    /// Number of the call.
    pub(super) nr: i32,
    pub(super) args: [u64; 6],
    /// The file name as the caller wrote it.
    pub(super) filename: Vec<u8>,
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
    /// Its ids and capabilities are its own: the kernel sets those of the calling thread only.
    pub(super) ids: bool,
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
            root: Vec::new(),
            threads: 1,
            living: 1,
            leader_status: None,
            provisional: false,
            touched: true,
            exec_reported: false,
            sigreturn: None,
            attempts: Vec::new(),
            private: Vec::new(),
        }
    }

    /// Its last thread ended. Gives back what only those need that go on.
    pub(super) fn end(&mut self, ts: u64) {
        self.ended = ts;
        self.fds.forget();
        self.root = Vec::new();
        self.attempts = Vec::new();
    }

    /// The image that a thread acts as.
    #[inline]
    pub(super) fn image_of(&self, tid: u32) -> &Arc<ProcessImage> {
        if self.private.is_empty() {
            return &self.image;
        }
        self.own(tid).map_or(&self.image, |p| &p.image)
    }

    /// The directory of the `chroot` that a thread is in.
    pub(super) fn root_of(&self, tid: u32) -> &[u8] {
        self.own(tid).and_then(|p| p.root.as_ref()).unwrap_or(&self.root)
    }

    #[inline(never)]
    fn own(&self, tid: u32) -> Option<&Private> {
        self.private.iter().find(|p| p.tid == tid)
    }

    /// What a thread has for itself: begins as what its process is. `None` where there is no room for more.
    pub(super) fn own_mut(&mut self, tid: u32) -> Option<&mut Private> {
        if let Some(at) = self.private.iter().position(|p| p.tid == tid) {
            return self.private.get_mut(at);
        }
        if self.private.len() >= MAX_PRIVATE {
            return None;
        }
        self.private.push(Private {
            tid,
            image: self.image.clone(),
            root: None,
            ids: false,
        });
        self.private.last_mut()
    }

    /// Gives a thread a working directory and root of its own, as `unshare(CLONE_FS)` does.
    pub(super) fn unshare_fs(&mut self, tid: u32) {
        let root = self.root_of(tid).to_vec();
        if self.threads > 1
            && let Some(own) = self.own_mut(tid)
        {
            own.root = Some(root);
        }
    }

    /// A thread made another one, which is in all what the first is.
    pub(super) fn add_thread(&mut self, by: u32, tid: u32) {
        self.threads += 1;
        self.living += 1;
        self.private.retain(|p| p.tid != tid);
        if let Some(of_maker) = self.own(by).cloned()
            && self.private.len() < MAX_PRIVATE
        {
            self.private.push(Private { tid, ..of_maker });
        }
    }

    /// Forgets what was known of one thread.
    pub(super) fn end_thread(&mut self, tid: u32) {
        self.private.retain(|p| p.tid != tid);
        self.attempts.retain(|a| a.tid != tid);
    }

    /// Remembers an exec call that was entered.
    pub(super) fn begin_attempt(&mut self, attempt: Attempt) {
        self.attempts.retain(|a| a.tid != attempt.tid);
        if self.attempts.len() < MAX_ATTEMPTS {
            self.attempts.push(attempt);
        }
    }

    /// The exec call that a thread had entered.
    pub(super) fn take_attempt(&mut self, tid: u32) -> Option<Attempt> {
        let at = self.attempts.iter().position(|a| a.tid == tid)?;
        Some(self.attempts.swap_remove(at))
    }
}

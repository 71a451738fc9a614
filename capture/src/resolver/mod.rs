//! From raw kernel records to resolved events: which process, in which container, which file.
//!
//! [`Resolver::record`] takes records in the order of their time, as near as the caller can bring them; a record that
//! comes late is still put to the process that made it. State changes first, so that an event shows the process and the
//! descriptor as they are after the call; only `close` shows what is closed.
//!
//! What is shown where it could be otherwise:
//!
//! - Paths are in the view of the process's mount namespace, the kernel's own where a file was opened or executed; one
//!   that could not be made absolute does not begin with a slash. Of other files they lead
//!   through no symbolic link, as far as records or the host tell of them and the call did not fail.
//! - A parent is the process that forked, also after it ended and the kernel handed the child on. Chains of parents
//!   are cut to at most 32 images.
//! - Who shares a table of descriptors, or a directory, is what the kernel says at each fork (`CLONE_FILES`, `CLONE_FS`), and
//!   changes by `unshare`, `close_range` and exec; threads need not share, and processes may. Of what began before the
//!   recording threads are taken to share both, and processes neither. A directory that another process changed is shown from
//!   the next call on.
//! - Ids and capabilities are a thread's own; those that differ before the recording begins are seen as the leader's.
//! - Of descriptors that come with a message the record of `recvmsg` tells which files the first eight are, and the path of
//!   the first. For the names of the others, and at their first use for those that `recvmmsg` and io_uring bring, the host is
//!   asked.
//! - A request of io_uring is two events at the time of its completion: itself, and the syscall that does the same, with
//!   the thread that submitted it. Those on the ring's own files, which have no descriptors, are the first one only.
//! - A `socketcall` of a 32-bit program is told as the call that it makes, unless there is none or its arguments cannot be
//!   read; of `ipc` the first argument alone is told.

mod action;
mod address;
mod budget;
mod call;
mod clock;
mod closed;
mod config;
mod containers;
mod environment;
mod exec;
mod fds;
mod files;
mod gone;
mod identity;
mod image;
mod io_uring;
mod kept;
mod lately;
mod life;
mod links;
mod magic;
mod monitor;
mod names;
mod opened;
mod paths;
mod plan;
mod proc;
mod process;
mod rights;
mod seen;
mod sharing;
mod snapshot;
mod sockets;
mod spare;
mod state;
mod syscalls;
mod table;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::{EventSpec, FdUse, Schema};
use ctrace_wire::record::{Cgroup, Exit, Header};
use ctrace_wire::section;
use ctrace_wire::spec::{ALL_FDS, CLOSED, COPY, PAIR, RESULT};

pub use clock::Clock;
pub(crate) use clock::same_start;
pub use config::{Config, Stats};
pub(crate) use files::file_identity;
pub(crate) use opened::path_of_object;
pub(crate) use paths::{PATH_LIMIT, resolve as resolve_path};
pub use proc::ProcHost;
pub use snapshot::{Directories, Host, NoHost, ProcessState, Snapshot, SnapshotFd, SnapshotProcess};

use crate::docker::Init;
use crate::syscall::{Record, View};
use action::Action;
use call::Scratch;
use io_uring::Requests;
use plan::Plans;
use process::Process;
use state::State;

/// What takes the events of rarer records: called, so that the code of these is there once. The short ways are made anew for
/// each that takes events.
type Sink<'a> = dyn FnMut(&Event<'_>) + 'a;

/// Turns records into events.
pub struct Resolver {
    plans: Plans,
    state: State,
    requests: Requests,
    scratch: Scratch,
}

impl Resolver {
    /// A resolver that starts from what was there, and asks `host` for what it missed.
    pub fn new(config: Config, snapshot: Snapshot, host: Box<dyn Host>) -> Resolver {
        let mut state = State::new(config, host);
        state.begin(snapshot);
        Resolver {
            plans: Plans::new(&Schema::current()),
            state,
            requests: Requests::default(),
            scratch: Scratch::default(),
        }
    }

    /// Takes a record and hands what it means to `sink`: no event, one, or for the end of a process two: the call that
    /// ended it, and the end.
    ///
    /// Inlined: to get in and out would be a tenth of what most records take.
    #[inline(always)]
    pub fn record(&mut self, record: &Record<'_>, clock: &Clock, sink: &mut impl FnMut(&Event<'_>)) {
        if let Record::Syscall(view) = record {
            self.state.table.expire(view.fixed.header.ts);
            if !self.plain(view, clock, sink) {
                self.syscall(view, clock, sink);
            }
        } else {
            self.other(record, clock, sink);
        }
    }

    /// Takes a record of anything but a syscall's return.
    #[inline(never)]
    fn other(&mut self, record: &Record<'_>, clock: &Clock, sink: &mut Sink<'_>) {
        self.state.table.expire(record.header().ts);
        self.state.keep_within_budget();
        match record {
            Record::Syscall(_) => {}
            Record::SyscallEnter(view) => self.enter(view),
            Record::Exec(view) => self.exec(view, clock, sink),
            Record::Fork(view) => self.state.fork(view.fixed, clock),
            Record::Exit(view) => self.exit(view.fixed, clock, sink),
            Record::CgroupMkdir(view) => self.cgroup(view),
            Record::CgroupRmdir(view) => self.cgroup_removed(view.fixed),
            Record::IoSubmit(view) => self.submitted(view, clock, sink),
            Record::IoComplete(view) => self.completed(view, clock, sink),
        }
    }

    /// Takes over what an engine says of a container. Processes in it get new images.
    pub fn container(&mut self, container: Arc<Container>) {
        if !self.state.containers.update(&container) {
            return;
        }
        let is_in = |image: &ProcessImage| image.container.as_ref().is_some_and(|c| c.id == container.id);
        for pid in self.state.table.pids_where(|p| is_in(&p.image)) {
            let start = self.state.table.latest(pid).map_or(0, |p| p.start);
            self.state
                .change(pid, start, |image| image.container = Some(container.clone()));
        }
    }

    /// Takes over which process is a container's first. Where nothing is delegated to an engine, as to a user's own, the
    /// cgroup names no container: its processes are known by their pid namespace then, or by that of their mounts where
    /// the container has no pid namespace of its own.
    pub fn container_started(&mut self, id: &str, init: Init) {
        let own = self.state.own_namespaces(init.pid);
        let inode = if init.owns_pids { own.pid } else { own.mnt };
        if inode != 0 {
            self.container_in_namespace(id, inode);
        }
    }

    fn container_in_namespace(&mut self, id: &str, inode: u32) {
        let container = self.state.containers.learn_namespace(id, inode);
        let is_in = |image: &ProcessImage| {
            let namespaces = &image.namespaces;
            (namespaces.pid == inode || namespaces.mnt == inode) && image.container.is_none()
        };
        for pid in self.state.table.pids_where(|p| is_in(&p.image)) {
            let start = self.state.table.latest(pid).map_or(0, |p| p.start);
            self.state
                .change(pid, start, |image| image.container = Some(container.clone()));
        }
    }

    /// A container ended: the kernel may give the number of its pid namespace to another.
    pub fn container_ended(&mut self, id: &str) {
        self.state.containers.ended(id);
    }

    /// Goes on after calls that change descriptors and directories were not recorded: what is behind descriptors is
    /// forgotten, so that the host is asked anew, and these are the directories of processes at a moment. The working
    /// directories of others are not known any more.
    pub fn resume(&mut self, directories: &BTreeMap<u32, Directories>, ts: u64) {
        let living: Vec<u32> = self.state.table.sorted().iter().map(|p| p.image.pid).collect();
        for pid in living {
            self.state.renew_directories(pid, ts, directories.get(&pid));
        }
        self.state.links.forget();
        self.state.table.each_living().for_each(Process::forget_fds);
    }

    /// The image of the process that has an id now, for events of other sources.
    pub fn image_of(&self, pid: u32) -> Option<Arc<ProcessImage>> {
        self.state.table.latest(pid).map(|p| p.image.clone())
    }

    /// The processes that live, in ascending order of ids, for the start of a segment.
    pub fn snapshot(&self) -> Vec<ProcessState> {
        let states = self.state.table.sorted().into_iter().map(|p| ProcessState {
            image: p.image.clone(),
            fds: self.state.descriptors(p),
        });
        states.collect()
    }

    /// The images of the processes that live, in ascending order of ids.
    pub fn living(&self) -> Vec<Arc<ProcessImage>> {
        let living = self.state.table.sorted();
        living.into_iter().map(|p| p.image.clone()).collect()
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        Stats {
            processes: self.state.table.len() as u64,
            evicted: self.state.table.evicted,
            image_bytes: self.state.table.images.bytes() as u64,
            fd_bytes: self.state.files.bytes.bytes() as u64,
            ..self.state.stats
        }
    }

    fn exit(&mut self, exit: &Exit, clock: &Clock, sink: &mut Sink<'_>) {
        let ended = self.state.exit(exit);
        self.left(exit, clock, sink);
        let Some(ended) = ended else {
            return self.state.forget_thread(&exit.header);
        };
        let (code, signal) = (ended.status >> 8 & 0xff, ended.status & 0x7f);
        let args = [
            i64::from(ended.status),
            // Falco's `ret`: the exit code, -1 where a signal ended the process.
            if signal == 0 { i64::from(code) } else { -1 },
            i64::from(signal),
            i64::from(ended.status >> 7 & 1),
            i64::from(ended.threads),
        ];
        let image = self.state.table.at(exit.header.tgid, exit.header.ts).map(|p| &p.image);
        sink(&Event {
            ret: None,
            ..bare(&exit.header, EventType::PROCEXIT, clock, image, &args.map(Arg::Num))
        });
        self.state.end(exit, &ended);
    }

    fn cgroup(&mut self, view: &View<'_, Cgroup>) {
        // Containers are told apart by the version 2 hierarchy, whose ids records carry.
        if view.fixed.hierarchy == 0
            && let Some(path) = view.section(section::CGROUP_PATH)
        {
            self.state.containers.learn(view.fixed.id, path.data);
        }
    }

    fn cgroup_removed(&mut self, cgroup: &Cgroup) {
        if cgroup.hierarchy == 0 {
            self.state.containers.removed(cgroup.id);
        }
    }
}

/// Whether a syscall has to be seen for processes and descriptors not to be taken for others. What is sent and received
/// only names the ends of sockets, which are also found out otherwise. Without `descriptors` it is processes only.
pub(crate) fn keeps_tables(spec: &EventSpec, descriptors: bool) -> bool {
    let action = Action::of(spec);
    let named = matches!(
        action,
        Action::None | Action::Send | Action::Receive | Action::LocalName | Action::PeerName
    );
    !named && !action.is_about_names() && (descriptors || !action.is_about_descriptors())
}

/// The one descriptor that the kernel side can describe in the record of a syscall, so that no table of descriptors is
/// needed for it: `Ok(None)` where it uses none that was there before, an error where it takes a table. With many calls
/// a table costs less than describing.
pub(crate) fn only_descriptor(spec: &EventSpec, is_mass: bool) -> Result<Option<u8>, NeedsTable> {
    let plan = plan::Plan::new(spec);
    let own = match plan.fd {
        FdUse::Arg(at) => Some(at),
        FdUse::Ret | FdUse::None => None,
    };
    let mut used: Vec<u8> = plan.paths.iter().filter_map(|path| path.dirfd).chain(own).collect();
    used.dedup();
    match used[..] {
        [] if plan.action.needs_no_descriptor() => Ok(None),
        [at] if plan.fd != FdUse::Ret && !is_mass && !plan.action.is_about_descriptors() => Ok(Some(at)),
        _ => Err(NeedsTable),
    }
}

/// A syscall cannot be told without a table of descriptors.
#[derive(Debug)]
pub(crate) struct NeedsTable;

/// What of a syscall's descriptors the kernel side has to confirm, because a result may be made up (a `fd` of
/// [`SyscallSpec`](ctrace_wire::spec::SyscallSpec)).
pub(crate) fn confirmed(spec: &EventSpec) -> Option<u8> {
    Some(match Action::of(spec) {
        Action::Close => CLOSED,
        Action::Dup(_) | Action::Fcntl => COPY,
        Action::CloseRange => ALL_FDS,
        Action::Pipe(_) | Action::SocketPair => PAIR,
        Action::Anonymous(..) => RESULT,
        _ => return None,
    })
}

/// Whether a syscall may change the ids or capabilities of its caller.
pub(crate) fn changes_ids(spec: &EventSpec) -> bool {
    matches!(
        Action::of(spec),
        Action::SetIds | Action::SetNamespace | Action::Unshare
    )
}

/// Whether a syscall may change the directory from which its caller's names lead on.
pub(crate) fn changes_directory(spec: &EventSpec) -> bool {
    let action = Action::of(spec);
    action.moves_caller() && action != Action::Chroot
}

/// Whether a syscall may change the root directory of its caller, and not the working directory.
pub(crate) fn changes_root(spec: &EventSpec) -> bool {
    Action::of(spec) == Action::Chroot
}

/// The argument with the directory from which relative names of a syscall lead on, or
/// [`NO_FD`](ctrace_wire::spec::NO_FD) for the working directory. `None` where the syscall has no names, makes a
/// descriptor of what they mean, or only looks at it.
pub(crate) fn names_from(spec: &EventSpec) -> Option<u8> {
    plan::Plan::new(spec).base
}

/// An event with neither result nor descriptor.
fn bare<'a>(
    header: &Header,
    kind: EventType,
    clock: &Clock,
    image: Option<&'a Arc<ProcessImage>>,
    args: &'a [Arg<'a>],
) -> Event<'a> {
    Event {
        ts: clock.utc(header.ts),
        kind,
        cpu: header.cpu,
        tid: header.tid,
        image,
        ret: None,
        latency: None,
        fd_num: None,
        fd: None,
        args,
        data: &[],
    }
}

#[cfg(test)]
mod tests;

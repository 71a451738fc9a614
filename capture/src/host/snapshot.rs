//! The state of the host at the start of a recording.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use ctrace_trace::process::ProcessImage;

use super::cgroup::container_of;
use super::cgroup_tree::CgroupTree;
use super::clock::{Clock, utc_ns};
use super::facts::HostFacts;
use super::fd::read_fds;
use super::modules::{Module, read_modules};
use super::mounts::{Mount, read_mounts};
use super::names::Names;
use super::process::{EnvSelection, HostProcess, cut_strings, read_process};
use super::procfs::numbers;
use super::sockets::Sockets;
use super::systemd::{Units, read_units};

/// Most processes that are kept.
const MAX_PROCESSES: usize = 500_000;
/// Most bytes of all command lines and environments together; of those that would take more the beginning is kept.
const MAX_STRINGS: usize = 64 << 20;
/// So much of each.
const BEGINNING: usize = 256;
/// Descriptors of no more processes are read when those that were take so many bytes.
const MAX_FDS: usize = 128 << 20;

/// What /proc and the host's files say at one moment, in order of volatility: processes and sockets first.
#[derive(Clone, Debug)]
pub struct HostState {
    /// When reading began: nanoseconds since the Unix epoch.
    pub taken_ts: u64,
    /// Running processes by id.
    pub processes: Vec<HostProcess>,
    /// Whether descriptors of some were not read, because there were too many.
    pub lacks_fds: bool,
    /// Sockets of every network namespace in which a process runs.
    pub sockets: Sockets,
    /// Sockets of the host's own network namespace that wait for connections.
    pub listening: Vec<ctrace_trace::fd::Socket>,
    /// cgroups of version 2.
    pub cgroups: CgroupTree,
    /// The host's mounts.
    pub mounts: Vec<Mount>,
    /// Loaded modules.
    pub modules: Vec<Module>,
    /// The host's users and groups.
    pub names: Names,
    /// Who the host is.
    pub facts: HostFacts,
    /// Units of systemd; `None` on a host without.
    pub units: Option<Units>,
}

impl HostState {
    /// Reads all of it. A process that ends meanwhile is left out.
    pub fn read(clock: &Clock, env: &EnvSelection) -> HostState {
        let taken_ts = utc_ns();
        let mut processes = read_processes(clock, env);
        let sockets = read_sockets(&processes);
        let lacks_fds = !add_fds(&mut processes, &sockets, MAX_FDS);
        let mut own = Sockets::default();
        own.read(std::process::id(), 0);
        let cgroups = CgroupTree::read();
        number_cgroups(&mut processes, &cgroups);
        let names = Names::read(Path::new("/"));
        name_ids(&mut processes, &names);
        HostState {
            taken_ts,
            processes,
            lacks_fds,
            sockets,
            listening: own.listening(),
            cgroups,
            mounts: read_mounts(std::process::id()),
            modules: read_modules(),
            names,
            facts: HostFacts::read(clock),
            units: read_units(),
        }
    }
}

/// All processes without their descriptors, in ascending order of ids. One that ends meanwhile is left out.
pub fn read_processes(clock: &Clock, env: &EnvSelection) -> Vec<HostProcess> {
    let mut pids = numbers("/proc");
    pids.truncate(MAX_PROCESSES);
    let taken = AtomicUsize::new(0);
    side_by_side(&mut pids, |pid| {
        let mut process = read_process(*pid, clock, env)?;
        bound_strings(&mut process.image, &taken, MAX_STRINGS);
        Some(process)
    })
}

/// Adds the descriptors of processes; `false` where some were left out to keep memory bounded.
fn add_fds(processes: &mut [HostProcess], sockets: &Sockets, most: usize) -> bool {
    let taken = AtomicUsize::new(0);
    let left_out = side_by_side(processes, |process| {
        if process.is_kernel_thread {
            return None;
        }
        if taken.load(Ordering::Relaxed) > most {
            return Some(());
        }
        process.fds = read_fds(process.image.pid, sockets);
        let names = process.fds.iter().map(|fd| fd.entry.name.len());
        let bytes = size_of_val(&process.fds[..]) + names.sum::<usize>();
        taken.fetch_add(bytes, Ordering::Relaxed);
        None
    });
    left_out.is_empty()
}

/// Leaves the beginning of a command line and an environment that are longer than what is left for all.
fn bound_strings(image: &mut ProcessImage, taken: &AtomicUsize, most: usize) {
    for strings in [&mut image.argv, &mut image.env] {
        if strings.len() > most.saturating_sub(taken.load(Ordering::Relaxed)) {
            cut_strings(strings, BEGINNING);
        }
        taken.fetch_add(strings.len(), Ordering::Relaxed);
    }
}

/// What is made of each item, in their order: by several threads where there are many. Whoever starts a recording waits
/// for this, and the kernel answers several readers of /proc at once.
fn side_by_side<T: Send, R: Send>(items: &mut [T], make: impl Fn(&mut T) -> Option<R> + Sync) -> Vec<R> {
    /// So many are taken at a time; of fewer a thread is not worth its start.
    const PART: usize = 64;
    const MOST_THREADS: usize = 4;
    let threads = available_parallelism().map_or(1, NonZero::get);
    let threads = threads.min(MOST_THREADS).min(items.len().div_ceil(PART));
    let parts = Mutex::new(items.chunks_mut(PART).enumerate());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut made = Vec::new();
        while let Some((at, part)) = next() {
            made.push((at, part.iter_mut().filter_map(&make).collect::<Vec<R>>()));
        }
        made
    };
    let mut made = thread::scope(|scope| {
        // Where no thread can be had, this one does it all.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(spawn).collect();
        let mut made = work();
        for other in others {
            made.extend(other.join().unwrap_or_else(|cause| resume_unwind(cause)));
        }
        made
    });
    made.sort_unstable_by_key(|(at, _)| *at);
    made.into_iter().flat_map(|(_, part)| part).collect()
}

/// The tables of each network namespace, read through one of its processes.
fn read_sockets(processes: &[HostProcess]) -> Sockets {
    let mut sockets = Sockets::default();
    for process in processes.iter().filter(|p| !p.is_kernel_thread) {
        sockets.read(process.image.pid, process.image.namespaces.net);
    }
    sockets
}

fn number_cgroups(processes: &mut [HostProcess], cgroups: &CgroupTree) {
    let ids: BTreeMap<&[u8], u64> = cgroups.iter().map(|(id, path)| (path, id)).collect();
    for process in processes {
        process.cgroup_id = ids.get(process.image.cgroup.as_slice()).copied().unwrap_or(0);
    }
}

/// Names of users and groups. Those of a container are its own, which the host's files do not tell.
fn name_ids(processes: &mut [HostProcess], names: &Names) {
    for image in processes.iter_mut().map(|p| &mut p.image) {
        image.login_user = names.user(image.loginuid).to_vec();
        if container_of(&image.cgroup).is_none() {
            image.user = names.user(image.euid).to_vec();
            image.group = names.group(image.egid).to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_are_kept_while_there_is_room_for_all() {
        let taken = AtomicUsize::new(0);
        let cut = |argv: usize| {
            let mut image = ProcessImage {
                argv: vec![b'x'; argv].into(),
                ..ProcessImage::default()
            };
            bound_strings(&mut image, &taken, 1000);
            (image.argv.len(), image.argv.ends_with(b"..."))
        };
        assert_eq!([600, 600, 100].map(cut), [(600, false), (256, true), (100, false)]);
    }

    #[test]
    fn what_is_made_side_by_side_has_the_order_of_its_items() {
        for many in [0, 1, 63, 64, 65, 1000] {
            let mut items: Vec<usize> = (0..many).collect();
            let odd = side_by_side(&mut items, |item| {
                *item += 1;
                (*item % 2 == 1).then_some(*item)
            });
            assert!(odd.into_iter().eq((1..=many).step_by(2)));
            assert!(items.into_iter().eq(1..=many), "each once");
        }
    }
}

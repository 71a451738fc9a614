//! The state of the host at the start of a recording.

use std::collections::BTreeMap;
use std::path::Path;

use super::cgroup::container_of;
use super::cgroup_tree::CgroupTree;
use super::clock::{Clock, utc_ns};
use super::facts::HostFacts;
use super::fd::read_fds;
use super::modules::{Module, read_modules};
use super::mounts::{Mount, read_mounts};
use super::names::Names;
use super::process::{EnvSelection, HostProcess, read_process};
use super::procfs::numbers;
use super::sockets::Sockets;
use super::systemd::{Units, read_units};

/// Most processes that are kept.
const MAX_PROCESSES: usize = 500_000;

/// What /proc and the host's files say at one moment, in order of volatility: processes and sockets first.
#[derive(Clone, Debug)]
pub struct HostState {
    /// When reading began: nanoseconds since the Unix epoch.
    pub taken_ts: u64,
    /// Running processes by id.
    pub processes: Vec<HostProcess>,
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
        for process in processes.iter_mut().filter(|p| !p.is_kernel_thread) {
            process.fds = read_fds(process.image.pid, &sockets);
        }
        let mut own = Sockets::default();
        own.read(std::process::id(), 0);
        let cgroups = CgroupTree::read();
        number_cgroups(&mut processes, &cgroups);
        let names = Names::read(Path::new("/"));
        name_ids(&mut processes, &names);
        HostState {
            taken_ts,
            processes,
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
    let pids = numbers("/proc").into_iter().take(MAX_PROCESSES);
    pids.filter_map(|pid| read_process(pid, clock, env)).collect()
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

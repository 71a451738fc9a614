//! This host: who it is, what runs on it, and how its clocks relate. Read from /proc, /sys and /etc; pure parsing is
//! apart from reading.

mod activation;
mod cgroup;
mod cgroup_tree;
mod clock;
mod dbus;
mod facts;
mod fd;
mod memory;
mod modules;
mod mounts;
mod names;
mod priority;
mod process;
mod procfs;
mod real_path;
mod segment;
mod snapshot;
mod sockets;
mod stored;
mod systemd;

pub(crate) use activation::OnDemand;
pub use cgroup::container_of;
pub use cgroup_tree::CgroupTree;
pub use clock::{Clock, Step, audit_utc_ns, boot_time_ns, utc_ns};
pub(crate) use clock::{Slept, cpu_time_ns};
pub use facts::HostFacts;
pub(crate) use fd::anonymous;
pub use fd::{HostFd, read_fd, read_fds};
pub(crate) use memory::keep_memory;
pub use modules::{Module, read_modules};
pub use mounts::{Mount, read_mounts};
pub use names::{Group, Names, User};
pub(crate) use priority::{hurry, stand_back};
pub use process::{EnvSelection, HostProcess, read_cgroup, read_process};
pub(crate) use process::{TRUNCATED, cut_strings, namespaces, process_ids, read_directories, read_parent_and_name};
pub(crate) use procfs::numbers;
pub(crate) use real_path::{mount_namespace, real_path};
pub use snapshot::{HostState, read_processes};
pub use sockets::{SocketState, Sockets};
pub(crate) use stored::read_stored;
pub use systemd::Units;

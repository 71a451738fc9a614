//! Whose syscalls the kernel side records: the processes that are there when it begins, and what user space learns later.
//! From then on the kernel side follows forks, program starts and cgroups itself.

use std::{
    os::fd::AsFd,
    sync::atomic::{AtomicU8, Ordering},
};

use aya::maps::{Map, MapData};
use ctrace_wire::scope::{self as wire, IN_CONTAINER, PIDS, WANTED};

use super::mapping::Mapping;
use super::refusal::OpenError;
use crate::host::{container_of, process_ids, read_cgroup, read_parent_and_name};

/// Processes are looked through until nothing new is found, but no more often than this.
const PASSES: u32 = 16;

/// Processes whose syscalls are recorded: those that any of these names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// All that are in containers. [`super::SyscallSource::judge`] takes back what is in others than those that were
    /// asked for.
    pub containers: bool,
    /// Those in these cgroups of the version 2 hierarchy or below, by id and path; at most [`wire::LIST_MAX`].
    pub cgroups: Vec<(u64, Vec<u8>)>,
    /// These, and all that descend from them.
    pub pids: Vec<u32>,
    /// Those of these names, and all that descend from them; at most [`wire::LIST_MAX`]. A name counts when recording begins
    /// and when a program starts.
    pub comms: Vec<Vec<u8>>,
}

impl Scope {
    /// Whether processes have to be watched as they are put into cgroups.
    pub(super) fn names_cgroups(&self) -> bool {
        self.containers || !self.cgroups.is_empty()
    }

    pub(super) fn wire(&self) -> wire::Scope {
        let mut wire = wire::Scope {
            filter: 1,
            containers: u32::from(self.containers),
            ..wire::Scope::EVERYONE
        };
        for (to, (id, _)) in wire.cgroups.iter_mut().zip(&self.cgroups) {
            *to = *id;
        }
        for (to, name) in wire.comms.iter_mut().zip(&self.comms) {
            *to = comm(name);
        }
        wire
    }

    /// The bits of a process by what /proc says of itself.
    fn bits(&self, pid: u32, name: &[u8]) -> u8 {
        let path = if self.names_cgroups() { read_cgroup(pid) } else { None };
        let path = path.unwrap_or_default();
        let mut bits = 0;
        if self.containers && container_of(&path).is_some() {
            bits |= IN_CONTAINER;
        }
        let named = self.pids.contains(&pid) || self.comms.iter().any(|comm| comm == name);
        if named || self.cgroups.iter().any(|(_, cgroup)| is_below(&path, cgroup)) {
            bits |= WANTED;
        }
        bits
    }
}

/// Whether a cgroup is another one or lies below it.
pub(crate) fn is_below(path: &[u8], above: &[u8]) -> bool {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A name as the kernel keeps it: at most fifteen bytes.
fn comm(name: &[u8]) -> [u64; 2] {
    let mut padded = [0; 16];
    for (to, byte) in padded.iter_mut().take(15).zip(name) {
        *to = *byte;
    }
    let half = |at: usize| {
        padded
            .iter()
            .skip(at)
            .take(8)
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    [half(0), half(8)]
}

/// Marks the processes that are there. They go on forking meanwhile: a child made after its parent was marked is marked
/// by the kernel side, one made before shows in the next pass.
pub(super) fn seed(table: &ProcessTable, scope: &Scope) {
    for _ in 0..PASSES {
        let mut news = false;
        for pid in process_ids() {
            let Some((parent, name)) = read_parent_and_name(pid) else {
                continue;
            };
            let bits = scope.bits(pid, &name) | table.get(parent) & WANTED;
            news |= table.add(pid, bits);
        }
        if !news {
            return;
        }
    }
}

/// See [`super::SyscallSource::judge`].
pub(super) fn judge(table: &ProcessTable, pid: u32, container: &str, wanted: bool) {
    if wanted {
        table.add(pid, IN_CONTAINER);
    } else if table.get(pid) & IN_CONTAINER != 0 {
        table.clear(pid, IN_CONTAINER);
        // The process may have ended, and its id be another's by now.
        let path = read_cgroup(pid).unwrap_or_default();
        if container_of(&path).is_some_and(|(_, id)| id != container) {
            table.add(pid, IN_CONTAINER);
        }
    }
}

/// The bytes of all processes, in memory that the kernel side uses too.
pub(super) struct ProcessTable {
    bytes: Mapping,
    // The programs that are loaded later refer to the map by its descriptor.
    _map: MapData,
}

impl ProcessTable {
    pub(super) fn map(map: Map) -> Result<Self, OpenError> {
        let Map::Array(map) = map else {
            return Err(OpenError::Load("the table of processes is no array".to_owned()));
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let bytes = Mapping::new(map.fd().as_fd(), PIDS as usize, protection, 0).map_err(OpenError::Map)?;
        Ok(Self { bytes, _map: map })
    }

    fn byte(&self, pid: u32) -> Option<&AtomicU8> {
        // SAFETY: the index lies within the mapping, which lives as long as self, and is only used through atomics.
        (pid < PIDS).then(|| unsafe { self.bytes.address().add(pid as usize).cast::<AtomicU8>().as_ref() })
    }

    fn get(&self, pid: u32) -> u8 {
        self.byte(pid).map_or(0, |byte| byte.load(Ordering::Relaxed))
    }

    /// Adds bits; whether one of them was new.
    fn add(&self, pid: u32, bits: u8) -> bool {
        let Some(byte) = self.byte(pid).filter(|_| self.get(pid) & bits != bits) else {
            return false;
        };
        byte.fetch_or(bits, Ordering::Relaxed) & bits != bits
    }

    fn clear(&self, pid: u32, bits: u8) {
        if let Some(byte) = self.byte(pid) {
            byte.fetch_and(!bits, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_as_the_kernel_cuts_it() {
        let [first, second] = comm(b"a-very-long-name-of-a-program");
        assert_eq!(first.to_ne_bytes(), *b"a-very-l");
        assert_eq!(second.to_ne_bytes(), *b"ong-nam\0");
        assert_eq!(comm(b""), [0, 0]);
    }

    #[test]
    fn a_cgroup_is_below_itself_and_its_parents() {
        for (path, above, want) in [
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/a", "/a", true),
            ("/ab", "/a", false),
            ("/", "/a", false),
            ("/a", "/", true),
        ] {
            assert_eq!(is_below(path.as_bytes(), above.as_bytes()), want, "{path} {above}");
        }
    }
}

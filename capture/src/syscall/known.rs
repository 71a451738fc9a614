//! Executed files whose execs need not wake the recorder any more.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{Map, MapData};
use ctrace_wire::known::{self, MARKS};
use ctrace_wire::section::File;

use super::mapping::Mapping;
use super::refusal::OpenError;

/// The table of marks that the kernel side looks at.
pub struct KnownFiles {
    marks: Mapping,
    _map: MapData,
}

impl KnownFiles {
    pub(super) fn map(map: Map) -> Result<Self, OpenError> {
        let Map::Array(map) = map else {
            return Err(OpenError::Load("the table of known files is no array".to_owned()));
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let len = MARKS as usize * size_of::<u64>();
        let marks = Mapping::new(map.fd().as_fd(), len, protection, 0).map_err(OpenError::Map)?;
        Ok(Self { marks, _map: map })
    }

    /// From now on an exec of this file ends no [`super::SyscallSource::wait`], until the file changes or another one
    /// takes its place in the table.
    pub fn add(&self, file: &File) {
        let mark = known::mark(file);
        let at = known::place(mark) as usize;
        // SAFETY: places lie within the mapping, which lives as long as self, and is only used through atomics.
        let place = unsafe { self.marks.address().cast::<AtomicU64>().add(at).as_ref() };
        // The kernel side looks at it on all CPUs: their caches lose what is written.
        if place.load(Ordering::Relaxed) != mark {
            place.store(mark, Ordering::Relaxed);
        }
    }
}

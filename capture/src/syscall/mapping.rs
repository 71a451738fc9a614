//! Memory that is shared with the kernel side.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// A part of a map in this process's memory; gone when dropped.
pub(super) struct Mapping {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an address and a length; who uses the memory does so through atomics or answers for it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps so many bytes of a map, from an offset on.
    pub(super) fn new(map: BorrowedFd<'_>, len: usize, protection: i32, offset: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                offset,
            )
        };
        match NonNull::new(address) {
            Some(address) if address.as_ptr() != libc::MAP_FAILED => {
                // Or the kernel would note of each page, when it is taken away, that it was used: these are never written to
                // a disk. Where that is refused it does.
                // SAFETY: the mapping is new, and stays as it is.
                unsafe { libc::madvise(address.as_ptr(), len, libc::MADV_RANDOM) };
                Ok(Self {
                    address: address.cast(),
                    len,
                })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Where it begins: aligned to pages, valid as long as self.
    pub(super) fn address(&self) -> NonNull<u8> {
        self.address
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and not used after.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

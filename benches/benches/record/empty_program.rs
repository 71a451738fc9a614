//! A program at `sys_exit` that does nothing: what a call costs as soon as anybody looks at calls by a tracepoint.

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: c_int = 5;
const BPF_RAW_TRACEPOINT_OPEN: c_int = 17;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
/// `r0 = 0; exit`
const INSTRUCTIONS: [u64; 2] = [0xb7, 0x95];

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// The same for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
#[derive(Default)]
struct Open {
    name: u64,
    prog_fd: u32,
    unused: u32,
}

/// An attached program; closing it detaches it.
pub(crate) struct EmptyProgram {
    _program: OwnedFd,
    _attached: OwnedFd,
}

impl EmptyProgram {
    /// Loads and attaches it.
    pub(crate) fn attach() -> io::Result<EmptyProgram> {
        let program = bpf(
            BPF_PROG_LOAD,
            &Load {
                prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
                insn_cnt: INSTRUCTIONS.len() as u32,
                insns: INSTRUCTIONS.as_ptr() as u64,
                license: c"GPL".as_ptr() as u64,
                ..Load::default()
            },
        )?;
        let attached = bpf(
            BPF_RAW_TRACEPOINT_OPEN,
            &Open {
                name: c"sys_exit".as_ptr() as u64,
                prog_fd: program.as_raw_fd() as u32,
                ..Open::default()
            },
        )?;
        Ok(EmptyProgram {
            _program: program,
            _attached: attached,
        })
    }
}

fn bpf<T>(command: c_int, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads size_of::<T>() bytes and takes what is missing for zeros; pointers in it are to constants.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attr, size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

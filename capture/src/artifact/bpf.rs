//! The instructions of BPF programs that others loaded, from the kernel (`bpf(2)`).

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// enum bpf_cmd, linux/bpf.h
const PROG_GET_NEXT_ID: libc::c_int = 11;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
/// The verifier's limit is a million instructions of eight bytes.
const MAX_BYTES: u32 = 8 << 20;
/// Most programs that are remembered.
const MAX_PROGRAMS: usize = 65_536;

/// A program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) id: u32,
    /// Name and tag, which is the same for the same program wherever it is loaded: `name tag 0123456789abcdef`.
    pub(super) name: Vec<u8>,
    /// Instructions, or why they are not known.
    pub(super) code: Result<Vec<u8>, String>,
}

/// The programs that are known already.
#[derive(Debug, Default)]
pub(super) struct Programs {
    seen: BTreeSet<u32>,
}

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct Info {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    created_by_uid: u32,
    map_ids_len: u32,
    map_ids: u64,
    name: [u8; 16],
}

impl Programs {
    /// Those that are there now belong to the past.
    pub(super) fn now() -> Programs {
        let mut programs = Programs::default();
        for id in ids() {
            programs.note(id);
        }
        programs
    }

    /// Programs that came since and were loaded up to a time of the boot clock.
    pub(super) fn take(&mut self, until_ns: u64) -> Vec<Program> {
        let mut taken = Vec::new();
        for id in ids() {
            if self.seen.contains(&id) {
                continue;
            }
            // One that has gone between the two questions was told of by nobody.
            let Ok(fd) = open(id) else { continue };
            match describe(&fd, id, until_ns) {
                Ok(None) => {}
                Ok(Some(program)) => {
                    self.note(id);
                    taken.push(program);
                }
                Err(e) => {
                    self.note(id);
                    taken.push(Program {
                        id,
                        name: Vec::new(),
                        code: Err(format!("the kernel does not tell of it: {e}")),
                    });
                }
            }
        }
        taken
    }

    fn note(&mut self, id: u32) {
        // The kernel counts up; the lowest are the oldest.
        if self.seen.len() >= MAX_PROGRAMS {
            self.seen.pop_first();
        }
        self.seen.insert(id);
    }
}

/// The program behind a descriptor; `None` if it was loaded later.
fn describe(fd: &OwnedFd, id: u32, until_ns: u64) -> io::Result<Option<Program>> {
    let mut info = Info::default();
    about(fd, &mut info)?;
    if info.load_time > until_ns {
        return Ok(None);
    }
    let name = CStr::from_bytes_until_nul(&info.name).map_or(&info.name[..], CStr::to_bytes);
    let tag: String = info.tag.iter().map(|b| format!("{b:02x}")).collect();
    let name = [name, b" tag ", tag.as_bytes()].concat();
    Ok(Some(Program {
        id,
        name: name.trim_ascii().to_vec(),
        code: code(fd, info.xlated_len),
    }))
}

fn code(fd: &OwnedFd, len: u32) -> Result<Vec<u8>, String> {
    if len == 0 {
        return Err("the kernel does not show its instructions".to_owned());
    }
    if len > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    let mut code = vec![0_u8; len as usize];
    let mut info = Info {
        xlated_len: len,
        xlated: code.as_mut_ptr().expose_provenance() as u64,
        ..Info::default()
    };
    about(fd, &mut info).map_err(|e| format!("the kernel does not show its instructions: {e}"))?;
    // Where it may not be shown the kernel leaves the pointer out.
    if info.xlated == 0 || info.xlated_len == 0 {
        return Err("the kernel does not show its instructions".to_owned());
    }
    code.truncate(info.xlated_len as usize);
    Ok(code)
}

/// The ids of all programs, in ascending order.
fn ids() -> Vec<u32> {
    let mut ids = Vec::new();
    let mut last = 0_u32;
    // start_id, next_id, open_flags
    while ids.len() < MAX_PROGRAMS {
        let mut question = [last, 0, 0];
        if bpf(PROG_GET_NEXT_ID, &mut question).is_err() {
            break;
        }
        last = question[1];
        ids.push(last);
    }
    ids
}

fn open(id: u32) -> io::Result<OwnedFd> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut [id, 0, 0])?;
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn about(fd: &OwnedFd, info: &mut Info) -> io::Result<()> {
    #[repr(C)]
    struct Question {
        fd: u32,
        len: u32,
        info: u64,
    }
    let info: *mut Info = info;
    let mut question = Question {
        fd: fd.as_raw_fd().cast_unsigned(),
        len: size_of::<Info>() as u32,
        info: info.expose_provenance() as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut question).map(drop)
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: attributes of the size that is given; they, and what they point to, live through the call and are written
    // within the lengths that they state.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

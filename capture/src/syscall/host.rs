//! What this host's kernel offers: structure offsets, clock, version.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, RawFd},
    path::Path,
};

use aya::Ebpf;
use ctrace_wire::{
    offsets::{MISSING, Offsets},
    types::{self, Types},
};

use super::btf::KernelTypes;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Something the host cannot give to the syscall source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A kernel structure has no such member; the fields read from it stay empty.
    Member(String),
    /// An optional program could not be loaded or attached.
    Program {
        /// The program.
        name: &'static str,
        /// Why, in one line.
        reason: String,
    },
    /// The kernel refuses programs that load members of structures by type; without, calls cost more.
    Types(String),
}

impl Missing {
    /// Whether it is a program of that name.
    pub(crate) fn is_program(&self, of: &str) -> bool {
        matches!(self, Self::Program { name, .. } if *name == of)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(path) => write!(f, "kernel structure member {path}"),
            Self::Program { name, reason } => write!(f, "kernel program {name}: {reason}"),
            Self::Types(reason) => write!(
                f,
                "structures of the kernel by type, without which each call costs more: {reason}"
            ),
        }
    }
}

/// The time that records are stamped with: nanoseconds of `CLOCK_BOOTTIME`.
pub fn boot_time_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time is a valid timespec; the call writes it and nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

/// Sum of the kernel's `recursion_misses` over the loaded programs (kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
pub(super) fn skipped_runs(programs: &Ebpf) -> u64 {
    let fds = programs.programs().filter_map(|(_, program)| program.fd().ok());
    fds.filter_map(|fd| recursion_misses(fd.as_fd().as_raw_fd())).sum()
}

/// What the kernel says of one program, by its descriptor.
fn recursion_misses(fd: RawFd) -> Option<u64> {
    // The kernel gives all of it, a few hundred bytes, in one read: neither its length nor its end is asked for.
    let mut info = [0; 1024];
    let len = File::open(format!("/proc/self/fdinfo/{fd}"))
        .and_then(|mut file| file.read(&mut info))
        .ok()?;
    let info = str::from_utf8(info.get(..len)?).ok()?;
    let misses = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    misses.trim().parse().ok()
}

/// Reads the BTF of the running kernel.
pub(super) fn vmlinux_btf() -> io::Result<Vec<u8>> {
    fs::read(Path::new(VMLINUX))
}

/// What the host's type information says.
#[derive(Clone)]
pub(super) struct Described {
    pub(super) offsets: Offsets,
    pub(super) missing: Vec<Missing>,
    pub(super) typing: Typing,
    /// Where requests of io_uring can be seen.
    pub(super) io_uring: Option<IoUring>,
}

/// By what the verifier knows types, so that members are loaded instead of asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Typing {
    pub(super) types: Types,
    /// The id of [`types::CAST`].
    pub(super) cast: Option<u32>,
}

impl Typing {
    /// Everything is asked for.
    pub(super) const NONE: Self = Self {
        types: Types::NONE,
        cast: None,
    };

    fn of(kernel: &KernelTypes<'_>) -> Self {
        let cast = kernel.function_id(types::CAST);
        let task = kernel.function_id(types::CURRENT_TASK);
        let types = Types {
            task: task.and(kernel.structure_id(types::TASK)).unwrap_or(0),
            word: cast.and(kernel.structure_id(types::WORD)).unwrap_or(0),
        };
        Self { types, cast }
    }
}

/// The tracepoints of io_uring, whose arguments changed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IoUring {
    /// The tracepoint that a submitted request passes.
    pub(super) submit: &'static str,
    /// The program that understands the tracepoint of a completed one.
    pub(super) complete: &'static str,
}

/// The kernel's numbers of controllers (include/linux/cgroup-defs.h).
const SUBSYSTEMS: &str = "cgroup_subsys_id";
/// Controllers by which engines bound containers.
const CONTROLLERS: [&str; 5] = ["pids", "memory", "devices", "freezer", "cpu"];

const SUBMIT_REQ: &str = "btf_trace_io_uring_submit_req";
const SUBMIT_SQE: &str = "btf_trace_io_uring_submit_sqe";
const COMPLETE: &str = "btf_trace_io_uring_complete";

impl IoUring {
    /// By the number of arguments (include/trace/events/io_uring.h), the first of which is the tracepoint's own. Before
    /// Linux 6.0 requests were laid out otherwise.
    fn of(types: &KernelTypes<'_>) -> Option<IoUring> {
        let submit = match (types.arguments(SUBMIT_REQ), types.arguments(SUBMIT_SQE)) {
            (Some(2), _) => "io_uring_submit_req",
            (None, Some(3)) => "io_uring_submit_sqe",
            _ => return None,
        };
        let complete = match types.arguments(COMPLETE)? {
            4 => "io_uring_complete_cqe",
            8 => "io_uring_complete",
            _ => return None,
        };
        Some(IoUring { submit, complete })
    }
}

/// Looks everything up; `None` when the bytes are no BTF at all.
pub(super) fn describe(btf: &[u8]) -> Option<Described> {
    let mut wanted: BTreeSet<&str> = Offsets::PATHS
        .iter()
        .flat_map(|(_, paths)| paths.iter())
        .filter_map(|path| path.split('.').next())
        .collect();
    wanted.extend([SUBMIT_REQ, SUBMIT_SQE, COMPLETE, SUBSYSTEMS]);
    wanted.extend([types::CAST, types::CURRENT_TASK, types::TASK, types::WORD]);
    let types = KernelTypes::parse(btf, &wanted.into_iter().collect::<Vec<_>>())?;
    let mut offsets = Offsets::resolve(|paths| paths.iter().find_map(|path| types.find(path)));
    let io_uring = IoUring::of(&types);
    let mut missing: Vec<Missing> = offsets
        .missing()
        // Where there is no such tracepoint, that says it all; and opcodes were added one by one.
        .filter(|paths| {
            !paths
                .iter()
                .any(|path| path.starts_with("io_") || path.starts_with("REQ_F_"))
        })
        .map(|paths| Missing::Member(paths.join(" or ")))
        .collect();
    // Not missing where there are no cgroups of version 1.
    let legacy = legacy_subsystem(&fs::read_to_string("/proc/cgroups").unwrap_or_default(), &types);
    offsets.css_set_subsys = match legacy {
        Some(number) if offsets.css_set_subsys != MISSING => offsets.css_set_subsys + 8 * number,
        _ => MISSING,
    };
    if io_uring.is_none() {
        missing.push(Missing::Program {
            name: "io_uring",
            reason: "the kernel has no tracepoints that show requests (Linux 6.0 and later have, with CONFIG_IO_URING)"
                .to_owned(),
        });
    }
    Some(Described {
        offsets,
        missing,
        typing: Typing::of(&types),
        io_uring,
    })
}

/// The number of a controller that has a hierarchy of version 1 of its own, one in which engines make cgroups for
/// containers (`/proc/cgroups`: a hierarchy of 0 is version 2 or none).
fn legacy_subsystem(cgroups: &str, types: &KernelTypes<'_>) -> Option<u32> {
    let is_legacy = |controller: &str| {
        let mut lines = cgroups.lines().map(|line| line.split_ascii_whitespace());
        let hierarchy = lines.find_map(|mut words| (words.next() == Some(controller)).then(|| words.next()))?;
        hierarchy.filter(|id| *id != "0")
    };
    let found = CONTROLLERS
        .into_iter()
        .find(|controller| is_legacy(controller).is_some())?;
    types.value(SUBSYSTEMS, &format!("{found}_cgrp_id")).filter(|n| *n < 64)
}

/// Release of the running kernel, and whether it is at least 5.8.
pub(super) fn kernel_release() -> (String, bool) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (release, version >= (5, 8))
}

//! Loads the kernel object, attaches its programs and opens its maps.

use std::{error::Error, io};

use aya::{
    Btf, Ebpf, EbpfLoader, Endianness, Pod, VerifierLogLevel,
    maps::{Array, Map, MapData, PerCpuArray, RingBuf},
    programs::{Program, ProgramError},
};
use ctrace_wire::{
    counters::Counters,
    offsets::Offsets,
    section::SNAPLEN_MAX,
    spec::{ENTER, Lane, SCRATCH_PER_CPU, SPEC_COUNT, SyscallSpec},
};
use thiserror::Error;

use super::{Config, LaneTotals, Missing, SyscallSource, host};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/ctrace.bpf.o");

// A verifier log has thousands of lines; its end says what it did not like.
const REASON_MAX: usize = 600;
const RING_MIN: u32 = 64 << 10;
const RING_MAX: u32 = 1 << 31;

/// Why there is no syscall source.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The kernel does not describe its structures.
    #[error("the kernel has no type information at /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF): {0}")]
    NoBtf(#[source] io::Error),
    /// The kernel's type information cannot be read.
    #[error("the kernel's type information at /sys/kernel/btf/vmlinux is damaged")]
    BadBtf,
    /// The kernel refuses programs from this user.
    #[error("the kernel refuses the recording programs: root, or CAP_BPF and CAP_PERFMON, is needed ({0})")]
    NoPrivilege(String),
    /// The kernel lacks what the programs need.
    #[error("Linux {release} is too old, 5.8 or later is needed: {reason}")]
    KernelTooOld {
        /// The running kernel.
        release: String,
        /// What the kernel said.
        reason: String,
    },
    /// The object or one of its maps was refused.
    #[error("the kernel refuses the recording programs: {0}")]
    Load(String),
    /// A program was refused or found no place to attach.
    #[error("kernel program {program}: {reason}")]
    Attach {
        /// The program.
        program: &'static str,
        /// What the kernel said, shortened.
        reason: String,
    },
}

/// What a program cost to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCost {
    /// The program.
    pub name: String,
    /// Instructions that the verifier walked through; Linux 5.16 and later tell.
    pub verified_instructions: Option<u32>,
    /// Bytes of machine code.
    pub jited_bytes: u32,
}

/// [`Counters`] as aya wants map values to be marked.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct CountersValue(Counters);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct SpecValue(SyscallSpec);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct OffsetsValue(Offsets);

// SAFETY: the wire crate guarantees for its Pod types that they are C structs of integers without padding.
unsafe impl Pod for CountersValue {}
// SAFETY: as above.
unsafe impl Pod for SpecValue {}
// SAFETY: as above.
unsafe impl Pod for OffsetsValue {}

/// How a program is attached.
enum Hook {
    /// By type: arguments are checked pointers. Faster to read from, needs the kernel's BTF.
    Typed,
    /// Plain raw tracepoint.
    Raw,
}

struct Attachment {
    program: &'static str,
    tracepoint: &'static str,
    hook: Hook,
    optional: bool,
}

const ATTACHMENTS: [Attachment; 7] = [
    // Life cycle first: a task seen by a syscall should have been seen at its start.
    Attachment {
        program: "process_fork",
        tracepoint: "sched_process_fork",
        hook: Hook::Raw,
        optional: false,
    },
    Attachment {
        program: "process_exec",
        tracepoint: "sched_process_exec",
        hook: Hook::Raw,
        optional: false,
    },
    Attachment {
        program: "process_exit",
        tracepoint: "sched_process_exit",
        hook: Hook::Raw,
        optional: false,
    },
    Attachment {
        program: "cgroup_mkdir",
        tracepoint: "cgroup_mkdir",
        hook: Hook::Raw,
        optional: true,
    },
    Attachment {
        program: "cgroup_rmdir",
        tracepoint: "cgroup_rmdir",
        hook: Hook::Raw,
        optional: true,
    },
    Attachment {
        program: "sys_enter",
        tracepoint: "sys_enter",
        hook: Hook::Typed,
        optional: false,
    },
    Attachment {
        program: "sys_exit",
        tracepoint: "sys_exit",
        hook: Hook::Typed,
        optional: false,
    },
];

pub(super) fn open(config: &Config) -> Result<SyscallSource, OpenError> {
    lift_memory_limit();
    let raw_btf = host::vmlinux_btf().map_err(OpenError::NoBtf)?;
    let (offsets, mut missing) = host::offsets(&raw_btf).ok_or(OpenError::BadBtf)?;
    let btf = Btf::parse(&raw_btf, Endianness::default()).map_err(|_| OpenError::BadBtf)?;
    let mut programs = load_object(config, offsets)?;
    fill_specs(&mut programs, &config.specs)?;
    let counters = PerCpuArray::try_from(take(&mut programs, "COUNTERS")?).map_err(refused)?;
    let priority = RingBuf::try_from(take(&mut programs, "PRIO")?).map_err(refused)?;
    let bulk = RingBuf::try_from(take(&mut programs, "BULK")?).map_err(refused)?;
    let needs_enter = config.specs.iter().any(|spec| spec.flags & ENTER != 0);
    for attachment in ATTACHMENTS
        .iter()
        .filter(|attachment| needs_enter || attachment.program != "sys_enter")
    {
        match attach(&mut programs, attachment, &btf) {
            Ok(()) => {}
            Err(reason) if attachment.optional => {
                missing.push(Missing::Program {
                    name: attachment.program,
                    reason: shorten(&reason.to_string()),
                });
            }
            Err(reason) => return Err(not_attached(attachment.program, &*reason)),
        }
    }
    Ok(SyscallSource {
        programs: Some(programs),
        priority,
        bulk,
        counters,
        missing,
        malformed: 0,
    })
}

fn load_object(config: &Config, offsets: Offsets) -> Result<Ebpf, OpenError> {
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| OpenError::Load(error.to_string()))?;
    let offsets = OffsetsValue(offsets);
    let snaplen = config.snaplen.min(SNAPLEN_MAX);
    EbpfLoader::new()
        // The object has nothing for aya to relocate, and parsing the kernel's BTF again is slow.
        .btf(None)
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("OFFSETS", &offsets, true)
        .override_global("SELF_TGID", &config.self_tgid, true)
        .override_global("SNAPLEN", &snaplen, true)
        .map_max_entries(
            "SCRATCH",
            SCRATCH_PER_CPU.saturating_mul(u32::try_from(cpus).unwrap_or(u32::MAX)),
        )
        .map_max_entries("PRIO", ring_bytes(config.priority_ring_bytes))
        .map_max_entries("BULK", ring_bytes(config.bulk_ring_bytes))
        .load(OBJECT)
        .map_err(refused)
}

fn ring_bytes(asked: u32) -> u32 {
    asked.clamp(RING_MIN, RING_MAX).next_power_of_two()
}

fn fill_specs(programs: &mut Ebpf, specs: &[SyscallSpec]) -> Result<(), OpenError> {
    // Borrowed, not taken: the programs are loaded later and refer to the map by its open descriptor.
    let map = programs.map_mut("SPECS").ok_or_else(|| no_map("SPECS"))?;
    let mut table = Array::<_, SpecValue>::try_from(map).map_err(refused)?;
    for index in 0..SPEC_COUNT {
        let spec = specs.get(index as usize).copied().unwrap_or_default();
        table.set(index, SpecValue(spec), 0).map_err(refused)?;
    }
    Ok(())
}

fn take(programs: &mut Ebpf, name: &str) -> Result<Map, OpenError> {
    programs.take_map(name).ok_or_else(|| no_map(name))
}

fn no_map(name: &str) -> OpenError {
    OpenError::Load(format!("the object has no map {name}"))
}

fn load_program(programs: &mut Ebpf, attachment: &Attachment, btf: &Btf) -> Result<(), Box<dyn Error>> {
    let program = programs.program_mut(attachment.program).ok_or("not in the object")?;
    match (program, &attachment.hook) {
        (Program::BtfTracePoint(program), Hook::Typed) => program.load(attachment.tracepoint, btf)?,
        (Program::RawTracePoint(program), Hook::Raw) => program.load()?,
        _ => return Err(Box::new(ProgramError::UnexpectedProgramType)),
    }
    Ok(())
}

fn attach(programs: &mut Ebpf, attachment: &Attachment, btf: &Btf) -> Result<(), Box<dyn Error>> {
    load_program(programs, attachment, btf)?;
    match programs.program_mut(attachment.program).ok_or("not in the object")? {
        Program::BtfTracePoint(program) => drop(program.attach()?),
        Program::RawTracePoint(program) => drop(program.attach(attachment.tracepoint)?),
        _ => return Err(Box::new(ProgramError::UnexpectedProgramType)),
    }
    Ok(())
}

pub(super) fn totals(counters: &PerCpuArray<MapData, CountersValue>) -> io::Result<Vec<LaneTotals>> {
    let per_cpu = counters.get(&0, 0).map_err(io::Error::other)?;
    let lane = |lane: Lane| {
        per_cpu.iter().zip(0u32..).map(move |(CountersValue(value), cpu)| {
            let [submitted, lost] = match lane {
                Lane::Priority => [value.submitted[0], value.lost[0]],
                Lane::Bulk => [value.submitted[1], value.lost[1]],
            };
            LaneTotals {
                lane,
                cpu,
                submitted,
                lost,
            }
        })
    };
    Ok(lane(Lane::Priority).chain(lane(Lane::Bulk)).collect())
}

pub(super) fn costs(programs: &Ebpf) -> Vec<ProgramCost> {
    let mut costs: Vec<ProgramCost> = programs
        .programs()
        .filter_map(|(name, program)| Some((name, program.info().ok()?)))
        .map(|(name, info)| ProgramCost {
            name: name.to_owned(),
            verified_instructions: info.verified_instruction_count(),
            jited_bytes: info.size_jitted(),
        })
        .collect();
    costs.sort_by(|a, b| a.name.cmp(&b.name));
    costs
}

/// Kernels before 5.11 charge maps to this limit. A refusal is no error: the maps may fit, or need no limit.
fn lift_memory_limit() {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: limit is a valid rlimit that the call only reads.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

fn refused(error: impl Error + 'static) -> OpenError {
    classify(&error).unwrap_or_else(OpenError::Load)
}

fn not_attached(program: &'static str, error: &(dyn Error + 'static)) -> OpenError {
    classify(error).unwrap_or_else(|reason| OpenError::Attach { program, reason })
}

/// Errors with a known cause; the shortened message otherwise.
fn classify(error: &(dyn Error + 'static)) -> Result<OpenError, String> {
    let reason = shorten(&chain(error));
    if os_error(error) == Some(libc::EPERM) {
        return Ok(OpenError::NoPrivilege(reason));
    }
    let (release, recent) = host::kernel_release();
    if recent {
        Err(reason)
    } else {
        Ok(OpenError::KernelTooOld { release, reason })
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn os_error(error: &(dyn Error + 'static)) -> Option<i32> {
    sources(error).find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut messages: Vec<String> = sources(error).map(|error| error.to_string()).collect();
    // Most of aya's errors repeat their source.
    messages.dedup_by(|inner, outer| outer.contains(inner.as_str()));
    messages.join(": ")
}

/// The start and the end of a message, on one line.
fn shorten(message: &str) -> String {
    let line: Vec<char> = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .collect();
    if line.len() <= REASON_MAX {
        return line.into_iter().collect();
    }
    let half = REASON_MAX / 2;
    let start: String = line.iter().take(half).collect();
    let end: String = line.iter().skip(line.len() - half).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_log_is_cut_to_its_start_and_end() {
        let log = format!(
            "refused by the verifier\n{}\nR1 invalid mem access",
            "0: (bf) r6 = r1\n".repeat(5000)
        );
        let short = shorten(&log);
        assert!(short.chars().count() <= REASON_MAX + 3, "{}", short.len());
        assert!(short.starts_with("refused by the verifier 0: (bf)"));
        assert!(short.ends_with("R1 invalid mem access"));
    }

    /// Loads every program with these offsets; the verifier's word decides.
    fn load_all(offsets: Offsets, btf: &Btf) -> Result<(), String> {
        let config = Config {
            bulk_ring_bytes: 0,
            priority_ring_bytes: 0,
            ..Config::default()
        };
        let mut programs = load_object(&config, offsets).map_err(|error| error.to_string())?;
        for attachment in &ATTACHMENTS {
            load_program(&mut programs, attachment, btf)
                .map_err(|error| format!("{}: {}", attachment.program, shorten(&error.to_string())))?;
        }
        Ok(())
    }

    #[test]
    fn needs_root_programs_load_whatever_members_the_host_lacks() {
        // SAFETY: no preconditions.
        let root = unsafe { libc::geteuid() } == 0;
        let (Ok(raw), true) = (host::vmlinux_btf(), root) else {
            println!("skipped: needs root and the kernel's BTF");
            return;
        };
        let btf = Btf::parse(&raw, Endianness::default()).expect("the kernel's BTF");
        let (here, _) = host::offsets(&raw).expect("the kernel's BTF");
        assert_eq!(load_all(here, &btf), Ok(()));
        assert_eq!(load_all(Offsets::MISSING, &btf), Ok(()));
        for (name, _) in Offsets::PATHS {
            assert_eq!(load_all(here.without(name), &btf), Ok(()), "without {name}");
        }
    }

    #[test]
    fn ring_sizes_are_powers_of_two_within_bounds() {
        assert_eq!(ring_bytes(0), RING_MIN);
        assert_eq!(ring_bytes(100_000), 131_072);
        assert_eq!(ring_bytes(u32::MAX), RING_MAX);
    }
}

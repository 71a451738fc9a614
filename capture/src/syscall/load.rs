//! Loads the kernel object, attaches its programs and opens its maps.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::{
    Config, LaneTotals, LeftOut, Missing, Progress, SyscallSource, attach,
    host::{self, Described, Typing},
    known::KnownFiles,
    refusal::{OpenError, refused},
    ring::Ring,
    scope::{self, ProcessTable},
};
use aya::{
    Btf, Ebpf, EbpfLoader, Endianness, Pod, VerifierLogLevel,
    maps::{Array, Map, MapData, PerCpuArray},
};
use ctrace_wire::{
    counters::Counters,
    cpu_ring::CPU_RING_BYTES,
    env::Names,
    offsets::Offsets,
    scope::{PAGE, PIDS},
    section::SNAPLEN_MAX,
    spec::{
        ASKED_WORDS, Asked, COMPAT_SPECS, LEFT_OUT_KINDS, Lane, SCRATCH_PER_CPU, SPEC_COUNT, SyscallSpec, TABLE_SIZE,
        is_asked,
    },
    types::{CALL_PLACE, NO_CALL, Types, call_of},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/ctrace.bpf.o");

/// The section of the one global that is written while the programs run.
const ASKED_MAP: &str = ".data";

const RING_MIN: u32 = 64 << 10;
/// The record of an exec may have 200 KiB.
const PRIORITY_MIN: u32 = 256 << 10;
const RING_MAX: u32 = 1 << 31;

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

#[derive(Clone, Copy)]
#[repr(transparent)]
struct TypesValue(Types);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct NamesValue(Names);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct ScopeValue(ctrace_wire::scope::Scope);

// SAFETY: the wire crate guarantees for its Pod types that they are C structs of integers without padding.
unsafe impl Pod for CountersValue {}
// SAFETY: as above.
unsafe impl Pod for SpecValue {}
// SAFETY: as above.
unsafe impl Pod for OffsetsValue {}
// SAFETY: as above.
unsafe impl Pod for TypesValue {}
// SAFETY: as above.
unsafe impl Pod for ScopeValue {}
// SAFETY: as above.
unsafe impl Pod for NamesValue {}

pub(super) fn open(config: &Config, meanwhile: impl FnMut()) -> Result<SyscallSource, OpenError> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(OpenError::Architecture(std::env::consts::ARCH));
    }
    lift_memory_limit();
    let made = beside("loader", loader)?;
    let btf = host::vmlinux_btf().map_err(OpenError::NoBtf)?;
    let described = host::describe(&btf).ok_or(OpenError::BadBtf)?;
    open_on(&Arc::new(btf), described, made, config, meanwhile)
}

/// Loads and attaches on a host of these types. Where the verifier refuses programs that load members by types, as on a kernel
/// that nobody has tried them on, the source opens without.
fn open_on(
    btf: &Arc<Vec<u8>>,
    mut described: Described,
    made: JoinHandle<EbpfLoader<'static>>,
    config: &Config,
    mut meanwhile: impl FnMut(),
) -> Result<SyscallSource, OpenError> {
    let typed = open_typed(btf, described.clone(), made, config, &mut meanwhile);
    let refusal = match typed {
        Err(error) if described.typing != Typing::NONE && error.is_of_programs() => error,
        settled => return settled,
    };
    described.typing = Typing::NONE;
    described.missing.push(Missing::Types(refusal.to_string()));
    open_typed(btf, described, beside("loader", loader)?, config, &mut meanwhile)
}

fn open_typed(
    btf: &Arc<Vec<u8>>,
    described: Described,
    made: JoinHandle<EbpfLoader<'static>>,
    config: &Config,
    meanwhile: &mut impl FnMut(),
) -> Result<SyscallSource, OpenError> {
    let Described {
        offsets,
        mut missing,
        typing,
        io_uring,
    } = described;
    let btf = Arc::clone(btf);
    let types = beside("types", move || Btf::parse(&btf, Endianness::default()))?;
    let loader = made.join().unwrap_or_else(|_| loader());
    let cpus = cpus()?;
    let of_cpus = cpu_rings(config, cpus);
    let mut programs = load_object(loader, config, offsets, typing, [cpus, of_cpus])?;
    fill_specs(&mut programs, &config.specs)?;
    let counters = PerCpuArray::try_from(take(&mut programs, "COUNTERS")?).map_err(refused)?;
    let mut rings = vec![
        Ring::map(ring(&mut programs, "PRIO")?)?,
        Ring::map(ring(&mut programs, "BULK")?)?,
    ];
    if of_cpus > 0 {
        let Map::Array(map) = take(&mut programs, "CPU_RINGS")? else {
            return Err(no_map("CPU_RINGS"));
        };
        rings.extend(Ring::map_of_cpus(map, of_cpus as usize)?);
    }
    let bell = Ring::map(ring(&mut programs, "BELL")?)?;
    let full = Ring::map(ring(&mut programs, "FULL")?)?;
    let known = KnownFiles::map(take(&mut programs, "KNOWN")?)?;
    let table = match config.scope {
        Some(_) => Some(take(&mut programs, "PROCESSES")?),
        None => None,
    };
    let mut processes = None;
    let needed = attach::needed(config, io_uring);
    let is_last_try = typing == Typing::NONE;
    attach::start(&mut programs, needed, types, &mut missing, is_last_try, || {
        // New processes are followed already, and no syscall of an old one is judged too early.
        meanwhile();
        if let (Some(scope), Some(table)) = (&config.scope, table) {
            let table = processes.insert(ProcessTable::map(table)?);
            scope::seed(table, scope);
        }
        Ok(())
    })?;
    Ok(SyscallSource {
        programs: Some(programs),
        rings,
        bell,
        full,
        known: Some(known),
        counters,
        processes,
        missing,
        smallest_ring: ring_bytes(config.bulk_ring_bytes).min(ring_bytes(config.priority_ring_bytes.max(PRIORITY_MIN))),
        // Of the possible ones most may never be there.
        cpus: aya::util::online_cpus().map_or(cpus, |online| u32::try_from(online.len()).unwrap_or(u32::MAX)),
        malformed: 0,
        progress: Progress::default(),
        filled: Vec::new(),
        skipped: 0,
    })
}

/// Does something that takes a while on a thread of its own.
fn beside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    let named = thread::Builder::new().name(name.to_owned());
    named.spawn(work).map_err(|error| OpenError::Load(error.to_string()))
}

/// A loader as aya makes it, for which it reads and parses the kernel's BTF. The object has nothing to relocate by that, but
/// there is no other way to have one.
fn loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// How many CPUs there may be.
fn cpus() -> Result<u32, OpenError> {
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| OpenError::Load(error.to_string()))?;
    Ok(u32::try_from(cpus).unwrap_or(u32::MAX))
}

/// The kernel object in memory, in words as its instructions are.
struct Object(Vec<u64>);

impl Object {
    /// With calls of the kernel's function of this id where it casts.
    fn with_cast(function: Option<u32>) -> Self {
        let call = function.map_or(NO_CALL, call_of);
        let (words, _) = OBJECT.as_chunks();
        let words = words.iter().map(|word| match u64::from_le_bytes(*word) {
            CALL_PLACE => call,
            other => other,
        });
        Self(words.collect())
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the same memory, whose bytes are all written.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), size_of_val(&*self.0)) }
    }
}

fn load_object(
    loader: EbpfLoader<'static>,
    config: &Config,
    offsets: Offsets,
    typing: Typing,
    [cpus, of_cpus]: [u32; 2],
) -> Result<Ebpf, OpenError> {
    // Of a shorter life: it refers to what follows.
    let mut loader: EbpfLoader<'_> = loader;
    let offsets = OffsetsValue(offsets);
    let snaplen = config.snaplen.min(SNAPLEN_MAX);
    let scope = ScopeValue(
        config
            .scope
            .as_ref()
            .map_or(ctrace_wire::scope::Scope::EVERYONE, scope::Scope::wire),
    );
    let mut names = Names::NONE;
    config.env.iter().for_each(|name| names.add(name));
    let names = NamesValue(names);
    let types = TypesValue(typing.types);
    let object = Object::with_cast(typing.cast);
    let pages = if config.scope.is_some() { PIDS / PAGE } else { 1 };
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("OFFSETS", &offsets, true)
        .override_global("TYPES", &types, true)
        .override_global("SELF_TGID", &config.self_tgid, true)
        .override_global("CPU_RING_COUNT", &of_cpus, true)
        .override_global("SNAPLEN", &snaplen, true)
        .override_global("SCOPE", &scope, true)
        .override_global("ENV_NAMES", &names, true)
        .override_global("IO_OPS", &config.io_opcodes, true)
        .map_max_entries("PROCESSES", pages)
        .map_max_entries("SCRATCH", SCRATCH_PER_CPU.saturating_mul(cpus))
        .map_max_entries("EXEC_SCRATCH", cpus)
        .map_max_entries("CPU_RINGS", of_cpus.max(1))
        .map_max_entries("PRIO", ring_bytes(config.priority_ring_bytes.max(PRIORITY_MIN)))
        .map_max_entries("BULK", ring_bytes(config.bulk_ring_bytes))
        .load(object.bytes())
        .map_err(refused)
}

/// How many processors have a ring of their own, of so many that may be there: those that are there now, and together they
/// take no more than was asked for.
fn cpu_rings(config: &Config, cpus: u32) -> u32 {
    let online = aya::util::online_cpus()
        .ok()
        .and_then(|online| online.into_iter().max());
    let there = online.map_or(cpus, |last| last.saturating_add(1));
    there.min(ring_bytes(config.bulk_ring_bytes) / CPU_RING_BYTES as u32)
}

fn ring_bytes(asked: u32) -> u32 {
    asked.clamp(RING_MIN, RING_MAX).next_power_of_two()
}

pub(super) fn fill_specs(programs: &mut Ebpf, specs: &[SyscallSpec]) -> Result<(), OpenError> {
    let at = |index: u32| specs.get(index as usize).copied().unwrap_or_default();
    // Borrowed, not taken: the programs are loaded later and refer to the map by its open descriptor.
    let map = programs.map_mut("SPECS").ok_or_else(|| no_map("SPECS"))?;
    let mut table = Array::<_, SpecValue>::try_from(map).map_err(refused)?;
    for index in 0..TABLE_SIZE {
        table.set(index, SpecValue(at(index)), 0).map_err(refused)?;
    }
    let mut asked: Asked = [0; ASKED_WORDS];
    for nr in 0..SPEC_COUNT {
        let bit = u64::from(is_asked(nr, &at(nr), &at(nr + COMPAT_SPECS))) << (nr % u64::BITS);
        asked[(nr / u64::BITS) as usize] |= bit;
    }
    let map = programs.map_mut(ASKED_MAP).ok_or_else(|| no_map(ASKED_MAP))?;
    Array::<_, Asked>::try_from(map)
        .and_then(|mut map| map.set(0, asked, 0))
        .map_err(refused)
}

fn take(programs: &mut Ebpf, name: &str) -> Result<Map, OpenError> {
    programs.take_map(name).ok_or_else(|| no_map(name))
}

fn ring(programs: &mut Ebpf, name: &str) -> Result<MapData, OpenError> {
    match take(programs, name)? {
        Map::RingBuf(map) => Ok(map),
        _ => Err(no_map(name)),
    }
}

fn no_map(name: &str) -> OpenError {
    OpenError::Load(format!("the object has no map {name}"))
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

pub(super) fn left_out(counters: &PerCpuArray<MapData, CountersValue>) -> io::Result<Vec<LeftOut>> {
    let per_cpu = counters.get(&0, 0).map_err(io::Error::other)?;
    let of_kind = |kind: usize| {
        per_cpu
            .iter()
            .zip(0u32..)
            .map(move |(CountersValue(value), cpu)| LeftOut {
                kind,
                cpu,
                count: value.left_out.get(kind).copied().unwrap_or(0),
            })
    };
    Ok((0..LEFT_OUT_KINDS).flat_map(of_kind).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use ctrace_wire::env::NAMES_MAX;

    use crate::syscall::refusal::shorten;

    /// This host's types, for root; `None`, and the test says so, where there is none of one of them.
    fn host(test: &str) -> Option<(Vec<u8>, Described)> {
        if !ctrace_skip::is_root(test) {
            return None;
        }
        let Ok(raw) = host::vmlinux_btf() else {
            ctrace_skip::skip(test, "the kernel has no type information");
            return None;
        };
        let described = host::describe(&raw).expect("the kernel's BTF");
        Some((raw, described))
    }

    /// Loads every program on such a host; the verifier's word decides.
    fn load_all(config: &Config, on: &Described, btf: &Btf) -> Result<(), String> {
        let cpus = cpus().map_err(|error| error.to_string())?;
        let mut programs =
            load_object(loader(), config, on.offsets, on.typing, [cpus, 1]).map_err(|error| error.to_string())?;
        for attachment in attach::every(on.io_uring) {
            let program = programs.program_mut(attachment.program).ok_or("not in the object")?;
            attach::load(program, &attachment, Some(btf))
                .map_err(|error| format!("{}: {}", attachment.program, shorten(&error.to_string())))?;
        }
        Ok(())
    }

    #[test]
    fn needs_root_programs_load_whatever_members_the_host_lacks() {
        let Some((raw, here)) = host("needs_root_programs_load_whatever_members_the_host_lacks") else {
            return;
        };
        let btf = Btf::parse(&raw, Endianness::default()).expect("the kernel's BTF");
        let scope = scope::Scope {
            containers: true,
            cgroups: vec![(1, b"/".to_vec())],
            comms: vec![b"sh".to_vec()],
            ..Default::default()
        };
        let everyone = Config {
            bulk_ring_bytes: 0,
            priority_ring_bytes: 0,
            // One more than there is room for.
            env: vec![b"LD_PRELOAD".to_vec(); NAMES_MAX + 1],
            ..Config::default()
        };
        // With a scope nothing of the programs is removed.
        let scoped = Config {
            scope: Some(scope),
            ..everyone.clone()
        };
        // With as many names as there is room for the verifier has the most to follow.
        let named = Config {
            env: vec![b"LD_PRELOAD".to_vec(); NAMES_MAX],
            ..everyone.clone()
        };
        // As before Linux 6.2, and before 5.11.
        let task_only = Typing {
            types: Types {
                task: here.typing.types.task,
                ..Types::NONE
            },
            cast: None,
        };
        for typing in [here.typing, task_only, Typing::NONE] {
            let here = Described { typing, ..here.clone() };
            let lacking = Described {
                offsets: Offsets::MISSING,
                ..here.clone()
            };
            assert_eq!(load_all(&named, &here, &btf), Ok(()), "{typing:?}");
            for config in [&everyone, &scoped] {
                assert_eq!(load_all(config, &here, &btf), Ok(()), "{typing:?}");
                assert_eq!(load_all(config, &lacking, &btf), Ok(()), "{typing:?}");
            }
        }
        for (name, _) in Offsets::PATHS {
            let lacking = Described {
                offsets: here.offsets.without(name),
                ..here.clone()
            };
            assert_eq!(load_all(&scoped, &lacking, &btf), Ok(()), "without {name}");
        }
    }

    #[test]
    fn needs_root_types_that_the_verifier_refuses_are_done_without() {
        let Some((raw, here)) = host("needs_root_types_that_the_verifier_refuses_are_done_without") else {
            return;
        };
        let config = Config {
            bulk_ring_bytes: 0,
            priority_ring_bytes: 0,
            ..Config::default()
        };
        let open = |described: &Described| {
            let mut asked = 0;
            let made = beside("loader", loader).expect("a thread");
            let source = open_on(&Arc::new(raw.clone()), described.clone(), made, &config, || asked += 1);
            let source = source.expect("opens");
            let is_untyped = source.missing().iter().any(|m| matches!(m, Missing::Types(_)));
            (is_untyped, asked)
        };
        assert_eq!(open(&here), (false, 1));
        // No such function: a kernel that has no casts refuses the same instruction.
        let mut refused = here.clone();
        refused.typing.cast = Some(u32::MAX >> 1);
        let (is_untyped, asked) = open(&refused);
        assert!(is_untyped && (1..=2).contains(&asked), "asked {asked} times");
        // No such structure.
        let mut mistaken = here.clone();
        mistaken.typing.types.word = u32::MAX >> 1;
        assert_eq!(open(&mistaken).0, here.typing.cast.is_some());
    }

    #[test]
    fn the_object_has_places_for_casts_and_keeps_all_else() {
        let places = |object: &Object| object.0.iter().filter(|word| **word == CALL_PLACE).count();
        let (words, rest) = OBJECT.as_chunks();
        let built = Object(words.iter().map(|word| u64::from_le_bytes(*word)).collect());
        assert_eq!(rest, [0u8; 0]);
        assert_ne!(places(&built), 0);
        for cast in [None, Some(77)] {
            let object = Object::with_cast(cast);
            let changed = built.0.iter().zip(&object.0).filter(|(built, word)| built != word);
            assert_eq!((places(&object), changed.count()), (0, places(&built)));
        }
    }

    #[test]
    fn ring_sizes_are_powers_of_two_within_bounds() {
        assert_eq!(ring_bytes(0), RING_MIN);
        assert_eq!(ring_bytes(100_000), 131_072);
        assert_eq!(ring_bytes(u32::MAX), RING_MAX);
    }
}

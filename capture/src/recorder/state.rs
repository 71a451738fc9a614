//! What each segment starts from: who recorded what, and the state of the host.
//!
//! Reading /proc takes longer than the rings can be left alone on a busy host, so a thread does it shortly before a
//! segment ends; the next one starts from what that thread read last and says when that was.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ctrace_trace::case::{CaseConfig, Existing, Keep, OnFull, Opener, Opening, Rotation, Summary};
use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{Capture, CaseId, ClockReading, Host, Tool};
use ctrace_trace::snapshot::{AuditState, DockerState, HostSnapshot, ProcessState};

use super::scope::Selection;
use super::sources::{Docker, Sources};
use crate::audit::audit_state;
use crate::host::{Clock, EnvSelection, HostFacts, HostState, boot_time_ns, utc_ns};
use crate::privileges;
use crate::record_args::{self, RecordArgs};
use crate::resolver::{self, ProcHost, Resolver, Snapshot, same_start};
use crate::scope::{self, Scope};
use crate::specs;
use crate::syscall_set::SyscallSet;

/// Records wait for less than this before they are known.
const YOUNG_NS: u64 = 2_000_000_000;

/// The state of the host, kept fresh enough for the next segment.
pub(super) struct States {
    latest: Arc<Mutex<HostSnapshot>>,
    /// What /proc does not tell goes with each order to read again.
    orders: SyncSender<Known>,
    /// Size and time after which a segment ends.
    rotation: Rotation,
    /// Segments begun, bytes and time when the current one began; and whether its successor's state was ordered.
    segment: (u32, u64, u64),
    ordered: bool,
}

/// What the recording told so far.
pub(super) struct Known {
    pub(super) containers: Vec<Container>,
    /// Processes that live, in ascending order of ids.
    pub(super) images: Vec<Arc<ProcessImage>>,
    /// The audit subsystem, where its source tells.
    pub(super) audit: Option<AuditState>,
}

/// What was there when the recording began.
pub(super) struct Beginning {
    state: HostState,
    clock: Clock,
    env: EnvSelection,
}

impl Beginning {
    /// Reads /proc. The kernel programs run already, so that what happens meanwhile is in their records.
    pub(super) fn read(clock: Clock, env: EnvSelection) -> Beginning {
        Beginning {
            state: HostState::read(&clock, &env),
            clock,
            env,
        }
    }

    /// A resolver that knows it, and the processes that had ended by then.
    pub(super) fn resolver(&self, sources: &Sources, asked: &SyscallSet) -> Resolver {
        let host = ProcHost::new(self.env.clone());
        let from_kernel = sources.syscalls.as_ref().map_or(&[][..], |s| s.missing());
        let config = resolver::Config {
            env: self.env.names().map(<[u8]>::to_vec).collect(),
            sees_descriptors: specs::keeps_descriptors(&Schema::current(), asked),
            hears_calls: !from_kernel.iter().any(|missing| missing.is_program("task_rename")),
            ..resolver::Config::default()
        };
        let containers = sources.containers().into_iter().map(Arc::new).collect();
        let mut snapshot = Snapshot::new(&self.state, containers);
        snapshot.add_ended(&sources.earlier);
        let mut resolver = Resolver::new(config, snapshot, Box::new(host));
        for (id, init) in sources.inits() {
            resolver.container_started(id, init);
        }
        resolver
    }

    /// How the case is written.
    pub(super) fn config(&self, args: &RecordArgs, tool: Tool, sources: &Sources) -> io::Result<CaseConfig> {
        let keep = match args.keep {
            None => Keep::All,
            Some(record_args::Keep::Segments(n)) => Keep::Segments(n),
            Some(record_args::Keep::Bytes(n)) => Keep::Bytes(n),
        };
        let rotation = Rotation {
            size: Some(args.rotate_size),
            every_ns: args
                .rotate_every
                .map(|d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
            keep,
        };
        Ok(CaseConfig {
            tool,
            host: host(&self.state.facts),
            capture: capture(args, sources),
            rotation,
            existing: match args.go_on {
                true => Existing::Continue,
                false => Existing::Refuse,
            },
            // Old segments make room where the user allowed to lose them.
            on_full: if args.keep.is_some() {
                OnFull::DropOldest
            } else {
                OnFull::Stop
            },
            max_bytes: args.max_disk,
            ..CaseConfig::new(CaseId::random()?, Schema::current())
        })
    }
}

impl States {
    /// Starts the thread that reads /proc. `images` are the processes as the resolver has them.
    pub(super) fn start(
        beginning: &Beginning,
        sources: &Sources,
        images: &[Arc<ProcessImage>],
        rotation: Rotation,
        scope: &[Scope],
    ) -> io::Result<States> {
        let known = |d: &Docker| Some(d.info.as_ref()?.for_segment(&d.endpoint));
        let docker = sources.docker.first().and_then(known);
        // Whether its records are recorded or not.
        let audit = audit_state().map_err(|e| e.to_string());
        let mut first = beginning
            .state
            .for_segment(sources.containers(), docker.clone(), audit.clone());
        tell_containers(images, &mut first);
        Selection::reduce(scope, &mut first);
        let latest = Arc::new(Mutex::new(first));
        let (orders, inbox) = sync_channel::<Known>(1);
        let (clock, env) = (beginning.clock, beginning.env.clone());
        let (shared, scope) = (latest.clone(), scope.to_vec());
        thread::Builder::new().name("host-state".to_owned()).spawn(move || {
            // Where that is refused it goes on with what it has.
            let _ = privileges::keep_only(privileges::SEE_PROCESSES | privileges::READ_ALL);
            for Known {
                containers,
                images,
                audit: now,
            } in inbox
            {
                let audit = now.map_or_else(|| audit.clone(), Ok);
                let mut state = read(&clock, &env, containers, docker.clone(), audit);
                tell_times(&images, &mut state);
                tell_containers(&images, &mut state);
                Selection::reduce(&scope, &mut state);
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = state;
            }
        })?;
        Ok(States {
            latest,
            orders,
            rotation,
            segment: (0, 0, utc_ns()),
            ordered: false,
        })
    }

    /// What the case writer asks at each new segment.
    pub(super) fn opener(&self) -> Opener {
        let latest = self.latest.clone();
        Box::new(move || Opening {
            clock: reading(),
            state: Some(latest.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        })
    }

    /// The processes that ran when the recording began, as far as they are in its scope.
    pub(super) fn processes(&self) -> Vec<u32> {
        let state = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        state.processes.iter().map(|p| p.pid).collect()
    }

    /// Orders a new reading when the segment nears its end.
    pub(super) fn refresh(&mut self, summary: &Summary, known: impl FnOnce() -> Known) {
        if summary.segments != self.segment.0 {
            self.segment = (summary.segments, summary.bytes, utc_ns());
            self.ordered = false;
        }
        let near = |value: u64, limit: Option<u64>| limit.is_some_and(|limit| value >= limit / 8 * 7);
        let size = summary.bytes.saturating_sub(self.segment.1);
        let age = utc_ns().saturating_sub(self.segment.2);
        if !self.ordered && (near(size, self.rotation.size) || near(age, self.rotation.every_ns)) {
            // A full inbox means that a reading is under way: fresh enough.
            let _ = self.orders.try_send(known());
            self.ordered = true;
        }
    }
}

fn read(
    clock: &Clock,
    env: &EnvSelection,
    containers: Vec<Container>,
    docker: Option<DockerState>,
    audit: Result<AuditState, String>,
) -> HostSnapshot {
    HostState::read(clock, env).for_segment(containers, docker, audit)
}

/// /proc tells starts in hundredths of a second, and no exec at all: a process must not seem to be another one than in
/// its events. One that is so young that its fork may still wait to be recorded is left to that.
fn tell_times(images: &[Arc<ProcessImage>], state: &mut HostSnapshot) {
    let young = state.taken_ts.saturating_sub(YOUNG_NS);
    state.processes.retain_mut(|process| {
        let Some(image) = image_of(images, process) else {
            return process.start_ts < young;
        };
        (process.start_ts, process.exec_ts) = (image.start_ts, image.exec_ts);
        true
    });
}

/// A cgroup does not name every container. What no engine told of one is in the images alone.
fn tell_containers(images: &[Arc<ProcessImage>], state: &mut HostSnapshot) {
    let mut told: BTreeMap<String, Container> = BTreeMap::new();
    for process in state.processes.iter_mut().filter(|p| p.container.is_empty()) {
        let Some(image) = image_of(images, process) else {
            continue;
        };
        if let Some(container) = &image.container {
            process.container.clone_from(&container.id);
            told.entry(container.id.clone())
                .or_insert_with(|| (**container).clone());
        }
    }
    for known in &state.containers {
        told.remove(&known.id);
    }
    state.containers.extend(told.into_values());
    state.containers.sort_by(|a, b| a.id.cmp(&b.id));
}

/// The image of a process, where it is the same process.
fn image_of<'a>(images: &'a [Arc<ProcessImage>], process: &ProcessState) -> Option<&'a Arc<ProcessImage>> {
    let at = images.binary_search_by_key(&process.pid, |image| image.pid).ok()?;
    images
        .get(at)
        .filter(|image| same_start(image.start_ts, process.start_ts))
}

fn reading() -> ClockReading {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let monotonic = time
        .tv_sec
        .unsigned_abs()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec.unsigned_abs());
    ClockReading {
        realtime_ns: utc_ns(),
        monotonic_ns: monotonic,
        boottime_ns: boot_time_ns(),
    }
}

fn host(facts: &HostFacts) -> Host {
    Host {
        name: facts.hostname.clone(),
        machine_id: facts.machine_id.clone(),
        boot_id: facts.boot_id.clone(),
        kernel_release: facts.kernel_release.clone(),
        kernel_version: facts.kernel_version.clone(),
        arch: facts.arch.clone(),
        cpus: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        os: os_name(),
    }
}

/// What the distribution calls itself (`os-release(5)`).
fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(String::new, |name| name.trim_matches('"').to_owned())
}

fn capture(args: &RecordArgs, sources: &Sources) -> Capture {
    let from_kernel = sources.syscalls.as_ref().map_or(&[][..], |s| s.missing());
    let missing = from_kernel.iter().map(|m| ("syscalls".to_owned(), m.to_string()));
    let absent = sources.absent.iter().map(|a| (a.source.to_owned(), a.reason.clone()));
    Capture {
        command_line: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        sources: args.sources.iter().map(|s| s.name().to_owned()).collect(),
        scope: scope::text(&args.scope),
        syscalls: args.syscalls.to_string(),
        snaplen: args.snaplen.bytes,
        missing: absent.chain(missing).collect(),
        ..Capture::default()
    }
}

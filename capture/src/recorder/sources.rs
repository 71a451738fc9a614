//! Opening the sources that were asked for. One that is absent is no error as long as another one is there.

use std::fmt;
use std::thread::{self, ScopedJoinHandle};

use ctrace_trace::container::Container;
use ctrace_trace::schema::Schema;

use crate::audit::rules::RuleFile;
use crate::audit::{AuditFollower, AuditSource, LoadedRules};
use crate::docker::logs::LogFollower;
use crate::docker::{self, DockerFollower, DockerSource, Endpoint, EngineInfo, Init};
use crate::host::{Clock, HostProcess, read_processes, utc_ns};
use crate::record_args::{RecordArgs, SourceArg};
use crate::scope::Scope;
use crate::syscall::{self, SyscallSource};

use super::scope::covers;

/// What events and messages call the rules that were loaded for the recording.
pub(super) const AUDIT_RULES: &str = "audit rules";

/// A source that could not be opened, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its name on the command line.
    pub source: &'static str,
    /// What is missing, as a sentence.
    pub reason: String,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

/// The running Docker source.
pub(super) struct Docker {
    pub(super) follower: DockerFollower,
    /// What it says of itself, where it runs.
    pub(super) info: Option<EngineInfo>,
    /// Why it is not asked yet, if it does not run.
    asleep: Option<String>,
    pub(super) endpoint: String,
    /// What ran when the recording began, with its first process.
    containers: Vec<(Container, Option<Init>)>,
}

/// The running audit source.
pub(super) struct Audit {
    /// First, so that they are gone before nobody listens any more.
    pub(super) rules: Option<LoadedRules>,
    pub(super) follower: AuditFollower,
}

/// The sources that run.
pub(super) struct Sources {
    pub(super) syscalls: Option<SyscallSource>,
    /// Each engine of its own.
    pub(super) docker: Vec<Docker>,
    pub(super) audit: Option<Audit>,
    pub(super) logs: Vec<LogFollower>,
    pub(super) absent: Vec<Absent>,
    /// Processes that ran just before syscalls were recorded; those that have ended since are in no later reading.
    pub(super) earlier: Vec<HostProcess>,
}

impl Sources {
    /// Opens what was asked for.
    pub(super) fn open(args: &RecordArgs) -> Sources {
        let mut sources = Sources {
            syscalls: None,
            docker: Vec::new(),
            audit: None,
            logs: Vec::new(),
            absent: Vec::new(),
            earlier: Vec::new(),
        };
        let wants = |s| args.sources.contains(&s);
        if wants(SourceArg::Audit) {
            let opened = open_audit(args, &mut sources.absent);
            sources.audit = sources.keep("audit", opened);
        } else if args.audit_rules.is_some() {
            sources.absent.push(without_rules("the source audit is not recorded"));
        }
        let mut earlier = Vec::new();
        let read = || earlier = read_processes(&Clock::new(), &args.kept_env());
        // Engines think about their answers while the kernel checks the programs.
        let (engines, logs, syscalls) = thread::scope(|scope| {
            let engines = wants(SourceArg::Docker).then(|| scope.spawn(|| each_engine(args, open_docker)));
            let logs = wants(SourceArg::ContainerLogs)
                .then(|| scope.spawn(|| each_engine(args, |endpoint| open_logs(args, endpoint))));
            let syscalls = wants(SourceArg::Syscalls).then(|| open_syscalls(args, read));
            (opened(engines), opened(logs), syscalls)
        });
        sources.docker = sources.keep_all("docker", engines);
        sources.logs = sources.keep_all(SourceArg::ContainerLogs.name(), logs);
        sources.syscalls = syscalls.and_then(|syscalls| sources.keep("syscalls", syscalls));
        sources.earlier = earlier;
        sources
    }

    fn keep<T>(&mut self, source: &'static str, opened: Result<T, String>) -> Option<T> {
        opened
            .map_err(|reason| self.absent.push(Absent { source, reason }))
            .ok()
    }

    fn keep_all<T>(&mut self, source: &'static str, opened: Vec<Result<T, String>>) -> Vec<T> {
        opened
            .into_iter()
            .filter_map(|opened| self.keep(source, opened))
            .collect()
    }

    /// The containers that ran when the recording began.
    pub(super) fn containers(&self) -> Vec<Container> {
        self.running().map(|(container, _)| container.clone()).collect()
    }

    /// The scopes of single containers that an engine is there for and does not run.
    pub(super) fn unknown<'a>(&self, scopes: &'a [Scope]) -> impl Iterator<Item = &'a Scope> {
        let is_asked = !self.docker.is_empty();
        let single = scopes
            .iter()
            .filter(move |s| is_asked && matches!(s, Scope::Container(_)));
        single.filter(|scope| {
            let scope = std::slice::from_ref(*scope);
            !self.running().any(|(c, _)| covers(scope, &c.id, &c.name))
        })
    }

    /// The first processes of these, by the containers' ids.
    pub(super) fn inits(&self) -> impl Iterator<Item = (&str, Init)> {
        self.running()
            .filter_map(|(container, init)| Some((container.id.as_str(), (*init)?)))
    }

    fn running(&self) -> impl Iterator<Item = &(Container, Option<Init>)> {
        self.docker.iter().flat_map(|d| &d.containers)
    }

    /// Engines that do not run yet; their sources record that they are away.
    pub(super) fn asleep(&self) -> Vec<Absent> {
        let absent = |docker: &Docker| {
            let reason = format!("{}; it is recorded when it runs", docker.asleep.as_ref()?);
            let source = "docker";
            Some(Absent { source, reason })
        };
        self.docker.iter().filter_map(absent).collect()
    }

    /// Names of the sources that run.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let there = [
            ("syscalls", self.syscalls.is_some()),
            ("docker", !self.docker.is_empty()),
            ("audit", self.audit.is_some()),
            (SourceArg::ContainerLogs.name(), !self.logs.is_empty()),
        ];
        there
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| name)
            .collect()
    }
}

fn open_syscalls(args: &RecordArgs, meanwhile: impl FnMut()) -> Result<SyscallSource, String> {
    let config = syscall::Config {
        bulk_ring_bytes: args.buffer,
        specs: crate::specs::recorded(args),
        snaplen: args.snaplen.bytes,
        env: args.kept_env().names().map(<[u8]>::to_vec).collect(),
        io_opcodes: crate::specs::requests(&Schema::current(), &args.syscalls),
        scope: crate::scope::in_kernel(&args.scope)?,
        ..syscall::Config::default()
    };
    SyscallSource::open_after(&config, meanwhile).map_err(|e| e.to_string())
}

fn open_docker(endpoint: Endpoint) -> Result<Docker, String> {
    let address = format!("unix://{}", endpoint.path().display());
    let source = DockerSource::open(endpoint).map_err(|e| e.to_string())?;
    let asleep = source.asleep().map(str::to_owned);
    let info = asleep.is_none().then(|| source.info().clone());
    let since = utc_ns();
    let containers = source.running();
    let follower = source.follow(since).map_err(|e| e.to_string())?;
    Ok(Docker {
        asleep,
        follower,
        containers,
        info,
        endpoint: address,
    })
}

fn open_logs(args: &RecordArgs, endpoint: Endpoint) -> Result<LogFollower, String> {
    let source = DockerSource::open(endpoint).map_err(|e| e.to_string())?;
    let scopes = args.scope.clone();
    let wanted = move |id: &str, name: &str| covers(&scopes, id, name);
    source
        .follow_logs(utc_ns(), Box::new(wanted))
        .map_err(|e| e.to_string())
}

/// What a thread opened, if there is one.
fn opened<T>(thread: Option<ScopedJoinHandle<'_, Vec<Result<T, String>>>>) -> Vec<Result<T, String>> {
    let failed = || vec![Err("the thread that opened it failed".to_owned())];
    thread.map_or_else(Vec::new, |thread| thread.join().unwrap_or_else(|_| failed()))
}

/// Opens something of each engine that is to be asked.
fn each_engine<T>(args: &RecordArgs, open: impl Fn(Endpoint) -> Result<T, String>) -> Vec<Result<T, String>> {
    let environment = std::env::var("DOCKER_HOST").ok();
    match Endpoint::choose(&args.docker_host, environment.as_deref(), docker::sockets) {
        Ok(endpoints) => endpoints.into_iter().map(open).collect(),
        Err(e) => vec![Err(e.to_string())],
    }
}

fn open_audit(args: &RecordArgs, absent: &mut Vec<Absent>) -> Result<Audit, String> {
    // Before the rules, whose loading is recorded too.
    let source = AuditSource::listen_as(args.audit_mode).map_err(|e| e.to_string())?;
    let rules = args.audit_rules.as_ref().and_then(|file| load(file, absent));
    let source = source.enabled().map_err(|e| e.to_string())?;
    let follower = source.follow().map_err(|e| e.to_string())?;
    Ok(Audit { rules, follower })
}

/// Loads rules; those of the host remain where that fails.
fn load(file: &RuleFile, absent: &mut Vec<Absent>) -> Option<LoadedRules> {
    LoadedRules::load(file)
        .map_err(|e| absent.push(without_rules(&e.to_string())))
        .ok()
}

fn without_rules(reason: &str) -> Absent {
    Absent {
        source: AUDIT_RULES,
        reason: reason.to_owned(),
    }
}

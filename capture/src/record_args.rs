//! The arguments of `ctrace record`, shared by the `ctrace` command and the small `ctrace-recorder`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::artifact::Limits;
use crate::audit::Mode;
use crate::audit::rules::{RuleFile, RuleFileError};
use crate::host::EnvSelection;
use crate::scope::Scope;
use crate::snaplen::Snaplen;
use crate::syscall_set::SyscallSet;

/// What to record, where to, and when to stop.
#[derive(Args, Clone, Debug)]
pub struct RecordArgs {
    /// Folder of the case; made if it does not exist, must hold no case yet
    #[arg(short = 'o', long = "output", value_name = "CASE")]
    pub output: PathBuf,

    /// Sources to record; one that is absent is reported and the others go on
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "syscalls,docker,audit",
        value_name = "LIST"
    )]
    pub sources: Vec<SourceArg>,

    /// Whose system calls to record: host, containers, container=ID-or-name, cgroup=PATH, pid=N or comm=NAME; given
    /// more than once, all of them together. pid= and comm= take descendants too. Of the host's other processes nothing
    /// is kept; Docker and audit events are recorded whatever they are about, logs of containers that are named or of all
    #[arg(long, default_value = "host", value_name = "SCOPE")]
    pub scope: Vec<Scope>,

    /// System calls to record: sets (security, all, files, net, process) and names of calls. Others cost a look-up
    #[arg(long, default_value_t = SyscallSet::security(), value_name = "SET,NAME…")]
    pub syscalls: SyscallSet,

    /// Keep this many bytes of each buffer that is read, written, sent or received (at most 4096; not of vectors); after a
    /// colon of which kinds of descriptors: files, net, unix, pipes (256:net,pipes) [default: 0, of all]
    #[arg(long, default_value_t = Snaplen::default(), hide_default_value = true, value_name = "BYTES[:KIND,…]")]
    pub snaplen: Snaplen,

    /// Keep these environment variables of each process, beside LD_PRELOAD and LD_LIBRARY_PATH
    #[arg(long, value_delimiter = ',', value_parser = variable, value_name = "NAME,…")]
    pub env: Vec<String>,

    /// Stop after this long (10s, 5m, 2h)
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub duration: Option<Duration>,

    /// Go on with the case in the folder, where there is one: after a reboot, say
    #[arg(long = "continue")]
    pub go_on: bool,

    /// Begin a new segment when the current one has this size (64MiB, 1GB; at least 1MiB)
    #[arg(long, value_parser = byte_size, default_value = "256MiB", value_name = "SIZE")]
    pub rotate_size: u64,

    /// Begin a new segment after this long (at least 1s)
    #[arg(long, value_parser = rotation, value_name = "TIME")]
    pub rotate_every: Option<Duration>,

    /// Keep at most this many segments, or this much in total (4, 10GiB), and delete the oldest; where the disk is full
    /// they make room too. Without it the recording ends there
    #[arg(long, value_parser = keep, value_name = "N|SIZE")]
    pub keep: Option<Keep>,

    /// Use at most this many hundredths of one core; where more would be needed, leave out reads, writes and the like, then
    /// all that is about files, and record that as gaps. Processes, credentials, connections and sockets always stay
    #[arg(long, value_parser = percent, value_name = "PERCENT")]
    pub max_cpu: Option<f64>,

    /// The case never has more than this; met like a full disk. Without --keep the last fifth is for what matters most: reads,
    /// writes and the like are left out, then all that is about files, and recorded as gaps
    #[arg(long, value_parser = byte_size, value_name = "SIZE")]
    pub max_disk: Option<u64>,

    /// Socket of a Docker or Podman engine; given more than once, all of them [default: $DOCKER_HOST, else every one that
    /// is there: /var/run/docker.sock, /run/podman/podman.sock and those of users below /run/user]
    #[arg(long, value_name = "unix://PATH")]
    pub docker_host: Vec<String>,

    /// How audit records come
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub audit_mode: Mode,

    /// Load these audit rules (auditctl's syntax) for as long as the recording lasts, and undo afterwards all that the file
    /// changed; auditing is switched on where it is off
    #[arg(long, value_parser = audit_rules, value_name = "FILE")]
    pub audit_rules: Option<RuleFile>,

    /// Do not compute the SHA-256 of executed files and modules (done with low priority, once for each file)
    #[arg(long)]
    pub no_hash: bool,

    /// Largest file whose SHA-256 is computed
    #[arg(long, value_parser = any_size, default_value = "256MiB", value_name = "SIZE")]
    pub hash_limit: u64,

    /// Copy into the case, by SHA-256: executed files that are in a container's upper layer, in memory or deleted, kernel
    /// modules and BPF programs that are loaded
    #[arg(long)]
    pub collect: bool,

    /// How much to copy: together, and after a colon of one file
    #[arg(long, value_parser = collect_limit, default_value = "1GiB:128MiB", value_name = "SIZE[:SIZE]")]
    pub collect_limit: Limits,

    /// Kernel buffer for ordinary events; execs, exits and connections have one of their own (power of two)
    #[arg(long, value_parser = ring_size, default_value = "64MiB", value_name = "SIZE")]
    pub buffer: u32,

    /// Record while this command runs, and stop when it ends
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl RecordArgs {
    /// The environment variables to keep.
    pub(crate) fn kept_env(&self) -> EnvSelection {
        EnvSelection::new(self.env.iter().map(String::as_bytes))
    }
}

/// A source as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceArg {
    /// System calls and process life, by eBPF.
    Syscalls,
    /// Docker engine events.
    Docker,
    /// Audit records, by netlink.
    Audit,
    /// What containers in the scope write to their standard output and error, as the Docker engine keeps it.
    ContainerLogs,
}

impl SourceArg {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            SourceArg::Syscalls => "syscalls",
            SourceArg::Docker => "docker",
            SourceArg::Audit => "audit",
            SourceArg::ContainerLogs => "container-logs",
        }
    }
}

/// How much of a case to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// This many segments.
    Segments(u32),
    /// Segments of at most this many bytes together.
    Bytes(u64),
}

fn duration(s: &str) -> Result<Duration, String> {
    let d = humantime::parse_duration(s).map_err(|e| format!("{e} (10s, 5m, 2h)"))?;
    if d.is_zero() {
        Err("must be longer than nothing".to_owned())
    } else {
        Ok(d)
    }
}

fn rotation(s: &str) -> Result<Duration, String> {
    match duration(s)? {
        short if short < Duration::from_secs(1) => Err("must be at least 1s".to_owned()),
        time => Ok(time),
    }
}

fn byte_size(s: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = s.parse().map_err(|e| format!("{e} (64MiB, 1GB)"))?;
    if size.as_u64() < 1 << 20 {
        Err("must be at least 1MiB".to_owned())
    } else {
        Ok(size.as_u64())
    }
}

fn variable(s: &str) -> Result<String, String> {
    match s.is_empty() || s.contains('=') {
        true => Err("takes names of variables, joined by commas, without their values".to_owned()),
        false => Ok(s.to_owned()),
    }
}

fn percent(s: &str) -> Result<f64, String> {
    match s.strip_suffix('%').unwrap_or(s).parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("must be more than 0 and at most 100 (5, 2.5%)".to_owned()),
    }
}

fn any_size(s: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = s.parse().map_err(|e| format!("{e} (64MiB, 1GB)"))?;
    Ok(size.as_u64())
}

fn collect_limit(s: &str) -> Result<Limits, String> {
    let (total, file) = s.split_once(':').unwrap_or((s, s));
    Ok(Limits {
        total: any_size(total)?,
        file: any_size(file)?,
    })
}

/// The kernel takes a power of two that 32 bits hold: half of 4GiB is the largest.
fn ring_size(s: &str) -> Result<u32, String> {
    let size = byte_size(s)?;
    match u32::try_from(size) {
        Ok(size) if size > 1 << 31 => Err("must be at most 2GiB".to_owned()),
        Ok(size) if size.is_power_of_two() => Ok(size),
        Ok(size) => Err(format!(
            "must be a power of two, as {}MiB",
            size.next_power_of_two() >> 20
        )),
        Err(_) => Err("must be at most 2GiB".to_owned()),
    }
}

fn audit_rules(s: &str) -> Result<RuleFile, RuleFileError> {
    RuleFile::read(Path::new(s))
}

fn keep(s: &str) -> Result<Keep, String> {
    match s.parse::<u32>() {
        Ok(0) => Err("must keep at least one segment".to_owned()),
        Ok(n) => Ok(Keep::Segments(n)),
        Err(_) => byte_size(s).map(Keep::Bytes),
    }
}

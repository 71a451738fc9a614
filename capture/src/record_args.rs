//! The arguments of `ctrace record`, shared by the `ctrace` command and the small `ctrace-recorder`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::host::EnvSelection;
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

    /// Whose system calls to record: `host`, `containers` or `container=ID-or-name`. Of the host's other processes a
    /// recording of containers keeps nothing; Docker and audit events are recorded whatever they are about
    #[arg(long, default_value_t = Scope::Host, value_name = "SCOPE")]
    pub scope: Scope,

    /// System calls to record: sets (all, security, files, net, process) and names of calls. Others cost a look-up
    #[arg(long, default_value_t = SyscallSet::all(), value_name = "SET,NAME…")]
    pub syscalls: SyscallSet,

    /// Keep this many bytes of each buffer that is read, written, sent or received (at most 4096; not of vectors)
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=4096), value_name = "BYTES")]
    pub snaplen: u32,

    /// Keep these environment variables of each process, beside LD_PRELOAD and LD_LIBRARY_PATH
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub env: Vec<String>,

    /// Stop after this long (10s, 5m, 2h)
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub duration: Option<Duration>,

    /// Begin a new segment when the current one has this size (64MiB, 1GB; at least 1MiB)
    #[arg(long, value_parser = byte_size, default_value = "256MiB", value_name = "SIZE")]
    pub rotate_size: u64,

    /// Begin a new segment after this long (at least 1s)
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub rotate_every: Option<Duration>,

    /// Keep at most this many segments, or this much in total (4, 10GiB), and delete the oldest
    #[arg(long, value_parser = keep, value_name = "N|SIZE")]
    pub keep: Option<Keep>,

    /// Docker engine's socket [default: $DOCKER_HOST, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "unix://PATH")]
    pub docker_host: Option<String>,

    /// Kernel buffer for ordinary events; execs, exits and connections have one of their own (power of two)
    #[arg(long, value_parser = byte_size, default_value = "64MiB", value_name = "SIZE")]
    pub buffer: u64,

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
    /// Audit records, by netlink multicast.
    Audit,
}

impl SourceArg {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            SourceArg::Syscalls => "syscalls",
            SourceArg::Docker => "docker",
            SourceArg::Audit => "audit",
        }
    }
}

/// Whose system calls are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everyone's.
    Host,
    /// Those of processes in containers.
    Containers,
    /// Those of one container: its name, or at least twelve digits of its id.
    Container(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Host => f.write_str("host"),
            Scope::Containers => f.write_str("containers"),
            Scope::Container(which) => write!(f, "container={which}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(s: &str) -> Result<Scope, String> {
        match (s, s.split_once('=')) {
            ("host", _) => Ok(Scope::Host),
            ("containers", _) => Ok(Scope::Containers),
            (_, Some(("container", which))) if !which.is_empty() => Ok(Scope::Container(which.to_owned())),
            _ => Err("must be host, containers or container=ID-or-name".to_owned()),
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

fn byte_size(s: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = s.parse().map_err(|e| format!("{e} (64MiB, 1GB)"))?;
    if size.as_u64() < 1 << 20 {
        Err("must be at least 1MiB".to_owned())
    } else {
        Ok(size.as_u64())
    }
}

fn keep(s: &str) -> Result<Keep, String> {
    match s.parse::<u32>() {
        Ok(0) => Err("must keep at least one segment".to_owned()),
        Ok(n) => Ok(Keep::Segments(n)),
        Err(_) => byte_size(s).map(Keep::Bytes),
    }
}

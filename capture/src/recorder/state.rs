//! What each segment starts from: who recorded what, and the state of the host.

use std::fs;

use ctrace_trace::case::{CaseConfig, Opening, Rotation};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{Capture, CaseId, ClockReading, Host, Tool};

use super::sources::Sources;
use super::time::utc_now;
use crate::record_args::{Keep, RecordArgs};
use crate::resolver::{self, NoHost, Resolver, Snapshot};
use crate::syscall::boot_time_ns;

pub(super) struct First {
    snapshot: Snapshot,
}

impl First {
    pub(super) fn resolver(self) -> Resolver {
        Resolver::new(resolver::Config::default(), self.snapshot, Box::new(NoHost))
    }
}

pub(super) struct States;

impl States {
    pub(super) fn begin(_: &Sources) -> (States, First) {
        (States, First { snapshot: Snapshot::default() })
    }

    pub(super) fn opener(&self) -> Box<dyn FnMut() -> Opening + Send> {
        Box::new(|| Opening {
            clock: ClockReading { realtime_ns: utc_now(), monotonic_ns: 0, boottime_ns: boot_time_ns() },
            state: None,
        })
    }

    pub(super) fn refresh(&mut self, _: u64) {}
}

pub(super) fn config(args: &RecordArgs, tool: Tool, sources: &Sources) -> CaseConfig {
    let keep = match args.keep {
        None => ctrace_trace::case::Keep::All,
        Some(Keep::Segments(n)) => ctrace_trace::case::Keep::Segments(n),
        Some(Keep::Bytes(n)) => ctrace_trace::case::Keep::Bytes(n),
    };
    CaseConfig {
        tool,
        host: Host { name: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(), ..Host::default() },
        capture: Capture { sources: sources.names().iter().map(|s| (*s).to_owned()).collect(), ..Capture::default() },
        rotation: Rotation {
            size: Some(args.rotate_size),
            every_ns: args.rotate_every.map(|d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
            keep,
        },
        ..CaseConfig::new(CaseId::random().unwrap_or(CaseId([0; 16])), Schema::current())
    }
}

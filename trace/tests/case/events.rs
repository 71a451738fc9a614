//! Events as a recorder would make them, and a case writer for them.

use std::path::Path;
use std::sync::Arc;

use ctrace_trace::case::{CaseConfig, CaseError, CaseWriter, Opening};
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{CaseId, ClockReading};
use ctrace_trace::snapshot::{HostSnapshot, ProcessState};

pub(crate) const START: u64 = 1_700_000_000_000_000_000;
pub(crate) const OPENAT: EventType = EventType(257);

pub(crate) fn config() -> CaseConfig {
    CaseConfig::new(CaseId([7; 16]), Schema::current())
}

pub(crate) fn writer(dir: &Path, config: CaseConfig) -> Result<CaseWriter, CaseError> {
    let mut opened = 0;
    let opener = move || {
        opened += 1;
        let process = ProcessState {
            pid: opened,
            name: b"init".to_vec(),
            ..ProcessState::default()
        };
        let state = HostSnapshot {
            taken_ts: START,
            processes: vec![process],
            ..HostSnapshot::default()
        };
        Opening {
            clock: ClockReading {
                realtime_ns: START,
                ..ClockReading::default()
            },
            state: Some(state),
        }
    };
    CaseWriter::create(dir, config, Box::new(opener))
}

pub(crate) fn image(id: u64, container: Option<Container>) -> Arc<ProcessImage> {
    Arc::new(ProcessImage {
        id,
        pid: 4000 + id as u32,
        start_ts: START - 1000,
        name: format!("proc{id}").into_bytes(),
        exe_path: b"/usr/bin/cat".to_vec(),
        container: container.map(Arc::new),
        ..ProcessImage::default()
    })
}

/// The path that event `n` opens: hard to compress, so that sizes grow with events.
pub(crate) fn path(n: u64) -> String {
    let mut hash = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    format!(
        "/data/{hash:016x}/{:016x}",
        hash.rotate_left(23).wrapping_mul(0x94D0_49BB_1331_11EB)
    )
}

/// Pushes event `n` of a steady stream of opens, `gap_ns` apart.
pub(crate) fn push(writer: &mut CaseWriter, image: &Arc<ProcessImage>, n: u64, gap_ns: u64) -> Result<u64, CaseError> {
    let path = path(n);
    let schema = Schema::current();
    let spec = schema.get(OPENAT).expect("openat is declared");
    let mut args = vec![Arg::None; spec.params.len()];
    let name = spec.param("name").expect("openat has a name");
    args[name] = Arg::Path {
        resolved: path.as_bytes(),
        raw: path.as_bytes(),
    };
    writer.push(&Event {
        ts: START + n * gap_ns,
        kind: OPENAT,
        cpu: (n % 4) as u16,
        tid: image.pid,
        image: Some(image),
        ret: Some(3),
        latency: None,
        fd_num: Some(3),
        fd: None,
        args: &args,
        data: &[],
    })
}

/// Pushes an event without a process, arguments by name.
pub(crate) fn push_other(
    writer: &mut CaseWriter,
    kind: EventType,
    ts: u64,
    image: Option<&Arc<ProcessImage>>,
    named: &[(&str, Arg<'_>)],
) -> Result<u64, CaseError> {
    let schema = Schema::current();
    let spec = schema.get(kind).expect("is declared");
    let mut args = vec![Arg::None; spec.params.len()];
    for (name, value) in named {
        args[spec.param(name).expect("parameter is declared")] = *value;
    }
    writer.push(&Event {
        ts,
        kind,
        cpu: 0,
        tid: image.map_or(0, |i| i.pid),
        image,
        ret: None,
        latency: None,
        fd_num: None,
        fd: None,
        args: &args,
        data: &[],
    })
}

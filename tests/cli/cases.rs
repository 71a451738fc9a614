//! Cases to read: the bundled sample, and small ones that are written here.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ctrace_trace::artifact::Artifact;
use ctrace_trace::case::{CaseConfig, CaseWriter, Opening};
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{CaseId, ClockReading, Host};

use crate::run::folder;

/// 2026-11-21 00:00:00 UTC.
const START: u64 = 1_795_219_200_000_000_000;

/// Names that try to drive a terminal, or to show something else than they are.
pub(crate) const HOSTILE: [&[u8]; 6] = [
    b"\x1b[2J\x1b[31m",
    b"two\nlines\r",
    b"exe\xe2\x80\xaegpj.",
    b"\xc2\x9b31m",
    b"\xff\xfe",
    b"\x7f\x08\x07\"",
];

/// The recorded attack.
pub(crate) fn sample() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/attack/case"))
}

/// A case that is being written.
pub(crate) struct Writing {
    writer: CaseWriter,
    openat: EventType,
    events: u64,
}

impl Writing {
    /// Begins a case in a folder.
    pub(crate) fn begin(dir: &Path) -> Writing {
        let mut config = CaseConfig::new(CaseId(*b"command tests id"), Schema::current());
        config.host = Host {
            name: "lab\x1b[31m".to_owned(),
            ..Host::default()
        };
        let clock = ClockReading {
            realtime_ns: START,
            ..ClockReading::default()
        };
        let opener = move || Opening { clock, state: None };
        let openat = Schema::current().by_name("openat").next().expect("a syscall").id;
        let writer = CaseWriter::create(dir, config, Box::new(opener)).expect("the case is created");
        Writing {
            writer,
            openat,
            events: 0,
        }
    }

    /// A process opens a file.
    pub(crate) fn open(&mut self, name: &[u8], path: &[u8]) -> &mut Writing {
        let container = Container {
            id: "c".repeat(64),
            name: "web\x1b[1m".to_owned(),
            ..Container::default()
        };
        let image = Arc::new(ProcessImage {
            id: self.events + 1,
            pid: 4711,
            name: name.to_vec(),
            exe_path: [b"/bin/", name].concat(),
            argv: [name, b"\0", path].concat().into(),
            container: Some(Arc::new(container)),
            ..ProcessImage::default()
        });
        let spec = Schema::current().get(self.openat).expect("declared").clone();
        let path = Arg::Path {
            resolved: path,
            raw: path,
        };
        let arg = |p: &ctrace_trace::schema::Param| if p.name == "name" { path } else { Arg::Num(0) };
        let args: Vec<Arg<'_>> = spec.params.iter().map(arg).collect();
        let event = Event {
            ts: START + self.events * 1000,
            kind: self.openat,
            cpu: 0,
            tid: 4711,
            image: Some(&image),
            ret: Some(3),
            latency: None,
            fd_num: None,
            fd: None,
            args: &args,
            data: b"",
        };
        self.writer.push(&event).expect("the event is taken");
        self.events += 1;
        self
    }

    /// Ends the block.
    pub(crate) fn flush(&mut self) -> &mut Writing {
        self.writer.flush().expect("the block is written");
        self
    }

    /// Says that events were lost.
    pub(crate) fn gap(&mut self, count: i64) -> &mut Writing {
        let spec = Schema::current().get(EventType::GAP).expect("declared").clone();
        let arg = |name: &str| match name {
            "source" => Arg::Str(b"syscalls"),
            "reason" => Arg::None,
            "count" => Arg::Num(count),
            "from" | "to" => Arg::Num(START as i64),
            _ => Arg::Num(0),
        };
        let args: Vec<Arg<'_>> = spec.params.iter().map(|p| arg(&p.name)).collect();
        let event = Event {
            ts: START + self.events * 1000,
            kind: EventType::GAP,
            cpu: 0,
            tid: 0,
            image: None,
            ret: None,
            latency: None,
            fd_num: None,
            fd: None,
            args: &args,
            data: b"",
        };
        self.writer.push(&event).expect("the event is taken");
        self.events += 1;
        self
    }

    /// Tells of a file that was executed.
    pub(crate) fn artifact(&mut self, told: &Artifact) -> &mut Writing {
        let writer = &mut self.writer;
        told.with_event(START + self.events * 1000, None, |event| {
            writer.push(event).expect("the event is taken");
        });
        self.events += 1;
        self
    }

    /// Closes the case.
    pub(crate) fn finish(self) {
        self.writer.finish().expect("the case is finished");
    }

    /// Leaves the case as a killed recorder does.
    pub(crate) fn abandon(self) {
        drop(self.writer);
    }
}

/// A case of hostile names.
pub(crate) fn hostile(dir: &Path) {
    let mut case = Writing::begin(dir);
    for name in HOSTILE {
        case.open(name, &[b"/tmp/", name].concat());
    }
    case.finish();
}

/// A case of 40 blocks with ten events each, processes `p0` to `p39`.
pub(crate) fn long(dir: &Path) {
    let mut case = Writing::begin(dir);
    for block in 0..40 {
        for i in 0..10 {
            case.open(format!("p{block}").as_bytes(), format!("/data/{block}/{i}").as_bytes());
        }
        case.flush();
    }
    case.finish();
}

/// A case whose only segment is this one, changed.
pub(crate) fn changed(change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let (made, out) = (folder(), folder());
    long(&made.path().join("case"));
    let mut bytes = fs::read(made.path().join("case/000001.ctrace")).expect("a segment");
    change(&mut bytes);
    fs::write(out.path().join("000001.ctrace"), bytes).expect("writes");
    out
}

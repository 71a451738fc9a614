//! Looks into what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::case::{Case, Verification, verify};
use ctrace_trace::event::Arg;
use ctrace_trace::segment::{BlockReader, ProblemKind, SegmentName};

use crate::run::{PATIENCE, until};

/// An event as tests look at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) ts: u64,
    pub(crate) kind: String,
    pub(crate) ret: Option<i64>,
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) name: String,
    pub(crate) parent: String,
    /// Full id; `None` on the host, or where no process is known.
    pub(crate) container: Option<String>,
    pub(crate) fd: String,
    pub(crate) args: Vec<(String, String)>,
    pub(crate) data: Vec<u8>,
}

impl Row {
    /// An argument as text; of a path the resolved form.
    pub(crate) fn arg(&self, name: &str) -> &str {
        self.args.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// A case that can be opened.
pub(crate) fn open(path: &Path) -> Case {
    Case::open(path).unwrap_or_else(|e| panic!("{e}"))
}

/// Every event of a case; each block must be readable.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    each_block(&open(path), |block| rows.extend(block.events().map(row)));
    rows
}

/// Waits until a recording that goes on has written what is waited for, which is no system call: what sources tell comes
/// when the machine has time for them.
pub(crate) fn until_written(path: &Path, what: &str, mut is_there: impl FnMut(&[Row]) -> bool) {
    let begun = Instant::now();
    let mut reader = BlockReader::new();
    let (mut rows, mut seen) = (Vec::new(), 0);
    loop {
        for block in Case::open(path).iter().flat_map(Case::blocks).skip(seen) {
            // One that is being written is for the next time.
            let Ok(block) = reader.read(block, Need::ALL) else {
                break;
            };
            rows.extend(block.events().filter(|e| e.ret().is_none()).map(row));
            seen += 1;
        }
        if is_there(&rows) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "never written: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until a recording that goes on has come to a segment. By their names: a segment that a reader has open gives no
/// room back when it is deleted.
pub(crate) fn until_segment(path: &Path, number: u32) {
    until(&format!("segment {number}"), || {
        let names = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut names = names.filter_map(|entry| SegmentName::parse(entry.file_name().to_str()?));
        names.any(|name| name.number >= number)
    });
}

/// Decodes every block.
pub(crate) fn each_block(case: &Case, mut each: impl FnMut(&Decoded)) {
    let mut reader = BlockReader::new();
    for block in case.blocks() {
        each(reader.read(block, Need::ALL).unwrap_or_else(|p| panic!("{p}")));
    }
}

/// Events that a process made and that do not name it. What the recorder says itself is of no process.
pub(crate) fn unnamed(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    each_block(case, |block| {
        for event in block.events() {
            let tid = event.context().map_or(0, |c| c.tid);
            let image = event.image();
            if tid != 0 && image.is_none_or(|i| i.str(i.entry.name).is_empty()) {
                let kind = event.spec().map_or("?", |s| &s.name);
                let pid = image.map_or(0, |i| i.entry.pid);
                found.push(format!("{kind} of {pid} (thread {tid}) at {}", event.ts()));
            }
        }
    });
    found
}

/// Processes to which events and states of the host give more than one start. No id is used again within a second.
pub(crate) fn two_starts(case: &Case) -> Vec<String> {
    let mut starts = BTreeMap::<u32, BTreeSet<u64>>::new();
    each_block(case, |block| {
        for image in &block.dict.images {
            starts.entry(image.pid).or_default().insert(image.start_ts);
        }
    });
    for segment in case.segments() {
        let state = segment.snapshot().expect("readable").expect("a snapshot");
        for process in &state.processes {
            starts.entry(process.pid).or_default().insert(process.start_ts);
        }
    }
    let pairs = starts.iter().flat_map(|(pid, starts)| {
        let known: Vec<u64> = starts.iter().copied().filter(|start| *start != 0).collect();
        let near = known
            .windows(2)
            .filter(|w| w[1] - w[0] < 1_000_000_000)
            .map(<[u64]>::to_vec);
        near.map(|pair| format!("{pid}: {pair:?}")).collect::<Vec<_>>()
    });
    pairs.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn row(event: EventView<'_>) -> Row {
    let spec = event.spec().expect("its type");
    let image = event.image();
    let params = spec.params.iter().enumerate();
    let args = params.filter_map(|(slot, param)| {
        let value = match event.arg(slot) {
            Arg::None => return None,
            Arg::Num(n) => n.to_string(),
            Arg::Str(s) => text(s),
            Arg::Path { resolved, .. } => text(resolved),
        };
        Some((param.name.clone(), value))
    });
    Row {
        ts: event.ts(),
        kind: spec.name.clone(),
        ret: event.ret(),
        pid: image.map_or(0, |i| i.entry.pid),
        ppid: image.map_or(0, |i| i.entry.ppid),
        name: image.map_or_else(String::new, |i| text(i.str(i.entry.name))),
        parent: image
            .and_then(|i| i.parent())
            .map_or_else(String::new, |p| text(p.str(p.entry.name))),
        container: image.and_then(|i| i.container()).map(|c| c.id.clone()),
        fd: event.fd().map_or_else(String::new, |fd| text(&fd.name())),
        args: args.collect(),
        data: event.data().to_vec(),
    }
}

/// Checks that a recording was closed in order and that nothing is wrong with it.
pub(crate) fn closed(path: &Path) -> Verification {
    let case = open(path);
    let found = verify(&case);
    assert_eq!(found.problems, []);
    assert!(found.segments.iter().all(|s| s.closed), "{:?}", found.segments);
    found
}

/// Checks that a recording that was cut off is whole as far as it goes.
pub(crate) fn cut_off(path: &Path) -> Verification {
    let found = verify(&open(path));
    let damage = found.problems.iter().find(|p| p.kind != ProblemKind::Unfinished);
    assert_eq!(damage, None);
    found
}

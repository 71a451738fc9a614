//! Logs of other tools, made larger: a small sample over and over, each copy with later times.

use std::path::{Path, PathBuf};

use ctrace_capture::import::{ImportOptions, import};

use crate::shared;

/// A format with a sample of it: among the shared test data, or among the importers' own.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The name that figures get: the format's, and what else tells samples of it apart.
    pub name: &'static str,
    file: File,
}

#[derive(Clone, Copy, Debug)]
enum File {
    Shared(&'static str),
    Own(&'static str),
}

/// What the bench reads.
pub const SAMPLES: &[Sample] = &[
    shared("audit", "data/audit/audit-scoped.log"),
    shared("audit-raw", "data/audit/audit-raw-format.log"),
    shared("docker-events", "data/docker/events-cli28.jsonl.gz"),
    own("docker-events-text", "docker-events.txt"),
    shared("json-file", "data/docker/json-file.log"),
    own(
        "cri",
        "web-0_shop_nginx-c0ffee0123456789abcdef0123456789abcdef0123456789abcdefaabbccddee.log",
    ),
    shared("k8s-audit", "data/k8s_audit/create_secret.json"),
    own("tracee", "tracee.jsonl"),
    own("falco", "falco.jsonl"),
    own("tetragon", "tetragon.jsonl"),
    own("laurel", "laurel.jsonl"),
    own("go-audit", "go-audit.jsonl"),
    own("auditbeat", "auditbeat.jsonl"),
    own("journal", "journal.json"),
    own("syslog", "syslog.log"),
    own("syslog-5424", "syslog-5424.log"),
    own("strace", "strace.log"),
    own("sysmon", "sysmon.log"),
];

const fn shared(name: &'static str, path: &'static str) -> Sample {
    Sample {
        name,
        file: File::Shared(path),
    }
}

const fn own(name: &'static str, file: &'static str) -> Sample {
    Sample {
        name,
        file: File::Own(file),
    }
}

impl Sample {
    /// A log of at least so many bytes; `None` where the sample is not there. `folder` is for what is written on the way.
    pub fn log(&self, bytes: usize, folder: &Path) -> Option<Vec<u8>> {
        let sample = match self.file {
            File::Shared(path) => shared::read(path)?,
            File::Own(name) => std::fs::read(own_folder().join(name)).ok()?,
        };
        let whole = without_damage(&sample, &folder.join(self.name));
        Some(multiply(&whole, bytes))
    }
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../capture/tests/import/samples")
}

/// The lines that can be read. Samples hold others on purpose.
fn without_damage(sample: &[u8], path: &Path) -> Vec<u8> {
    std::fs::write(path, sample).expect("written");
    let case = path.with_extension("case");
    let options = ImportOptions {
        files: vec![path.to_owned()],
        output: case.clone(),
        ..ImportOptions::default()
    };
    let outcome = import(&options, &mut |_| true).expect("imported");
    std::fs::remove_dir_all(case).expect("removed");
    std::fs::remove_file(path).expect("removed");
    let bad: Vec<u64> = outcome
        .files
        .iter()
        .flat_map(|f| &f.problems)
        .map(|p| p.0.line)
        .collect();
    let lines = sample.split_inclusive(|b| *b == b'\n').zip(1..);
    let mut whole: Vec<u8> = lines
        .filter(|(_, n)| !bad.contains(n))
        .flat_map(|(l, _)| l)
        .copied()
        .collect();
    if whole.last() != Some(&b'\n') {
        whole.push(b'\n');
    }
    whole
}

/// A copy is so much later than the one before.
const STEP_S: u64 = 60;
const DAYS: u64 = 28;

/// A time in a text.
enum Time {
    /// A number with so many digits: seconds since 1970 or their thousandth, millionth, billionth.
    Number(u64, usize),
    /// `22T01:13`, or with a blank: day, hour and minute.
    Clock([u64; 3]),
}

impl Time {
    fn later(&self, copy: u64) -> String {
        match self {
            Time::Number(n, digits) => (n + copy * STEP_S * 10_u64.pow(*digits as u32 - 10)).to_string(),
            Time::Clock([day, hour, minute]) => {
                let minutes = (day * 24 + hour) * 60 + minute + copy * STEP_S / 60;
                let (day, hour) = (minutes / 1440 % DAYS + 1, minutes / 60 % 24);
                format!("{day:02}T{hour:02}:{:02}", minutes % 60)
            }
        }
    }
}

fn multiply(sample: &[u8], bytes: usize) -> Vec<u8> {
    let times = times(sample);
    let mut log = Vec::with_capacity(bytes + 2 * sample.len());
    let mut copy = 0;
    while log.len() < bytes {
        let start = log.len();
        log.extend_from_slice(sample);
        for (at, time) in &times {
            let text = time.later(copy);
            let place = &mut log[start + at..start + at + text.len()];
            for (old, new) in place.iter_mut().zip(text.bytes()) {
                // The letter between day and hour stays what it is.
                if new.is_ascii_digit() {
                    *old = new;
                }
            }
        }
        copy += 1;
    }
    log
}

/// The times in a text, with where they stand.
fn times(sample: &[u8]) -> Vec<(usize, Time)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < sample.len() {
        let rest = &sample[at..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let begins = at == 0 || !sample[at - 1].is_ascii_alphanumeric();
        if begins && matches!(digits, 10 | 13 | 16 | 19) && matches!(rest, [b'1', b'4'..=b'8', ..]) {
            found.push((at, Time::Number(number(&rest[..digits]), digits)));
        } else if begins && let Some(clock) = clock(rest) {
            found.push((at, Time::Clock(clock)));
        }
        at += digits.max(1);
    }
    found
}

/// `22T01:13:` or `22 01:13:`
fn clock(text: &[u8]) -> Option<[u64; 3]> {
    let form = text.first_chunk::<9>()?;
    let is_clock = matches!(form[2], b'T' | b' ') && form[5] == b':' && form[8] == b':';
    let parts = [&form[..2], &form[3..5], &form[6..8]];
    let is_number = parts.iter().all(|p| p.iter().all(u8::is_ascii_digit));
    (is_clock && is_number).then(|| parts.map(number))
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'))
}

//! Runs every scene once, each under a strace of its own, all under one recorder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::scene::{SCENES, VARIABLE};
use crate::seen::{self, Seen};
use crate::strace::{self, Line};
use ctrace_skip::skip;

/// All that was recorded.
pub(crate) struct Recording {
    pub(crate) scenes: BTreeMap<&'static str, Traced>,
    /// Of all processes of the host, by thread.
    pub(crate) events: BTreeMap<u32, Vec<Seen>>,
}

/// What strace saw of a scene.
pub(crate) struct Traced {
    pub(crate) folder: PathBuf,
    pub(crate) lines: Vec<Line>,
}

/// The recording; `None`, after saying so, where it cannot be made.
pub(crate) fn get(test: &str) -> Option<&'static Recording> {
    static MADE: LazyLock<Result<Recording, String>> = LazyLock::new(make);
    match &*MADE {
        Ok(recording) => Some(recording),
        Err(reason) => {
            skip(test, reason);
            None
        }
    }
}

fn make() -> Result<Recording, String> {
    // A machine that is too busy for the recorder to keep up says nothing about what it records.
    for _ in 0..3 {
        if let Some(whole) = attempt()? {
            return Ok(whole);
        }
    }
    panic!("the recorder lost events three times");
}

/// One recording; `None` where events were lost.
fn attempt() -> Result<Option<Recording>, String> {
    if fs::read_dir("/proc/1/fd").is_err() {
        return Err("needs root".to_owned());
    }
    let strace = Command::new("strace").arg("-V").output();
    if strace.is_err() {
        return Err("strace is not installed".to_owned());
    }
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap();
    let (case, script) = (root.join("case"), root.join("script"));
    fs::write(&script, self::script(&root)).unwrap();
    let recorder = Command::new(env!("CARGO_BIN_EXE_ctrace-recorder"))
        .args(["--sources", "syscalls", "--syscalls", "all", "--buffer", "256MiB", "-o"])
        .arg(&case)
        .args(["--", "sh", "-e"])
        .arg(&script)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&recorder.stderr);
    match recorder.status.code() {
        Some(0) => {}
        Some(4) => return Err(format!("nothing can be recorded here: {told}")),
        _ => panic!("{told}"),
    }
    assert!(!told.contains("the command ended"), "a scene failed: {told}");
    if !told.contains(", 0 lost") {
        return Ok(None);
    }
    let mut scenes = BTreeMap::new();
    for (name, _) in SCENES {
        let log = fs::read(root.join(format!("{name}.strace"))).unwrap();
        let log = String::from_utf8_lossy(&log);
        if let Some(kept) = std::env::var_os("CTRACE_KEEP_STRACE") {
            fs::write(Path::new(&kept).join(name), &*log).unwrap();
        }
        let traced = Traced {
            folder: root.join(name),
            lines: strace::parse(&log),
        };
        scenes.insert(*name, traced);
    }
    let events = seen::read(&case);
    Ok(Some(Recording { scenes, events }))
}

/// One strace after the other, each in a folder of its own.
fn script(root: &Path) -> String {
    let me = std::env::current_exe().unwrap();
    let mut script = String::new();
    for (name, _) in SCENES {
        fs::create_dir(root.join(name)).unwrap();
        script += &format!(
            "cd {root}/{name}\n{VARIABLE}={name} strace -f -y -yy -X verbose -Y -s 4096 -o {root}/{name}.strace \
             {me} --exact scene::{VARIABLE} --nocapture --test-threads=1 >{root}/{name}.out 2>&1 \
             || {{ cat {root}/{name}.out >&2; exit 1; }}\n",
            root = root.display(),
            me = me.display(),
        );
    }
    script
}

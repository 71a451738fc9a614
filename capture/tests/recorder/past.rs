//! The files of processes that ran before the recording began, compared with `sha256sum`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::artifacts::{artifacts, of, sha256sum};
use crate::case::{Row, closed, open};
use crate::docker::{IMAGE, engine};
use crate::run::{PATIENCE, folder, recording, until};
use ctrace_skip::is_root;

/// A process that is ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(program: &Path) -> Daemon {
        let mut command = Command::new(program);
        command.arg0("daemon").arg("600").stdin(Stdio::null());
        // Another thread of the tests may just have forked with the file open for writing.
        let started = (0..100).find_map(|_| {
            thread::sleep(Duration::from_millis(5));
            command.spawn().ok()
        });
        Daemon(started.expect("runs"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The artifacts of files that ran before, once all that are wanted are there: they are read without haste.
fn past(case: &Path, wanted: &[&str]) -> Vec<Row> {
    let begun = Instant::now();
    loop {
        let mut found = artifacts(case);
        found.retain(|row| row.arg("kind") == "running");
        let is_there = |path: &&str| found.iter().any(|row| row.arg("path") == *path);
        if wanted.iter().all(is_there) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{wanted:?} of {found:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn files_that_ran_before_have_digests_as_root() {
    if !is_root("files_that_ran_before_have_digests_as_root") {
        return;
    }
    let dir = folder();
    let program = |name: &str, more: &str| {
        let path = dir.path().join(name);
        let text = fs::read("/bin/sleep").expect("a program");
        fs::write(&path, [&text, more.as_bytes()].concat()).expect("room");
        fs::set_permissions(&path, fs::metadata("/bin/sleep").expect("there").permissions()).expect("ours");
        path
    };
    let (kept, gone, replaced) = (program("kept", "1"), program("gone", "2"), program("replaced", "3"));
    let (is_kept, is_gone, is_replaced) = (sha256sum(&kept), sha256sum(&gone), sha256sum(&replaced));
    let _daemons = [&kept, &kept, &gone, &replaced].map(|path| Daemon::start(path));
    fs::remove_file(&gone).expect("ours");
    fs::rename(program("other", "4"), &replaced).expect("ours");
    let case = dir.path().join("case");
    // Others on this host may run what is gone, too; and this program is large.
    let scope = format!("pid={}", std::process::id());
    let args = [
        "--sources",
        "syscalls",
        "--scope",
        &scope,
        "--collect",
        "--hash-limit",
        "4MB",
        "--rotate-every",
        "4s",
    ];
    let running = recording(&case, &args);
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let paths = [text(&kept), text(&gone), text(&replaced)];
    let found = past(&case, &[&paths[0], &paths[1], &paths[2]]);
    for (path, sha256, is_copied) in [
        (&paths[0], &is_kept, false),
        (&paths[1], &is_gone, true),
        (&paths[2], &is_replaced, true),
    ] {
        let row = of(&found, path);
        let told = (row.arg("sha256"), row.arg("reason"), row.arg("copy_reason"));
        assert_eq!(told, (sha256.as_str(), "", ""), "{row:?}");
        assert_eq!(!row.arg("copy").is_empty(), is_copied, "{row:?}");
        if is_copied {
            assert_eq!(&sha256sum(&case.join(row.arg("copy"))), sha256);
        }
    }
    // Each segment tells of them: older ones may be deleted.
    until("a third segment", || open(&case).segments().len() >= 3);
    running.signal(libc::SIGINT).expect(0);
    closed(&case);
    let told = artifacts(&case);
    // Which of the processes is looked at first depends on their ids.
    let is_large = |row: &Row| row.arg("kind") == "running" && row.arg("reason").starts_with("larger than");
    let me = std::process::id();
    assert!(told.iter().any(|row| is_large(row) && row.pid == me), "{told:?}");
    let times = told.iter().filter(|row| row.arg("path") == paths[0]).count();
    assert!(
        times >= 2,
        "told {times} times in {} segments",
        open(&case).segments().len()
    );
}

#[test]
fn what_a_container_ran_before_is_collected_as_root_docker() {
    let dir = folder();
    let Some(engine) = engine("what_a_container_ran_before_is_collected_as_root_docker", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let inside = "cat /bin/busybox /etc/passwd >/busybox 2>/dev/null; chmod +x /busybox; /busybox sleep 600; true";
    engine.docker(&[
        "run", "-d", "--pull", "never", "--name", "old", IMAGE, "sh", "-c", inside,
    ]);
    until("the container comes so far", || {
        engine.docker(&["top", "old"]).contains("/busybox")
    });
    let case = dir.path().join("case");
    let args = [
        "--sources",
        "syscalls,docker",
        "--docker-host",
        &engine.host,
        "--collect",
        "--scope",
        "container=old",
    ];
    let running = recording(&case, &args);
    let found = past(&case, &["/busybox", "/bin/busybox"]);
    running.signal(libc::SIGINT).expect(0);
    let copy = dir.path().join("copy");
    engine.docker(&["cp", "old:/busybox", copy.to_str().expect("UTF-8")]);
    let row = of(&found, "/busybox");
    assert_eq!((row.arg("sha256"), row.arg("reason")), (sha256sum(&copy).as_str(), ""));
    assert!(row.container.is_some(), "{row:?}");
    assert_eq!(sha256sum(&case.join(row.arg("copy"))), row.arg("sha256"));
    assert_eq!(
        of(&found, "/bin/busybox").arg("copy"),
        "",
        "what the image has stays where it is"
    );
    engine.docker(&["kill", "old"]);
    closed(&case);
}

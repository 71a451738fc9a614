//! Runs `ctrace-recorder`, waits until it records, and ends it by its pid.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::sync::{MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const RECORDER: &str = env!("CARGO_BIN_EXE_ctrace-recorder");

/// Longer than anything here takes, even on a busy machine: what takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// What a recorder is run with: on a machine that has other work it would wait for its turn, and so would what it records.
/// A test about a busy host takes [`ordinary`].
const PRIORITY: i32 = -15;

/// A folder of its own, and the host to itself: recordings see all that runs, the loads of other tests too.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Folder {
    type Target = tempfile::TempDir;

    fn deref(&self) -> &tempfile::TempDir {
        &self.dir
    }
}

/// Waits until no other test of this program records. One test takes one folder at a time.
pub(crate) fn folder() -> Folder {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = {
        tempfile::Builder::new()
            .prefix("ctrace-recorder.")
            .tempdir_in("/var/tmp")
            .expect("a folder in /var/tmp")
    };
    Folder { dir, _alone: alone }
}

/// A running recorder. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// How a recorder ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its process id while it ran, and the parent's of the command that it ran.
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

/// The recorder writing to a case, with arguments; of all system calls unless they name others.
pub(crate) fn recorder<S: AsRef<OsStr>>(case: &Path, args: &[S]) -> Command {
    let mut command = ordinary(case, args);
    prefer(&mut command);
    command
}

/// Gives a command [`PRIORITY`]. Where that is not allowed the machine had better be quiet.
fn prefer(command: &mut Command) {
    // SAFETY: `setpriority` is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY);
            Ok(())
        });
    }
}

/// The same with no more than anyone's share of the machine.
pub(crate) fn ordinary<S: AsRef<OsStr>>(case: &Path, args: &[S]) -> Command {
    let mut command = unhindered(RECORDER);
    command.arg("-o").arg(case);
    if !args.iter().any(|arg| arg.as_ref() == "--syscalls") {
        command.args(["--syscalls", "all"]);
    }
    command.args(args);
    command
}

/// A program that takes signals as one started from a terminal does. What runs the tests may ignore some (`nohup`, jobs
/// in the background); a shell inherits that and asks for other signal handlers than it otherwise would.
fn unhindered(program: &str) -> Command {
    let mut command = Command::new(program);
    // SAFETY: `signal` with a default disposition is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

/// The scope of this program, the recorders that it starts and what they run: a busy host does more than rings hold.
pub(crate) fn own() -> String {
    format!("pid={}", std::process::id())
}

/// Records to the end.
pub(crate) fn record<S: AsRef<OsStr>>(case: &Path, args: &[S]) -> Ended {
    start(recorder(case, args)).wait()
}

/// Starts a command that is a recorder.
pub(crate) fn start(mut command: Command) -> Running {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the recorder starts");
    let stderr = child.stderr.take().expect("piped");
    let said = Arc::new(Mutex::new(String::new()));
    let heard = said.clone();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut said = heard.lock().expect("not poisoned");
            said.push_str(&line);
            said.push('\n');
        }
    });
    Running {
        child,
        said,
        reader: Some(reader),
    }
}

/// Starts a recorder and waits until it records.
pub(crate) fn recording<S: AsRef<OsStr>>(case: &Path, args: &[S]) -> Running {
    let mut running = start(recorder(case, args));
    running.until("ctrace-recorder: recording ");
    running
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }

    /// Waits until it has said something.
    pub(crate) fn until(&mut self, what: &str) {
        let begun = Instant::now();
        while !self.said().contains(what) {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the recorder ended: {ended:?}\n{}", self.said());
            assert!(begun.elapsed() < PATIENCE, "never said {what:?}:\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal(self, signal: i32) -> Ended {
        let pid = i32::try_from(self.pid()).expect("a pid");
        // SAFETY: the pid is that of a child that was not waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        self.wait()
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "does not end:\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        };
        // A program that the recorder left running may hold the pipe: what it says later is not waited for.
        let begun = Instant::now();
        let reader = self.reader.take().expect("not waited for");
        while !reader.is_finished() && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        Ended {
            pid: self.child.id(),
            status,
            said: self.said(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Checks the exit code; 0 means that the recording was closed in order.
    pub(crate) fn expect(&self, code: i32) -> &Ended {
        assert_eq!(self.status.code(), Some(code), "{}", self.said);
        self
    }

    /// Checks that something was said.
    pub(crate) fn saying(&self, what: &str) -> &Ended {
        assert!(self.said.contains(what), "{what:?} is not in:\n{}", self.said);
        self
    }
}

/// A process that works until it is dropped.
pub(crate) struct Load(Child);

impl Load {
    /// A shell that runs a script over and over.
    pub(crate) fn shell(script: &str) -> Load {
        let mut command = Load::command(script);
        prefer(&mut command);
        Load(command.spawn().expect("sh runs"))
    }

    /// The same with no more than anyone's share of the machine.
    pub(crate) fn ordinary(script: &str) -> Load {
        Load(Load::command(script).spawn().expect("sh runs"))
    }

    fn command(script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("while :; do {script}; done"))
            .stdout(Stdio::null());
        command
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds, which is asked again and again.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Leaves files alone that were just written, as programs mostly are. Nobody says how far the clock that stamps files is:
/// a moment is enough on a machine that is not very busy.
pub(crate) fn let_files_rest() {
    thread::sleep(Duration::from_millis(1500));
}

/// Runs a program to its end and gives what it wrote.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let out = unhindered(program).args(args).output().expect(program);
    assert!(
        out.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// The folder of the project.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

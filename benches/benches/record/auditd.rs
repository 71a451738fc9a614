//! The audit daemon with a rule about `openat`, for the processes of one login uid, so that the rest of the machine is
//! not audited. `tests/lab/audit` finds the login uid and puts the kernel's settings back.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Process, cpu_of};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/lab/audit");
const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &str = "ctrace-bench";

/// A running daemon; it, its rule and the kernel's settings are undone when dropped.
pub(crate) struct Auditd {
    dir: PathBuf,
    process: Option<Process>,
    auid: String,
    lost: u64,
    kernel: Option<u32>,
    kernel_cpu: Duration,
}

impl Auditd {
    /// Starts the daemon with a configuration of its own and adds the rule.
    pub(crate) fn start(dir: &Path) -> Result<Auditd, String> {
        let dir = dir.join("audit");
        std::fs::create_dir_all(dir.join("plugins")).map_err(|e| e.to_string())?;
        match status("pid") {
            Some(0) => {}
            Some(pid) => return Err(format!("process {pid} is an audit daemon already")),
            None => return Err("the kernel's audit subsystem does not answer".to_owned()),
        }
        let up = Command::new(LAB)
            .arg("up")
            .arg(&dir)
            .output()
            .map_err(|e| e.to_string())?;
        if !up.status.success() {
            return Err(String::from_utf8_lossy(&up.stderr).trim().to_owned());
        }
        let mut auditd = Auditd {
            process: None,
            auid: String::from_utf8_lossy(&up.stdout).trim().to_owned(),
            lost: status("lost").unwrap_or(0),
            kernel: kauditd(),
            kernel_cpu: Duration::ZERO,
            dir,
        };
        auditd.configure().map_err(|e| e.to_string())?;
        auditd.launch()?;
        auditd.rule("-a")?;
        auditd.kernel_cpu = auditd.kernel.map_or(Duration::ZERO, cpu_of);
        Ok(auditd)
    }

    /// Debian's settings, but for the places of files and what happens at their limits.
    fn configure(&self) -> std::io::Result<()> {
        let dir = self.dir.display();
        let text = format!(
            "local_events = yes\nwrite_logs = yes\nlog_file = {dir}/audit.log\nlog_group = root\nlog_format = ENRICHED\n\
             flush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 8\nmax_log_file_action = IGNORE\npriority_boost = 4\n\
             name_format = NONE\nspace_left = 2\nspace_left_action = IGNORE\nadmin_space_left = 1\n\
             admin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n\
             q_depth = 2000\nplugin_dir = {dir}/plugins\n"
        );
        let path = self.dir.join("auditd.conf");
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut command = Command::new("/usr/sbin/auditd");
        command.args(["-n", "-s", "nochange", "-c"]).arg(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It ignores all other signals.
        let process = Process::start(&mut command, libc::SIGTERM).map_err(|e| e.to_string())?;
        let process = self.process.insert(process);
        let pid = process.id();
        let begun = Instant::now();
        while status("pid") != Some(u64::from(pid)) {
            if process.has_ended() || begun.elapsed() > PATIENCE {
                return Err("the audit daemon does not start".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        process.is_ready();
        Ok(())
    }

    /// Adds (`-a`) or deletes (`-d`) the rule.
    fn rule(&self, action: &str) -> Result<(), String> {
        let auid = format!("auid={}", self.auid);
        let args = ["always,exit", "-F", "arch=b64", "-S", "openat", "-F", &auid, "-k", KEY];
        let ended = auditctl().arg(action).args(args).output().map_err(|e| e.to_string())?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned()),
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// A command that runs under the login uid of the rule.
    pub(crate) fn wrap(&self, program: &OsStr) -> Command {
        let mut command = Command::new("sh");
        let join = format!("echo {} >/proc/self/loginuid && exec \"$@\"", self.auid);
        command.args(["-c", &join, "sh"]).arg(program);
        command
    }

    /// Ends it; gives what the kernel lost, and the CPU time of the daemon and of the kernel's thread for it.
    pub(crate) fn end(mut self) -> (u64, Duration) {
        self.settle();
        let lost = status("lost").unwrap_or(0).saturating_sub(self.lost);
        let kernel = self
            .kernel
            .map_or(Duration::ZERO, cpu_of)
            .saturating_sub(self.kernel_cpu);
        let daemon = self.process.as_mut().map_or(Duration::ZERO, Process::stop);
        (lost, daemon + kernel)
    }

    /// Waits until the log does not grow any more.
    fn settle(&self) {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < PATIENCE {
            let len = std::fs::metadata(self.log()).map_or(0, |log| log.len());
            if status("backlog") == Some(0) && last == Some(len) {
                break;
            }
            last = Some(len);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Auditd {
    fn drop(&mut self) {
        let _ = self.rule("-d");
        if let Some(process) = &mut self.process {
            process.stop();
        }
        if let Err(error) = Command::new(LAB).arg("down").arg(&self.dir).status() {
            eprintln!("the audit settings were not put back: {error}");
        }
    }
}

fn auditctl() -> Command {
    Command::new("/usr/sbin/auditctl")
}

/// A line of the kernel's audit status.
fn status(name: &str) -> Option<u64> {
    let out = auditctl().arg("-s").output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// The kernel's thread that hands records to the daemon.
fn kauditd() -> Option<u32> {
    let mut pids = std::fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        Some((pid, entry.path()))
    });
    let (pid, _) = pids.find(|(_, path)| std::fs::read(path.join("comm")).is_ok_and(|name| name == b"kauditd\n"))?;
    Some(pid)
}

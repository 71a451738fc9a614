//! Processes as strace's lines tell of them: who made whom, names, directories.

use std::collections::BTreeMap;

use crate::strace::{self, Call, Line, Ret};

/// A process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// `None` for the first, whose parent is strace.
    pub(crate) ppid: Option<u32>,
    pub(crate) cwd: String,
    pub(crate) root: String,
}

/// All processes of a scene.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Of each thread made: the thread that made it, and the flags.
    makers: BTreeMap<u32, (u32, Vec<String>)>,
    threads: BTreeMap<u32, u32>,
    processes: BTreeMap<u32, Process>,
    /// By thread; `None` where the kernel chose it in a way that differs between versions.
    names: BTreeMap<u32, Option<String>>,
}

const FORKS: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

impl Model {
    pub(crate) fn new(lines: &[Line], folder: &str) -> Model {
        let mut model = Model::default();
        for line in lines {
            let Line::Call(call) = line else { continue };
            if let (true, Ret::Value(child)) = (FORKS.contains(&&*call.name), &call.ret) {
                let flags = strace::names(&call.args.join("|"));
                model.makers.insert(*child as u32, (call.tid, flags));
            }
            if model.processes.is_empty() {
                let process = Process {
                    pid: call.tid,
                    cwd: folder.to_owned(),
                    ..Process::default()
                };
                model.threads.insert(call.tid, call.tid);
                model.processes.insert(call.tid, process);
            }
        }
        model
    }

    pub(crate) fn threads(&self) -> impl Iterator<Item = u32> {
        let first = self.processes.keys().next().copied();
        first.into_iter().chain(self.makers.keys().copied())
    }

    /// Whether it is the first thread of all.
    pub(crate) fn is_first(&self, tid: u32) -> bool {
        !self.makers.contains_key(&tid)
    }

    /// The process of a thread.
    pub(crate) fn process(&mut self, tid: u32) -> Process {
        self.meet(tid);
        self.processes[&self.threads[&tid]].clone()
    }

    /// The name of a thread, where it is known.
    pub(crate) fn name(&mut self, tid: u32) -> Option<String> {
        self.meet(tid);
        self.names.get(&tid).cloned().flatten()
    }

    fn meet(&mut self, tid: u32) {
        if self.threads.contains_key(&tid) {
            return;
        }
        let (maker, flags) = self
            .makers
            .get(&tid)
            .cloned()
            .unwrap_or_else(|| panic!("who made {tid}?"));
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        let of_maker = self.process(maker);
        let name = self.name(maker);
        self.names.insert(tid, name);
        if has("CLONE_THREAD") {
            self.threads.insert(tid, of_maker.pid);
            return;
        }
        let ppid = if has("CLONE_PARENT") {
            of_maker.ppid
        } else {
            Some(of_maker.pid)
        };
        self.threads.insert(tid, tid);
        self.processes.insert(
            tid,
            Process {
                pid: tid,
                ppid,
                ..of_maker
            },
        );
    }

    /// Takes over what a call changed.
    pub(crate) fn apply(&mut self, call: &Call) {
        self.meet(call.tid);
        let Ret::Value(ret) = call.ret else { return };
        if FORKS.contains(&&*call.name) {
            return self.meet(ret as u32);
        }
        let before = self.process(call.tid);
        let path = |at: usize| Some(String::from_utf8(strace::string(call.arg(at)?)?).unwrap());
        let pid = before.pid;
        let now = self.processes.get_mut(&pid).unwrap();
        match &*call.name {
            "chdir" => now.cwd = before.resolve(&before.cwd, &path(0).unwrap()),
            "fchdir" => now.cwd = strace::annotation(&call.args[0]).unwrap(),
            "chroot" => now.root = before.resolve(&before.cwd, &path(0).unwrap()),
            // What was below the old root is now below the directory that was named for it.
            "pivot_root" => {
                let [root, old] = [0, 1].map(|at| before.resolve(&before.cwd, &path(at).unwrap()));
                now.cwd = old.strip_prefix(&root).unwrap().to_owned() + &before.cwd;
            }
            "execve" => {
                let name = path(0).unwrap();
                let base = name.rsplit('/').next().unwrap();
                self.names.insert(pid, Some(base.chars().take(15).collect()));
            }
            "execveat" => drop(self.names.insert(pid, None)),
            "prctl" if call.args[0].contains("PR_SET_NAME") => {
                let name = path(1).unwrap().chars().take(15).collect();
                self.names.insert(call.tid, Some(name));
            }
            _ => {}
        }
    }
}

impl Process {
    /// An absolute path for what the process calls `raw`.
    pub(crate) fn resolve(&self, base: &str, raw: &str) -> String {
        let (start, floor) = match raw.starts_with('/') {
            true => (&self.root[..], self.root.len()),
            false if base.starts_with(&self.root) => (base, self.root.len()),
            false => (base, 0),
        };
        let mut out = start.trim_end_matches('/').to_owned();
        for part in raw.split('/').filter(|p| !p.is_empty() && *p != ".") {
            if part == ".." {
                let cut = out.rfind('/').unwrap_or(0).max(floor);
                out.truncate(cut);
            } else {
                out.push('/');
                out.push_str(part);
            }
        }
        if out.is_empty() { "/".to_owned() } else { out }
    }
}

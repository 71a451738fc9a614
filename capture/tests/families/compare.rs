//! Compares what was recorded of a scene with what strace printed, call by call, field by field.

use std::collections::BTreeMap;

use ctrace_trace::names;
use ctrace_trace::schema::{FdUse, Param, ParamKind};

use crate::documented;
use crate::model::Model;
use crate::recording::{self, Recording, Traced};
use crate::seen::{Seen, Value};
use crate::strace::{self, Call, Line, Ret};

/// What was compared of a scene.
pub(crate) struct Compared<'a> {
    pub(crate) traced: &'a Traced,
    /// Every call with its event, in the order of strace's lines.
    pub(crate) pairs: Vec<(&'a Call, &'a Seen)>,
}

impl<'a> Compared<'a> {
    /// The events of the calls of a name, by whichever thread of the scene.
    pub(crate) fn calls(&self, name: &str) -> Vec<(&'a Call, &'a Seen)> {
        self.pairs.iter().copied().filter(|(c, _)| c.name == name).collect()
    }
}

/// Compares a scene; `None` where there is no recording. Every name in `calls` must be among what was compared.
pub(crate) fn scene(test: &str, name: &str, calls: &[&str]) -> Option<Compared<'static>> {
    let recording = recording::get(test)?;
    let traced = &recording.scenes[name];
    let (pairs, differences) = Comparison::new(recording, traced).run();
    assert!(
        differences.is_empty(),
        "{} differences in {name}:\n{}",
        differences.len(),
        differences.join("\n")
    );
    let missing: Vec<_> = calls
        .iter()
        .filter(|n| !pairs.iter().any(|(c, _)| c.name == **n))
        .collect();
    assert!(missing.is_empty(), "{name} made no {missing:?}");
    println!("{name}: {} calls compared", pairs.len());
    Some(Compared { traced, pairs })
}

struct Comparison<'a> {
    recording: &'a Recording,
    traced: &'a Traced,
    model: Model,
    /// Per thread: which of its events is next.
    next: BTreeMap<u32, usize>,
    pairs: Vec<(&'a Call, &'a Seen)>,
    differences: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn new(recording: &'a Recording, traced: &'a Traced) -> Comparison<'a> {
        let model = Model::new(&traced.lines, traced.folder.to_str().unwrap());
        let next = model.threads().map(|tid| (tid, 0)).collect();
        Comparison {
            recording,
            traced,
            model,
            next,
            pairs: Vec::new(),
            differences: Vec::new(),
        }
    }

    fn run(mut self) -> (Vec<(&'a Call, &'a Seen)>, Vec<String>) {
        for line in &self.traced.lines {
            match line {
                Line::Call(call) => self.call(call),
                Line::Exit { tid, how } => self.ended(*tid, how),
            }
        }
        let left: Vec<_> = self.next.keys().copied().collect();
        for tid in left {
            while let Some(seen) = self.take(tid) {
                self.differences
                    .push(format!("{tid}: more was recorded: {}", seen.line));
            }
        }
        (self.pairs, self.differences)
    }

    /// The next event of a thread that strace shows too.
    fn take(&mut self, tid: u32) -> Option<&'a Seen> {
        let events = self.recording.events.get(&tid)?;
        let at = self.next.get_mut(&tid).unwrap_or_else(|| panic!("who made {tid}?"));
        // strace begins with the exec of the first program; what its own child did before is its own business. It does
        // not show how the call that made a thread returns in that thread.
        let is_start = |e: &Seen| e.name() == "execve" && e.ret == Some(0);
        let is_born = |e: &Seen| matches!(e.name(), "clone" | "clone3" | "fork" | "vfork") && e.ret == Some(0);
        if *at == 0 && self.model.is_first(tid) {
            *at = events.iter().position(is_start).unwrap_or(events.len());
        } else if *at == 0 && events.first().is_some_and(is_born) {
            *at = 1;
        }
        let seen = events.get(*at)?;
        *at += 1;
        Some(seen)
    }

    fn call(&mut self, call: &'a Call) {
        let before = self.model.process(call.tid);
        let Some(seen) = self.take(call.tid) else {
            self.differences
                .push(format!("{}: not recorded: {}", call.tid, call.text));
            return;
        };
        let mut found = Vec::new();
        if documented::is_newer(call, seen) {
            result(call, seen, &mut found);
            documented::registers(call, seen, &mut found);
            self.pairs.push((call, seen));
        } else if !documented::is_named(call, seen) {
            // What follows would be compared out of step.
            let events = &self.recording.events[&call.tid];
            self.next.insert(call.tid, events.len());
            found.push("another call".to_owned());
        } else {
            result(call, seen, &mut found);
            let base = |at: Option<&str>| match at.and_then(strace::annotation) {
                Some(dir) => String::from_utf8(strace::annotated_path(&dir)).unwrap(),
                None => before.cwd.clone(),
            };
            for param in &seen.spec.params {
                parameter(
                    call,
                    seen,
                    param,
                    &|dir, raw| before.resolve(&base(dir), raw),
                    &mut found,
                );
            }
            documented::descriptor(call, seen, &mut found);
            self.model.apply(call);
            self.image(call, seen, &mut found);
            self.pairs.push((call, seen));
        }
        if !found.is_empty() {
            let found = found.join("\n      ");
            self.differences.push(format!(
                "{} {}\n  but {}\n      {found}",
                call.tid, call.text, seen.line
            ));
        }
    }

    fn image(&mut self, call: &Call, seen: &Seen, found: &mut Vec<String>) {
        let process = self.model.process(call.tid);
        let image = &seen.image;
        let mut differs = |what: &str, theirs: &str, ours: &str| {
            if theirs != ours {
                found.push(format!("{what}: {theirs} but {ours}"));
            }
        };
        differs("pid", &process.pid.to_string(), &image.pid.to_string());
        if let Some(ppid) = process.ppid {
            differs("ppid", &ppid.to_string(), &image.ppid.to_string());
            differs("parent", &ppid.to_string(), &image.parent.to_string());
        }
        differs("cwd", &process.cwd, &String::from_utf8_lossy(&image.cwd));
        if let Some(name) = self.model.name(process.pid) {
            differs("name", &name, &String::from_utf8_lossy(&image.name));
        }
    }

    fn ended(&mut self, tid: u32, how: &Result<i64, String>) {
        let process = self.model.process(tid);
        // The process's end comes with its last thread.
        let events = self.recording.events.get(&tid).map_or(&[][..], |e| e);
        let at = self.next[&tid];
        if process.pid != tid && events.get(at).is_none_or(|e| e.name() != "procexit") {
            return;
        }
        let seen = match self.take(tid) {
            Some(seen) if seen.name() == "procexit" => seen,
            other => {
                let instead = other.map_or("nothing", |seen| &seen.line);
                self.differences
                    .push(format!("{tid}: its end {how:?} was not recorded, but {instead}"));
                return;
            }
        };
        let ours = match seen.num("sig").filter(|s| *s != 0) {
            None => Ok(seen.num("ret").unwrap()),
            Some(signal) => Err(names::signal(signal).unwrap_or("?").to_owned()),
        };
        if ours != *how {
            self.differences.push(format!("{tid} ended: {how:?} but {}", seen.line));
        }
    }
}

fn result(call: &Call, seen: &Seen, found: &mut Vec<String>) {
    let same = match (&call.ret, seen.ret) {
        (Ret::Value(theirs), Some(ours)) => *theirs == ours,
        (Ret::Error(theirs), Some(ours)) => names::errno(-ours) == Some(theirs),
        // Its process was killed in it: the kernel's own result shows.
        (Ret::Unknown, Some(ours)) => ours < 0,
        (Ret::Unknown, None) => documented::never_returns(call),
        (_, None) => false,
    };
    if !same {
        found.push(format!("result {:?} but {:?}", call.ret, seen.ret));
    }
}

type Resolve<'a> = &'a dyn Fn(Option<&str>, &str) -> String;

fn parameter(call: &Call, seen: &Seen, param: &Param, resolve: Resolve<'_>, found: &mut Vec<String>) {
    let ours = seen.args.get(&param.name);
    let Some(theirs) = documented::argument(call, param) else {
        return;
    };
    let Some(theirs) = theirs else {
        if let Some(ours) = ours {
            found.push(format!("{}: strace has none, but {ours:?}", param.name));
        }
        return;
    };
    let same = match (param.kind, ours) {
        (ParamKind::Path, ours) => path(call, param, &theirs, ours, seen, resolve, found),
        (ParamKind::Str, ours) => match strace::string(&theirs) {
            Some(text) => documented::same_text(&theirs, &text, ours),
            None => ours.is_none(),
        },
        (ParamKind::SockAddr, ours) => {
            documented::address(&theirs).map(|a| Value::Str(a.into_bytes())) == ours.cloned()
        }
        (kind, Some(Value::Num(ours))) => {
            documented::same_number(kind, &theirs, *ours, seen.spec.id.is_compat() || param.name == "nr")
                && named(param, &theirs, *ours, &seen.texts[&param.name], found)
        }
        _ => false,
    };
    if !same {
        found.push(format!("{}: {theirs} but {ours:?}", param.name));
    }
}

/// The names of flags and values, where strace names them all.
fn named(param: &Param, theirs: &str, ours: i64, text: &str, found: &mut Vec<String>) -> bool {
    let set = match param.kind {
        ParamKind::Flags(set) | ParamKind::Enum(set) => set,
        ParamKind::Signal => {
            let expected = strace::names(theirs);
            let standard = |n: &&String| !n.starts_with("SIGRT");
            return expected
                .first()
                .filter(standard)
                .is_none_or(|n| names::signal(ours) == Some(n));
        }
        _ => return true,
    };
    let theirs = documented::names(set, &strace::names(theirs));
    // Where nothing is named the number is shown.
    let ours: Vec<String> = text.split('|').map(str::to_owned).collect();
    let ours = documented::names(set, &ours);
    if theirs != ours {
        found.push(format!("{} is named {theirs:?} but {ours:?}", param.name));
    }
    true
}

fn path(
    call: &Call,
    param: &Param,
    theirs: &str,
    ours: Option<&Value>,
    seen: &Seen,
    resolve: Resolve<'_>,
    found: &mut Vec<String>,
) -> bool {
    let Some(raw) = strace::string(theirs) else {
        return ours.is_none();
    };
    let Some(Value::Path { resolved, raw: our_raw }) = ours else {
        return false;
    };
    let dir = documented::directory(&seen.spec, param).and_then(|at| call.arg(at));
    let expected = match (call.ret_annotation(), &seen.spec.fd) {
        // What was opened is what the kernel says.
        (Some(opened), FdUse::Ret) if documented::opens(&call.name) => {
            String::from_utf8(strace::annotated_path(&opened)).unwrap()
        }
        _ => resolve(dir, &String::from_utf8_lossy(&raw)),
    };
    let resolved = String::from_utf8_lossy(resolved);
    if resolved != expected && !documented::resolves_otherwise(call, &expected, &resolved) {
        found.push(format!("{} leads to {expected} but {resolved}", param.name));
    }
    raw == *our_raw
}

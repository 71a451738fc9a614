//! Scripts that were executed and that their interpreters are still to open.
//!
//! When the kernel starts an interpreter it has closed the script again, and tells only the name by which it was executed.
//! The interpreter gets that name as an argument and opens it: that file is what it runs, and the record of its opening
//! has the kernel's identity of it. So does the script that is the interpreter of another one: all arguments up to the
//! name are waited for, in this process, whatever it executes meanwhile (`/usr/bin/env`).

use std::time::{Duration, Instant};

use ctrace_wire::record::Exec;
use ctrace_wire::section;
use hashbrown::HashMap;

use super::Actor;
use crate::artifact::Place;
use crate::resolver::resolve_path;
use crate::syscall::View;

/// Interpreters that are waited for, and names for one of them: the kernel follows five scripts that are each other's
/// interpreters, each with one argument.
const MAX_PROCESSES: usize = 4096;
const MAX_NAMES: usize = 16;
/// An interpreter that has not opened its script by then will not do so.
const PATIENCE: Duration = Duration::from_secs(10);

/// A name that an interpreter may open.
#[derive(Debug)]
pub(super) struct Script {
    /// As the interpreter got it.
    name: Vec<u8>,
    /// Whether it is the one that was executed, and not an argument that may be something else.
    is_executed: bool,
    pub(super) place: Place,
    pub(super) actor: Actor,
    /// Absolute, as far as that is known.
    pub(super) path: Vec<u8>,
    until: Instant,
}

/// All that are waited for, by process.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    waiting: HashMap<u32, Vec<Script>>,
}

impl Scripts {
    /// Whether none is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits for what an interpreter opens, if a script was executed. Gives back what is not waited for.
    pub(super) fn expect(&mut self, view: &View<'_, Exec>, place: Place, actor: &Actor) -> Option<Script> {
        let executed = view.section(section::EXEC_FILENAME)?.data;
        let mut cwd = Vec::new();
        if let Some(section) = view.section(section::CWD) {
            section.path_into(false, &mut cwd);
        }
        let script = |name: &[u8]| {
            let mut path = Vec::new();
            resolve_path(&[], &cwd, name, &mut path);
            Script {
                name: name.to_vec(),
                is_executed: name == executed,
                place,
                actor: actor.clone(),
                path,
                until: Instant::now() + PATIENCE,
            }
        };
        let scripts = names(view, executed).into_iter().map(script).collect();
        self.wait(view.fixed.header.tgid, scripts)
    }

    /// Waits for what the interpreter of a process opens, of which the last is what was executed. That is given back where
    /// too many are waited for.
    fn wait(&mut self, pid: u32, mut scripts: Vec<Script>) -> Option<Script> {
        if self.waiting.len() >= MAX_PROCESSES {
            return scripts.pop();
        }
        let of_process = self.waiting.entry(pid).or_default();
        if of_process.len() + scripts.len() > MAX_NAMES {
            return scripts.pop();
        }
        of_process.append(&mut scripts);
        None
    }

    /// A process opened a file by a name.
    pub(super) fn opened(&mut self, pid: u32, name: &[u8]) -> Option<Script> {
        let of_process = self.waiting.get_mut(&pid)?;
        let at = of_process.iter().position(|script| script.name == name)?;
        let script = of_process.swap_remove(at);
        // What is left are options of interpreters, unless another script is among them.
        if !of_process.iter().any(|script| script.is_executed) {
            self.waiting.remove(&pid);
        }
        Some(script)
    }

    /// Scripts that nobody opened: those that were waited for long enough, or all.
    pub(super) fn unopened(&mut self, all: bool) -> Vec<Script> {
        let now = Instant::now();
        let mut unopened = Vec::new();
        self.waiting.retain(|_, of_process| {
            let over = of_process.extract_if(.., |script| all || script.until <= now);
            unopened.extend(over.filter(|script| script.is_executed));
            !of_process.is_empty()
        });
        unopened
    }
}

/// The arguments of an interpreter up to the name that was executed: options, and scripts between the two.
fn names<'a>(view: &View<'a, Exec>, executed: &'a [u8]) -> Vec<&'a [u8]> {
    let Some(argv) = view.section(section::EXEC_ARGV) else {
        return vec![executed];
    };
    let arguments: Vec<&[u8]> = argv.strings().skip(1).take(MAX_NAMES).collect();
    match arguments.iter().position(|argument| *argument == executed) {
        Some(last) => arguments.into_iter().take(last + 1).collect(),
        None => vec![executed],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str) -> Script {
        Script {
            name: name.into(),
            is_executed: !name.starts_with('-'),
            place: Place {
                pid: 7,
                ppid: 0,
                mnt_ns: 0,
            },
            actor: Actor::default(),
            path: Vec::new(),
            until: Instant::now() + PATIENCE,
        }
    }

    #[test]
    fn scripts_that_are_not_waited_for_are_given_back() {
        let mut scripts = Scripts::default();
        let both = || vec![script("-option"), script("/script")];
        for _ in 0..MAX_NAMES / 2 {
            assert!(scripts.wait(7, both()).is_none());
        }
        let refused = scripts.wait(7, both()).expect("no interpreter opens so many");
        assert_eq!(refused.name, b"/script");
        assert!(scripts.wait(8, both()).is_none());
        for pid in 9..7 + MAX_PROCESSES as u32 {
            assert!(scripts.wait(pid, both()).is_none());
        }
        assert!(scripts.wait(1, both()).is_some_and(|refused| refused.is_executed));
        assert_eq!(scripts.unopened(true).len(), MAX_NAMES / 2 + MAX_PROCESSES - 1);
        assert!(scripts.is_empty());
    }
}

//! Audit rules in auditctl's syntax: a file of them to what the kernel takes. Pure but for the names of users and groups
//! and for whether a watched path is a folder.

mod fields;
mod line;
mod rule;

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use thiserror::Error;

pub use rule::Rule;

use crate::host::Names;

/// Longest file of rules.
const MAX_FILE: u64 = 4 << 20;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `-a`, `-A`, `-w`.
    Add(Box<Rule>),
    /// `-d`, `-W`.
    Delete(Box<Rule>),
    /// `-D`: all rules, or those with this key.
    DeleteAll(Option<Vec<u8>>),
    /// `-e`, `-f`, `-r`, `-b`, `--backlog_wait_time`.
    Set(Setting, u32),
}

/// A setting of the audit subsystem. The numbers are those of `AUDIT_STATUS_…` (`linux/audit.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the fields of AuditStatus")]
pub enum Setting {
    Enabled = 1,
    Failure = 2,
    RateLimit = 8,
    BacklogLimit = 16,
    BacklogWaitTime = 32,
}

/// A file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    path: PathBuf,
    /// With the number of the line.
    steps: Vec<(usize, Step)>,
    /// `-c` or `-i`: what the kernel refuses is passed over.
    lenient: bool,
}

/// Why a file of rules cannot be used.
#[derive(Debug, Error)]
pub enum RuleFileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Lines are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Lines(Vec<LineError>),
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what can be done.
    pub reason: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.reason)
    }
}

impl RuleFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every line that is wrong, at once.
    pub fn read(path: &Path) -> Result<RuleFile, RuleFileError> {
        let unread = |source| RuleFileError::Read {
            path: path.to_owned(),
            source,
        };
        if fs::metadata(path).map_err(unread)?.len() > MAX_FILE {
            return Err(unread(io::ErrorKind::FileTooLarge.into()));
        }
        let text = fs::read_to_string(path).map_err(unread)?;
        RuleFile::parse(path, &text, &Names::read(Path::new("/")))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every line that is wrong, at once.
    pub fn parse(path: &Path, text: &str, names: &Names) -> Result<RuleFile, RuleFileError> {
        let (mut steps, mut errors, mut lenient) = (Vec::new(), Vec::new(), false);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            match line {
                "" => {}
                _ if line.starts_with('#') => {}
                "-c" | "-i" => lenient = true,
                _ => match line::step(line, names) {
                    Ok(step) => steps.push((number, step)),
                    Err(reason) => errors.push(LineError {
                        path: path.to_owned(),
                        line: number,
                        reason,
                    }),
                },
            }
        }
        if errors.is_empty() {
            let path = path.to_owned();
            Ok(RuleFile { path, steps, lenient })
        } else {
            Err(RuleFileError::Lines(errors))
        }
    }

    /// What is to be done, with the number of the line.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().map(|(line, step)| (*line, step))
    }

    /// Whether what the kernel refuses is passed over.
    pub fn is_lenient(&self) -> bool {
        self.lenient
    }

    /// An error in a line of this file.
    pub(super) fn error(&self, line: usize, reason: String) -> LineError {
        LineError {
            path: self.path.clone(),
            line,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RuleFile, RuleFileError> {
        let names = Names::parse(b"root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n", b"adm:x:4:\n");
        RuleFile::parse(Path::new("audit.rules"), text, &names)
    }

    /// The one rule of a line, as it is listed; it survives the kernel's shape.
    fn listed(line: &str) -> String {
        let file = parse(line).unwrap_or_else(|e| panic!("{e}"));
        match &file.steps[..] {
            [(1, Step::Add(rule) | Step::Delete(rule))] => {
                assert_eq!(Rule::decode(&rule.encode()).as_ref(), Some(&**rule));
                rule.text()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rules_are_listed_as_auditctl_lists_them() {
        let cases = [
            ("-w /etc/shadow -p wa -k identity", "-w /etc/shadow -p wa -k identity"),
            ("-w /nowhere", "-w /nowhere -p rwxa"),
            (
                "-a exit,always -F arch=b64 -S openat,open -S 87 -F exit=-EACCES -F auid>=1000 -F auid!=unset -k a -k b",
                "-a always,exit -F arch=b64 -S open,unlink,openat -F exit=-EACCES -F auid>=1000 -F auid!=-1 -F key=a -F key=b",
            ),
            (
                "-A never,exit -F arch=b32 -S execve -F uid=web -F gid=adm -F a1&0x10",
                "-a never,exit -F arch=b32 -S execve -F uid=33 -F gid=4 -F a1&0x10",
            ),
            (
                "-a always,exit -C auid!=euid -F perm=x",
                "-a always,exit -S all -C auid!=euid -F perm=x",
            ),
            ("-a always,exclude -F msgtype=CWD", "-a always,exclude -F msgtype=CWD"),
            (
                "-a never,filesystem -F fstype=tracefs",
                "-a never,filesystem -F fstype=tracefs",
            ),
            ("-a task,never", "-a never,task"),
            (
                "-d always,exit -S all -F path='/a b' -F key=x",
                "-a always,exit -S all -F path=/a b -F key=x",
            ),
        ];
        for (line, want) in cases {
            assert_eq!(listed(line), want, "{line}");
        }
    }

    #[test]
    fn settings_and_deletions() {
        let text = "# all of it\n\n-D\n-D -k x\n-b 8192\n--backlog_wait_time 60000\n-f 1\n-r 0\n-e 1\n-i\n";
        let file = parse(text).expect("right");
        assert!(file.is_lenient());
        let steps: Vec<_> = file.steps().map(|(line, step)| (line, step.clone())).collect();
        assert_eq!(
            steps,
            [
                (3, Step::DeleteAll(None)),
                (4, Step::DeleteAll(Some(b"x".to_vec()))),
                (5, Step::Set(Setting::BacklogLimit, 8192)),
                (6, Step::Set(Setting::BacklogWaitTime, 60000)),
                (7, Step::Set(Setting::Failure, 1)),
                (8, Step::Set(Setting::RateLimit, 0)),
                (9, Step::Set(Setting::Enabled, 1)),
            ]
        );
    }

    #[test]
    fn every_wrong_line_is_named_with_its_remedy() {
        let cases = [
            ("-a always,exit -F arch=b64 -S opennat", "opennat"),
            ("-a always,nowhere -S open", "user, task, exit, exclude, filesystem"),
            ("-a always,exit -F colour=red", "colour"),
            ("-a always,exit -F uid=nobody-here", "nobody-here"),
            ("-a always,exit -F exit=-ENOPE", "-ENOPE"),
            ("-w etc/shadow", "absolute"),
            ("-w /etc/shadow -p q", "r, w, x, a"),
            ("-a always,exit -C uid=gid", "uid=gid"),
            ("-e 2", "until a reboot"),
            ("-b many", "many"),
            ("-k lonely", "-k"),
            ("-a", "-a"),
            ("hello", "hello"),
            ("-a always,exit -F path='/x", "quote"),
            ("-a always,task -S open", "task"),
        ];
        let text: Vec<&str> = cases.iter().map(|(line, _)| *line).collect();
        let Err(RuleFileError::Lines(errors)) = parse(&text.join("\n")) else {
            panic!("wrong lines");
        };
        assert_eq!(errors.len(), cases.len());
        for (error, (line, want)) in errors.iter().zip(cases) {
            assert!(error.reason.contains(want), "{line}: {error}");
        }
        assert!(errors[0].to_string().starts_with("audit.rules:1: "));
    }

    #[test]
    fn what_the_kernel_lists_may_be_anything() {
        let Some((_, Step::Add(rule))) = parse("-w /etc/shadow -k x").expect("right").steps.pop() else {
            panic!("a rule");
        };
        let bytes = rule.encode();
        for length in 0..bytes.len() {
            assert_eq!(Rule::decode(&bytes[..length]), None, "{length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xFF;
            let _ = Rule::decode(&changed).map(|rule| rule.text());
        }
    }
}

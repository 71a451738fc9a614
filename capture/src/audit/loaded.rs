//! Rules that are in the kernel for as long as a recording lasts.

use std::fmt;

use super::control::Control;
use super::netlink::AuditError;
use super::rules::{LineError, Rule, RuleFile, Setting, Step};

/// What a file of rules changed. Undone when this is dropped, the last change first; a killed recorder leaves it.
#[derive(Debug)]
pub struct LoadedRules {
    control: Control,
    /// The rules before, in their order.
    before: Vec<Vec<u8>>,
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Delete(Vec<u8>),
    Add(Vec<u8>),
    Set(Setting, u32),
}

/// Why rules were not loaded. What was loaded before the failure is undone.
#[derive(Debug)]
pub enum LoadError {
    /// The audit subsystem does not let itself be changed.
    Audit(AuditError),
    /// The kernel refuses a line.
    Line(LineError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Audit(error) => error.fmt(f),
            LoadError::Line(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// What a recording did to the host's auditing stays.
#[derive(Debug, thiserror::Error)]
#[error("not undone: {changes} changes of audit rules and settings: {why}")]
pub struct Stays {
    changes: usize,
    why: AuditError,
}

impl LoadedRules {
    /// Does what a file says. As a daemon does, it switches auditing on where the file does not say what to do.
    ///
    /// # Errors
    /// When rules are locked or the kernel refuses a line, unless the file says to pass over those.
    pub fn load(file: &RuleFile) -> Result<LoadedRules, LoadError> {
        let mut control = Control::new().map_err(LoadError::Audit)?;
        let status = control.status().map_err(LoadError::Audit)?;
        if status.is_immutable() {
            return Err(LoadError::Audit(AuditError::Immutable));
        }
        let mut loaded = LoadedRules {
            before: control.rules().map_err(LoadError::Audit)?,
            control,
            undo: Vec::new(),
        };
        for (line, step) in file.steps() {
            match loaded.take(step) {
                Err(error) if !file.is_lenient() => {
                    return Err(LoadError::Line(file.error(line, reason(&error))));
                }
                _ => {}
            }
        }
        let says = |step: &Step| matches!(step, Step::Set(Setting::Enabled, _));
        if status.enabled == 0 && !file.steps().any(|(_, step)| says(step)) {
            loaded.set(Setting::Enabled, 1).map_err(LoadError::Audit)?;
        }
        Ok(loaded)
    }

    /// Undoes everything, as dropping does, and says when it could not.
    ///
    /// # Errors
    /// When changes stay, because somebody locked the rules or the kernel does not answer.
    pub fn undo(mut self) -> Result<(), Stays> {
        self.revert()
    }

    fn revert(&mut self) -> Result<(), Stays> {
        let (mut changes, mut why) = (0, None);
        while let Some(undo) = self.undo.pop() {
            let undone = match undo {
                Undo::Delete(rule) => self.control.delete(&rule),
                Undo::Add(rule) => self.control.add(&rule),
                Undo::Set(setting, value) => self.control.set(setting, value),
            };
            match undone {
                Err(error) if !is_undone(&error) => {
                    changes += 1;
                    why = Some(error);
                }
                _ => {}
            }
        }
        let _ = self.reorder();
        let Some(why) = why else {
            return Ok(());
        };
        let is_locked = self.control.status().is_ok_and(|status| status.is_immutable());
        let why = if is_locked { AuditError::Immutable } else { why };
        Err(Stays { changes, why })
    }

    fn take(&mut self, step: &Step) -> Result<(), AuditError> {
        match step {
            Step::Add(rule) => self.add(rule),
            Step::Delete(rule) => self.delete(rule.encode()),
            Step::DeleteAll(key) => {
                let wanted = |raw: &Vec<u8>| match key {
                    None => true,
                    Some(key) => Rule::decode(raw).is_some_and(|rule| rule.keys().any(|k| k == key)),
                };
                let rules = self.control.rules()?;
                // The last first: undone, they come back in their order.
                rules.into_iter().filter(wanted).rev().try_for_each(|r| self.delete(r))
            }
            Step::Set(setting, value) => self.set(*setting, *value),
        }
    }

    fn set(&mut self, setting: Setting, value: u32) -> Result<(), AuditError> {
        let before = self.control.status()?;
        self.control.set(setting, value)?;
        let before = match setting {
            Setting::Enabled => before.enabled,
            Setting::Failure => before.failure,
            Setting::RateLimit => before.rate_limit,
            Setting::BacklogLimit => before.backlog_limit,
            Setting::BacklogWaitTime => before.backlog_wait_time,
        };
        self.undo.push(Undo::Set(setting, before));
        Ok(())
    }

    fn add(&mut self, rule: &Rule) -> Result<(), AuditError> {
        let raw = rule.encode();
        match self.control.add(&raw) {
            // The host's own rule: it stays when the recording ends.
            Err(AuditError::Io(e)) if e.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => {
                other?;
                self.undo.push(Undo::Delete(rule.listed().encode()));
                Ok(())
            }
        }
    }

    fn delete(&mut self, raw: Vec<u8>) -> Result<(), AuditError> {
        self.control.delete(&raw)?;
        self.undo.push(Undo::Add(raw));
        Ok(())
    }

    /// Where a rule was deleted before others, it came back behind them: the first rule that matches decides, so that
    /// their order counts. Rules that somebody else added or deleted meanwhile are let be.
    fn reorder(&mut self) -> Result<(), AuditError> {
        let now = self.control.rules()?;
        let sorted = |rules: &[Vec<u8>]| {
            let mut rules = rules.to_vec();
            rules.sort_unstable();
            rules
        };
        if sorted(&now) != sorted(&self.before) {
            return Ok(());
        }
        let same = now.iter().zip(&self.before).take_while(|(a, b)| a == b).count();
        for rule in now.iter().skip(same) {
            self.control.delete(rule)?;
        }
        for rule in self.before.iter().skip(same) {
            self.control.add(rule)?;
        }
        Ok(())
    }
}

impl Drop for LoadedRules {
    fn drop(&mut self) {
        let _ = self.revert();
    }
}

/// What somebody else undid in the meantime needs no undoing.
fn is_undone(error: &AuditError) -> bool {
    let undone = [Some(libc::ENOENT), Some(libc::EEXIST)];
    matches!(error, AuditError::Io(e) if undone.contains(&e.raw_os_error()))
}

fn reason(error: &AuditError) -> String {
    match error {
        AuditError::Io(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            "the kernel refuses this rule: its list and fields do not go together, or it knows one of them not"
                .to_owned()
        }
        AuditError::Io(e) if e.raw_os_error() == Some(libc::ENOENT) => "there is no such rule to delete, or no such \
                                                                         folder to watch"
            .to_owned(),
        other => other.to_string(),
    }
}

//! Asks and tells the kernel how it audits, on a socket of its own so that answers and records do not mix.

use std::io;
use std::time::{Duration, Instant};

use ctrace_trace::snapshot::AuditState;

use super::netlink::{AUDIT_SET, AuditError, AuditStatus, Received, Socket};
use super::rules::{Rule, Setting};

const AUDIT_GET: u16 = 1000;
const ADD_RULE: u16 = 1011;
const DEL_RULE: u16 = 1012;
const LIST_RULES: u16 = 1013;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most rules that are read; the kernel has no limit.
const MAX_RULES: usize = 65_536;

/// The socket for questions.
#[derive(Debug)]
pub(super) struct Control {
    socket: Socket,
    buffer: Box<[u8]>,
    sequence: u32,
}

impl Control {
    pub(super) fn new() -> Result<Control, AuditError> {
        Ok(Control {
            socket: Socket::new()?,
            buffer: vec![0; 64 << 10].into(),
            sequence: 0,
        })
    }

    /// The kernel's status. Needs `CAP_AUDIT_CONTROL`, which reading records does not.
    pub(super) fn status(&mut self) -> Result<AuditStatus, AuditError> {
        let mut status = None;
        // An answer to an earlier question may still be there: all say the same thing.
        self.ask(AUDIT_GET, 0, &[], &mut |kind, payload| {
            status = AuditStatus::parse(payload).filter(|_| kind == AUDIT_GET);
            status.is_some()
        })?;
        status.ok_or_else(|| AuditError::Io(io::ErrorKind::InvalidData.into()))
    }

    /// The rules, as the kernel keeps them.
    pub(super) fn rules(&mut self) -> Result<Vec<Vec<u8>>, AuditError> {
        let mut rules = Vec::new();
        self.ask(LIST_RULES, 0, &[], &mut |kind, payload| {
            if kind == LIST_RULES && rules.len() < MAX_RULES {
                rules.push(payload.to_vec());
            }
            i32::from(kind) == libc::NLMSG_DONE
        })?;
        Ok(rules)
    }

    /// Status and rules, as a segment keeps them.
    pub(super) fn state(&mut self) -> Result<AuditState, AuditError> {
        let (status, rules) = (self.status()?, self.rules()?);
        let rules = rules.iter().filter_map(|r| Rule::decode(r)).map(|r| r.text());
        Ok(status.for_segment(rules.collect()))
    }

    /// Adds a rule.
    pub(super) fn add(&mut self, rule: &[u8]) -> Result<(), AuditError> {
        self.tell(ADD_RULE, rule)
    }

    /// Deletes a rule.
    pub(super) fn delete(&mut self, rule: &[u8]) -> Result<(), AuditError> {
        self.tell(DEL_RULE, rule)
    }

    /// Changes a setting.
    pub(super) fn set(&mut self, setting: Setting, value: u32) -> Result<(), AuditError> {
        self.tell(AUDIT_SET, &AuditStatus::setting(setting as u32, value))
    }

    fn tell(&mut self, kind: u16, payload: &[u8]) -> Result<(), AuditError> {
        self.ask(kind, libc::NLM_F_ACK, payload, &mut |kind, _| {
            i32::from(kind) == libc::NLMSG_ERROR
        })
    }

    /// Sends a question and hands over the answers until `last` says that one is the last.
    fn ask(
        &mut self,
        kind: u16,
        flags: libc::c_int,
        payload: &[u8],
        last: &mut dyn FnMut(u16, &[u8]) -> bool,
    ) -> Result<(), AuditError> {
        self.sequence = self.sequence.wrapping_add(1);
        let sent = self.socket.send(kind, flags, self.sequence, payload);
        sent.map_err(|e| match e.raw_os_error() {
            Some(libc::ECONNREFUSED) => AuditError::Off,
            Some(libc::EPERM) => AuditError::Denied,
            _ => e.into(),
        })?;
        let begun = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            match self.socket.receive(&mut self.buffer, left)? {
                Received::Message(kind, payload) => {
                    if i32::from(kind) == libc::NLMSG_ERROR {
                        refused(payload)?;
                    }
                    if last(kind, payload) {
                        return Ok(());
                    }
                }
                Received::Nothing => break,
                Received::Other | Received::Overrun => {}
            }
        }
        Err(AuditError::Io(io::ErrorKind::TimedOut.into()))
    }
}

/// The error in an `NLMSG_ERROR`, whose zero only acknowledges.
fn refused(payload: &[u8]) -> Result<(), AuditError> {
    match payload.first_chunk().map(|b| i32::from_ne_bytes(*b)) {
        Some(0) | None => Ok(()),
        Some(errno) if errno == -libc::EPERM => Err(AuditError::Denied),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.saturating_neg()).into()),
    }
}

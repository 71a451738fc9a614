//! The kernel's side of the audit source: netlink sockets, and the one that listens to records.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use thiserror::Error;

/// Changes settings; which ones the first word says.
pub(super) const AUDIT_SET: u16 = 1001;
const STATUS_PID: u32 = 4;
/// Multicast group of all records (`AUDIT_NLGRP_READLOG`, `linux/audit.h`).
const READLOG: libc::c_int = 1;
/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Largest message; a user message may have 8970 bytes of text, a kernel record less.
const MAX_MESSAGE: usize = 64 * 1024;
/// `SO_MEMINFO` and its field of dropped messages (`linux/sock_diag.h`).
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_DROPS: usize = 8;

/// Why audit records cannot be had.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The kernel has no audit subsystem.
    #[error("this kernel has no audit subsystem")]
    Unsupported,
    /// The subsystem was switched off at boot.
    #[error("the audit subsystem is switched off (audit=0 on the kernel's command line)")]
    Off,
    /// It is there, but records nothing.
    #[error("auditing is disabled (auditctl -e 1 enables it)")]
    Disabled,
    /// A privilege is missing.
    #[error(
        "no permission: CAP_AUDIT_READ is needed to read audit records, CAP_AUDIT_CONTROL to load rules or to be the daemon"
    )]
    Denied,
    /// Records go to one daemon at a time, and there is one.
    #[error("process {0} is the audit daemon already (--audit-mode multicast listens beside it)")]
    Taken(u32),
    /// The rules are locked.
    #[error("audit rules and settings are locked until a reboot (auditctl -e 2)")]
    Immutable,
    /// Something else.
    #[error("audit netlink socket: {0}")]
    Io(#[from] io::Error),
}

/// The kernel's `struct audit_status`; fields that an older kernel lacks are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditStatus {
    /// 0 records nothing, 1 records, 2 records and refuses changes until a reboot.
    pub enabled: u32,
    /// What happens on a failure: 0 nothing, 1 a line in the kernel log, 2 a panic.
    pub failure: u32,
    /// Process id of the daemon that registered; 0 for none.
    pub pid: u32,
    /// Most records per second; 0 for no limit.
    pub rate_limit: u32,
    /// How many records may wait.
    pub backlog_limit: u32,
    /// Records that the kernel lost since boot (or since this was reset).
    pub lost: u32,
    /// Records that wait.
    pub backlog: u32,
    /// How long a process waits for room in the queue, in clock ticks.
    pub backlog_wait_time: u32,
}

impl AuditStatus {
    /// Whether rules can be changed no more until a reboot.
    pub fn is_immutable(&self) -> bool {
        self.enabled == 2
    }

    /// The message that sets one setting, given by its bit of the mask.
    pub(super) fn setting(bit: u32, value: u32) -> Vec<u8> {
        // mask, enabled, failure, pid, rate_limit, backlog_limit, lost, backlog, features, backlog_wait_time, its count
        let mut words = [0_u32; 11];
        // The bits stand for the first five in order; the sixth stands for the waiting time.
        let at = match bit.trailing_zeros() as usize {
            5 => 9,
            at => at + 1,
        };
        words[0] = bit;
        if let Some(word) = words.get_mut(at) {
            *word = value;
        }
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }

    pub(super) fn parse(payload: &[u8]) -> Option<AuditStatus> {
        let mut words = payload
            .chunks_exact(4)
            .map(|c| c.first_chunk().map_or(0, |w| u32::from_ne_bytes(*w)));
        let _mask = words.next()?;
        let mut next = || words.next();
        Some(AuditStatus {
            enabled: next()?,
            failure: next()?,
            pid: next()?,
            rate_limit: next()?,
            backlog_limit: next()?,
            lost: next()?,
            backlog: next()?,
            backlog_wait_time: {
                let _features = next();
                next().unwrap_or(0)
            },
        })
    }
}

/// A netlink socket of the audit family.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
}

/// What a wait for a message brought.
pub(super) enum Received<'a> {
    /// A message's type and payload.
    Message(u16, &'a [u8]),
    /// Nothing in the given time: at its end there was nothing to read.
    Nothing,
    /// Something that is no message of the kernel.
    Other,
    /// The socket's buffer was full: messages were dropped.
    Overrun,
}

impl Socket {
    pub(super) fn new() -> Result<Socket, AuditError> {
        // SAFETY: no pointers are passed.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_AUDIT,
            )
        };
        if fd < 0 {
            return Err(match io::Error::last_os_error() {
                e if matches!(e.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)) => {
                    AuditError::Unsupported
                }
                e => e.into(),
            });
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = Socket { fd };
        let address = netlink_address();
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the address is a valid sockaddr_nl of the length that is passed.
        let bound = unsafe { libc::bind(socket.fd.as_raw_fd(), (&raw const address).cast(), length) };
        if bound < 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(socket)
    }

    fn set_option(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the value is an int that lives through the call.
        let result = unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, name, (&raw const value).cast(), length) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits for one message of the kernel.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8], wait: Duration) -> io::Result<Received<'a>> {
        match self.read(buffer)? {
            Read::Nothing if wait.is_zero() || !self.wait(wait)? => return Ok(Received::Nothing),
            Read::Nothing => {}
            read => return Ok(received(read, buffer)),
        }
        let read = self.read(buffer)?;
        Ok(received(read, buffer))
    }

    /// Reads one message, if there is one.
    fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut sender = netlink_address();
        let mut length = size_of_val(&sender) as libc::socklen_t;
        // SAFETY: buffer and address are valid for writes of the lengths that are passed.
        let n = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                (&raw mut sender).cast(),
                &raw mut length,
            )
        };
        let Ok(n) = usize::try_from(n) else {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOBUFS) => Ok(Read::Overrun),
                Some(libc::EAGAIN) => Ok(Read::Nothing),
                Some(libc::EINTR) => Ok(Read::Other),
                _ => Err(error),
            };
        };
        Ok(if sender.nl_pid == 0 {
            Read::Bytes(n)
        } else {
            Read::Other
        })
    }

    /// Whether there is something to read within a time.
    fn wait(&self, time: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one valid pollfd is passed.
        match unsafe { libc::poll(&raw mut poll, 1, millis) } {
            n if n < 0 => match io::Error::last_os_error() {
                // As if there were something: only a whole wait tells that there is nothing.
                e if e.kind() == io::ErrorKind::Interrupted => Ok(true),
                e => Err(e),
            },
            n => Ok(n > 0),
        }
    }

    /// Sends a message of a type to the kernel.
    pub(super) fn send(&self, kind: u16, flags: libc::c_int, sequence: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(HEADER + payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let message = [
            &length.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes(),
            &sequence.to_ne_bytes(),
            &0_u32.to_ne_bytes(),
            payload,
        ]
        .concat();
        let kernel = netlink_address();
        let length = size_of_val(&kernel) as libc::socklen_t;
        // SAFETY: message and address are valid for reads of the lengths that are passed.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                0,
                (&raw const kernel).cast(),
                length,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// What one read brought.
enum Read {
    Bytes(usize),
    Nothing,
    Other,
    Overrun,
}

fn received(read: Read, buffer: &[u8]) -> Received<'_> {
    let n = match read {
        Read::Bytes(n) => n,
        Read::Nothing | Read::Other => return Received::Other,
        Read::Overrun => return Received::Overrun,
    };
    let kind = buffer
        .get(4..6)
        .and_then(|b| b.first_chunk())
        .map(|b| u16::from_ne_bytes(*b));
    // The datagram's length is the message's: what nlmsg_len counts differs between multicast and unicast.
    match (kind, buffer.get(HEADER..n)) {
        (Some(kind), Some(payload)) => Received::Message(kind, payload),
        _ => Received::Other,
    }
}

/// The kernel's address, and for binding: any.
fn netlink_address() -> libc::sockaddr_nl {
    // SAFETY: all zeros is a valid sockaddr_nl.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address
}

/// Listens to all records.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    buffer: Box<[u8]>,
    drops: u32,
    /// The kernel sends records to this socket as to its daemon.
    registered: bool,
}

impl Listener {
    fn new(buffer_bytes: usize) -> Result<Listener, AuditError> {
        let socket = Socket::new()?;
        let bytes = libc::c_int::try_from(buffer_bytes).unwrap_or(libc::c_int::MAX);
        // The privileged option passes the system's limit; without the privilege the limit has to do.
        socket
            .set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
            .or_else(|_| socket.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))?;
        Ok(Listener {
            socket,
            buffer: vec![0; MAX_MESSAGE].into(),
            drops: 0,
            registered: false,
        })
    }

    /// Joins the multicast group. `buffer_bytes` is what the kernel may hold for this reader.
    pub(super) fn join(buffer_bytes: usize) -> Result<Listener, AuditError> {
        let listener = Listener::new(buffer_bytes)?;
        let joined = listener
            .socket
            .set_option(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, READLOG);
        joined.map_err(|e| match e.raw_os_error() {
            Some(libc::EPERM) => AuditError::Denied,
            Some(libc::EINVAL) => AuditError::Unsupported,
            _ => e.into(),
        })?;
        Ok(listener)
    }

    /// Becomes the daemon that the kernel sends records to; no longer so when dropped. Who asks has to see by the status
    /// whether the kernel agreed.
    pub(super) fn register(buffer_bytes: usize) -> Result<Listener, AuditError> {
        let mut listener = Listener::new(buffer_bytes)?;
        // Not acknowledged: records may come before the answer.
        listener.set_daemon(std::process::id())?;
        listener.registered = true;
        Ok(listener)
    }

    fn set_daemon(&self, pid: u32) -> io::Result<()> {
        self.socket
            .send(AUDIT_SET, 0, 0, &AuditStatus::setting(STATUS_PID, pid))
    }

    /// Waits for the next message.
    pub(super) fn receive(&mut self, wait: Duration) -> io::Result<Received<'_>> {
        self.socket.receive(&mut self.buffer, wait)
    }

    /// How many messages the kernel dropped for this reader since the last call.
    pub(super) fn take_drops(&mut self) -> u64 {
        let now = self.drops_so_far().unwrap_or(self.drops);
        let new = now.wrapping_sub(self.drops);
        self.drops = now;
        u64::from(new)
    }

    fn drops_so_far(&self) -> Option<u32> {
        let mut words = [0_u32; 16];
        let mut length = size_of_val(&words) as libc::socklen_t;
        let fd = self.socket.fd.as_raw_fd();
        // SAFETY: the array is valid for writes of the length that is passed.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                SO_MEMINFO,
                words.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let known = length as usize / size_of::<u32>();
        words.get(..known).filter(|_| result == 0)?.get(MEMINFO_DROPS).copied()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.registered {
            // The kernel finds out by itself, too, with its next record.
            let _ = self.set_daemon(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_that_rules_are_locked() {
        let words = [0_u32, 2, 1, 77, 5, 8192, 3, 4, 0xFF, 15_000, 9];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let status = AuditStatus::parse(&bytes).expect("a status");
        assert!(status.is_immutable());
        assert_eq!((status.pid, status.lost, status.backlog_wait_time), (77, 3, 15_000));
        let old = AuditStatus::parse(&bytes[..32]).expect("of an older kernel");
        assert_eq!((old.backlog, old.backlog_wait_time), (4, 0));
        assert_eq!(AuditStatus::parse(&bytes[..31]), None);
        assert!(!AuditStatus::default().is_immutable());
    }

    #[test]
    fn a_setting_changes_one_word() {
        for (bit, value) in [(1_u32, 1_u32), (2, 2), (4, 1234), (8, 5), (16, 8192), (32, 60)] {
            let message = AuditStatus::setting(bit, value);
            let status = AuditStatus::parse(&message).expect("a status");
            let all = [
                status.enabled,
                status.failure,
                status.pid,
                status.rate_limit,
                status.backlog_limit,
                status.backlog_wait_time,
            ];
            assert_eq!(all[bit.trailing_zeros() as usize], value);
            assert_eq!(all.iter().sum::<u32>(), value);
            assert_eq!((message.len(), &message[..4]), (44, &bit.to_ne_bytes()[..]));
        }
    }
}

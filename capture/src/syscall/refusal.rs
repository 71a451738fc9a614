//! Why the kernel refuses, in words that fit on a line.

use std::{error::Error, io};

use thiserror::Error;

use super::host;

// A verifier log has thousands of lines; its end says what it did not like.
const REASON_MAX: usize = 600;

/// Why there is no syscall source.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The kernel object reads this architecture's registers only.
    #[error("recording syscalls works on x86-64 only so far, not on {0}")]
    Architecture(&'static str),
    /// The kernel does not describe its structures.
    #[error("the kernel has no type information at /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF): {0}")]
    NoBtf(#[source] io::Error),
    /// The kernel's type information cannot be read.
    #[error("the kernel's type information at /sys/kernel/btf/vmlinux is damaged")]
    BadBtf,
    /// The kernel refuses programs from this user.
    #[error("the kernel refuses the recording programs: root, or CAP_BPF and CAP_PERFMON, is needed ({0})")]
    NoPrivilege(String),
    /// The kernel lacks what the programs need.
    #[error("Linux {release} is too old, 5.8 or later is needed: {reason}")]
    KernelTooOld {
        /// The running kernel.
        release: String,
        /// What the kernel said.
        reason: String,
    },
    /// The object or one of its maps was refused.
    #[error("the kernel refuses the recording programs: {0}")]
    Load(String),
    /// A map cannot be shared with the kernel side.
    #[error("a map of the recording programs cannot be mapped into memory: {0}")]
    Map(#[source] io::Error),
    /// A program was refused or found no place to attach.
    #[error("kernel program {program}: {reason}")]
    Attach {
        /// The program.
        program: &'static str,
        /// What the kernel said, shortened.
        reason: String,
    },
}

impl OpenError {
    /// Whether the kernel refuses a program for what it does.
    pub(super) fn is_of_programs(&self) -> bool {
        matches!(self, Self::Load(_) | Self::Attach { .. })
    }
}

pub(super) fn refused(error: impl Error + 'static) -> OpenError {
    classify(&error).unwrap_or_else(OpenError::Load)
}

pub(super) fn not_attached(program: &'static str, error: &(dyn Error + 'static)) -> OpenError {
    classify(error).unwrap_or_else(|reason| OpenError::Attach { program, reason })
}

/// Errors with a known cause; the shortened message otherwise.
fn classify(error: &(dyn Error + 'static)) -> Result<OpenError, String> {
    let reason = shorten(&chain(error));
    if os_error(error) == Some(libc::EPERM) {
        return Ok(OpenError::NoPrivilege(reason));
    }
    let (release, recent) = host::kernel_release();
    if recent {
        Err(reason)
    } else {
        Ok(OpenError::KernelTooOld { release, reason })
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn os_error(error: &(dyn Error + 'static)) -> Option<i32> {
    sources(error).find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut messages: Vec<String> = sources(error).map(|error| error.to_string()).collect();
    // Most of aya's errors repeat their source.
    messages.dedup_by(|inner, outer| outer.contains(inner.as_str()));
    messages.join(": ")
}

/// The start and the end of a message, on one line.
pub(super) fn shorten(message: &str) -> String {
    let line: Vec<char> = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .collect();
    if line.len() <= REASON_MAX {
        return line.into_iter().collect();
    }
    let half = REASON_MAX / 2;
    let start: String = line.iter().take(half).collect();
    let end: String = line.iter().skip(line.len() - half).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_log_is_cut_to_its_start_and_end() {
        let log = format!(
            "refused by the verifier\n{}\nR1 invalid mem access",
            "0: (bf) r6 = r1\n".repeat(5000)
        );
        let short = shorten(&log);
        assert!(short.chars().count() <= REASON_MAX + 3, "{}", short.len());
        assert!(short.starts_with("refused by the verifier 0: (bf)"));
        assert!(short.ends_with("R1 invalid mem access"));
    }
}

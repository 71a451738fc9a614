//! Giving up what a thread of the recorder does not need any more. Capabilities belong to threads: each gives up its own,
//! the one that starts the observed command after that.

use std::io;

/// CAP_DAC_OVERRIDE of linux/capability.h: writing to what belongs to others.
pub(crate) const WRITE_ALL: u64 = 1 << 1;
/// CAP_DAC_READ_SEARCH: files of all users.
pub(crate) const READ_ALL: u64 = 1 << 2;
/// CAP_SYS_PTRACE: what /proc tells of processes of others.
pub(crate) const SEE_PROCESSES: u64 = 1 << 19;
/// CAP_SYS_ADMIN: BPF programs by their numbers.
pub(crate) const ADMINISTER: u64 = 1 << 21;
/// CAP_AUDIT_CONTROL: status and rules of auditing. Records come without once a socket has joined.
pub(crate) const AUDIT_CONTROL: u64 = 1 << 30;
/// CAP_BPF: maps that are open already may need it too, before Linux 5.19 where unprivileged users have no bpf(2).
pub(crate) const MAPS: u64 = 1 << 39;

// linux/capability.h: _LINUX_CAPABILITY_VERSION_3
const VERSION: u32 = 0x2008_0522;
/// There are at most as many as bits in the two words that the call takes.
const CAPABILITIES: libc::c_ulong = 64;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up, for the calling thread and those that it starts from now on, all capabilities that are not in `keep`, and the
/// right to get any by executing a program.
///
/// # Errors
/// When the kernel refuses; the thread may have given up a part.
pub(crate) fn keep_only(keep: u64) -> io::Result<()> {
    for capability in 0..CAPABILITIES {
        if keep >> capability & 1 == 0 {
            // SAFETY: takes a number. Refused for numbers that there are not, and where the right to do so is gone already:
            // what can be executed is bounded by no_new_privs too.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
    }
    let zero: libc::c_ulong = 0;
    let one: libc::c_ulong = 1;
    // SAFETY: takes numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut words = get()?;
    for (word, half) in words.iter_mut().zip([keep as u32, (keep >> 32) as u32]) {
        word.permitted &= half;
        word.effective &= half;
        word.inheritable = 0;
    }
    set(&words)
}

/// Whether something works without some of the capabilities that the calling thread has; it has them again afterwards.
pub(crate) fn works_without(capabilities: u64, works: impl FnOnce() -> bool) -> bool {
    let Ok(had) = get() else { return false };
    let mut without = had;
    for (word, half) in without
        .iter_mut()
        .zip([capabilities as u32, (capabilities >> 32) as u32])
    {
        word.effective &= !half;
    }
    set(&without).is_ok() && {
        let works = works();
        set(&had).is_ok() && works
    }
}

fn header() -> CapHeader {
    // 0 is the calling thread.
    CapHeader {
        version: VERSION,
        pid: 0,
    }
}

fn get() -> io::Result<[CapWords; 2]> {
    let (mut header, mut words) = (header(), [CapWords::default(); 2]);
    // SAFETY: a header and two words, which this version fills; both live through the call.
    let refused = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) } != 0;
    if refused {
        Err(io::Error::last_os_error())
    } else {
        Ok(words)
    }
}

fn set(words: &[CapWords; 2]) -> io::Result<()> {
    let mut header = header();
    // SAFETY: a header and two words, which the call reads; both live through it.
    let refused = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) } != 0;
    if refused {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux");
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("is there");
        u64::from_str_radix(value.trim_start_matches(':').trim(), 16).expect("hexadecimal")
    }

    #[test]
    fn a_thread_gives_up_its_own_and_no_other_threads() {
        let before = status("CapPrm");
        let of_thread = std::thread::spawn(|| {
            keep_only(READ_ALL).expect("giving up is allowed");
            ["CapPrm", "CapEff", "CapInh", "NoNewPrivs"].map(status)
        });
        let [permitted, effective, inheritable, no_new] = of_thread.join().expect("ends");
        assert_eq!((permitted, effective), (before & READ_ALL, before & READ_ALL));
        assert_eq!((inheritable, no_new), (0, 1));
        assert_eq!(status("CapPrm"), before);
    }

    #[test]
    fn a_capability_that_is_tried_without_comes_back() {
        let before = status("CapEff");
        let mut during = u64::MAX;
        let worked = works_without(READ_ALL, || {
            during = status("CapEff");
            true
        });
        assert!(worked);
        assert_eq!((during, status("CapEff")), (before & !READ_ALL, before));
    }
}

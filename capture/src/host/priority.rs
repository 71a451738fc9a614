//! Who gets the CPU first.

/// The priority of threads that others wait for.
const NICE: i32 = -15;

/// Gives this thread the CPU before others: where every core is busy, its fair share would be too small for what all
/// the others do together. A refusal is no error, only a risk of losses and of late events, which are counted.
pub(crate) fn hurry() {
    // SAFETY: no preconditions. On Linux 0 is the calling thread, not the process (setpriority(2), "C library/kernel
    // differences").
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// Leaves the CPU to all others.
pub(crate) fn stand_back() {
    // SAFETY: as above.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

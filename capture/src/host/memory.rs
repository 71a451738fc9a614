//! Memory that is used again and again stays with the process.

/// Free memory at the end of the heap that stays there.
const KEPT: i32 = 32 << 20;
/// Larger pieces come from the kernel, and go back to it.
const LARGE: i32 = 8 << 20;

/// Has the allocator keep what is freed: what each block of events needs for a moment would come from the kernel each time,
/// page by page.
pub(crate) fn keep_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions. A refusal leaves things as they are.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

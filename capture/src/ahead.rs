//! Memory that will be looked at soon, asked for without waiting for it.

/// Bytes that the processor fetches at once.
pub(crate) const LINE: usize = 64;

/// Asks for what lies at an address, whether there is something or not.
#[inline]
pub(crate) fn fetch_line(address: *const u8) {
    // There is no stable way to ask other processors.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on the cache, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for a value.
#[inline]
pub(crate) fn fetch<T: ?Sized>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    for at in (0..size_of_val(value)).step_by(LINE) {
        fetch_line(start.wrapping_add(at));
    }
}

/// Asks for so many lines from an address on, whether there is as much or not: what lies behind is mostly needed next, and a
/// question for each line costs more than the lines.
#[inline]
pub(crate) fn fetch_lines<const LINES: usize>(address: *const u8) {
    for line in 0..LINES {
        fetch_line(address.wrapping_add(line * LINE));
    }
}

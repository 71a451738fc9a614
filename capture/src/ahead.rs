//! Memory that will be looked at soon, asked for without waiting for it.

/// Bytes that the processor fetches at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for a value, without waiting for it.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn fetch<T: ?Sized>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    let start = std::ptr::from_ref(value).cast::<i8>();
    for at in (0..size_of_val(value)).step_by(LINE) {
        // SAFETY: a prefetch has no effect but on the cache, and the address lies within the value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
    }
}

/// Asks for nothing: there is no stable way to ask this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fetch<T: ?Sized>(_: &T) {}

/// Asks for so many lines from where bytes begin, whether these are as many or not: what lies behind is mostly needed next,
/// and a question for each line costs more than the lines.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn fetch_lines<const LINES: usize>(bytes: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    let start = bytes.as_ptr().cast::<i8>();
    for line in 0..LINES {
        // SAFETY: a prefetch has no effect but on the cache, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line * LINE)) };
    }
}

/// Asks for nothing, as [`fetch`] does.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fetch_lines<const LINES: usize>(_: &[u8]) {}

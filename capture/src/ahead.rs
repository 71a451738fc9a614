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

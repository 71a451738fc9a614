//! The record layout shared by the kernel programs and user space.
//!
//! Both sides are built from this one crate, and the kernel object is committed: a change here needs a new
//! object (`ebpf/build.sh`), and `ebpf/build.sh --check` fails until it is there. A layout never leaves the
//! machine it was made on, so it carries no version: user space embeds the object it was built with.
#![no_std]

pub mod counters;
pub mod cpu_ring;
pub mod env;
pub mod known;
pub mod offsets;
pub mod record;
pub mod scope;
pub mod section;
pub mod spec;
pub mod types;

/// Marks a type that is valid for every bit pattern and has no padding.
///
/// # Safety
///
/// The type must be `#[repr(C)]`, hold integers only (or arrays of them), and have no padding bytes.
pub unsafe trait Pod: Copy + 'static {}

//! One test per family of system calls: a scene makes the calls, ctrace records it and strace traces it in the same run,
//! and every field of every call is compared. Needs root, eBPF and strace.
//!
//! `scene` makes calls, `recording` runs all scenes once under both, `strace` reads what strace printed, `seen` what
//! ctrace recorded, `model` follows processes and directories through strace's lines, `compare` compares. Each family's
//! file holds its scene and what is special about it. Differences that are meant are in `documented`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod compare;
mod documented;
mod model;
mod recording;
mod scene;
mod seen;
mod strace;

mod credentials;
mod fds;
mod files;
mod io;
mod ipc;
mod kernel;
mod memory;
mod metadata;
mod names;
mod odd;
mod process;
mod socketcall;
mod sockets;
mod tasks;

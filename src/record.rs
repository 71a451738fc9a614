//! `ctrace record`: the recorder of `ctrace-capture` on this terminal.

use ctrace_capture::RecordArgs;

/// Arguments of `ctrace record`.
pub(crate) type Args = RecordArgs;

/// Records.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    Ok(ctrace_capture::run(args, "ctrace", env!("CARGO_PKG_VERSION")))
}

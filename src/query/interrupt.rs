//! Ctrl-C while a statement runs.

use std::thread;

use ctrace_query::Cancel;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// Cancels what a session does at each Ctrl-C, instead of ending the process.
pub(super) fn cancels(cancel: Cancel) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT])?;
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        for _ in signals.forever() {
            cancel.cancel();
        }
    })?;
    Ok(())
}

//! `ctrace-recorder`: `ctrace record` as a small program for copying to a suspicious host.

use std::process::ExitCode;

use clap::Parser;
use ctrace_capture::RecordArgs;

/// Record system calls, Docker events and audit records of this host into a case.
#[derive(Parser)]
#[command(name = "ctrace-recorder", version)]
struct Cli {
    #[command(flatten)]
    record: RecordArgs,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(ctrace_capture::run(
            &cli.record,
            "ctrace-recorder",
            env!("CARGO_PKG_VERSION"),
        )),
        Err(e) => {
            let _ = e.print();
            ExitCode::from(if e.use_stderr() { 2 } else { 0 })
        }
    }
}

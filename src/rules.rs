//! `ctrace rules`: looking at rules without a case.

mod check;

/// Arguments of `ctrace rules`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say for each rule whether it loads, on which source it runs, and if not, what it would need
    Check(check::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.command {
        Command::Check(args) => check::run(args),
    }
}

//! `ctrace rules`: looking at rules.

mod baseline;
mod check;
mod coverage;
mod list;
mod sql;

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
    /// Learn what is normal from captures
    Baseline(baseline::Args),
    /// List rules with priority, source and tags
    List(list::Args),
    /// Print conditions as SQL over table events, or say what SQL has no words for
    Sql(sql::Args),
    /// Tell which ATT&CK techniques rules cover and captures fire, which rules never fire, and which comparisons are
    /// never true
    Coverage(coverage::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Baseline(args) => baseline::run(args),
        Command::List(args) => list::run(args),
        Command::Sql(args) => sql::run(args),
        Command::Coverage(args) => coverage::run(args),
    }
}

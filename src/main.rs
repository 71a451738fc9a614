//! The `ctrace` command: arguments, exit codes, and one file per subcommand. The only code that prints.

mod certificate;
mod diagnosis;
mod diff;
mod exit;
mod explain;
mod export;
mod import;
mod imported;
mod info;
mod losses;
mod output;
mod progress;
mod query;
mod read;
mod record;
mod replay;
mod rule_files;
mod rules;
mod summary;
mod test;
mod tree;
mod triage;
mod verify;
mod when;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// A flight recorder for Linux container hosts: record once, ask anything later.
#[derive(Parser)]
#[command(name = "ctrace", version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record system calls, Docker events and audit records of this host into a case
    Record(record::Args),
    /// Make a case of captures and logs that other tools wrote
    Import(import::Args),
    /// Tell what a case holds: host, time range, events, containers, losses, sizes
    Info(info::Args),
    /// Print the events of a case, all or those that a filter in Falco's language selects
    Read(read::Args),
    /// Count what happened, in the tables of strace -c, aureport and docker events
    Summary(summary::Args),
    /// Show the processes of a case under those that started them
    Tree(tree::Args),
    /// Evaluate Falco and Sigma rules over a case and print alerts; the same bytes on every machine
    Replay(replay::Args),
    /// Tell why a rule fires on an event, or why it does not
    Explain(explain::Args),
    /// Check every byte of a case, or that a case and rules give what a certificate says
    Verify(verify::Args),
    /// Compare the alerts that two versions of rules give, and name the conditions responsible
    Diff(diff::Args),
    /// Run tests of rules: captures or events, and the alerts that must and must not come of them
    Test(test::Args),
    /// Look at rules without a case: what loads, and what the others would need
    Rules(rules::Args),
    /// Query a case or an exported folder with SQL
    Query(query::Args),
    /// Write the tables of a case as Parquet
    Export(export::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are results (stdout, 0); everything else is wrong usage (stderr, 2).
            let code = if e.use_stderr() { exit::USAGE } else { exit::DONE };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let result = match cli.command {
        Command::Record(args) => record::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Tree(args) => tree::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Completions { shell } => completions(shell),
    };
    exit::code(result)
}

/// Prints a completion script; made in memory first, since clap panics when its output cannot be written.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ctrace", &mut script);
    let mut out = output::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(exit::DONE)
}

//! Writes the mixed workload as a case, for comparisons that run outside of criterion: `record DIR EVENTS`.

use std::path::Path;
use std::process::ExitCode;

use ctrace_benches::recording::record;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [dir, events] => events.parse::<usize>().ok().map(|events| (dir, events)),
        _ => None,
    };
    let Some((dir, events)) = parsed else {
        eprintln!("usage: record DIR EVENTS");
        return ExitCode::from(2);
    };
    let case = record(Path::new(dir), events);
    println!("{} events", case.totals().events);
    ExitCode::SUCCESS
}

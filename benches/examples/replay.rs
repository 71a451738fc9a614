//! Replays a case in a process of its own, for comparisons and profiles: `replay CASE RULES,… THREADS TIMES [RULE]…`.
//!
//! Prints a JSON line per time: events, alerts and seconds, opening the case included. With names of rules only these
//! run.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ctrace_replay::{Engine, LoadOptions, Options, RuleFile, RuleSet, load};
use ctrace_trace::case::Case;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [case, files, threads, times, names @ ..] => match (threads.parse(), times.parse()) {
            (Ok(threads), Ok(times)) => Some((Path::new(case), files, threads, times, names)),
            _ => None,
        },
        _ => None,
    };
    let Some((case, files, threads, times, names)) = parsed else {
        eprintln!("usage: replay CASE RULES,... THREADS TIMES [RULE]...");
        return ExitCode::from(2);
    };
    let options = Options {
        threads,
        ..Options::default()
    };
    let started = Instant::now();
    let rules = rules(files, names);
    eprintln!(
        "{} rules loaded in {:.1} ms",
        rules.rules().iter().filter(|r| r.active).count(),
        started.elapsed().as_secs_f64() * 1e3
    );
    for _ in 0..times {
        let started = Instant::now();
        let case = Case::open(case).expect("the case opens");
        let outcome = Engine::new(&rules).replay(&case, &options, &mut |_| {});
        println!(
            "{{\"events\":{},\"alerts\":{},\"seconds\":{}}}",
            outcome.events,
            outcome.alerts,
            started.elapsed().as_secs_f64()
        );
    }
    ExitCode::SUCCESS
}

fn rules(files: &str, names: &[String]) -> RuleSet {
    let read = |name| (name, std::fs::read_to_string(name).expect("the rules are there"));
    let texts: Vec<(&str, String)> = files.split(',').map(read).collect();
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let mut options = LoadOptions::default();
    if !names.is_empty() {
        options.disable = vec!["*".to_owned()];
        options.enable = names.to_vec();
    }
    load(&files, &options).expect("the rules load")
}

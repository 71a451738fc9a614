//! Replays a case in a process of its own, for comparisons and profiles: `replay CASE RULES,… THREADS TIMES
//! [text|json] [RULE]…`.
//!
//! Prints a JSON line per time: events, alerts and seconds, of the first time opening the case and what it learned later included, and the alerts to standard error
//! if asked to. With names of rules only these run.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ctrace_replay::{Engine, Extras, LoadOptions, Options, RuleFile, RuleSet, Shape, load};
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
        eprintln!("usage: replay CASE RULES,... THREADS TIMES [text|json] [RULE]...");
        return ExitCode::from(2);
    };
    let (shape, names) = match names {
        [shape, names @ ..] if shape == "text" => (Some(Shape::Text), names),
        [shape, names @ ..] if shape == "json" => (Some(Shape::Json), names),
        names => (None, names),
    };
    let options = Options {
        threads,
        ..Options::default()
    };
    let started = Instant::now();
    let rules = rules(files, names);
    println!(
        "{{\"rules\":{},\"seconds\":{}}}",
        rules.rules().iter().filter(|r| r.active).count(),
        started.elapsed().as_secs_f64()
    );
    let mut out = BufWriter::new(std::io::stderr());
    let mut line = String::new();
    let mut started = Instant::now();
    let case = Case::open(case).expect("the case opens");
    for _ in 0..times {
        let engine = Engine::new(&rules);
        let engine = match shape {
            Some(shape) => engine.printing(shape),
            None => engine,
        };
        let outcome = engine.replay(&case, &options, &mut |alert| {
            let Some(shape) = shape else { return };
            line.clear();
            alert.print(shape, Extras::default(), &mut line);
            writeln!(out, "{line}").expect("written");
        });
        println!(
            "{{\"events\":{},\"alerts\":{},\"seconds\":{}}}",
            outcome.events,
            outcome.alerts,
            started.elapsed().as_secs_f64()
        );
        started = Instant::now();
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

//! `ctrace test`: tests of rules.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use ctrace_replay::testing::{Failure, Input, Judge, Rewriter, TestCase, TestFile, TestResult, junit, tap};
use ctrace_replay::{Engine, LoadOptions, Options, RuleSet};
use ctrace_trace::case::Case;
use ctrace_trace::escape;

use crate::{diagnosis, exit, output, rule_files};

/// Arguments of `ctrace test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test files, or folders of them (*.yaml, *.yml)
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Print TAP
    #[arg(long, conflicts_with = "quiet")]
    tap: bool,
    /// Write JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Rewrite the expectations of tests that fail to what is found
    #[arg(long)]
    update: bool,
    /// Run only tests whose name contains this
    #[arg(short, long, value_name = "TEXT")]
    name: Option<String>,
    /// Tests to run at a time [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Print failures only
    #[arg(short, long)]
    quiet: bool,
}

/// A test file with what it says.
struct Loaded {
    path: PathBuf,
    text: String,
    file: TestFile,
}

/// Rules by the files that they come from.
type RuleSets = BTreeMap<Vec<PathBuf>, RuleSet>;

/// Runs tests. 1 where one fails.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let Some(files) = files(args)? else {
        return Ok(exit::USAGE);
    };
    let Some(sets) = rule_sets(&files)? else {
        return Ok(exit::USAGE);
    };
    let selected = |t: &TestCase| args.name.as_ref().is_none_or(|n| t.name.contains(n));
    let tests: Vec<(usize, &TestCase)> = files
        .iter()
        .enumerate()
        .flat_map(|(i, f)| f.file.tests.iter().map(move |t| (i, t)))
        .filter(|(_, t)| selected(t))
        .collect();
    if tests.is_empty() {
        return Err(exit::usage(anyhow::anyhow!("no test to run")));
    }
    let threads = args.threads.map_or_else(output::threads, |n| n as usize);
    let mut done = in_parallel(threads, tests.len(), |i| {
        let (file, test) = tests[i];
        one(&files[file], test, &sets)
    });
    let mut updated = 0;
    if args.update {
        updated = update(&files, &tests, &mut done)?;
    }
    let results: Vec<TestResult> = done.into_iter().map(|d| d.result).collect();
    print(args, &results)?;
    if let Some(path) = &args.junit {
        fs::write(path, junit(&results)).with_context(|| format!("JUnit {}", path.display()))?;
    }
    let failed = results.iter().filter(|r| !r.failures.is_empty()).count();
    let rewritten = if updated == 0 {
        String::new()
    } else {
        format!(", {updated} rewritten")
    };
    output::note(&format!("{} tests, {failed} failed{rewritten}", results.len()));
    Ok(if failed > 0 { exit::FINDINGS } else { exit::DONE })
}

/// The test files; nothing where one is wrong, which has then been told.
fn files(args: &Args) -> anyhow::Result<Option<Vec<Loaded>>> {
    let mut out = Vec::new();
    let mut wrong = false;
    for path in &args.paths {
        for path in rule_files::files(path, "tests")? {
            let text = rule_files::text(&path, "tests")?;
            let name = path.display().to_string();
            match TestFile::parse(&name, &text) {
                Ok(file) => out.push(Loaded { path, text, file }),
                Err(e) => {
                    diagnosis::print(&e.0, |_| Some(&text));
                    wrong = true;
                }
            }
        }
    }
    Ok((!wrong).then_some(out))
}

/// The rules of all tests, each combination of files once; nothing where some are wrong, which has then been told.
fn rule_sets(files: &[Loaded]) -> anyhow::Result<Option<RuleSets>> {
    let mut sets = RuleSets::new();
    let mut wrong = false;
    for file in files {
        for test in &file.file.tests {
            let paths = rules_of(file, test);
            if sets.contains_key(&paths) {
                continue;
            }
            match rule_files::load(&paths, &LoadOptions::default())? {
                Some(rules) => _ = sets.insert(paths, rules.set),
                None => wrong = true,
            }
        }
    }
    Ok((!wrong).then_some(sets))
}

fn rules_of(file: &Loaded, test: &TestCase) -> Vec<PathBuf> {
    test.rules.iter().map(|r| beside(&file.path, r)).collect()
}

/// A path as a file in the same folder would mean it.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// A test that ran.
struct Done<'t> {
    result: TestResult,
    judge: Judge<'t>,
}

fn one<'t>(file: &Loaded, test: &'t TestCase, sets: &RuleSets) -> Done<'t> {
    let begun = Instant::now();
    let mut judge = Judge::new(test);
    let failures = match sets.get(&rules_of(file, test)) {
        Some(rules) => replay(file, test, rules, &mut judge),
        None => vec![failure(test, "its rules did not load".to_owned())],
    };
    let result = TestResult {
        file: file.path.display().to_string(),
        name: test.name.clone(),
        line: test.line,
        failures,
        seconds: begun.elapsed().as_secs_f64(),
    };
    Done { result, judge }
}

fn failure(test: &TestCase, message: String) -> Failure {
    Failure {
        line: test.line,
        message,
    }
}

fn replay(file: &Loaded, test: &TestCase, rules: &RuleSet, judge: &mut Judge<'_>) -> Vec<Failure> {
    let engine = Engine::new(rules);
    let mut broken = Vec::new();
    match &test.input {
        Input::Events(events) => engine.replay_block(events.block(), test.matching, &mut |a| judge.take(a)),
        Input::Case(path) => match Case::open(&beside(&file.path, path)) {
            Err(e) => broken.push(failure(test, e.to_string())),
            Ok(case) => {
                let options = Options {
                    matching: test.matching,
                    ..Options::default()
                };
                let outcome = engine.replay(&case, &options, &mut |a| judge.take(a));
                let damaged = case
                    .problems()
                    .iter()
                    .chain(&outcome.problems)
                    .filter(|p| p.kind.leaves_out());
                broken.extend(damaged.map(|p| failure(test, p.to_string())));
            }
        },
    }
    if broken.is_empty() {
        judge.failures(rules)
    } else {
        broken
    }
}

/// Calls `work` for each number below `count` on some threads; the results are in order.
fn in_parallel<R: Send>(threads: usize, count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        break;
                    }
                    let result = work(i);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .insert(i, result);
                }
            });
        }
    });
    done.into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .into_values()
        .collect()
}

/// Rewrites what failed tests expect and asks them again; returns how many were rewritten. What a test forbids stays.
fn update(files: &[Loaded], tests: &[(usize, &TestCase)], done: &mut [Done<'_>]) -> anyhow::Result<usize> {
    let mut updated = 0;
    for (i, file) in files.iter().enumerate() {
        let mut rewriter = Rewriter::default();
        let mut changed = false;
        for ((at, test), done) in tests.iter().zip(&mut *done) {
            let wanted = |f: &Failure| test.expect.iter().any(|e| e.line == f.line);
            if *at != i || !done.result.failures.iter().any(wanted) {
                continue;
            }
            rewriter.add(test, &done.judge);
            done.result.failures.retain(|f| !wanted(f));
            changed = true;
            updated += 1;
        }
        if changed {
            fs::write(&file.path, rewriter.apply(&file.text))
                .with_context(|| format!("tests {}", file.path.display()))?;
        }
    }
    Ok(updated)
}

fn print(args: &Args, results: &[TestResult]) -> anyhow::Result<()> {
    let mut out = output::stdout();
    if args.tap {
        for line in tap(results).lines() {
            writeln!(out, "{}", escape::text(line))?;
        }
        return Ok(out.flush()?);
    }
    for result in results {
        let place = format!("{}:{}", result.file, result.line);
        if !result.failures.is_empty() {
            writeln!(
                out,
                "FAILED  {}  ({})",
                escape::text(&result.name),
                escape::text(&place)
            )?;
        } else if !args.quiet {
            writeln!(out, "ok      {}", escape::text(&result.name))?;
        }
        for failure in &result.failures {
            let line = format!("{}:{}: {}", result.file, failure.line, failure.message);
            writeln!(out, "    {}", escape::text(&line))?;
        }
    }
    Ok(out.flush()?)
}

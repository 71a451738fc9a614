//! The engine against asking every rule of every event, over a recorded case.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ctrace_replay::{Engine, LoadOptions, Matching, Options, RuleFile, RuleSet, load};
use ctrace_trace::case::Case;
use ctrace_trace::segment::BlockReader;

use ctrace_skip::shared;

/// The bundled recording, or the one that `CTRACE_CASE` names.
fn case() -> Case {
    let path = std::env::var_os("CTRACE_CASE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/attack/case"),
        PathBuf::from,
    );
    Case::open(&path).expect("the case opens")
}

fn rules(path: &Path) -> Option<RuleSet> {
    let text = fs::read_to_string(path).ok()?;
    let file = RuleFile {
        name: "rules",
        text: &text,
    };
    Some(load(&[file], &LoadOptions::default()).expect("rules load"))
}

/// Event numbers by rule.
type Found = BTreeMap<String, Vec<u64>>;

fn asked(set: &RuleSet, case: &Case) -> Found {
    let mut found = Found::new();
    let mut reader = BlockReader::new();
    for block in case.blocks() {
        let decoded = reader.read(block, set.needs()).expect("the block is whole");
        case.late_facts(1).resolve(decoded);
        for event in decoded.events() {
            for (i, rule) in set.rules().iter().enumerate().filter(|(_, r)| r.active) {
                if set.holds(i, event) {
                    found.entry(rule.name.clone()).or_default().push(event.seq());
                }
            }
        }
    }
    found
}

fn replayed(set: &RuleSet, case: &Case, threads: usize) -> Found {
    let mut found = Found::new();
    let options = Options {
        threads,
        matching: Matching::All,
        ..Options::default()
    };
    let outcome = Engine::new(set).replay(case, &options, &mut |alert| {
        found.entry(alert.rule().to_owned()).or_default().push(alert.event);
    });
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    found
}

fn agree(set: &RuleSet) {
    let case = case();
    let expected = asked(set, &case);
    for threads in [1, 2, 4, 7] {
        assert_eq!(replayed(set, &case, threads), expected, "{threads} threads");
    }
}

#[test]
fn rules_of_the_sample_find_what_asking_every_event_finds() {
    let set = rules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/attack/rules.yaml")).expect("bundled");
    if std::env::var_os("CTRACE_CASE").is_none() {
        assert!(
            asked(&set, &case()).len() > 2,
            "the rules of the sample find something in it"
        );
    }
    agree(&set);
}

/// Conditions over every scope and operator that find many events, so that no class of entries is left out.
#[test]
fn conditions_that_find_much_agree() {
    let conditions = [
        "fd.name startswith /etc and not proc.name in (sh, bash)",
        "evt.type in (open, openat) and evt.is_open_write = true and fd.filename exists",
        "fd.name contains lib or fd.directory = /proc or fd.name endswith .so.6",
        "fd.name glob */l*.so* or fd.nameraw contains ../",
        "proc.aname = sh and evt.failed = true",
        "fd.typechar in (f, d, p) and evt.rawres > 0 and not fd.type = file",
        "fd.ip != 127.0.0.1 or fd.sport = 22 or fd.snet in (10.0.0.0/8)",
        "container.id = host and evt.category = file",
        "proc.cmdline contains -c and evt.type != close or evt.arg.flags contains O_CLOEXEC",
        "proc.exepath pmatch (/usr/bin, /bin) and fd.num < 3",
        "evt.type = mmap and proc.pname exists",
        "proc.name regex '[a-c].*' and evt.res != SUCCESS",
    ];
    let text: String = conditions
        .iter()
        .enumerate()
        .map(|(i, c)| format!("- {{rule: r{i}, desc: d, condition: \"{c}\", output: o, priority: INFO}}\n"))
        .collect();
    let set = load(&[RuleFile { name: "r", text: &text }], &LoadOptions::default()).expect("rules load");
    agree(&set);
}

#[test]
fn public_rules_find_what_asking_every_event_finds() {
    let Some(path) = shared(
        "public_rules_find_what_asking_every_event_finds",
        "data/falco/falco_rules.yaml",
    ) else {
        return;
    };
    agree(&rules(&path).expect("rules load"));
}

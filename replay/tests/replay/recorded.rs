//! The engine against asking every rule of every event, over a recorded case.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ctrace_replay::{Engine, LoadOptions, Matching, Options, RuleFile, RuleSet, load};
use ctrace_trace::block::Need;
use ctrace_trace::case::Case;
use ctrace_trace::catalogue::{self, Field, FieldArg, Value};
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

/// Fields with an argument, and one that some event of the samples has.
const ARGUMENTS: [(&str, &str); 12] = [
    ("evt.arg", "res"),
    ("evt.rawarg", "res"),
    ("proc.aenv", "1"),
    ("audit.field", "exe"),
    ("container.mount", "0"),
    ("container.mount.source", "0"),
    ("container.mount.dest", "0"),
    ("container.mount.mode", "0"),
    ("container.mount.rdwr", "0"),
    ("container.mount.propagation", "0"),
    ("container.label", "app"),
    ("k8s.pod.label", "app"),
];

/// Fields of sources that the samples do not have.
const OTHER_SOURCES: [&str; 7] = ["artifact.", "capture.", "docker.", "jevt.", "json.", "ka.", "log."];

/// Fields that no event of the samples has, though they are of one host with Docker: nothing was captured of what was
/// read and written or imported, images were built there, no capability was added, and there is no Kubernetes.
const NOWHERE: [&str; 16] = [
    "container.cap_add",
    "container.image.digest",
    "evt.buffer",
    "evt.latency",
    "evt.latency.human",
    "evt.latency.ns",
    "evt.latency.s",
    "evt.origin.file",
    "evt.origin.line",
    "evt.origin.offset",
    "k8s.ns.name",
    "k8s.pod.full_sandbox_id",
    "k8s.pod.id",
    "k8s.pod.name",
    "k8s.pod.sandbox_id",
    "k8s.pod.uid",
];

/// A field that loads and is silently false everywhere would make rules that never fire.
#[test]
fn every_field_has_a_value_at_some_event() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let attacks = fs::read_dir(root.join("attacks")).expect("samples");
    let mut cases: Vec<PathBuf> = attacks.map(|e| e.expect("an entry").path().join("case")).collect();
    cases.retain(|path| path.is_dir());
    cases.push(root.join("attack/case"));
    cases.sort();
    let here = |field: &&Field| OTHER_SOURCES.iter().all(|source| !field.name.starts_with(source));
    let fields = catalogue::all().filter(here);
    let mut missing: Vec<(&Field, FieldArg)> = fields.map(|field| (field, argument(field))).collect();
    let mut reader = BlockReader::new();
    for path in cases {
        let case = Case::open(&path).expect("the case opens");
        for block in case.blocks() {
            let decoded = reader.read(block, Need::ALL).expect("the block is whole");
            case.late_facts(1).resolve(decoded);
            missing.retain(|(field, arg)| decoded.events().all(|e| is_nothing(&field.of(e, arg))));
        }
    }
    let mut missing: Vec<&str> = missing.iter().map(|(field, _)| field.name).collect();
    missing.sort_unstable();
    assert_eq!(missing, NOWHERE);
}

fn argument(field: &Field) -> FieldArg {
    let known = ARGUMENTS.iter().find(|(name, _)| *name == field.name);
    known.map_or(FieldArg::None, |(_, text)| match text.parse() {
        Ok(index) => FieldArg::Index(index),
        Err(_) => FieldArg::Key((*text).to_owned()),
    })
}

fn is_nothing(value: &Value<'_>) -> bool {
    match value {
        Value::Absent => true,
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

//! The number of threads changes nothing.

use ctrace_replay::{Engine, LoadOptions, Matching, Options, RuleFile, load};

use crate::recording::attack;

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 30_000);
    assert!(case.blocks().count() > 3, "several blocks");
    let text = "
- {rule: a, desc: d, condition: 'evt.type = execve and proc.name in (cat, x)', output: 'a %proc.name %evt.num', priority: ERROR}
- {rule: b, desc: d, condition: fd.name endswith 7 or fd.sip exists, output: 'b %fd.name', priority: ERROR}
";
    let set = load(&[RuleFile { name: "r", text }], &LoadOptions::default()).expect("rules load");
    let run = |threads| {
        let mut out = String::new();
        let options = Options {
            threads,
            matching: Matching::All,
            ..Options::default()
        };
        let outcome = Engine::new(&set).replay(&case, &options, &mut |a| {
            out.push_str(&a.json());
            out.push('\n');
        });
        (out, outcome.alerts)
    };
    let (expected, alerts) = run(1);
    assert_eq!(alerts, 60_000 + 3_000 + 60_000);
    for threads in [2, 4, 13] {
        assert!(run(threads).0 == expected, "{threads} threads");
    }
}

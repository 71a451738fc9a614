//! The number of threads changes nothing.

use ctrace_replay::{Engine, LoadOptions, Matching, Options, RuleFile, load};
use ctrace_trace::event::Arg;

use crate::recording::{Recording, attack};

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

#[test]
fn a_recording_with_losses_is_marked() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut recording = Recording::new(dir.path());
    let sh = recording.image("sh", "/bin/sh", &["sh"], None, None);
    recording.exec(&sh);
    recording.push(
        "gap",
        &sh,
        &[("source", Arg::Str(b"syscall")), ("count", Arg::Num(7))],
        0,
        None,
    );
    let lossy = recording.finish(dir.path());
    let whole = tempfile::tempdir().expect("tempdir");
    let whole = attack(whole.path(), 1);
    let text = "- {rule: a, desc: d, condition: evt.type = execve, output: a, priority: ERROR}";
    let set = load(&[RuleFile { name: "r", text }], &LoadOptions::default()).expect("rules load");
    let run = |case| Engine::new(&set).replay(case, &Options::default(), &mut |_| {});
    assert!(run(&whole).is_complete());
    let outcome = run(&lossy);
    assert!(!outcome.is_complete());
    let text = outcome.to_string();
    // When it was is not known: it may have been near the alert.
    let told = "7 events were lost when it was recorded; 1 alerts have losses near them";
    assert!(text.ends_with(told), "{text}");
}

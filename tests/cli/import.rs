//! `ctrace import`: captures of other tools, and the alerts that Falco gave on them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::run::{ctrace, file, folder};
use ctrace_skip::shared;

/// Alerts by rule and by priority.
type Counts = (BTreeMap<String, u64>, BTreeMap<String, u64>);

fn counts(alerts: &str, keep: impl Fn(&Value) -> bool) -> Counts {
    let mut counts = Counts::default();
    for line in alerts.lines() {
        let alert: Value = serde_json::from_str(line).expect("JSON");
        if keep(&alert) {
            let text = |key: &str| alert[key].as_str().expect("text").to_owned();
            *counts.0.entry(text("rule")).or_default() += 1;
            *counts.1.entry(text("priority")).or_default() += 1;
            assert_eq!(alert["source"], "syscall");
        }
    }
    counts
}

fn expected(test: &Value, key: &str) -> BTreeMap<String, u64> {
    let map = test[key].as_object().expect("an object");
    map.iter()
        .map(|(name, n)| (name.clone(), n.as_u64().expect("a count")))
        .collect()
}

/// What Falco's options leave out: a threshold of priority, rules by name. They are applied to the alerts here, since
/// what is tested is the import.
fn options(test: &Value) -> impl Fn(&Value) -> bool + use<> {
    const ORDER: [&str; 8] = [
        "Emergency",
        "Alert",
        "Critical",
        "Error",
        "Warning",
        "Notice",
        "Informational",
        "Debug",
    ];
    let options: Vec<String> = test["args"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|a| a.as_str().expect("text").to_owned())
        .collect();
    move |alert| {
        let rank = |name: &str| {
            ORDER
                .iter()
                .position(|p| p.eq_ignore_ascii_case(name))
                .expect("a priority")
        };
        options.iter().all(|option| match option.split_once('=') {
            Some(("priority", least)) => rank(alert["priority"].as_str().expect("text")) <= rank(least),
            Some(("rules[].disable.rule", name)) => alert["rule"] != name,
            _ => true,
        })
    }
}

#[test]
fn falco_gives_the_same_alerts() {
    const TEST: &str = "falco_gives_the_same_alerts";
    let (Some(tests), Some(captures)) = (shared(TEST, "data/falco/tests"), shared(TEST, "data/scap")) else {
        return;
    };
    let made = folder();
    let list = fs::read_to_string(tests.join("expect.json")).expect("expect.json");
    let list: Vec<Value> = serde_json::from_str(&list).expect("a list");
    let mut wrong = Vec::new();
    for test in &list {
        let name = test["test"].as_str().expect("text");
        let capture = test["capture"].as_str().expect("text");
        let case = made.path().join(capture);
        if !case.exists() {
            ctrace([
                "import".as_ref(),
                captures.join(capture).as_os_str(),
                "-o".as_ref(),
                case.as_os_str(),
            ])
            .code(0);
        }
        let mut args = vec!["replay".into(), "--json".into(), case.into_os_string()];
        for rules in test["rules"].as_array().expect("a list") {
            args.push("--rules".into());
            args.push(tests.join(format!("{}.yaml", rules.as_str().expect("text"))).into());
        }
        let ran = ctrace(&args);
        // 1 says that there were alerts.
        if ran.code > 1 {
            wrong.push(format!("{name}: {}", ran.err));
            continue;
        }
        let found = counts(&ran.out, options(test));
        let wanted = (expected(test, "by_rule"), expected(test, "by_priority"));
        if found != wanted {
            wrong.push(format!("{name}: {found:?}, Falco: {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "of {} tests:\n{}", list.len(), wrong.join("\n"));
    assert_eq!(list.len(), 42);
}

/// A capture whose first block is whole and whose second is cut.
#[test]
fn a_cut_capture_is_imported_up_to_the_cut() {
    let mut bytes = Vec::new();
    for word in [
        0x0A0D_0D0A_u32,
        28,
        0x1A2B_3C4D,
        0x0002_0001,
        u32::MAX,
        u32::MAX,
        28,
        0x216,
        40,
    ] {
        bytes.extend(word.to_le_bytes());
    }
    let made = folder();
    let capture = made.path().join("cut.scap");
    fs::write(&capture, &bytes).expect("written");
    let case = made.path().join("case");
    let ran = ctrace(["import".as_ref(), capture.as_os_str(), "-o".as_ref(), case.as_os_str()]).code(3);
    assert!(
        ran.err.contains("cut.scap: offset 28: the file ends within a block"),
        "{}",
        ran.err
    );
    let info = ctrace(["info".as_ref(), case.as_os_str()]).code(0);
    assert!(info.out.contains("cut.scap"), "{}", info.out);
    assert!(info.out.contains("cut at offset 28"), "{}", info.out);
    let info = ctrace(["info".as_ref(), "--json".as_ref(), case.as_os_str()]).code(0);
    let info: Value = serde_json::from_str(&info.out).expect("JSON");
    let imported = &info["imported"][0];
    assert_eq!(
        (imported["format"].as_str(), imported["bytes"].as_u64()),
        (Some("scap"), Some(36))
    );
    assert_eq!(imported["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn wrong_usage_makes_nothing() {
    let made = folder();
    let text = file(made.path(), "text", "hello\n");
    let case = made.path().join("case");
    let ran = ctrace(["import".as_ref(), text.as_os_str(), "-o".as_ref(), case.as_os_str()]).code(2);
    assert!(
        ran.err
            .contains("format not known: text that begins with \"hello\"; name it with --format (scap, "),
        "{}",
        ran.err
    );
    let args = [
        "import".as_ref(),
        text.as_os_str(),
        "--format".as_ref(),
        "nonsense".as_ref(),
        "-o".as_ref(),
        case.as_os_str(),
    ];
    let ran = ctrace(args).code(2);
    assert!(ran.err.contains("no format \"nonsense\""), "{}", ran.err);
    let absent = made.path().join("absent");
    ctrace(["import".as_ref(), absent.as_os_str(), "-o".as_ref(), case.as_os_str()]).code(4);
    assert!(!case.exists());
}

/// Files are read twice: a pipe would be empty the second time, and opening one waits for its writer.
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let made = folder();
    let pipe = made.path().join("pipe");
    let status = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(status.success(), "{status}");
    let case = made.path().join("case");
    let good = file(made.path(), "trace", "1 1763760000.000100 close(3) = 0\n");
    let args = [
        "import".as_ref(),
        good.as_os_str(),
        pipe.as_os_str(),
        "-o".as_ref(),
        case.as_os_str(),
    ];
    let ran = ctrace(args).code(4);
    assert!(ran.err.contains("not a regular file"), "{}", ran.err);
    assert!(!case.exists());
}

/// A folder of evidence holds more than logs: what can be read is, and the exit code says that it is not all.
#[test]
fn what_nobody_knows_is_left_out() {
    let made = folder();
    let log = file(made.path(), "audit.log", RECORD);
    let notes = file(made.path(), "notes.md", "# What we did\n");
    let case = made.path().join("case");
    let args = [
        "import".as_ref(),
        notes.as_os_str(),
        made.path().as_os_str(),
        log.as_os_str(),
        "-o".as_ref(),
        case.as_os_str(),
    ];
    let ran = ctrace(args).code(3);
    for wanted in [
        "audit.log: audit, 1 event\n",
        "notes.md: left out: format not known: text that begins with \"# What we did\"\n",
        ": left out: a folder; name the files in it\n",
        "2 files not imported; where ctrace has the format, import such a file apart with --format NAME (scap, ",
        "4 events in 1 block",
    ] {
        assert!(ran.err.contains(wanted), "{wanted:?} in\n{}", ran.err);
    }
    let info = ctrace(["info".as_ref(), case.as_os_str()]).code(0);
    assert!(info.out.contains("left out   "), "{}", info.out);
    assert!(
        info.out
            .contains("notes.md (14 bytes): format not known: text that begins with"),
        "{}",
        info.out
    );
    let info = ctrace(["info".as_ref(), "--json".as_ref(), case.as_os_str()]).code(0);
    let info: Value = serde_json::from_str(&info.out).expect("JSON");
    let unread: Vec<Option<&str>> = info["imported"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| file["unread"].as_str())
        .collect();
    let note = "format not known: text that begins with \"# What we did\"";
    assert_eq!(unread, [None, Some(note), Some("a folder; name the files in it")]);
}

const RECORD: &str =
    "type=USER_LOGIN msg=audit(1795386400.250:8): pid=9 uid=0 auid=0 ses=1 msg='op=login res=success'\n";

/// Of many files only those are named of which there is something to say, and a case of logs has no host.
#[test]
fn many_files_are_told_in_a_line() {
    let made = folder();
    let mut files = Vec::new();
    for at in 0..30 {
        let text = match at {
            3 => String::new(),
            7 => format!("{RECORD}no record\n"),
            _ => RECORD.to_owned(),
        };
        files.push(file(made.path(), &format!("log-of-{at}x"), text));
    }
    let case = made.path().join("case");
    let mut arguments = vec!["import".into(), "-o".into(), case.clone().into_os_string()];
    arguments.extend(files.iter().map(|f| f.clone().into_os_string()));
    let ran = ctrace(arguments).code(0);
    for wanted in [
        "log-of-3x: empty, left out",
        "log-of-7x: audit, 2 events, 1 of unknown kind kept as they are",
        "29 files (29 audit): 30 events",
        "60 events in 1 block,",
    ] {
        assert!(ran.err.contains(wanted), "{wanted:?} in\n{}", ran.err);
    }
    // 28 files have the same contents, which is told of each but the first.
    let told = ran.err.lines().filter(|l| !l.contains("the same contents")).count();
    assert_eq!(told, 4, "{}", ran.err);
    let text = ctrace(["info".as_ref(), case.as_os_str()]).code(0).silent();
    assert!(
        text.contains("host       not known\n") && text.contains("\nimported   by ctrace"),
        "{text}"
    );
    assert!(!text.contains("()") && !text.contains("boot id"), "{text}");
}

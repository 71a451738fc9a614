//! Sigma rules: modifiers and special values, log sources, filters, what is refused.

use ctrace_replay::{Alert, Diagnostics, Engine, LoadOptions, Options, RuleFile, RuleSet, Verdict, check, load};
use ctrace_trace::case::Case;
use ctrace_trace::event::Arg;

use crate::recording::{Recording, attack};

fn loaded(text: &str, options: &LoadOptions) -> Result<RuleSet, Diagnostics> {
    load(&[RuleFile { name: "s.yml", text }], options)
}

fn replayed(case: &Case, text: &str, options: &LoadOptions) -> Vec<Alert> {
    let set = loaded(text, options).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let mut out = Vec::new();
    Engine::new(&set).replay(case, &Options::default(), &mut |a| out.push(a.clone()));
    // Asked one by one, events say the same.
    let mut reader = ctrace_trace::segment::BlockReader::new();
    for block in case.blocks() {
        let decoded = reader.read(block, ctrace_trace::block::Need::ALL).expect("decodes");
        for row in 0..decoded.len {
            let event = decoded.event(row);
            for (i, rule) in set.rules().iter().enumerate() {
                let told = out.iter().any(|a| a.event == event.seq() && a.rule() == rule.name);
                assert_eq!(set.holds(i, event), told, "{} on event {}", rule.name, event.seq());
            }
        }
    }
    out
}

fn rule(logsource: &str, fields: &str, detection: &str) -> String {
    let detection = detection.replace('\n', "\n    ");
    format!(
        "title: t\nlogsource:\n    product: linux\n    {logsource}\ndetection:\n    {detection}\nfields: [{fields}]\nlevel: high\n"
    )
}

/// The names of the processes whose start a selection matches.
fn started(selection: &str) -> Vec<String> {
    let selection = selection.replace('\n', "\n    ");
    let detection = format!("sel:\n    {selection}\ncondition: sel");
    names("category: process_creation", &detection, &LoadOptions::default())
}

fn names(logsource: &str, detection: &str, options: &LoadOptions) -> Vec<String> {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let alerts = replayed(&case, &rule(logsource, "ProcessName", detection), options);
    let name = |a: &Alert| {
        a.message()
            .strip_prefix("t (ProcessName=")
            .and_then(|m| m.strip_suffix(')'))
            .map(str::to_owned)
    };
    alerts.iter().map(|a| name(a).unwrap_or_else(|| a.message())).collect()
}

/// Each modifier in a value that matches and in one that does not.
#[test]
fn modifiers() {
    let none: &[&str] = &[];
    for (selection, expected) in [
        // Plain values are whole, whatever the case of letters.
        ("Image: /BIN/Cat", &["cat"][..]),
        ("Image: /bin/ca", none),
        ("Image|cased: /bin/cat", &["cat"]),
        ("Image|cased: /BIN/cat", none),
        ("Image: [/bin/cat, /TMP/x]", &["cat", "x"]),
        ("Image: /b?n/c*", &["cat"]),
        (r"Image: /b\?n/cat", none),
        ("Image|contains: 'IN/'", &["bash", "cat"]),
        ("Image|contains|cased: 'IN/'", none),
        ("Image|startswith: /TMP", &["x"]),
        ("Image|startswith: tmp", none),
        ("Image|endswith: [/X, /CAT]", &["cat", "x"]),
        ("Image|endswith: /bin", none),
        ("CommandLine|contains|all: [cat, SHADOW]", &["cat"]),
        ("CommandLine|contains|all: [cat, passwd]", none),
        ("CommandLine: 'cat /etc/shadow'", &["cat"]),
        ("CommandLine|endswith: shadow", &["cat"]),
        ("CommandLine: /tmp/x", &["x"]),
        // Expressions are found anywhere and heed the case.
        ("CommandLine|re: 'sh[a-z]+w$'", &["cat"]),
        ("CommandLine|re: 'SH[A-Z]+W$'", none),
        ("CommandLine|re|i: 'SH[A-Z]+W$'", &["cat"]),
        ("CommandLine|re|m: '^cat .*w$'", &["cat"]),
        ("CommandLine|re|s: 'cat.+w'", &["cat"]),
        ("Image|exists: true", &["bash", "cat", "x"]),
        ("Image|exists: false", none),
        ("CurrentDirectory|exists: true", none),
        ("CurrentDirectory|exists: false", &["bash", "cat", "x"]),
        ("CurrentDirectory: null", &["bash", "cat", "x"]),
        ("Image: null", none),
        ("Image: ''", none),
        ("CurrentDirectory: ''", &["bash", "cat", "x"]),
        ("Image: '*'", &["bash", "cat", "x"]),
        ("Image|neq: /bin/cat", &["bash", "x"]),
        ("Image|neq: [/bin/cat, /tmp/x]", &["bash"]),
        ("ProcessId|gt: 0", &["bash", "cat", "x"]),
        ("ProcessId|gte: 105", &["x"]),
        ("ProcessId|gt: 105", none),
        ("ProcessId|lt: 104", &["bash"]),
        ("ProcessId|lte: 104", &["bash", "cat"]),
        ("ProcessId: 104", &["cat"]),
        ("ProcessId: [102, 105]", &["bash", "x"]),
        // 2023-11-14T22:13:20Z
        ("UtcTime|hour: 22", &["bash", "cat", "x"]),
        ("UtcTime|hour|lt: 22", none),
        ("UtcTime|minute|gte: 13", &["bash", "cat", "x"]),
        ("UtcTime|day: 15", none),
        ("UtcTime|week: 46", &["bash", "cat", "x"]),
        ("UtcTime|month|gt: 11", none),
        ("UtcTime|year: [2022, 2023]", &["bash", "cat", "x"]),
        ("Image|fieldref: CommandLine", &["x"]),
        ("Image|fieldref|neq: CommandLine", &["bash", "cat"]),
        ("CommandLine|fieldref|startswith: ProcessName", &["cat"]),
        ("CommandLine|fieldref|endswith: ProcessName", &["bash", "x"]),
        ("CommandLine|windash|contains: ' -etc'", &["cat"]),
        ("CommandLine|contains|windash: ' -etc'", &["cat"]),
        ("CommandLine|windash|startswith: -bash", &["bash"]),
        ("CommandLine|contains: ' -etc'", none),
        // Lists of maps are alternatives, the fields of a map must all match.
        ("- Image: /bin/cat\n- ProcessName: x", &["cat", "x"]),
        ("Image: /bin/cat\nProcessName: x", none),
        ("- cat /etc\n- '/TMP/'", &["cat", "x"]),
        ("'|all': [cat, shadow]", &["cat"]),
        ("'|all': [cat, passwd]", none),
        ("- nothing\n- Image: /tmp/x", &["x"]),
    ] {
        assert_eq!(started(selection), expected, "{selection}");
    }
}

#[test]
fn conditions_join_searches() {
    let searches =
        "sel_a:\n    Image: /bin/cat\nsel_b:\n    ProcessName: x\nfilter:\n    User: root\n    ProcessName: x\n";
    for (condition, expected) in [
        ("1 of sel_*", &["cat", "x"][..]),
        ("all of sel_*", &[]),
        ("1 of sel_* and not filter", &["cat"]),
        ("not 1 of them", &["bash"]),
        ("sel_a or sel_b and filter", &["cat", "x"]),
    ] {
        let found = names(
            "category: process_creation",
            &format!("{searches}condition: {condition}"),
            &LoadOptions::default(),
        );
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn placeholders_need_values() {
    let detection = "sel:\n    Image|expand: '%dir%/cat'\ncondition: sel";
    let text = rule("category: process_creation", "ProcessName", detection);
    let set = loaded(&text, &LoadOptions::default()).expect("loads without the rule");
    assert!(set.rules().is_empty());
    assert!(
        set.warnings()[0]
            .message
            .contains("needs values for placeholder '%dir%'")
    );
    let mut options = LoadOptions::default();
    options
        .placeholders
        .insert("dir".to_owned(), vec!["/usr/bin".to_owned(), "/b*".to_owned()]);
    assert_eq!(names("category: process_creation", detection, &options), ["cat"]);
}

#[test]
fn connections() {
    let of = |selection: &str| {
        names(
            "category: network_connection",
            &format!("sel:\n    {selection}\ncondition: sel"),
            &LoadOptions::default(),
        )
    };
    assert_eq!(of("DestinationPort: 443"), ["x"]);
    assert_eq!(of("DestinationIp: 127.0.0.1"), ["bash"]);
    assert_eq!(of("DestinationIp|cidr: 203.0.113.0/24"), ["x"]);
    assert_eq!(of("DestinationIp|cidr: 203.0.112.0/24"), [""; 0]);
    assert_eq!(of("DestinationIp|cidr: [10.0.0.0/8, '::1/128']"), [""; 0]);
    assert_eq!(of("SourceIp|startswith: '10.'"), ["x", "bash"]);
    assert_eq!(of("Initiated: 'true'\n    DestinationPort|lt: 100"), ["bash"]);
    assert_eq!(of("Initiated: 'false'"), [""; 0]);
    assert_eq!(of("Image|endswith: /x\n    Protocol: TCP"), ["x"]);
}

#[test]
fn files_that_are_written() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut r = Recording::new(dir.path());
    let sh = r.image("sh", "/bin/sh", &["sh"], None, None);
    let path = |text: &'static str| Arg::Path {
        resolved: text.as_bytes(),
        raw: text.as_bytes(),
    };
    let (create, truncate) = (1 << 6, 1 << 9);
    r.push(
        "openat",
        &sh,
        &[("name", path("/etc/read")), ("flags", Arg::Num(0))],
        3,
        None,
    );
    r.push(
        "openat",
        &sh,
        &[("name", path("/etc/failed")), ("flags", Arg::Num(1 | truncate))],
        -13,
        None,
    );
    r.push(
        "openat",
        &sh,
        &[("name", path("/etc/cut")), ("flags", Arg::Num(1 | truncate))],
        3,
        None,
    );
    r.push(
        "openat",
        &sh,
        &[("name", path("/etc/new")), ("flags", Arg::Num(1 | create))],
        3,
        None,
    );
    r.push(
        "rename",
        &sh,
        &[("oldpath", path("/tmp/a")), ("newpath", path("/etc/moved"))],
        0,
        None,
    );
    let case = r.finish(dir.path());
    let detection = "sel:\n    TargetFilename|startswith: /ETC/\ncondition: sel";
    let alerts = replayed(
        &case,
        &rule("category: file_event", "TargetFilename", detection),
        &LoadOptions::default(),
    );
    let messages: Vec<String> = alerts.iter().map(|a| a.message()).collect();
    assert_eq!(
        messages,
        [
            "t (TargetFilename=/etc/cut)",
            "t (TargetFilename=/etc/new)",
            "t (TargetFilename=/etc/moved)"
        ]
    );
}

/// Fields of a selection are those of one record, not of the event.
#[test]
fn audit_records() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut r = Recording::new(dir.path());
    let sh = r.image("sh", "/bin/sh", &["sh"], None, None);
    let raw = "type=SYSCALL msg=audit(1.000:7): syscall=59 success=yes a0=cat a1=7f euid=33 comm=\"cat\" exe=\"/bin/cat\" key=(null)\n\
               type=EXECVE msg=audit(1.000:7): argc=3 a0=\"cat\" a1=2F6574632F736861646F77 a2=\"\"\n\
               type=PATH msg=audit(1.000:7): item=0 name=\"/bin/cat\"\n\
               type=CWD msg=audit(1.000:7): cwd=\"/root\"";
    r.push(
        "audit",
        &sh,
        &[
            ("types", Arg::Str(b"SYSCALL,EXECVE,PATH,CWD")),
            ("syscall", Arg::Str(b"execve")),
            ("raw", Arg::Str(raw.as_bytes())),
        ],
        0,
        None,
    );
    let case = r.finish(dir.path());
    for (detection, holds) in [
        (
            "s:\n    type: execve\n    a0: cat\n    a1: /etc/shadow\ncondition: s",
            true,
        ),
        ("s:\n    type: EXECVE\n    a1: 7f\ncondition: s", false),
        (
            "s:\n    type: SYSCALL\n    a1: 7f\n    SYSCALL: execve\n    euid: 33\ncondition: s",
            true,
        ),
        ("s:\n    type: SYSCALL\n    name: /bin/cat\ncondition: s", false),
        (
            "s:\n    type: PATH\n    name|startswith: /bin/\nf:\n    name|contains: cat\ncondition: s and not f",
            false,
        ),
        (
            "s:\n    type: SYSCALL\n    exe: /bin/cat\nf:\n    name|contains: cat\ncondition: s and not f",
            true,
        ),
        (
            "s:\n    type: EXECVE\nk:\n    '|all': [cat, /etc/shadow]\ncondition: s and k",
            true,
        ),
        ("s:\n    type: EXECVE\nk: [nothing]\ncondition: s and k", false),
        // Records tell an empty value from none.
        ("s:\n    type: EXECVE\n    a2: ''\ncondition: s", true),
        ("s:\n    type: EXECVE\n    a2: null\ncondition: s", false),
        ("s:\n    type: EXECVE\n    a3: null\ncondition: s", true),
        ("s:\n    type: EXECVE\n    a3: ''\ncondition: s", false),
        ("s:\n    type: SYSCALL\n    key|exists: false\ncondition: s", true),
        ("s:\n    comm|fieldref: a0\ncondition: s", true),
        ("s:\n    exe|fieldref: a0\ncondition: s", false),
    ] {
        let found = replayed(
            &case,
            &rule("service: auditd", "type", detection),
            &LoadOptions::default(),
        );
        assert_eq!(found.len(), usize::from(holds), "{detection}");
    }
    // A rule for any log of the system looks at audit records too.
    let any = rule("definition: x", "", "k: ['type=CWD']\ncondition: k");
    assert_eq!(replayed(&case, &any, &LoadOptions::default())[0].source(), "audit");
}

#[test]
fn lines_of_containers() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut r = Recording::new(dir.path());
    let sh = r.image("sh", "/bin/sh", &["sh"], None, None);
    for line in ["Stopping IPTables", "all is well"] {
        r.push(
            "container_log",
            &sh,
            &[("stream", Arg::Str(b"stdout")), ("message", Arg::Str(line.as_bytes()))],
            0,
            None,
        );
    }
    let case = r.finish(dir.path());
    let text = rule(
        "service: syslog",
        "message",
        "keywords:\n    - 'stopping *tables'\n    - other\ncondition: keywords",
    );
    let found = replayed(&case, &text, &LoadOptions::default());
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].source(), found[0].message().as_str()),
        ("container_log", "t (message=Stopping IPTables)")
    );
}

/// A filter is a condition for the rules that it names.
#[test]
fn filters() {
    let base = rule(
        "category: process_creation",
        "ProcessName",
        "sel:\n    Image|contains: /\ncondition: sel",
    );
    let filter = |rules: &str| {
        format!(
            "---\ntitle: f\nlogsource:\n    product: linux\n    category: process_creation\nfilter:\n    rules: {rules}\n    \
             sel:\n        ProcessName: cat\n    condition: not sel\n"
        )
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let count = |text: &str| replayed(&case, text, &LoadOptions::default()).len();
    let named = format!("id: one\n{base}");
    assert_eq!(count(&named), 3);
    assert_eq!(count(&format!("{named}{}", filter("[one]"))), 2);
    assert_eq!(count(&format!("{named}{}", filter("any"))), 2);
    assert_eq!(count(&format!("{named}{}", filter("[two]"))), 3);
}

#[test]
fn levels_tags_and_outputs() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let text = "title: Cat of 100%\nid: 1\nstatus: test\ndescription: d\ntags: [attack.t1003, attack.credential-access]\n\
                logsource: {category: process_creation}\ndetection:\n    sel: {Image: /bin/cat}\n    condition: sel\nlevel: critical\n";
    let found = replayed(&case, text, &LoadOptions::default());
    assert_eq!(found[0].priority().name(), "Critical");
    assert_eq!(found[0].tags(), ["attack.credential-access", "attack.t1003"]);
    assert_eq!(
        found[0].message(),
        "Cat of 100% (User=root ProcessId=104 Image=/bin/cat CommandLine=cat /etc/shadow ParentImage=/bin/sh ContainerName=web-1)"
    );
    // Sigma's rules raise alerts whatever Falco's rules match, and beside each other.
    let falco = "- {rule: any, desc: d, condition: evt.type = execve, output: o, priority: INFO}";
    let other = text.replace("Cat of 100%", "Other");
    let files = [("a", falco), ("b", text), ("c", other.as_str())];
    let files = files.map(|(name, text)| RuleFile { name, text });
    let set = load(&files, &LoadOptions::default()).expect("loads");
    let mut rules = Vec::new();
    Engine::new(&set).replay(&case, &Options::default(), &mut |a| rules.push(a.rule().to_owned()));
    assert_eq!(rules, ["any", "any", "Cat of 100%", "Other", "any"]);
    let off = LoadOptions {
        disable: vec!["Cat*".to_owned()],
        ..LoadOptions::default()
    };
    assert!(!load(&files, &off).expect("loads").rules()[1].active);
}

/// Errors have a place; rules for other data are named and left out.
#[test]
fn what_is_refused() {
    let sel = |text: &str| {
        rule(
            "category: process_creation",
            "",
            &format!("sel:\n    {text}\ncondition: sel"),
        )
    };
    let wrong = |text: &str| loaded(text, &LoadOptions::default()).expect_err("is wrong").to_string();
    assert_eq!(
        wrong(&sel("Image|containz: x")),
        "s.yml:7:9: error: unknown modifier 'containz'; did you mean 'contains'?"
    );
    let regex = wrong(&sel("Image|re: '(a'"));
    assert!(
        regex.starts_with("s.yml:7:20: error: regular expression: ") && regex.contains("unclosed group"),
        "{regex}"
    );
    assert!(wrong(&sel("Image|re|i|cidr: 'a'")).contains("cannot stand together"));
    assert!(wrong(&sel("Image|i: 'a'")).contains("stands only after re"));
    assert!(wrong(&sel("ProcessId|lt: many")).contains("'many' is no number"));
    assert!(wrong(&sel("Image|exists: maybe")).contains("exists takes true or false"));
    assert!(wrong(&sel("Image|base64: 'a*'")).contains("wildcards cannot be encoded"));
    let text = rule(
        "category: process_creation",
        "",
        "sel: {Image: x}\ncondition: sel and flter",
    );
    assert!(
        wrong(&text).starts_with("s.yml:7:24: error: there is no search identifier 'flter'"),
        "{}",
        wrong(&text)
    );
    assert!(wrong("title: t\nlogsource: {product: linux}\n").contains("there is no 'detection'"));
    assert!(wrong("title: t\ndetection: {a: [x], condition: a}\n").contains("'logsource' is missing"));
    assert!(
        wrong("title: t\nlevel: loud\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n")
            .contains("unknown level")
    );
    for (text, why) in [
        (sel("DestinationHostname: x"), "needs field 'DestinationHostname'"),
        (sel("Imagge: x"), "did you mean 'Image'?"),
        (sel("Image|fieldref: Hashes"), "needs field 'Hashes'"),
        (
            sel("x: y").replace("product: linux", "product: windows"),
            "needs logs of product 'windows'",
        ),
        (
            sel("x: y").replace("process_creation", "dns_query"),
            "needs events of category 'dns_query'",
        ),
        (
            rule("service: zeek", "", "k: [a]\ncondition: k"),
            "needs the log of service 'zeek'",
        ),
    ] {
        let report = check(
            &[RuleFile {
                name: "s.yml",
                text: &text,
            }],
            &LoadOptions::default(),
        );
        match &report.rules[0].verdict {
            Verdict::LeftOut(found) => assert!(found.contains(why), "{found}"),
            other => panic!("{text}: {other:?}"),
        }
        assert!(
            loaded(&text, &LoadOptions::default())
                .expect("others may run")
                .rules()
                .is_empty()
        );
    }
}

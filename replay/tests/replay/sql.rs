//! Conditions as SQL: what is written, and what has no words. What the statements select is compared with replay where there
//! is an engine, in the command's tests.

use ctrace_replay::{LoadOptions, RuleFile, load};

fn sql(condition: &str) -> Result<String, String> {
    let text = format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n");
    let file = RuleFile {
        name: "r.yaml",
        text: &text,
    };
    let set = load(&[file], &LoadOptions::default()).unwrap_or_else(|e| panic!("{condition}: {e}"));
    set.sql(0).map_err(|e| e.to_string())
}

#[test]
fn comparisons_become_sql() {
    for (condition, wanted) in [
        ("proc.name = cat", "proc_name = 'cat'"),
        ("proc.name = \"it's\"", "proc_name = 'it''s'"),
        ("proc.name != cat", "proc_name <> 'cat'"),
        ("not proc.name = cat", "(proc_name = 'cat') IS NOT TRUE"),
        (
            "not (proc.name = a or fd.num = 1)",
            "((proc_name = 'a') IS NOT TRUE) AND ((fd_num = 1) IS NOT TRUE)",
        ),
        ("proc.name in (b, a)", "proc_name IN ('a', 'b')"),
        ("proc.aname[0] = sh", "proc_name = 'sh'"),
        ("proc.aname[2] = sh", "proc_aname[2] = 'sh'"),
        ("proc.aname = sh", "array_has(proc_aname, 'sh')"),
        (
            "fd.name pmatch (/etc, /home/*/x)",
            "regexp_like(fd_name, '^/*(?:etc|home/+[^/]*/+x)(?:/|$)')",
        ),
        (
            "fd.name glob '/a?b*'",
            r"regexp_like(fd_name, '^/a[\x00-\x7f]b(?s:.*)$')",
        ),
        ("tolower(proc.name) = a1", "regexp_like(proc_name, '^[aA]1$')"),
        ("user.uid > -1", "user_uid IS NOT NULL"),
        ("fd.sip = 10.0.0.1", "fd_sip = '10.0.0.1'"),
        (
            "proc.env[X] exists",
            "CASE WHEN contains(proc_env_variables, '\u{1f}X=') THEN \
          split_part(split_part(proc_env_variables, '\u{1f}X=', 2), '\u{1f}', 1) END IS NOT NULL",
        ),
    ] {
        let wanted = format!("source = 'syscall' AND ({wanted})");
        assert_eq!(sql(condition), Ok(wanted), "{condition}");
    }
    assert_eq!(sql("user.uid = -1"), Ok("false".to_owned()));
    assert_eq!(sql("tolower(proc.name) = A"), Ok("false".to_owned()));
}

#[test]
fn both_ends_of_a_socket_differ() {
    let wanted = "source = 'syscall' AND (((fd_cport IS NOT NULL) OR (fd_sport IS NOT NULL)) AND \
                  (((fd_cport IS NOT NULL) IS NOT TRUE) OR (fd_cport <> 80)) AND \
                  (((fd_sport IS NOT NULL) IS NOT TRUE) OR (fd_sport <> 80)))";
    assert_eq!(sql("fd.port != 80").as_deref(), Ok(wanted));
}

#[test]
fn bytes_that_were_written() {
    assert_eq!(
        sql("evt.buffer contains x").as_deref(),
        Ok("source = 'syscall' AND (contains(evt_buffer, 'x'))")
    );
    assert_eq!(
        sql("evt.buffer bcontains ff41").as_deref(),
        Ok("source = 'syscall' AND (contains(evt_buffer, '\\xffA'))")
    );
}

#[test]
fn what_has_no_words_is_named() {
    for (condition, wanted) in [
        (
            "evt.buffer bcontains a9",
            "evt.buffer: SQL finds characters, not parts of them",
        ),
        (
            "len(evt.buffer) > 3",
            "len(evt.buffer): a column's text is longer than the bytes that are no UTF-8",
        ),
        (
            "evt.type = write and b64(proc.args) = x",
            "b64(proc.args): SQL fails where a text is no base64",
        ),
        (
            "proc.aexepath[2] = /x",
            "proc.aexepath[2]: the table has no column with it",
        ),
        (
            "fd.sip in (10.0.0.1) or fd.snet = 2001:db8::/32",
            "fd.snet: SQL does not take such IPv6 networks",
        ),
    ] {
        assert_eq!(sql(condition), Err(wanted.to_owned()), "{condition}");
    }
}

/// One record satisfies the whole condition: numbers of records are what is joined.
#[test]
fn conditions_on_single_records_use_a_function_of_our_own() {
    let rule = "title: r\nlogsource: {product: linux, service: auditd}\ndetection:\n  s: {type: PATH, name|startswith: /etc}\n  \
                f: {name|contains: tmp}\n  condition: s and not f\n";
    let file = RuleFile {
        name: "r.yml",
        text: rule,
    };
    let set = load(&[file], &LoadOptions::default()).expect("loads");
    let of = |field: &str, pattern: &str| format!("audit_matches(audit_raw, audit_syscall, '{field}', '{pattern}')");
    let wanted = format!(
        "source = 'audit' AND (cardinality(array_intersect(array_intersect({}, {}), array_except({}, {}))) > 0)",
        of("type", "^[pP][aA][tT][hH]$"),
        of("name", "^/[eE][tT][cC]"),
        of("", ""),
        of("name", "[tT][mM][pP]"),
    );
    assert_eq!(set.sql(0), Ok(wanted));
}

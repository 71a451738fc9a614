//! Filters and formats, as `ctrace read` uses them.

use ctrace_replay::{Filter, Format};
use ctrace_trace::segment::BlockReader;

use crate::recording::attack;

fn matching(filter: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let filter = Filter::parse(filter).expect("a filter");
    let format = Format::parse("%evt.type %proc.name %fd.name").expect("a format");
    let mut reader = BlockReader::new();
    let mut out = Vec::new();
    for block in case.blocks() {
        let decoded = reader.read(block, filter.needs() | format.needs()).expect("decodes");
        out.extend(
            filter
                .rows(decoded)
                .into_iter()
                .map(|r| format.text(decoded.event(r as usize))),
        );
    }
    out
}

#[test]
fn conditions_select_events() {
    let cases: &[(&str, &[&str])] = &[
        (
            "proc.name=cat and evt.type=openat",
            &["openat cat /etc/shadow", "openat cat /var/lib/data/0"],
        ),
        (
            "fd.name contains shadow and not proc.name = cat",
            &["openat bash /etc/shadow"],
        ),
        ("fd.name pmatch (/var, /root)", &["openat cat /var/lib/data/0"]),
        (
            "fd.name startswith oneof (/var/lib, /etc/sh) and proc.name=bash",
            &["openat bash /etc/shadow"],
        ),
        ("fd.ip = 203.0.113.7", &["connect x 10.0.0.2:40000->203.0.113.7:443"]),
        ("fd.ip != 203.0.113.7", &["connect bash 10.0.0.2:40000->127.0.0.1:22"]),
        (
            "fd.net in (127.0.0.0/8)",
            &["connect bash 10.0.0.2:40000->127.0.0.1:22"],
        ),
        ("fd.port = 22", &["connect bash 10.0.0.2:40000->127.0.0.1:22"]),
        ("proc.aname in (sshd) and evt.type=execve", &["execve bash <NA>"]),
        ("proc.pname = val(proc.name)", &[]),
        ("toupper(proc.name) = BASH and evt.type=execve", &["execve bash <NA>"]),
        ("len(proc.name) = 1 and evt.type = execve", &["execve x <NA>"]),
        (
            "basename(proc.exepath) = val(proc.name) and evt.type=procexit",
            &["procexit x <NA>"],
        ),
        ("concat(proc.name, \"-\", evt.type) = cat-execve", &["execve cat <NA>"]),
        // Of a list every element must be in the set; one is enough to intersect it.
        (
            "toupper((proc.name, proc.pname)) in (CAT, SH) and evt.type=execve",
            &["execve cat <NA>"],
        ),
        (
            "toupper((proc.name, proc.pname)) intersects (X, BASH) and evt.type=execve",
            &["execve bash <NA>", "execve x <NA>"],
        ),
        (
            "getopt((\"-n\", \"-c\", proc.name), \"nc:\") intersects (cat, dog) and evt.type=execve",
            &["execve cat <NA>"],
        ),
        (
            "getopt((\"-n\", \"-c\", proc.name), \"nc:\")[c] = x and evt.type=execve",
            &["execve x <NA>"],
        ),
        ("getopt((proc.name, \"-n\"), \"n\") intersects (n)", &[]),
        ("proc.name regex c.t and evt.type=execve", &["execve cat <NA>"]),
        ("proc.name regex c{1}at and evt.type=execve", &["execve cat <NA>"]),
        ("fd.name regex \"{1\"", &[]),
        ("evt.buffer = \"a\\x00b\"", &[]),
        (
            "evt.hostname exists and evt.type=execve and proc.name=x",
            &["execve x <NA>"],
        ),
        // Names that Falco knows and nothing here makes.
        ("evt.type in (fcntl64, send, page_fault_user)", &[]),
        ("syscall.type = nothing_at_all", &[]),
        ("proc.exepath iglob /BIN/C* and evt.type=execve", &["execve cat <NA>"]),
        ("evt.num = 0", &[]),
        // What is absent satisfies no comparison, `!=` included, and so satisfies its negation.
        ("evt.type=execve and proc.pname != sh", &["execve bash <NA>"]),
        (
            "evt.type=execve and not proc.aname[2] = x",
            &["execve bash <NA>", "execve cat <NA>", "execve x <NA>"],
        ),
        ("evt.type=execve and fd.name != x", &[]),
        (
            "evt.type=execve and proc.aname[1] exists and container.id = host",
            &["execve bash <NA>"],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(matching(filter), *expected, "{filter}");
    }
}

#[test]
fn text_after_a_field_is_text() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let filter = Filter::parse("evt.type=execve and proc.name=cat").expect("a filter");
    for (format, wanted) in [
        ("%proc.name[pid=%proc.name]", "cat[pid=cat]"),
        ("[%proc.name[ %proc.name.", "[cat[ cat."),
        ("%proc.name.exe %5proc.name|", "cat.exe cat  |"),
        ("%fd.ip %fd.net %tolower(proc.name))", "<NA> <NA> cat)"),
    ] {
        let format = Format::parse(format).expect("a format");
        let mut reader = BlockReader::new();
        for block in case.blocks() {
            let decoded = reader.read(block, filter.needs() | format.needs()).expect("decodes");
            for row in filter.rows(decoded) {
                assert_eq!(format.text(decoded.event(row as usize)), wanted);
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_filter_is_named() {
    for (filter, message) in [
        (
            "proc.nmae=cat",
            "filter:1:1: error: unknown field 'proc.nmae'; did you mean 'proc.name'?",
        ),
        (
            "proc.name contians cat",
            "filter:1:11: error: unknown operator 'contians'; did you mean 'contains'?",
        ),
        (
            "proc.name=cat and evt.type=opneat",
            "filter:1:28: error: unknown event type 'opneat'; did you mean 'openat'?",
        ),
        (
            "fd.num startswith 3",
            "filter:1:8: error: operator 'startswith' does not fit 'fd.num', which is a number",
        ),
        (
            "fd.num = x",
            "filter:1:10: error: 'x' is not a valid number (decimal, 64 bits)",
        ),
        ("fd.sip = 1.2.3", "filter:1:10: error: '1.2.3' is no IP address"),
        (
            "proc.name[1] = x",
            "filter:1:1: error: field 'proc.name' takes no argument",
        ),
        (
            "evt.arg.falgs = x",
            "filter:1:1: error: unknown event argument 'falgs'; did you mean 'flags'?",
        ),
        (
            "procname",
            "filter:1:1: error: expected a field and an operator, found 'procname'; did you mean 'proc.name'?",
        ),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.to_string(), message);
    }
}

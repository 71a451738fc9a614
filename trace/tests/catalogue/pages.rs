//! The reference pages are made from the declarations. `CTRACE_BLESS=1 cargo test -p ctrace-trace pages` writes them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use ctrace_trace::catalogue::{self, ArgRule, Field, FieldType};
use ctrace_trace::event::{EventType, Source};
use ctrace_trace::schema::{EventSpec, FdUse, ParamKind, Schema};
use ctrace_trace::syscalls::{self, Lane};

fn compare(page: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    if std::env::var_os("CTRACE_BLESS").is_some() {
        std::fs::write(&path, expected).expect("docs is writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{page} is not what the declarations say: CTRACE_BLESS=1 cargo test -p ctrace-trace pages"
    );
}

#[test]
fn fields() {
    let mut page = String::from(
        "# Fields\n\n\
         Generated from the field catalogue; do not edit.\n\n\
         Fields stand in rules, in filters (`ctrace read CASE 'proc.name=cat'`) and in formats (`%proc.name`); those \
         with a column are columns of the SQL table `events` under that name. Names and meaning follow Falco's field \
         reference. A field that an event does not have is shown as `<NA>` and no comparison with it is true.\n\n\
         `[n]` takes a position, `[key]` a position or a name; in parentheses it may be left out. After `evt.arg` and \
         `evt.rawarg` the name may also follow a dot (`evt.arg.flags`).\n\n\
         Types: `time` is nanoseconds since the Unix epoch (UTC), `duration` nanoseconds, `list` several texts of \
         which any may match.\n",
    );
    for (title, fields) in catalogue::GROUPS {
        write!(
            page,
            "\n## {title}\n\n| field | type | column | meaning |\n| --- | --- | --- | --- |\n"
        )
        .expect("text");
        for field in *fields {
            row(&mut page, field);
        }
    }
    page.push_str(
        "\n## Fields of Falco that ctrace does not have\n\nA rule that uses one is refused with this reason.\n\n\
         | field | why |\n| --- | --- |\n",
    );
    for (name, why) in catalogue::all_unsupported() {
        writeln!(page, "| `{name}` | {why} |").expect("text");
    }
    compare("fields.md", &page);
}

fn row(page: &mut String, field: &Field) {
    let argument = match field.arg {
        ArgRule::None => "",
        ArgRule::OptionalIndex => " (`[n]`)",
        ArgRule::Required => " `[key]`",
        ArgRule::Optional => " (`[key]`)",
    };
    let ty = match field.ty {
        FieldType::Bool => "bool",
        FieldType::Int => "int",
        FieldType::Uint => "uint",
        FieldType::Timestamp => "time",
        FieldType::Duration => "duration",
        FieldType::Str => "text",
        FieldType::Ip => "address",
        FieldType::List => "list",
    };
    let column = field.column.map(|c| format!("`{c}`")).unwrap_or_default();
    let doc = field.doc.replace('|', "\\|");
    writeln!(page, "| `{}`{argument} | {ty} | {column} | {doc} |", field.name).expect("text");
}

#[test]
fn events() {
    let schema = Schema::current();
    let mut page = String::from(
        "# Event types\n\n\
         Generated from the declarations; do not edit.\n\n\
         `evt.type` is the name, `evt.arg.NAME` a parameter. Names and parameters follow Falco's where Falco has them, \
         else the manual pages; `res` (or `fd`, where the result is a new descriptor) is the result. Each segment of a \
         trace carries these declarations, so that an old trace stays readable.\n",
    );
    for source in Source::ALL.into_iter().filter(|s| *s != Source::Syscall) {
        let of_source: Vec<&EventSpec> = schema.specs().iter().filter(|s| s.source == source).collect();
        write!(
            page,
            "\n## {source}\n\n| event | number | parameters |\n| --- | --- | --- |\n"
        )
        .expect("text");
        for spec in of_source {
            writeln!(page, "| `{}` | {:#x} | {} |", spec.name, spec.id.0, params(spec)).expect("text");
        }
    }
    page.push_str(
        "\n## syscall\n\n\
         Beside the system calls: `procexit` (0x1001), the end of a process; `io_uring_req` (0x1002), a result of a \
         request of io_uring, after which the system call that does the same comes as an event of its own; \
         `artifact` (0x1007), the digest of a file that was executed or of a module or BPF program that was loaded, some \
         time after that, with the process that did it; and `unknown` (0x1000, of 32-bit programs 0x2fff), a system call \
         that the table does not have.\n\n\
         | event | parameters |\n| --- | --- |\n",
    );
    for id in [
        EventType::PROCEXIT,
        EventType::IO_URING_REQ,
        EventType::ARTIFACT,
        EventType::UNKNOWN_SYSCALL,
    ] {
        let spec = schema.get(id).expect("declared");
        writeln!(page, "| `{}` | {} |", spec.name, params(spec)).expect("text");
    }
    page.push_str(
        "\nThe lane says how important it is not to lose an event: `priority` has ring buffer room of its own and is \
         shed last, `bulk` is shed first. The descriptor is the argument (or the result) that `fd.*` is about. Where \
         the i386 call has other parameters than the x86_64 call of that name, a row of its own follows. What a 32-bit \
         program does by `socketcall` is recorded as the call that it makes (`connect`, `accept4`, `sendto`, …); \
         `socketcall` itself is where there is no such call, or its arguments cannot be read.\n\n\
         Texts, paths, addresses and structures are read from the caller's memory when the call has returned. A page \
         that nobody has touched yet is not in memory then, where the call was refused before the kernel looked at it (by \
         seccomp, or for flags that cannot be): such a parameter is absent, as where the pointer was bad, and not an empty \
         text.\n\n\
         A `path` is absolute, in the view of the caller's mount namespace, with what the caller wrote beside it \
         (`fs.path.nameraw` and the like). Of files that are opened or executed it is the kernel's own. Of others links on \
         the way are followed as the call does it, by what was recorded of them and what the host says: \
         `unlink(\"/tmp/link/x\")` is told as `/etc/x` where `/tmp/link` leads to `/etc`. By its letters is told a path of \
         a call that failed, or that only looks at a file without `..` behind a name, and where nobody can know any more: a \
         link from before the recording that is gone when its record is looked at.\n\n\
         `exe` and `args` of `execve` and `execveat` are those of the program that was started (`proc.exe`, `proc.args`); of \
         a call that failed they are what its caller gave: up to 128 arguments with together 16 KiB, of which each may have 4 KiB. \
         What was cut, or may be missing, ends with `...`.\n\n\
         What is opened or executed on a mount that hangs nowhere (`open_tree` with `OPEN_TREE_CLONE`, `fsmount`, `umount -l`) \
         has a path that begins with `(unreachable)`, as the kernel's `getcwd` says it, and goes on as in the file system \
         itself: `(unreachable)/etc/shadow` where a tree of `/etc` was cloned. Container \
         runtimes run themselves from such a place (`runc init`); of others \
         `fd.name startswith \"(unreachable)\" or proc.exepath startswith \"(unreachable)\"` finds who hides there.\n\n\
         | event | x86_64 | i386 | lane | descriptor | parameters |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    syscall_rows(&mut page, &schema);
    compare("events.md", &page);
}

fn syscall_rows(page: &mut String, schema: &Schema) {
    let mut by_name: BTreeMap<&str, Vec<&EventSpec>> = BTreeMap::new();
    let numbered = |s: &&EventSpec| s.id.is_syscall() && !s.id.is_unknown_syscall();
    for spec in schema.specs().iter().filter(numbered) {
        by_name.entry(&spec.name).or_default().push(spec);
    }
    for (name, specs) in by_name {
        let mut shapes: Vec<Vec<&EventSpec>> = Vec::new();
        for spec in specs {
            match shapes
                .iter_mut()
                .find(|s| s[0].params == spec.params && s[0].fd == spec.fd)
            {
                Some(shape) => shape.push(spec),
                None => shapes.push(vec![spec]),
            }
        }
        for shape in shapes {
            let numbers = |compat: bool| {
                let of_table = shape.iter().filter(|s| s.id.is_compat() == compat);
                let all: Vec<String> = of_table.map(|s| (s.id.0 & 0xFFF).to_string()).collect();
                all.join(", ")
            };
            let lane = match syscalls::lane(shape[0].id) {
                Lane::Priority => "priority",
                Lane::Hot => "hot",
                Lane::Bulk => "bulk",
            };
            let descriptor = match shape[0].fd {
                FdUse::None => String::new(),
                FdUse::Ret => "result".to_owned(),
                FdUse::Arg(n) => format!("argument {n}"),
            };
            writeln!(
                page,
                "| `{name}` | {} | {} | {lane} | {descriptor} | {} |",
                numbers(false),
                numbers(true),
                params(shape[0])
            )
            .expect("text");
        }
    }
}

fn params(spec: &EventSpec) -> String {
    let one = |p: &ctrace_trace::schema::Param| format!("`{}` {}", p.name, kind(p.kind));
    spec.params.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn kind(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Int => "int",
        ParamKind::Uint => "uint",
        ParamKind::Flags(_) => "flags",
        ParamKind::Enum(_) => "name",
        ParamKind::Mode => "mode",
        ParamKind::Fd => "fd",
        ParamKind::Pid => "pid",
        ParamKind::Uid => "uid",
        ParamKind::Gid => "gid",
        ParamKind::Signal => "signal",
        ParamKind::Addr => "address",
        ParamKind::Size => "size",
        ParamKind::Str => "text",
        ParamKind::Path => "path",
        ParamKind::SockAddr => "socket address",
    }
}

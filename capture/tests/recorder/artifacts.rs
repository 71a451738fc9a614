//! Digests and copies of what is executed and loaded, compared with `sha256sum`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::case::{Row, closed, open, rows, until_written};
use crate::run::{folder, let_files_rest, output, own, record, recording};
use ctrace_skip::is_root;

/// What `sha256sum` says of a file.
pub(crate) fn sha256sum(path: &Path) -> String {
    let said = output("sha256sum", &["--", path.to_str().expect("a name")]);
    said.split(' ').next().expect("a digest").to_owned()
}

/// The artifacts of a case.
pub(crate) fn artifacts(case: &Path) -> Vec<Row> {
    let rows = rows(case).into_iter();
    rows.filter(|row| row.kind == "artifact").collect()
}

/// The only artifact of a path.
pub(crate) fn of<'a>(artifacts: &'a [Row], path: &str) -> &'a Row {
    let found: Vec<&Row> = artifacts.iter().filter(|row| row.arg("path") == path).collect();
    assert_eq!(found.len(), 1, "{path}: {found:?} of {artifacts:?}");
    found[0]
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

/// Copies of programs that were left alone for a while.
fn programs(copies: &[(&str, &Path)]) {
    for (from, to) in copies {
        std::fs::copy(from, to).expect("a program");
    }
    let_files_rest();
}

#[test]
fn digests_are_those_of_sha256sum_as_root() {
    if !is_root("digests_are_those_of_sha256sum_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let [short, deleted, replaced, other] = ["short", "deleted", "replaced", "other"].map(|n| folder.path().join(n));
    programs(&[
        ("/bin/true", &short),
        ("/bin/sleep", &deleted),
        ("/bin/sleep", &replaced),
        ("/bin/false", &other),
    ]);
    let (is_short, is_deleted, is_other) = (sha256sum(&short), sha256sum(&deleted), sha256sum(&other));
    // A program that is to lose its name must have been executed first.
    let script = format!(
        "runs() {{ until [ /proc/$!/exe -ef $1 ]; do sleep 0.01; done; }}; {short}; {deleted} 3 & runs {deleted}; rm {deleted}; \
         {replaced} 3 & runs {replaced}; mv {other} {replaced}; sleep 1.5; {replaced}; wait",
        short = text(&short),
        deleted = text(&deleted),
        replaced = text(&replaced),
        other = text(&other),
    );
    record(&case, &["--sources", "syscalls", "--", "sh", "-c", &script]).expect(0);
    let found = artifacts(&case);
    let row = of(&found, text(&short));
    assert_eq!(
        (row.arg("sha256"), row.arg("kind"), row.name.as_str()),
        (is_short.as_str(), "executable", "short")
    );
    assert_eq!(row.arg("reason"), "");
    let size = std::fs::metadata(&short).expect("there").len().to_string();
    assert_eq!(row.arg("size"), size);
    assert_eq!(of(&found, text(&deleted)).arg("sha256"), is_deleted);
    let of_name: BTreeMap<&str, &str> = found
        .iter()
        .filter(|row| row.arg("path") == text(&replaced))
        .map(|row| (row.arg("sha256"), row.name.as_str()))
        .collect();
    let expected = BTreeMap::from([(is_deleted.as_str(), "replaced"), (is_other.as_str(), "replaced")]);
    assert_eq!(of_name, expected, "both files that had the name, each for itself");
    assert!(
        !case.join("artifacts").exists(),
        "nothing is copied unless it is asked for"
    );
    closed(&case);
}

/// Whatever a process does to files around its exec: what is told is true. The oracle is the file as it was executed.
#[test]
fn a_digest_is_right_or_there_is_none_as_root() {
    if !is_root("a_digest_is_right_or_there_is_none_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let running = recording(&case, &["--sources", "syscalls"]);
    let mut contents = BTreeMap::new();
    for round in 0..60_u32 {
        let path = folder.path().join(format!("p{}", round % 20));
        let base = std::fs::read(if round % 2 == 0 { "/bin/true" } else { "/bin/false" }).expect("a program");
        let written = [base.as_slice(), format!("round {round}").as_bytes()].concat();
        std::fs::write(&path, &written).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        // Another thread of the tests may just have forked with the file open for writing.
        let ran = (0..100).any(|_| Command::new(&path).status().is_ok() || pause());
        assert!(ran, "{path:?} runs");
        // Within the same tick of the clock, with the same size.
        let same_size = vec![b'x'; written.len()];
        std::fs::write(&path, &same_size).expect("writable");
        let oracle = folder.path().join("oracle");
        std::fs::write(&oracle, &written).expect("writable");
        contents
            .entry(path)
            .or_insert_with(BTreeSet::new)
            .insert(sha256sum(&oracle));
    }
    running.signal(libc::SIGINT).expect(0);
    let found = artifacts(&case);
    let (mut known, mut unknown) = (0, 0);
    for (path, right) in &contents {
        for row in found.iter().filter(|row| row.arg("path") == text(path)) {
            match row.arg("sha256") {
                "" => {
                    assert_ne!(row.arg("reason"), "", "{row:?}");
                    unknown += 1;
                }
                sha256 => {
                    assert!(right.contains(sha256), "{row:?} is none of {right:?}");
                    known += 1;
                }
            }
        }
    }
    assert!(known + unknown >= contents.len(), "{known} known, {unknown} unknown");
}

fn pause() -> bool {
    thread::sleep(Duration::from_millis(5));
    false
}

#[test]
fn files_are_read_once_however_often_they_run_as_root() {
    if !is_root("files_are_read_once_however_often_they_run_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let paths: Vec<_> = (0..10).map(|i| folder.path().join(format!("p{i}"))).collect();
    for (i, path) in paths.iter().enumerate() {
        let base = std::fs::read("/bin/true").expect("a program");
        std::fs::write(path, [base.as_slice(), &[i as u8]].concat()).expect("writable");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let_files_rest();
    let all: Vec<&str> = paths.iter().map(|p| text(p)).collect();
    let script = format!("for i in $(seq 30); do for p in {}; do $p; done; done", all.join(" "));
    record(&case, &["--sources", "syscalls", "--", "sh", "-c", &script]).expect(0);
    let found = artifacts(&case);
    for path in &paths {
        assert_eq!(of(&found, text(path)).arg("sha256"), sha256sum(path));
    }
    let execs = rows(&case)
        .iter()
        .filter(|row| row.kind == "execve" && all.contains(&row.arg("filename")))
        .count();
    assert_eq!(execs, 300);
}

#[test]
fn files_in_memory_are_collected_as_root() {
    if !is_root("files_in_memory_are_collected_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    // Others on this host may run files in memory too.
    let scope = format!("pid={}", std::process::id());
    let running = recording(&case, &["--sources", "syscalls", "--collect", "--scope", &scope]);
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"payload".as_ptr(), 0) };
    assert!(fd >= 0);
    // SAFETY: just made.
    let mut memory = unsafe { std::fs::File::from_raw_fd(fd) };
    let contents = std::fs::read("/bin/sleep").expect("a program");
    memory.write_all(&contents).expect("memory");
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    for _ in 0..3 {
        assert!(
            Command::new(&path)
                .arg("2")
                .stdin(Stdio::null())
                .status()
                .expect("runs")
                .success()
        );
        thread::sleep(Duration::from_millis(200));
    }
    let gone = folder.path().join("gone");
    programs(&[("/bin/sleep", &gone)]);
    let mut file = std::fs::File::options().append(true).open(&gone).expect("writable");
    file.write_all(b"another one").expect("writable");
    drop(file);
    let is_gone = sha256sum(&gone);
    // It has no name any more when it is executed.
    let script = format!("exec 3<{0}; rm {0}; /proc/self/fd/3 4", text(&gone));
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .status()
            .expect("sh runs")
            .success()
    );
    thread::sleep(Duration::from_millis(700));
    running.signal(libc::SIGINT).expect(0);
    let found = artifacts(&case);
    let is_sleep = sha256sum(Path::new("/bin/sleep"));
    let of_memory: Vec<&Row> = found.iter().filter(|row| row.arg("path") == "memfd:payload").collect();
    assert!(!of_memory.is_empty(), "{found:?}");
    for row in of_memory.iter().filter(|row| !row.arg("sha256").is_empty()) {
        assert_eq!(row.arg("sha256"), is_sleep);
        assert!(row.arg("reason").contains("memory"), "{row:?}");
    }
    let deleted: Vec<&Row> = found
        .iter()
        .filter(|row| row.arg("sha256") == is_gone && !row.arg("copy").is_empty())
        .collect();
    assert_eq!(deleted.len(), 1, "{found:?}");
    for row in deleted
        .iter()
        .chain(&of_memory)
        .filter(|row| !row.arg("copy").is_empty())
    {
        let copy = case.join(row.arg("copy"));
        assert_eq!(sha256sum(&copy), row.arg("sha256"), "{copy:?}");
        assert_eq!(copy.metadata().expect("there").permissions().mode() & 0o7777, 0o600);
    }
    assert!(of_memory.iter().any(|row| !row.arg("copy").is_empty()), "{of_memory:?}");
    // Nothing else is copied, and nothing is left unfinished.
    let copies = open(&case).copies();
    assert_eq!((copies.count, copies.problems), (2, Vec::new()));
    assert_eq!(
        std::fs::read_dir(case.join("artifacts/sha256")).expect("there").count(),
        2
    );
    closed(&case);
}

#[test]
fn copies_stay_within_their_limits_as_root() {
    if !is_root("copies_stay_within_their_limits_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let script = |name: &str, size: u32| {
        let file = text(&folder.path().join(name)).to_owned();
        format!(
            "cp /bin/sleep {file}; truncate -s {size} {file}; sleep 0.05; exec 3<{file}; rm {file}; /proc/self/fd/3 3; exec 3<&-;"
        )
    };
    let script = format!(
        "{} {} {}",
        script("a", 400_000),
        script("b", 900_000),
        script("c", 500_000)
    );
    // Others on this host may run what is collected too.
    let scope = format!("pid={}", std::process::id());
    let running = recording(
        &case,
        &[
            "--sources",
            "syscalls",
            "--scope",
            &scope,
            "--collect",
            "--collect-limit",
            "800KB:600KB",
        ],
    );
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .status()
            .expect("sh runs")
            .success()
    );
    running.signal(libc::SIGINT).expect(0);
    let found = artifacts(&case);
    let collected = |name: &str| {
        let path = text(&folder.path().join(name)).to_owned();
        let row = found
            .iter()
            .find(|row| row.arg("path") == path)
            .unwrap_or_else(|| panic!("{path} of {found:?}"));
        assert_eq!(row.arg("sha256").len(), 64, "{row:?}");
        (!row.arg("copy").is_empty(), row.arg("copy_reason").to_owned())
    };
    assert_eq!(collected("a"), (true, String::new()));
    assert_eq!(
        collected("b"),
        (false, "larger than the limit of 600000 bytes for one copy".to_owned())
    );
    assert_eq!(
        collected("c"),
        (false, "the copies have reached the limit of 800000 bytes".to_owned())
    );
    assert_eq!(open(&case).copies().bytes, 400_000);
}

#[test]
fn nothing_is_read_unless_it_is_wanted_as_root() {
    if !is_root("nothing_is_read_unless_it_is_wanted_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    record(&case, &["--sources", "syscalls", "--no-hash", "--", "true"]).expect(0);
    assert_eq!(artifacts(&case).len(), 0);
    let limited = folder.path().join("limited");
    // What others on this host run may be gone, or in memory.
    let own = own();
    let args = [
        "--sources",
        "syscalls",
        "--scope",
        &own,
        "--hash-limit",
        "1KB",
        "--",
        "true",
    ];
    record(&limited, &args).expect(0);
    let found = artifacts(&limited);
    assert!(!found.is_empty());
    // Of what ran before nothing is told where it was not looked at in time.
    for row in &found {
        assert_eq!(
            (row.arg("sha256"), row.arg("reason")),
            ("", "larger than the limit of 1000 bytes")
        );
    }
    let scoped = folder.path().join("scoped");
    let running = recording(
        &scoped,
        &["--sources", "syscalls", "--scope", "comm=nobody", "--duration", "1s"],
    );
    Command::new("true").status().expect("runs");
    running.wait().expect(0);
    assert_eq!(artifacts(&scoped).len(), 0, "what is not in the scope is not told of");
}

/// What `int 0x80` loads is a module too.
#[test]
fn modules_of_32_bit_calls_are_collected_as_root() {
    if !is_root("modules_of_32_bit_calls_are_collected_as_root") {
        return;
    }
    /// `finit_module` of i386.
    const FINIT_MODULE: u32 = 350;
    let folder = folder();
    let case = folder.path().join("case");
    let module = folder.path().join("some.ko");
    std::fs::write(&module, b"no module either").expect("room");
    let is_module = sha256sum(&module);
    let file = std::fs::File::open(&module).expect("readable");
    let running = recording(&case, &["--sources", "syscalls", "--collect"]);
    let result: i32;
    // SAFETY: a descriptor and no address; the kernel refuses that. The register that the compiler keeps for itself is
    // put back.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, {fd:e}", "int 0x80", "pop rbx",
            fd = in(reg) file.as_raw_fd(),
            inlateout("eax") FINIT_MODULE => result, in("ecx") 0, in("edx") 0, in("esi") 0, in("edi") 0,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    assert!(result < 0, "{result}");
    until_written(&case, "the module", |rows| {
        rows.iter()
            .any(|row| row.kind == "artifact" && row.arg("kind") == "module")
    });
    running.signal(libc::SIGINT).expect(0);
    let found = artifacts(&case);
    assert_eq!(of(&found, text(&module)).arg("sha256"), is_module);
}

/// Neither has to be loaded for that: what was tried is as interesting.
#[test]
fn modules_and_programs_are_collected_as_root() {
    if !is_root("modules_and_programs_are_collected_as_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let running = recording(&case, &["--sources", "syscalls", "--collect"]);
    let module = folder.path().join("some.ko");
    std::fs::write(&module, b"no module").expect("room");
    let is_module = sha256sum(&module);
    let file = std::fs::File::open(&module).expect("readable");
    let name = c"";
    // SAFETY: a descriptor, a C string and no flags; the kernel refuses what is no module.
    let loaded = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), name.as_ptr(), 0) };
    assert_eq!(loaded, -1);
    // SAFETY: bytes of the length that is given, and a C string.
    let loaded = unsafe { libc::syscall(libc::SYS_init_module, b"no module".as_ptr(), 9, name.as_ptr()) };
    assert_eq!(loaded, -1);
    let program = load_program();
    let me = std::process::id();
    let is_of = |row: &&Row, kind: &str| row.kind == "artifact" && row.pid == me && row.arg("kind") == kind;
    until_written(&case, "two modules and a program", |rows| {
        let count = |kind: &str| rows.iter().filter(|row| is_of(row, kind)).count();
        count("module") >= 2 && count("bpf_program") >= 1
    });
    drop((file, program));
    running.signal(libc::SIGINT).expect(0);
    let found = artifacts(&case);
    let of_kind = |kind: &str| found.iter().filter(|row| is_of(row, kind)).collect::<Vec<&Row>>();
    let modules = of_kind("module");
    assert_eq!(modules.len(), 2, "{found:?}");
    let of_file = of(&found, text(&module));
    assert_eq!((of_file.arg("sha256"), of_file.arg("reason")), (is_module.as_str(), ""));
    assert_eq!(
        std::fs::read(case.join(of_file.arg("copy"))).expect("a copy"),
        b"no module"
    );
    let of_memory = modules
        .iter()
        .find(|row| row.arg("path").is_empty())
        .expect("the other one");
    assert!(
        of_memory.arg("reason").contains("memory of the process"),
        "{of_memory:?}"
    );
    let [program] = of_kind("bpf_program")[..] else {
        panic!("{found:?}");
    };
    assert!(program.arg("path").starts_with("some_program tag "), "{program:?}");
    let copy = case.join(program.arg("copy"));
    assert_eq!(sha256sum(&copy), program.arg("sha256"));
    // The verifier has nothing to change about these two instructions.
    assert_eq!(std::fs::read(&copy).expect("a copy"), PROGRAM.concat());
    assert!(!program.arg("id").is_empty());
    closed(&case);
}

/// `r0 = 0` and `exit`.
const PROGRAM: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// A program that does nothing, for as long as its descriptor is open.
fn load_program() -> std::os::fd::OwnedFd {
    /// `union bpf_attr` of BPF_PROG_LOAD up to the name.
    #[repr(C)]
    struct Attributes {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log: [u64; 3],
        name: [u8; 16],
    }
    let instructions = PROGRAM.concat();
    let attributes = Attributes {
        // BPF_PROG_TYPE_SOCKET_FILTER
        kind: 1,
        count: 2,
        instructions: instructions.as_ptr().expose_provenance() as u64,
        license: c"GPL".as_ptr().expose_provenance() as u64,
        log: [0; 3],
        name: *b"some_program\0\0\0\0",
    };
    // SAFETY: attributes of the size that is given; they and what they point to live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 5, &raw const attributes, size_of::<Attributes>()) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: just made.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) }
}

//! Several files in one case: in the order of time, each with its own state and origin.

use std::path::{Path, PathBuf};

use ctrace_capture::import::{ImportError, ImportOptions, import};

use crate::capture::{Capture, story, text};
use crate::imported::{Imported, import_files, try_import};

const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_700_000_000 * SECOND;

/// A capture of a host with one process, which opens a file at each of these times.
fn capture_of(name: &str, times: &[u64]) -> Vec<u8> {
    let mut c = Capture::new(false);
    c.process(9, 10, 1, name, "");
    for ts in times {
        let open = [c.i64(3), text(&format!("{name}.txt")), c.u32(1), c.u32(0)];
        c.event(0x216, *ts, 10, 3, &open);
    }
    c.bytes
}

fn write(folder: &Path, name: &str, contents: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, contents).expect("written");
    path
}

fn audit_line(ts: u64, serial: u64, name: &str) -> String {
    let (s, ms) = (ts / SECOND, ts % SECOND / 1_000_000);
    format!(
        "type=SYSCALL msg=audit({s}.{ms:03}:{serial}): arch=c000003e syscall=59 success=yes exit=0 pid=10 comm=\"{name}\"\n\
         type=EOE msg=audit({s}.{ms:03}:{serial}): \n"
    )
}

fn docker_line(ts: u64) -> String {
    format!(
        "{{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{{\"ID\":\"{}\",\"Attributes\":{{\"name\":\"web\"}}}},\
         \"timeNano\":{ts}}}\n",
        "ab".repeat(32)
    )
}

/// The file's own name, the type and the process of each event.
fn told(imported: &Imported) -> Vec<(String, String, String)> {
    let rows = imported.rows.iter().filter(|r| r.kind != "imported");
    rows.map(|r| {
        let file = r.origin.as_ref().map_or("", |(file, ..)| file.as_str());
        let file = Path::new(file)
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        (file, r.kind.clone(), r.name.clone())
    })
    .collect()
}

#[test]
fn captures_and_logs_come_out_in_the_order_of_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |n: u64| BEGIN + n * SECOND;
    let a = write(folder.path(), "a.scap", &capture_of("alpha", &[at(1), at(4), at(9)]));
    let b = write(folder.path(), "b.scap", &capture_of("beta", &[at(2), at(5), at(6)]));
    let audit = audit_line(at(3), 7, "gamma") + &audit_line(at(7), 8, "gamma");
    let audit = write(folder.path(), "audit.log", audit.as_bytes());
    let docker = write(folder.path(), "docker.json", docker_line(at(8)).as_bytes());
    let expected = [
        ("a.scap", "open", "alpha"),
        ("b.scap", "open", "beta"),
        ("audit.log", "audit", "gamma"),
        ("a.scap", "open", "alpha"),
        ("b.scap", "open", "beta"),
        ("b.scap", "open", "beta"),
        ("audit.log", "audit", "gamma"),
        ("docker.json", "docker", ""),
        ("a.scap", "open", "alpha"),
    ];
    let expected: Vec<_> = expected
        .map(|(f, k, n)| (f.to_owned(), k.to_owned(), n.to_owned()))
        .into();
    // Whatever the order in which they are given.
    for files in [[&a, &b, &audit, &docker], [&docker, &b, &audit, &a]] {
        let imported = import_files(&files.map(PathBuf::clone));
        assert_eq!(told(&imported), expected);
        assert_eq!(imported.outcome.files.len(), 4);
        let events: Vec<u64> = imported.outcome.files.iter().map(|f| f.events).collect();
        assert_eq!(events.iter().sum::<u64>(), 9);
        assert_eq!(imported.rows.iter().filter(|r| r.kind == "imported").count(), 4);
        for row in imported.rows.iter().filter(|r| r.kind == "open") {
            assert_eq!(
                row.arg("name"),
                format!("/home/user/{}.txt", row.name),
                "own working directory"
            );
            assert_eq!(row.fd, format!("/home/user/{}.txt", row.name), "own descriptors");
        }
    }
}

/// Captures that have the same process ids, descriptors and times: none knows what another one told.
#[test]
fn captures_of_several_hosts_keep_their_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = (0..20).map(|n| format!("host{n}")).collect();
    let times: Vec<u64> = (0..2000).map(|n| BEGIN + n * 1000).collect();
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| write(folder.path(), &format!("{name}/trace.scap"), &capture_of(name, &times)))
        .collect();
    let imported = import_files(&files);
    let opens: Vec<_> = imported.rows.iter().filter(|r| r.kind == "open").collect();
    assert_eq!(opens.len(), 40_000);
    assert!(opens.is_sorted_by_key(|r| r.ts));
    for row in opens {
        let (file, ..) = row.origin.as_ref().expect("an origin");
        assert!(
            Path::new(file).parent().is_some_and(|p| p.ends_with(&row.name)),
            "{row:?}"
        );
        assert_eq!(row.fd, format!("/home/user/{}.txt", row.name));
    }
}

/// The machines of a log that was collected from several: the same process id is another process on each.
#[test]
fn nodes_of_a_collected_log_keep_their_processes() {
    let line = |node: &str, serial: u64, more: &str| {
        format!("node={node} type=SYSCALL msg=audit(1700000000.000:{serial}): arch=c000003e syscall=2 pid=10 {more}\n")
    };
    let log = [
        line("one", 1, "comm=\"alpha\""),
        line("two", 2, "comm=\"beta\""),
        line("one", 3, ""),
        line("two", 4, ""),
    ]
    .concat();
    let imported = crate::imported::import_bytes(log.as_bytes());
    let names: Vec<_> = imported
        .rows
        .iter()
        .filter(|r| r.kind == "audit")
        .map(|r| r.name.as_str())
        .collect();
    assert_eq!(names, ["alpha", "beta", "alpha", "beta"]);
}

/// The pieces of a rotated capture come in their own order and share nothing; those that are later are not begun before.
#[test]
fn a_rotated_capture_beside_a_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files: Vec<PathBuf> = (0..12_u64)
        .map(|n| {
            let times = [BEGIN + n * 100 * SECOND, BEGIN + (n * 100 + 99) * SECOND];
            write(
                folder.path(),
                &format!("t.scap{n}"),
                &capture_of(&format!("p{n}"), &times),
            )
        })
        .collect();
    files.sort();
    let log: String = (0..12)
        .map(|n| audit_line(BEGIN + (n * 100 + 50) * SECOND, n + 1, "log"))
        .collect();
    files.push(write(folder.path(), "audit.log", log.as_bytes()));
    let imported = import_files(&files);
    let names: Vec<String> = told(&imported).into_iter().map(|(_, _, name)| name).collect();
    let expected: Vec<String> = (0..12)
        .flat_map(|n| [format!("p{n}"), "log".to_owned(), format!("p{n}")])
        .collect();
    assert_eq!(names, expected);
}

/// More files than may be open at once, one after the other in time.
#[test]
fn many_files_that_do_not_overlap() {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> = (0..1500_u64)
        .rev()
        .map(|n| {
            write(
                folder.path(),
                &format!("{n:04}/t.scap"),
                &capture_of("p", &[BEGIN + n * 60 * SECOND]),
            )
        })
        .collect();
    let imported = import_files(&files);
    let times: Vec<u64> = imported
        .rows
        .iter()
        .filter(|r| r.kind == "open")
        .map(|r| r.ts)
        .collect();
    assert_eq!(times.len(), 1500);
    assert!(times.is_sorted());
}

#[test]
fn a_file_given_twice_is_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "a.scap", &capture_of("alpha", &[BEGIN]));
    let link = folder.path().join("link.scap");
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    let imported = import_files(&[file.clone(), link.clone(), file.clone()]);
    assert_eq!(imported.outcome.files.len(), 1);
    assert_eq!(imported.outcome.twice, [link, file]);
    assert_eq!(imported.rows.iter().filter(|r| r.kind == "open").count(), 1);
}

/// A piece that is damaged has the time of what stands before it in its own file.
#[test]
fn damage_is_told_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |n: u64| BEGIN + n * SECOND;
    let a = write(folder.path(), "a.scap", &capture_of("alpha", &[at(1), at(5)]));
    let log = docker_line(at(2)) + "{torn\n" + &docker_line(at(6));
    let b = write(folder.path(), "b.json", log.as_bytes());
    let imported = import_files(&[a, b]);
    let raw = imported.rows.iter().find(|r| r.kind == "import_raw").expect("kept");
    assert_eq!((raw.ts, raw.arg("raw"), raw.arg("line")), (at(2), "{torn", "2"));
    assert!(imported.rows.is_sorted_by_key(|r| r.ts));
    let bad: Vec<u64> = imported.outcome.files.iter().map(|f| f.bad).collect();
    assert_eq!(bad, [0, 1]);
}

/// The case takes its host, and what ran on it, from the first file that tells one.
#[test]
fn the_host_is_that_of_the_first_capture() {
    let folder = tempfile::tempdir().expect("a folder");
    let nameless = write(folder.path(), "a.scap", &capture_of("alpha", &[BEGIN]));
    let named = write(folder.path(), "b.scap", &story(false, 0x216, 9).bytes);
    let host = |files: &[PathBuf]| import_files(files).case.segments()[0].header().about.host.name.clone();
    assert_eq!(host(&[named.clone(), nameless.clone()]), "node-7");
    assert_eq!(host(&[nameless.clone(), named.clone()]), "");
    // A log that began long before.
    let log = write(
        folder.path(),
        "audit.log",
        audit_line(BEGIN - 900 * SECOND, 1, "log").as_bytes(),
    );
    assert_eq!(host(&[log, named]), "node-7");
}

#[test]
fn an_import_that_is_stopped_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let times: Vec<u64> = (0..40_000).map(|n| BEGIN + n).collect();
    let files: Vec<PathBuf> = ["a", "b", "c"]
        .iter()
        .map(|name| write(folder.path(), &format!("{name}.scap"), &capture_of(name, &times)))
        .collect();
    let options = ImportOptions {
        files: files.clone(),
        output: folder.path().join("case"),
        ..ImportOptions::default()
    };
    let stopped = import(&options, &mut |_| false);
    assert!(matches!(stopped, Err(ImportError::Interrupted)), "{stopped:?}");
    std::fs::remove_file(&files[1]).expect("removed");
    let missing = try_import(&files, &folder.path().join("other"));
    assert!(matches!(missing, Err(ImportError::Read { .. })), "{missing:?}");
}

/// A log that has just been rotated is empty: it costs nothing but a line in the case.
#[test]
fn empty_files_are_told_of_and_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files: Vec<PathBuf> = [("a/audit.log", &b""[..]), ("b/blank.log", b"\n \r\n")]
        .map(|(name, contents)| write(folder.path(), name, contents))
        .into();
    let output = folder.path().join("none");
    let error = try_import(&files, &output).expect_err("nothing to import");
    assert!(matches!(error, ImportError::Empty { count: 2, .. }), "{error}");
    assert!(!output.exists());

    files.push(write(
        folder.path(),
        "c/audit.log",
        audit_line(BEGIN, 1, "cat").as_bytes(),
    ));
    // The first ten bytes of a gzip file hold nothing yet.
    files.push(write(folder.path(), "d/cut.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"));
    let imported = import_files(&files);
    let of = |list: &[ctrace_capture::import::FileReport]| list.iter().map(|f| f.id).collect::<Vec<u64>>();
    assert_eq!(
        (of(&imported.outcome.files), of(&imported.outcome.left_out)),
        (vec![3], vec![1, 2, 4])
    );
    let damaged: Vec<bool> = imported.outcome.left_out.iter().map(|f| f.is_damaged()).collect();
    assert_eq!(damaged, [false, false, true]);
    // None of them makes the case begin in 1970.
    let told: Vec<(&str, u64)> = imported
        .rows
        .iter()
        .filter(|r| r.kind == "imported")
        .map(|r| (r.arg("format"), r.ts))
        .collect();
    assert_eq!(
        told,
        [("audit", BEGIN), ("empty", BEGIN), ("empty", BEGIN), ("empty", BEGIN)]
    );
}

/// A folder of evidence: what nobody knows costs a line in the case, and the rest is imported.
#[test]
fn unknown_files_are_told_of_and_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let packed = write(folder.path(), "old.log.zst", b"\x28\xb5\x2f\xfd\x04\x00");
    let notes = write(folder.path(), "README", b"hello\n");
    std::fs::create_dir(folder.path().join("more")).expect("made");
    let more = folder.path().join("more");
    let output = folder.path().join("none");
    let error = try_import(&[more.clone(), packed.clone(), notes.clone()], &output).expect_err("nothing to import");
    assert!(matches!(error, ImportError::Unknown { count: 2, .. }), "{error}");
    let error = try_import(std::slice::from_ref(&more), &output).expect_err("nothing to import");
    assert!(error.to_string().contains("a folder; name the files in it"), "{error}");
    assert!(!output.exists());

    let log = write(folder.path(), "audit.log", audit_line(BEGIN, 1, "cat").as_bytes());
    let imported = import_files(&[more, packed, log, notes]);
    assert_eq!(imported.outcome.files.len(), 1);
    let damaged: Vec<bool> = imported.outcome.left_out.iter().map(|f| f.is_damaged()).collect();
    assert_eq!(damaged, [true; 3]);
    let told: Vec<_> = imported.rows.iter().filter(|r| r.kind == "imported").collect();
    let formats: Vec<&str> = told.iter().map(|r| r.arg("format")).collect();
    assert_eq!(formats, ["audit", "folder", "unknown", "unknown"]);
    assert!(told.iter().all(|r| r.ts == BEGIN), "{told:?}");
    assert_eq!(
        told[2].arg("cut_reason"),
        "format not known: compressed with zstd; decompress it first"
    );
    assert_eq!(
        told[3].arg("cut_reason"),
        "format not known: text that begins with \"hello\""
    );
    assert_eq!(told[3].arg("bytes"), "6");
}

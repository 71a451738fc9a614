//! An export gives the same rows as its case, here and in DuckDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctrace_query::export::export;
use ctrace_query::{Options, QueryError, Session};
use ctrace_trace::case::Case;

use super::world::{BLOCKS, PER_BLOCK, World};
use super::{Recorded, csv, options, recorded};
use ctrace_skip::skip;

/// Statements whose result does not depend on the order of rows.
const QUERIES: [&str; 19] = [
    "SELECT count(*) FROM events",
    "SELECT * FROM events ORDER BY seq LIMIT 300",
    "SELECT date_trunc('second', ts) AS s, count(*) AS n, min(seq) FROM events GROUP BY s ORDER BY s",
    "SELECT proc_name, count(*) AS n FROM events GROUP BY proc_name ORDER BY n DESC, proc_name",
    "SELECT seq, fd_name FROM events WHERE evt_type = 'openat' AND fd_name LIKE '/etc/%' ORDER BY seq",
    "SELECT evt_type, container_id, min(ts), max(ts), count(*) FROM events GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(*) FROM events WHERE ts BETWEEN '2026-11-20T23:59:55Z' AND '2026-11-21T00:00:03Z'",
    "SELECT date, host, count(*) FROM events GROUP BY 1, 2 ORDER BY 1",
    "SELECT date, count(*) FROM events WHERE proc_name = 'bash' AND host IS NOT NULL AND evt_rawres < 0 GROUP BY 1 ORDER BY 1",
    "SELECT DISTINCT host, date FROM events WHERE date > '2026-11-20' AND fd_name LIKE '/%'",
    "SELECT seq FROM events WHERE date = '2026-11-20' AND ts > '2026-11-20T23:59:55Z' ORDER BY seq DESC LIMIT 7",
    "SELECT min(seq), max(ts), count(fd_name), count(host) FROM events",
    "SELECT * FROM processes ORDER BY pid",
    "SELECT p.name, c.name, count(*) FROM processes p LEFT JOIN processes c ON c.parent_key = p.process_key GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT p.name, count(*) FROM events e JOIN processes p USING (process_key) GROUP BY 1 ORDER BY 1",
    "SELECT * FROM containers ORDER BY full_id",
    "SELECT * FROM docker_events ORDER BY seq",
    "SELECT * FROM audit ORDER BY seq",
    "SELECT *, to_ts - from_ts FROM gaps ORDER BY seq",
];

fn exported(recorded: &Recorded) -> PathBuf {
    let dir = recorded.folder.path().join("a folder [1]");
    let done = export(&recorded.session, &dir, &|_, _| ()).expect("the export");
    assert_eq!(done.tables[0], ("events".to_owned(), BLOCKS * PER_BLOCK + 5));
    assert!(done.problems.is_empty(), "{:?}", done.problems);
    dir
}

#[test]
fn the_same_statements_give_the_same_rows() {
    let recorded = recorded();
    let dir = exported(&recorded);
    let folder = Session::folder(&dir, &options()).expect("a session");
    let names = |s: &Session| {
        let mut tables: Vec<_> = s.tables().to_vec();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    };
    assert_eq!(
        names(&folder),
        names(&recorded.session),
        "names, types or meanings of columns differ"
    );
    for sql in QUERIES {
        assert_eq!(csv(&folder, sql), csv(&recorded.session, sql), "{sql}");
    }
}

#[test]
fn what_a_file_says_of_itself_rules_row_groups_out() {
    let recorded = recorded();
    let folder = Session::folder(&exported(&recorded), &options()).expect("a session");
    let pids = csv(
        &folder,
        "SELECT DISTINCT proc_pid FROM events WHERE proc_pid IS NOT NULL",
    );
    let pids: Vec<u64> = pids.lines().filter_map(|pid| pid.trim().parse().ok()).collect();
    let (low, high) = (pids.iter().min(), pids.iter().max());
    let between = *low.expect("a pid")..*high.expect("a pid");
    let nobody = between.into_iter().find(|pid| !pids.contains(pid)).expect("no pid");
    let sql = |condition: &str| format!("SELECT count(*), count(DISTINCT fd_name) FROM events WHERE {condition}");
    // Statistics know texts and not what a network is.
    let network = sql("cidr_contains('203.0.113.0/24', fd_sip)");
    let process = sql(&format!("proc_pid = {nobody}"));
    for (sql, by) in [(&network, "statistics"), (&process, "bloom_filter")] {
        let plan = csv(&folder, &format!("EXPLAIN ANALYZE {sql}"));
        let told = plan
            .split(&format!("row_groups_pruned_{by}="))
            .nth(1)
            .unwrap_or_default();
        let kept = told.split(',').next().unwrap_or_default();
        assert!(
            plan.contains("FileGroups") && kept.ends_with("\u{2192} 0 matched"),
            "{sql}: {kept} in {plan}"
        );
        assert_eq!(csv(&folder, sql), "0,0");
    }
    // What passes without being looked at is counted all the same.
    let all = "SELECT count(*) FROM events WHERE evt_type <> ''";
    assert!(csv(&folder, &format!("EXPLAIN {all}")).contains("FileGroups"));
    assert_eq!(csv(&folder, all), csv(&recorded.session, all));
    let ours = "SELECT count(*), count(DISTINCT fd_name) FROM events WHERE cidr_contains('10.0.0.0/8', fd_sip)";
    assert_eq!(csv(&folder, ours), csv(&recorded.session, ours));
    assert_ne!(csv(&folder, ours), "0,0");
}

#[test]
fn files_lie_by_host_and_day_and_the_manifest_names_the_evidence() {
    let recorded = recorded();
    let dir = exported(&recorded);
    for day in ["2026-11-20", "2026-11-21"] {
        let file = dir.join(format!("events/host=lab%20host/date={day}/part-00001.parquet"));
        assert!(file.is_file(), "{}", file.display());
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("manifest.json")).expect("the manifest")).expect("JSON");
    assert_eq!(manifest["case"], "71756572792074657374732063617365");
    assert_eq!(manifest["tables"]["events"]["rows"], BLOCKS * PER_BLOCK + 5);
    let segments = manifest["segments"].as_array().expect("segments");
    assert!(segments.len() > 1);
    for segment in segments {
        let file = recorded
            .folder
            .path()
            .join("case")
            .join(segment["file"].as_str().expect("a name"));
        let sum = Command::new("sha256sum").arg(&file).output().expect("sha256sum");
        let sum = String::from_utf8_lossy(&sum.stdout);
        assert_eq!(
            Some(segment["sha256"].as_str().expect("a digest")),
            sum.split_whitespace().next()
        );
    }
    let left: Vec<_> = walk(&dir)
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .expect("a folder")
        .map(|e| e.expect("an entry").path());
    entries
        .flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] })
        .collect()
}

#[test]
fn an_export_needs_a_folder_of_its_own() {
    let recorded = recorded();
    let again = export(&recorded.session, recorded.folder.path(), &|_, _| ());
    assert!(matches!(again, Err(QueryError::NotEmpty(_))), "{again:?}");
    let empty = tempfile::tempdir().expect("a temporary folder");
    let opened = Session::folder(empty.path(), &options());
    assert!(matches!(opened, Err(QueryError::NoTables(_))));
}

#[test]
fn an_export_that_was_broken_off_goes_on() {
    use std::os::unix::fs::MetadataExt;
    let recorded = recorded();
    let dir = recorded.folder.path().join("export");
    // Tables are written side by side, and then what tells of them, which cannot be while a folder is in its place.
    let obstacle = dir.join("manifest.json");
    let broken = export(&recorded.session, &dir, &|_, _| {
        fs::create_dir_all(&obstacle).expect("a folder");
    });
    assert!(matches!(broken, Err(QueryError::Io { .. })), "{broken:?}");
    let file = dir.join("events/host=lab%20host/date=2026-11-21/part-00001.parquet");
    let before = fs::metadata(&file).expect("the file");
    fs::remove_dir(&obstacle).expect("removed");
    // Another case does not go on there.
    let other = recorded.folder.path().join("other");
    let other = Session::case(World::new().with_blocks_of(30).write(&other), &options()).expect("a session");
    let refused = export(&other, &dir, &|_, _| ());
    assert!(matches!(refused, Err(QueryError::NotEmpty(_))), "{refused:?}");
    let done = export(&recorded.session, &dir, &|_, _| ()).expect("the export");
    assert_eq!(done.tables[0], ("events".to_owned(), BLOCKS * PER_BLOCK + 5));
    let after = fs::metadata(&file).expect("the file");
    assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
    assert!(!dir.join(".export.journal").exists());
    let folder = Session::folder(&dir, &options()).expect("a session");
    for sql in QUERIES {
        assert_eq!(csv(&folder, sql), csv(&recorded.session, sql), "{sql}");
    }
}

#[test]
fn rows_that_came_late_are_put_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = World::new()
        .with_blocks_of(50)
        .with_late_rows()
        .write(&folder.path().join("case"));
    assert!(case.blocks().any(|b| !b.head().ts_sorted));
    let session = Session::case(case, &options()).expect("a session");
    let dir = folder.path().join("export");
    export(&session, &dir, &|_, _| ()).expect("the export");
    let exported = Session::folder(&dir, &options()).expect("a session");
    for sql in QUERIES {
        assert_eq!(csv(&exported, sql), csv(&session, sql), "{sql}");
    }
    let backwards = "SELECT count(*) FROM (SELECT ts, lag(ts) OVER () AS before FROM events
                     WHERE date = '2026-11-20') WHERE ts < before";
    let one_thread = Options {
        threads: 1,
        ..options()
    };
    let exported = Session::folder(&dir, &one_thread).expect("a session");
    assert_eq!(csv(&exported, backwards), "0");
    let session =
        Session::case(Case::open(&folder.path().join("case")).expect("opens"), &one_thread).expect("a session");
    assert_ne!(csv(&session, backwards), "0", "the case keeps the order of recording");
}

#[test]
fn a_damaged_file_is_no_result() {
    let recorded = recorded();
    let dir = exported(&recorded);
    let file = dir.join("events/host=lab%20host/date=2026-11-21/part-00001.parquet");
    let mut bytes = fs::read(&file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[4..middle].fill(0xa5);
    fs::write(&file, bytes).expect("written");
    let session = Session::folder(&dir, &options()).expect("a session");
    let result = session.batches("SELECT proc_name, fd_name, evt_args FROM events");
    assert!(
        matches!(result, Err(QueryError::Data(_) | QueryError::Statement(_))),
        "{:?}",
        result.map(|r| r.len())
    );
}

/// Wherever a bit of a footer is wrong: an error or the same rows.
#[test]
fn damaged_footers_are_told() {
    let recorded = recorded();
    let dir = exported(&recorded);
    let file = dir.join("events/host=lab%20host/date=2026-11-21/part-00001.parquet");
    let rows = || {
        let session = Session::folder(&dir, &options())?;
        session.batches("SELECT seq, proc_name, evt_args FROM events ORDER BY seq")
    };
    let right = rows().expect("rows");
    let whole = fs::read(&file).expect("the file");
    let names = whole.windows(12).position(|w| w == b"ARROW:schema").expect("a schema");
    let mut told = 0;
    for at in (names..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&file, bytes).expect("written");
        match rows() {
            Ok(rows) => assert_eq!(rows, right, "byte {at}"),
            Err(QueryError::Data(_) | QueryError::Statement(_)) => told += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(told > 10, "{told}");
}

/// Runs a script with DuckDB, which pip installs where it can.
fn duckdb(script: &str) -> Result<String, String> {
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("duckdb");
    let python = |args: &[&str]| {
        let out = Command::new("python3")
            .args(args)
            .env("PYTHONPATH", &packages)
            .env("TZ", "UTC")
            .output();
        let out = out.map_err(|e| format!("python3: {e}"))?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&out.stderr).trim().to_owned())
    };
    if python(&["-c", "import duckdb"]).is_err() {
        let target = packages.to_string_lossy().into_owned();
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            &target,
            "duckdb",
        ];
        python(&pip).map_err(|e| {
            format!(
                "SKIP pip cannot install duckdb: {}",
                e.lines().last().unwrap_or_default()
            )
        })?;
    }
    python(&["-c", script])
}

#[test]
fn duckdb_reads_the_same_values() {
    let recorded = recorded();
    let dir = exported(&recorded);
    let queries = [
        "SELECT proc_name, count(*) AS n FROM events GROUP BY proc_name ORDER BY n DESC, proc_name",
        "SELECT evt_type, count(*), min(seq), max(seq) FROM events GROUP BY 1 ORDER BY 1",
        "SELECT seq, fd_name, proc_cmdline FROM events WHERE fd_name LIKE '/etc/%' ORDER BY seq LIMIT 50",
        "SELECT pid, ppid, process_key, name, exe_path, exit_code FROM processes ORDER BY pid",
        "SELECT cast(epoch_ns(ts) AS VARCHAR), type, action, exit_code FROM docker_events ORDER BY seq",
        "SELECT host, cast(date AS VARCHAR), count(*) FROM events GROUP BY 1, 2 ORDER BY 1, 2",
    ];
    let ours = |sql: &str| csv(&recorded.session, &sql.replace("epoch_ns(ts)", "cast(ts AS BIGINT)"));
    let script = format!(
        "import duckdb, csv, sys, glob\n\
         c = duckdb.connect()\n\
         c.execute(\"SET TimeZone='UTC'\")\n\
         d = {dir:?}\n\
         for t in ('events', 'processes', 'docker_events'):\n\
         \x20   files = [f for f in glob.glob(glob.escape(d) + '/' + t + '/**/*.parquet', recursive=True)]\n\
         \x20   c.read_parquet(files, hive_partitioning=True).create_view(t)\n\
         w = csv.writer(sys.stdout, lineterminator='\\n')\n\
         for q in {queries:?}:\n\
         \x20   w.writerows(c.execute(q).fetchall())\n\
         \x20   print('--')\n",
        dir = dir.to_string_lossy(),
    );
    let theirs = match duckdb(&script) {
        Ok(text) => text,
        Err(reason) if reason.starts_with("SKIP ") => {
            return skip("duckdb_reads_the_same_values", reason.trim_start_matches("SKIP "));
        }
        Err(reason) => panic!("{reason}"),
    };
    let theirs: Vec<&str> = theirs.split("--\n").map(str::trim_end).collect();
    for (sql, theirs) in queries.iter().zip(theirs) {
        assert_eq!(ours(sql), theirs, "{sql}");
    }
}

//! How results look.

use ctrace_query::Session;
use ctrace_query::file_output::{self, FileFormat};
use ctrace_query::output::{Format, write};

use super::{csv, recorded, text};

#[test]
fn a_table_is_aligned_and_safe_to_show() {
    let recorded = recorded();
    let shown = text(
        &recorded.session,
        "SELECT 7 AS n, 'left' AS word, 'a' || chr(27) || '[2J' || chr(10) AS bad UNION ALL SELECT 1234, NULL, 'z' ORDER BY n",
        Format::Table,
    );
    let expected =
        "    n | word | bad\n------+------+------------\n    7 | left | a\\x1b[2J\\n\n 1234 |      | z\n(2 rows)\n";
    assert_eq!(shown, expected);
    assert_eq!(
        text(&recorded.session, "SELECT 1 AS x WHERE false", Format::Table),
        " x\n---\n(0 rows)\n"
    );
}

#[test]
fn csv_has_names_and_lists() {
    let recorded = recorded();
    let shown = text(
        &recorded.session,
        "SELECT pid, args, start_ts, cwd FROM processes WHERE pid IN (300, 77) ORDER BY pid DESC",
        Format::Csv,
    );
    let expected =
        "pid,args,start_ts,cwd\n300,\"[cat, /etc/passwd]\",2026-11-20T23:48:10Z,/\n77,[],2026-11-20T22:36:30Z,\n";
    assert_eq!(shown, expected);
    assert_eq!(text(&recorded.session, "SELECT 1 AS x WHERE false", Format::Csv), "x\n");
}

#[test]
fn ndjson_has_every_column_in_every_line() {
    let recorded = recorded();
    let shown = text(
        &recorded.session,
        "SELECT p.pid, p.exit_code, p.args, p.name, q.pid FROM processes p JOIN processes q USING (process_key)
         WHERE p.pid IN (300, 77) ORDER BY 1",
        Format::Ndjson,
    );
    let expected = "{\"pid\":77,\"exit_code\":null,\"args\":[],\"name\":\"idle\",\"pid_2\":77}\n\
                    {\"pid\":300,\"exit_code\":1,\"args\":[\"cat\",\"/etc/passwd\"],\"name\":\"cat\",\"pid_2\":300}\n";
    assert_eq!(shown, expected);
}

#[test]
fn nothing_recorded_drives_a_terminal() {
    let recorded = recorded();
    let sql = "SELECT chr(27) || '[2J' AS a, chr(155) || '31m' AS b, make_array(chr(7)) AS c";
    for format in [Format::Table, Format::Csv, Format::Ndjson] {
        let mut out = Vec::new();
        write(recorded.session.sql(sql).expect("a result"), format, true, &mut out).expect("written");
        let shown = String::from_utf8(out).expect("UTF-8");
        assert!(
            !shown.chars().any(|c| c != '\n' && c.is_control()),
            "{format:?}: {shown:?}"
        );
    }
}

#[test]
fn results_become_files() {
    let recorded = recorded();
    let session = &recorded.session;
    let folder = recorded.folder.path();
    let sql = "SELECT seq, ts, proc_name, proc_aname, evt_failed, seq AS \"n m\" FROM events ORDER BY seq LIMIT 700";
    let write = |format, path: &std::path::Path| file_output::write(session.sql(sql).expect("a result"), format, path);
    // A folder with the table `mine`, as other programs would write it.
    let table = folder.join("tables/mine");
    std::fs::create_dir_all(&table).expect("a folder");
    let written = write(FileFormat::Parquet, &table.join("all.parquet")).expect("written");
    assert_eq!(written, 700);
    let again = Session::folder(&folder.join("tables"), &super::options()).expect("a session");
    let back = "SELECT seq, ts, proc_name, proc_aname, evt_failed, \"n m\" FROM mine ORDER BY seq";
    let expected = csv(
        session,
        "SELECT seq, ts, proc_name, proc_aname, evt_failed, seq AS n FROM events ORDER BY seq LIMIT 700",
    );
    assert_eq!(csv(&again, back), expected);
    let arrow = folder.join("all.arrow");
    write(FileFormat::Arrow, &arrow).expect("written");
    let reader = arrow_ipc::reader::FileReader::try_new(std::fs::File::open(&arrow).expect("the file"), None);
    let rows: usize = reader
        .expect("an Arrow file")
        .map(|b| b.expect("a batch").num_rows())
        .sum();
    assert_eq!(rows, 700);
    let text = folder.join("all.csv");
    write(FileFormat::Text(Format::Csv), &text).expect("written");
    let text = std::fs::read_to_string(&text).expect("the file");
    assert_eq!(text.lines().count(), 701);
    // A statement that fails leaves no file, and not what was begun.
    let broken = folder.join("broken.parquet");
    let answer = session.sql("SELECT 1 / (seq - 300) FROM events").expect("a plan");
    file_output::write(answer, FileFormat::Parquet, &broken).expect_err("a division by zero");
    assert!(!broken.exists() && !folder.join(".broken.parquet.tmp").exists());
}

#[test]
fn wide_rows_are_expanded() {
    let recorded = recorded();
    let shown = text(
        &recorded.session,
        "SELECT pid, name FROM processes WHERE pid < 100 ORDER BY pid",
        Format::Expanded,
    );
    assert_eq!(
        shown,
        "-[ 1 ]-\npid  | 1\nname | systemd\n-[ 2 ]-\npid  | 77\nname | idle\n(2 rows)\n"
    );
}

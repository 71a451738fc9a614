"""Statements and their rows."""

import csv
import datetime
import io
import threading

import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest

import ctrace
from conftest import ATTACK, ROOT, rows_of_command, run

STATEMENTS = [
    "SELECT evt_type, count(*) AS n FROM events GROUP BY evt_type ORDER BY n DESC, evt_type",
    "SELECT seq, proc_name, proc_pid, fd_name, evt_failed FROM events ORDER BY seq",
    "SELECT pid, ppid, cmdline, user_name, exit_code FROM processes ORDER BY process_key",
    "SELECT rule, seq FROM alerts('samples/attack/rules.yaml') ORDER BY seq",
    "SELECT action, name FROM docker_events ORDER BY seq",
    "SELECT evt_type FROM events WHERE false",
]


def text(value):
    """A value as the command writes it in CSV."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_values_are_those_of_the_command(case, sql, monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = [{k: text(v) for k, v in row.items()} for row in case.sql(sql).to_pyarrow().to_pylist()]
    assert rows == rows_of_command(ATTACK / "case", sql)
    assert rows or "false" in sql


def test_times_are_whole_nanoseconds(case):
    sql = "SELECT seq, ts, CAST(ts AS BIGINT) AS ns FROM events ORDER BY seq"
    table = case.sql(sql).to_pyarrow()
    assert str(table.schema.field("ts").type) == "timestamp[ns, tz=UTC]"
    assert table["ts"].cast("int64").equals(table["ns"])
    assert case.sql(sql).to_pandas()["ts"].astype("int64").tolist() == table["ns"].to_pylist()


def test_every_library_gets_the_same_rows(case):
    result = case.sql("SELECT * FROM events ORDER BY seq")
    count = int(rows_of_command(ATTACK / "case", "SELECT count(*) AS n FROM events")[0]["n"])
    assert len(result) == count > 6000
    arrow, frame, pandas_frame = result.to_pyarrow(), result.to_polars(), result.to_pandas()
    assert arrow.num_rows == frame.height == len(pandas_frame) == count
    assert arrow.column_names == frame.columns == list(pandas_frame.columns) == result.columns
    pids = arrow["proc_pid"].to_pylist()
    names = arrow["proc_name"].to_pylist()
    assert frame["proc_pid"].to_list() == pids
    assert frame["proc_name"].to_list() == names
    assert [None if pandas.isna(name) else name for name in pandas_frame["proc_name"]] == names
    in_duckdb = duckdb.sql("SELECT proc_pid, proc_name, proc_aname FROM result ORDER BY seq").fetchall()
    assert in_duckdb == list(zip(pids, names, arrow["proc_aname"].to_pylist()))


def test_the_stream_can_be_taken_again_and_again(case):
    result = case.sql("SELECT seq FROM events")
    for library in (pyarrow.table, polars.DataFrame, pandas.DataFrame.from_arrow):
        assert len(library(result)) == len(library(result)) == len(result)
    assert pyarrow.schema(result).names == ["seq"]


def test_rows_are_not_copied(case):
    result = case.sql("SELECT CAST(seq AS BIGINT) AS n FROM events")
    once, twice = pyarrow.table(result), pyarrow.table(result)
    addresses = [[c.buffers()[1].address for c in t["n"].chunks] for t in (once, twice)]
    assert addresses[0] == addresses[1]


def test_duckdb_registration(case):
    connection = duckdb.connect()
    relation = case.sql("SELECT proc_name FROM events").to_duckdb("seen", connection)
    sql = "SELECT proc_name, count(*) FROM seen WHERE proc_name IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"
    expected = case.sql(sql.replace("seen", "events")).to_pyarrow()
    assert connection.sql(sql).fetchall() == list(zip(*(c.to_pylist() for c in expected.columns)))
    assert relation.count("*").fetchall() == [(len(case.sql("SELECT seq FROM events")),)]


def test_parameters(case):
    named = case.sql("SELECT count(*) AS n FROM events WHERE proc_name = $name", {"name": "cat"})
    assert named.to_pyarrow()["n"][0].as_py() > 0
    by_place = case.sql("SELECT count(*) AS n FROM events WHERE proc_name = $1 AND seq < $2", ["cat", 10**9])
    assert by_place.to_pyarrow().equals(named.to_pyarrow())
    values = {
        "text": "o'x; DROP TABLE events --",
        "int": 2**62,
        "float": 1.5,
        "bool": True,
        "none": None,
        "numpy": numpy.int64(7),
    }
    sql = "SELECT " + ", ".join(f'${n} AS "{n}"' for n in values)
    assert case.sql(sql, values).to_pyarrow().to_pylist() == [values]
    moment = pandas.Timestamp("2026-11-21T17:27:53.992243365Z")
    found = case.sql("SELECT seq FROM events WHERE ts = $t", {"t": moment}).to_pyarrow()
    assert found["seq"].to_pylist() == [4555]
    zone = datetime.timezone(datetime.timedelta(hours=2))
    late = case.sql("SELECT count(*) AS n FROM events WHERE ts > $t", {"t": datetime.datetime(2026, 11, 21, 20, tzinfo=zone)})
    assert late.to_pyarrow()["n"].to_pylist() == [0]


@pytest.mark.parametrize("value", [object(), 2**64, [1], b"x"])
def test_values_that_are_none(case, value):
    with pytest.raises(ctrace.StatementError, match=r"\$v"):
        case.sql("SELECT $v", {"v": value})


def test_names_come_once(case):
    result = case.sql("SELECT a.seq, b.seq FROM events a JOIN events b USING (seq) LIMIT 3")
    assert result.columns == ["seq", "seq_2"]
    assert result.to_polars().columns == ["seq", "seq_2"]


def test_several_cases_and_exports(export):
    both = ctrace.open([ATTACK / "case", export])
    counts = both.sql("SELECT count(*) AS n, count(DISTINCT seq) AS d FROM events").to_pyarrow().to_pylist()[0]
    assert counts["n"] == 2 * counts["d"] > 12000


def test_streams_are_taken_once(case):
    sql = "SELECT a.seq FROM events a, (SELECT seq FROM events LIMIT 100) b"
    reader = pyarrow.RecordBatchReader.from_stream(stream := case.stream(sql))
    assert sum(batch.num_rows for batch in reader) == 100 * len(case.sql("SELECT seq FROM events"))
    with pytest.raises(ctrace.Error, match="once"):
        pyarrow.table(stream)


def test_a_stream_that_fails_says_why(case):
    with pytest.raises(Exception, match="Divide by zero"):
        pyarrow.table(case.stream("SELECT 1 / (seq - seq) FROM events"))


def test_a_stream_that_nobody_reads_ends(case):
    sql = "SELECT count(*) FROM events a, events b, events c"
    before = threading.active_count()
    for _ in range(20):
        case.stream(sql)
    assert threading.active_count() == before
    assert len(case.sql("SELECT 1")) == 1


def test_other_threads_run_meanwhile(case):
    """The interpreter is not held while a statement runs."""
    counted, done = [], threading.Event()

    def count():
        while not done.is_set():
            counted.append(None)

    thread = threading.Thread(target=count)
    thread.start()
    case.sql("SELECT count(*) FROM events a, events b WHERE a.proc_name < b.proc_name")
    before_end = len(counted)
    done.set()
    thread.join()
    assert before_end > 1000


def test_statements_of_several_threads(case):
    results = {}

    def ask(n):
        results[n] = case.sql(f"SELECT count(*) + {n} AS n FROM events").to_pyarrow()["n"][0].as_py() - n

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(results) == 8 and len(set(results.values())) == 1


def test_memory_is_bounded():
    small = ctrace.open(ATTACK / "case", memory=1 << 20, threads=2)
    with pytest.raises(ctrace.Error, match="(?i)memory|resources"):
        small.sql("SELECT array_agg(evt_args) FROM events a, (SELECT 1 FROM events LIMIT 500) b GROUP BY a.seq")


def test_tables_and_library(case):
    assert {"events", "processes", "alerts"} - set(case.tables) == {"alerts"}
    schema = case.schema("processes").to_pyarrow()
    assert schema["column"].to_pylist() == [r["column_name"] for r in rows_of_command(ATTACK / "case", "DESCRIBE processes")]
    assert all(schema["meaning"].to_pylist())
    assert set(case.schema().to_pyarrow()["table"].to_pylist()) == set(case.tables)
    assert any("ancestors" in usage for usage in case.functions().to_pyarrow()["usage"].to_pylist())
    library = case.investigations().to_pyarrow()
    assert library.num_rows >= 25 and "rare-executables" in library["name"].to_pylist()
    found = case.investigate("rare-executables", max=1).to_pyarrow()
    other = case.investigate("@rare-executables", max=3).to_pyarrow()
    assert 0 < found.num_rows <= other.num_rows
    rows = csv.DictReader(io.StringIO(run("query", ATTACK / "case", "@rare-executables", "--param", "max=1", "--format", "csv")))
    assert found["exe_path"].to_pylist() == [row["exe_path"] for row in rows]

"""What `ctrace export` writes opens unchanged in DuckDB, Polars and pandas, and says the same."""

import duckdb
import pandas
import polars
import pytest

import ctrace

TABLES = ["events", "processes", "containers", "docker_events", "audit", "users", "segments"]


@pytest.mark.parametrize("table", TABLES)
def test_counts(case, export, table):
    count = case.sql(f"SELECT count(*) AS n FROM {table}").to_pyarrow()["n"][0].as_py()
    files = f"{export}/{table}/**/*.parquet"
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{files}', hive_partitioning = true)").fetchall() == [(count,)]
    assert polars.read_parquet(files, hive_partitioning=True).height == count
    frame = pandas.read_parquet(export / table)
    assert len(frame) == count > 0
    assert len(ctrace.open(export).sql(f"SELECT * FROM {table}")) == count


def test_aggregates(case, export):
    sql = """SELECT proc_name, count(*) AS n, min(seq) AS first, max(CAST(ts AS BIGINT)) AS last, sum(proc_pid) AS pids
             FROM events WHERE proc_name IS NOT NULL GROUP BY proc_name ORDER BY n DESC, proc_name"""
    expected = [tuple(row.values()) for row in case.sql(sql).to_pyarrow().to_pylist()]
    assert len(expected) > 10
    files = f"{export}/events/**/*.parquet"

    in_duckdb = f"""SELECT proc_name, count(*) AS n, min(seq), max(epoch_ns(ts)), sum(proc_pid)::BIGINT
                    FROM read_parquet('{files}', hive_partitioning = true) WHERE proc_name IS NOT NULL
                    GROUP BY 1 ORDER BY n DESC, proc_name"""
    assert duckdb.sql(in_duckdb).fetchall() == expected

    events = polars.scan_parquet(files, hive_partitioning=True).filter(polars.col("proc_name").is_not_null())
    in_polars = events.group_by("proc_name").agg(
        polars.len().alias("n"),
        polars.col("seq").min().alias("first"),
        polars.col("ts").dt.epoch("ns").max().alias("last"),
        polars.col("proc_pid").sum().alias("pids"),
    )
    assert in_polars.sort(["n", "proc_name"], descending=[True, False]).collect().rows() == expected

    frame = pandas.read_parquet(export / "events", columns=["proc_name", "seq", "ts", "proc_pid"])
    frame["ns"] = frame["ts"].astype("int64")
    grouped = frame.dropna(subset=["proc_name"]).groupby("proc_name")
    in_pandas = grouped.agg(n=("seq", "size"), first=("seq", "min"), last=("ns", "max"), pids=("proc_pid", "sum"))
    in_pandas = in_pandas.reset_index().sort_values(["n", "proc_name"], ascending=[False, True])
    assert [tuple(row) for row in in_pandas.itertuples(index=False)] == expected


def test_partitions_are_columns(case, export):
    expected = [tuple(r.values()) for r in case.sql("SELECT DISTINCT host, CAST(date AS VARCHAR) AS date FROM events").to_pyarrow().to_pylist()]
    files = f"{export}/events/**/*.parquet"
    sql = f"SELECT DISTINCT host, date::VARCHAR FROM read_parquet('{files}', hive_partitioning = true)"
    assert duckdb.sql(sql).fetchall() == expected
    frame = pandas.read_parquet(export / "events", columns=["host", "date"]).drop_duplicates()
    assert [(str(h), str(d)) for h, d in frame.itertuples(index=False)] == expected

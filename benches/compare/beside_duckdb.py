#!/usr/bin/env python3
"""SQL of ctrace beside DuckDB: the same twelve questions to a trace, to its Parquet export, and to DuckDB on that export.

    cargo build --release --workspace --bin ctrace
    cargo build --release -p ctrace-benches --example record
    pip install duckdb pytz
    benches/compare/beside_duckdb.py [--events N] [--rounds N] [--folder DIR] [--threads N]

Rounds are interleaved, values are compared, medians and ratios printed. A statement of ctrace is timed by its own
`\\timing`, in a process that has run it once before; DuckDB keeps its connection.
"""

import argparse
import csv
import io
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

# `{like}`, `{timestamp}`, `{ns}` and `{cidr}` are each engine's own words; `{from_ts}`, `{to_ts}` a window, `{pid}` a process.
QUERIES = {
    "top processes": "SELECT proc_name, count(*) AS n FROM events GROUP BY proc_name ORDER BY n DESC, proc_name LIMIT 10",
    "failed opens by path": """SELECT evt_args, count(*) AS n FROM events WHERE evt_type = 'openat' AND evt_rawres < 0
        GROUP BY evt_args ORDER BY n DESC, evt_args LIMIT 20""",
    "time window": """SELECT evt_type, count(*) AS n FROM events WHERE ts >= CAST('{from_ts}' AS {timestamp}) AND ts < CAST('{to_ts}' AS {timestamp})
        GROUP BY evt_type ORDER BY n DESC, evt_type""",
    "pid lookup": "SELECT count(*), min(seq), max(seq), count(DISTINCT fd_name) FROM events WHERE proc_pid = {pid}",
    "like and regexp": """SELECT count(*), count(DISTINCT proc_name) FROM events
        WHERE fd_name LIKE '/usr/%' AND {like}(proc_cmdline, '(gcc|cc1|grep) .*')""",
    "process tree": """WITH RECURSIVE tree AS (
            SELECT process_key, 0 AS depth FROM processes WHERE parent_key IS NULL
            UNION ALL SELECT p.process_key, t.depth + 1 FROM tree t JOIN processes p ON p.parent_key = t.process_key)
        SELECT depth, count(*) FROM tree GROUP BY depth ORDER BY depth""",
    "sessions": """SELECT count(*) FROM (
            SELECT {ns} - lag({ns}) OVER (PARTITION BY proc_pid ORDER BY ts, seq) AS gap FROM events)
        WHERE gap > 10000000""",
    "distinct paths": """SELECT container_id, count(DISTINCT fd_name) AS n FROM events GROUP BY container_id
        ORDER BY n DESC, container_id""",
    "join with alerts": """SELECT a.rule, count(*) AS n, count(DISTINCT e.proc_pid) FROM alerts a JOIN events e ON e.seq = a.seq
        GROUP BY a.rule ORDER BY n DESC, a.rule""",
    "histogram": """SELECT {ns} - {ns} % 1000000 AS millisecond, count(*) AS n FROM events GROUP BY 1
        ORDER BY n DESC, millisecond LIMIT 50""",
    "rare executables": """SELECT proc_exepath, count(DISTINCT proc_pid) AS n FROM events WHERE proc_exepath IS NOT NULL
        GROUP BY proc_exepath HAVING count(DISTINCT proc_pid) <= 3 ORDER BY n, proc_exepath LIMIT 20""",
    "cidr": "SELECT count(*), count(DISTINCT fd_name) FROM events WHERE {cidr}",
}
OURS = {"like": "regexp_like", "timestamp": "TIMESTAMPTZ", "ns": "CAST(ts AS BIGINT)", "cidr": "cidr_contains('10.0.0.0/8', fd_sip)"}
THEIRS = {"like": "regexp_matches", "timestamp": "TIMESTAMPTZ_NS", "ns": "epoch_ns(ts)", "cidr": "fd_sip LIKE '10.%'"}


def rows_of(text):
    return [[cell(v) for v in row] for row in csv.reader(io.StringIO(text))][1:]


def cell(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


class Ctrace:
    def __init__(self, binary, data, threads):
        self.command = [binary, "query", *map(str, data), "--format", "csv", "--threads", str(threads)]

    def run(self, sql):
        """Rows and milliseconds of the second of two runs."""
        text = f"{sql};\n\\timing\n{sql};\n"
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([*self.command, "-f", file.name], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{sql}\n{done.stderr}")
        found = re.findall(r"Time: ([0-9.]+) ms", done.stderr)
        half = done.stdout[: len(done.stdout) // 2]
        return rows_of(half), float(found[-1])

    def value(self, sql):
        return self.run(sql)[0][0]


class Duck:
    def __init__(self, export, alerts, threads):
        self.connection = duckdb.connect(config={"threads": threads})
        self.connection.execute("SET TimeZone='UTC'")
        for table in ("events", "processes"):
            files = f"{export}/{table}/*/*/*.parquet"
            self.connection.execute(
                f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true)"
            )
        self.connection.execute(f"CREATE VIEW alerts AS SELECT * FROM read_parquet('{alerts}')")

    def run(self, sql):
        start = time.perf_counter()
        rows = self.connection.execute(sql).fetchall()
        took = (time.perf_counter() - start) * 1000
        return [[cell(v) for v in row] for row in rows], took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--ctrace", default=str(target / "ctrace"))
    parser.add_argument("--record", default=str(target / "examples" / "record"))
    parser.add_argument("--folder", help="keep and reuse the case and its export here")
    args = parser.parse_args()
    folder = Path(args.folder or tempfile.mkdtemp(prefix="ctrace-duckdb-"))
    try:
        compare(args, folder)
    finally:
        if not args.folder:
            shutil.rmtree(folder)


def prepare(args, folder):
    case, export, alerts = folder / "case", folder / "export", folder / "more" / "alerts" / "alerts.parquet"
    if not case.exists():
        subprocess.run([args.record, case, str(args.events)], check=True)
    if not (export / "manifest.json").exists():
        start = time.perf_counter()
        subprocess.run([args.ctrace, "export", case, "-o", export, "--threads", str(args.threads)], check=True)
        took = time.perf_counter() - start
        rows = json.loads((export / "manifest.json").read_text())["tables"]["events"]["rows"]
        print(f"export: {rows / took / 1e6:.2f} M rows/s")
    if not alerts.exists():
        alerts.parent.mkdir(parents=True)
        sql = """SELECT seq, 'secret' AS rule FROM events WHERE fd_name LIKE '/etc/%' UNION ALL
                 SELECT seq, 'exec' AS rule FROM events WHERE evt_type = 'execve'"""
        subprocess.run([args.ctrace, "query", case, sql, "--format", "parquet", "-o", alerts], check=True)
    return case, export, alerts


def compare(args, folder):
    case, export, alerts = prepare(args, folder)
    more = alerts.parent.parent
    engines = {
        "trace": Ctrace(args.ctrace, [case, more], args.threads),
        "parquet": Ctrace(args.ctrace, [export, more], args.threads),
        "duckdb": Duck(export, alerts, args.threads),
    }
    middle = engines["trace"].value("SELECT approx_percentile_cont(seq, 0.5) FROM events")[0]
    pick = f"SELECT proc_pid, CAST(ts AS VARCHAR) FROM events WHERE seq = {int(float(middle))}"
    pid, moment = engines["trace"].value(pick)
    after = f"SELECT CAST(TIMESTAMPTZ '{moment}' + INTERVAL '50 milliseconds' AS VARCHAR)"
    names = {"pid": pid, "from_ts": moment, "to_ts": engines["trace"].value(after)[0]}
    print(f"{'':24}{'trace ms':>10}{'parquet ms':>12}{'duckdb ms':>11}{'trace':>8}{'parquet':>9}")
    ratios = {"trace": [], "parquet": []}
    differ = []
    for name, template in QUERIES.items():
        times = {engine: [] for engine in engines}
        results = {}
        for _ in range(args.rounds):
            for engine, one in engines.items():
                words = THEIRS if engine == "duckdb" else OURS
                results[engine], took = one.run(template.format(**names, **words))
                times[engine].append(took)
        if not results["trace"] == results["parquet"] == results["duckdb"]:
            differ.append(name)
        median = {engine: statistics.median(t) for engine, t in times.items()}
        line = f"{name:24}{median['trace']:10.1f}{median['parquet']:12.1f}{median['duckdb']:11.1f}"
        for engine in ratios:
            ratios[engine].append(median[engine] / median["duckdb"])
            line += f"{ratios[engine][-1]:{8 if engine == 'trace' else 9}.2f}"
        print(line, flush=True)
    for engine, all_of in ratios.items():
        mean = math.exp(statistics.fmean(map(math.log, all_of)))
        print(f"{engine}: geometric mean {mean:.2f} of DuckDB's time, worst {max(all_of):.2f}")
    if differ:
        sys.exit(f"values differ: {', '.join(differ)}")


if __name__ == "__main__":
    main()

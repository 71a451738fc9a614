#!/usr/bin/env python3
"""SQL of ctrace beside DuckDB: the same twelve questions to a trace, to its Parquet export, and to DuckDB on that export.

    cargo build --release -p ctrace-benches --features query --example sql --example record
    pip install duckdb pytz
    benches/compare/beside_duckdb.py [--events N] [--rounds N] [--folder DIR] [--threads N]

Rounds are interleaved, values are compared, medians and ratios printed. Each engine is one process that stays open, as in
a notebook: data are opened and a first round is run before anything is timed. Beside the wall clock there is CPU time,
which other work on the machine changes less, and the largest memory of each process.
"""

import argparse
import csv
import io
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


def cpu(pid):
    """Milliseconds of CPU of a process and its threads so far: its clock, as clock_getcpuclockid(3) names it."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e6


def peak(pid):
    """MiB of the largest memory so far."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


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
        command = [binary, str(threads), *map(str, data)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def run(self, sql):
        """Rows and milliseconds."""
        self.process.stdin.write(" ".join(sql.split()) + "\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.startswith("\x1e"):
                return rows_of("".join(lines)), float(line[1:])
            lines.append(line)
        sys.exit(f"{sql}\nended with {self.process.wait()}")

    def value(self, sql):
        return self.run(sql)[0][0]


class Duck:
    def __init__(self, export, alerts, threads):
        self.pid = os.getpid()
        self.connection = duckdb.connect(config={"threads": threads})
        self.connection.execute("SET TimeZone='UTC'")
        # Ours keeps footers while its session is open.
        self.connection.execute("SET parquet_metadata_cache = true")
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
    parser.add_argument("--sql", default=str(target / "examples" / "sql"))
    parser.add_argument("--record", default=str(target / "examples" / "record"))
    parser.add_argument("--copied", type=int, default=1_000_000, help="rows of each table that DuckDB's COPY writes")
    parser.add_argument("--only", help="queries whose name has this, or export")
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
        write_export(args, case, export)
    if not alerts.exists():
        alerts.parent.mkdir(parents=True)
        events = f"read_parquet('{export}/events/*/*/*.parquet')"
        sql = f"""SELECT seq, 'secret' AS rule FROM {events} WHERE fd_name LIKE '/etc/%' UNION ALL
                  SELECT seq, 'exec' AS rule FROM {events} WHERE evt_type = 'execve'"""
        duckdb.execute(f"COPY ({sql}) TO '{alerts}' (FORMAT parquet)")
    return case, export, alerts


def spent_by(command):
    """What a program prints, its seconds of CPU and MiB of its largest memory."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return printed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_export(args, case, target):
    """Rows of all tables, seconds, seconds of CPU, MiB."""
    printed, *spent = spent_by([args.sql, str(args.threads), "export", case, target])
    rows, took = map(float, printed.split())
    return rows, took, *spent


def copied(args, export, target):
    """The same of DuckDB's COPY, in a process of its own."""
    command = [sys.executable, __file__, "copy", export, target, str(args.threads), str(args.copied)]
    printed, *spent = spent_by(command)
    rows, took = map(float, printed.split())
    return rows, took, *spent


def copy(export, target, threads, most):
    """Rows by DuckDB, which reads them from the export: of each table the files that begin with so many rows. It sorts
    nothing, for they come in order of time. Prints rows and seconds."""
    # What does not fit in memory is not to lie where the command was called.
    connection = duckdb.connect(config={"threads": int(threads), "temp_directory": str(target / "spilled")})
    target.mkdir()
    rows, start = 0, time.perf_counter()
    for table in sorted(path.name for path in export.iterdir() if path.is_dir()):
        files, there = [], 0
        for file in sorted(export.glob(f"{table}/*/*/*.parquet")):
            if there >= int(most):
                break
            files.append(str(file))
            there += connection.execute(f"SELECT num_rows FROM parquet_file_metadata('{file}')").fetchone()[0]
        options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 1048576"
        done = connection.execute(f"COPY (FROM read_parquet({files})) TO '{target}/{table}.parquet' ({options})")
        rows += done.fetchone()[0]
    print(rows, time.perf_counter() - start)


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*.parquet"))


def exports(args, folder, case, export):
    """`ctrace export` of the case beside DuckDB's COPY of the first rows of that export, in turns."""
    writers = {"ctrace": (write_export, case), "duckdb": (copied, export)}
    runs = {name: [] for name in writers}
    for _ in range(args.rounds):
        for name, (write, source) in writers.items():
            target = folder / f"written-{name}"
            rows, took, spent, most = write(args, source, target)
            runs[name].append((rows / took / 1e6, spent / rows * 1e6, size(target) / rows, rows / 1e6, most))
            shutil.rmtree(target)
    medians = {}
    for name, of_engine in runs.items():
        medians[name] = [statistics.median(values) for values in zip(*of_engine)]
        rate, spent, bytes_of, rows, most = medians[name]
        print(f"export, {name}: {rate:.2f} M rows/s of {rows:.1f} M, {spent:.2f} s of CPU for a million, "
              f"{bytes_of:.1f} bytes a row, largest memory {most:.0f} MiB")
    wall, spent = (medians["ctrace"][0] / medians["duckdb"][0], medians["duckdb"][1] / medians["ctrace"][1])
    print(f"export: {wall:.1f} times as many rows in a second as DuckDB, {spent:.1f} times as many in a second of CPU")


def compare(args, folder):
    case, export, alerts = prepare(args, folder)
    if not args.only or args.only in "export":
        exports(args, folder, case, export)
    more = alerts.parent.parent
    engines = {
        "trace": Ctrace(args.sql, [case, more], args.threads),
        "parquet": Ctrace(args.sql, [export, more], args.threads),
        "duckdb": Duck(export, alerts, args.threads),
    }
    middle = engines["trace"].value("SELECT approx_percentile_cont(seq, 0.5) FROM events")[0]
    pick = f"SELECT proc_pid, CAST(ts AS VARCHAR) FROM events WHERE seq = {int(float(middle))}"
    pid, moment = engines["trace"].value(pick)
    after = f"SELECT CAST(TIMESTAMPTZ '{moment}' + INTERVAL '50 milliseconds' AS VARCHAR)"
    names = {"pid": pid, "from_ts": moment, "to_ts": engines["trace"].value(after)[0]}
    print(f"{'':22}{'wall, ms':^27}{'':2}{'to DuckDB':^16}{'CPU, ms':^27}{'to DuckDB':^16}")
    print(f"{'':22}" + f"{'trace':>9}{'parquet':>9}{'duckdb':>9}{'trace':>9}{'parquet':>9}" * 2)
    ratios = {(what, engine): [] for what in ("wall", "CPU") for engine in ("trace", "parquet")}
    differ = []
    for name, template in QUERIES.items():
        if args.only and args.only not in name:
            continue
        spent = {(what, engine): [] for what in ("wall", "CPU") for engine in engines}
        results = {}
        for number in range(args.rounds + 1):
            for engine, one in engines.items():
                words = THEIRS if engine == "duckdb" else OURS
                before = cpu(one.pid)
                results[engine], took = one.run(template.format(**names, **words))
                if number > 0:
                    spent["wall", engine].append(took)
                    spent["CPU", engine].append(cpu(one.pid) - before)
        if not results["trace"] == results["parquet"] == results["duckdb"]:
            differ.append(name)
        line = f"{name:22}"
        for what in ("wall", "CPU"):
            median = {engine: statistics.median(spent[what, engine]) for engine in engines}
            line += "".join(f"{median[engine]:9.1f}" for engine in engines)
            for engine in ("trace", "parquet"):
                ratios[what, engine].append(median[engine] / median["duckdb"])
                line += f"{ratios[what, engine][-1]:9.2f}"
        print(line, flush=True)
    for (what, engine), all_of in ratios.items():
        if not all_of:
            continue
        mean = math.exp(statistics.fmean(map(math.log, all_of)))
        print(f"{engine}, {what}: geometric mean {mean:.2f} of DuckDB's, worst {max(all_of):.2f}")
    print("largest memory, MiB: " + ", ".join(f"{engine} {peak(one.pid):.0f}" for engine, one in engines.items()))
    if differ:
        sys.exit(f"values differ: {', '.join(differ)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["copy"]:
        copy(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
    else:
        main()

"""Errors, warnings and Ctrl-C."""

import os
import socket
import subprocess
import sys
import textwrap
import warnings

import pytest

import ctrace
from conftest import ATTACK, ROOT

RULES = ATTACK / "rules.yaml"


@pytest.mark.parametrize(
    "sql, error, message",
    [
        ("SELECT proc_nam FROM events", ctrace.StatementError, r"did you mean `proc_name`.*line 1, column 8\)\n    SELECT proc_nam FROM events\n           \^"),
        ("SELECT * FROM event", ctrace.StatementError, "no table `event`; did you mean `events`"),
        ("SELEC 1", ctrace.StatementError, "Expected"),
        ("DELETE FROM events", ctrace.StatementError, "only read"),
        ("DROP TABLE events", ctrace.StatementError, "only read"),
        ("COPY events TO '/tmp/x.csv'", ctrace.StatementError, "only read"),
        ("SELECT $x", ctrace.StatementError, r"\$x"),
        ("SELECT 1/0", ctrace.StatementError, "Divide by zero"),
        ("SELECT * FROM alerts('nowhere.yaml')", ctrace.StatementError, "nowhere.yaml"),
        ("SELECT 1; SELECT 2", ctrace.StatementError, "more than one"),
        ("", ctrace.StatementError, "no statement"),
    ],
)
def test_statements(case, sql, error, message):
    with pytest.raises(error, match=f"(?s){message}") as caught:
        case.sql(sql)
    assert isinstance(caught.value, ctrace.Error)


def test_a_store_that_is_not_there(monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        # Not taken for a path.
        with pytest.raises(ctrace.Error, match="s3://fleet/tables: ") as caught:
            ctrace.open("s3://fleet/tables")
        assert "No such file" not in str(caught.value)
    with pytest.raises(ctrace.Error, match="no bucket"):
        ctrace.open("s3://")


def test_other_errors(case, export, tmp_path):
    with pytest.raises(ctrace.DataError, match="No such file"):
        ctrace.open(tmp_path / "nothing")
    with pytest.raises(ctrace.DataError, match="neither a case nor an export"):
        ctrace.open(tmp_path)
    with pytest.raises(ctrace.DataError):
        ctrace.open(ROOT / "README.md")
    with pytest.raises(ctrace.Error, match="name a case"):
        ctrace.open()
    with pytest.raises(ctrace.StatementError, match="@rare-executables"):
        case.investigate("rare")
    with pytest.raises(ctrace.StatementError, match="no parameter `mx`"):
        case.investigate("rare-executables", mx=1)
    with pytest.raises(ctrace.StatementError, match="no table"):
        case.schema("nothing")
    with pytest.raises(ctrace.Error, match="not over exports"):
        ctrace.open(export).replay(RULES)
    with pytest.raises(ctrace.Error, match="no event 999999999"):
        case.explain(RULES, "Dropped binary executed", 999_999_999)
    with pytest.raises(ctrace.RulesError, match="no rule is called"):
        case.explain(RULES, "x", 1)


def test_wrong_rules_show_the_place(case, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("- rule: x\n  desc: x\n  condition: proc.nam = sh\n  output: x\n  priority: NOTICE\n")
    with pytest.raises(ctrace.RulesError, match=r"(?s)rules.yaml:3:14: error:.*proc\.name.*\n    .*\^"):
        case.replay(rules)
    with pytest.raises(ctrace.StatementError, match=r"rules.yaml:3:14: error:.*proc\.name"):
        case.sql(f"SELECT * FROM alerts('{rules}')")


def test_a_missing_library_is_named(case, monkeypatch):
    result = case.sql("SELECT 1 AS one")
    for module, call in (("pyarrow", result.to_pyarrow), ("polars", result.to_polars), ("pandas", result.to_pandas)):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ctrace.Error, match=f"needs {module}: pip install {module}"):
            call()
        monkeypatch.undo()
    timeline = case.timeline()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ctrace.Error, match="pip install matplotlib"):
        timeline.plot()
    assert timeline._repr_png_() is None


def test_damage_is_a_warning_and_whole_parts_are_read(tmp_path, case):
    bytes_ = bytearray((ATTACK / "case/000001.ctrace").read_bytes())
    (tmp_path / "case").mkdir()
    segment = tmp_path / "case/000001.ctrace"
    segment.write_bytes(bytes_[: len(bytes_) // 2])
    with pytest.warns(ctrace.DamageWarning, match="000001.ctrace"):
        cut = ctrace.open(tmp_path / "case")
    assert cut.problems
    bytes_[len(bytes_) // 2] ^= 0xFF
    segment.write_bytes(bytes_)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        flipped = ctrace.open(tmp_path / "case")
        rows = len(flipped.sql("SELECT * FROM events"))
        again = len(told)
        flipped.sql("SELECT * FROM events")
    assert any(issubclass(w.category, ctrace.DamageWarning) for w in told)
    assert len(told) == again, "the same damage is told once"
    assert rows < len(case.sql("SELECT seq FROM events"))


def test_losses_are_a_warning():
    with pytest.warns(ctrace.LossWarning, match="lost 42 events"):
        lossy = ctrace.open(os.environ["CTRACE_LOSSY_CASE"])
    assert lossy.sql("SELECT sum(count) AS n FROM gaps").to_pyarrow()["n"].to_pylist() == [42]
    assert not lossy.problems


INTERRUPTED = """
    import os, signal, sys, threading, time
    import polars, pyarrow
    import ctrace

    case = ctrace.open(sys.argv[1])
    endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i % 7 + 1 FROM n) SELECT count(*) FROM n"
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    begun = time.monotonic()
    try:
        {call}
        time.sleep(60)
    except (KeyboardInterrupt, pyarrow.ArrowException, OSError, polars.exceptions.PolarsError):
        # A library may make an error of its own of what ended the stream; the interrupt comes right behind it.
        pass
    try:
        time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    print(time.monotonic() - begun)
    # The case is still of use.
    print(len(case.sql("SELECT 1 AS one")))
"""


@pytest.mark.parametrize(
    "call",
    ["case.sql(endless)", "polars.DataFrame(case.stream(endless))", "pyarrow.table(case.stream(endless))"],
)
def test_ctrl_c_cancels(call):
    """What would never end ends soon after the signal, and the case is of use afterwards."""
    script = textwrap.dedent(INTERRUPTED.replace("{call}", call))
    # A job in the background of a shell ignores Ctrl-C, and Python leaves it so.
    command = [sys.executable, "-c", f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{script}"]
    done = subprocess.run([*command, ATTACK / "case"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    took, rows = done.stdout.split()
    assert float(took) < 55 and rows == "1"

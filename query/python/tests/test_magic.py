"""The magics, in a real IPython shell."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

import ctrace
from conftest import ATTACK


@pytest.fixture
def shell():
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "ctrace")
    yield shell
    InteractiveShell.clear_instance()


def test_cells_over_an_opened_case(shell):
    with pytest.raises(ctrace.Error, match="no case is open"):
        shell.run_cell_magic("ctrace", "", "SELECT 1")
    opened = shell.run_line_magic("ctrace", f"'{ATTACK / 'case'}'")
    assert isinstance(opened, ctrace.Case)
    result = shell.run_cell_magic("ctrace", "", "SELECT count(*) AS n\nFROM events;\n")
    assert result.to_pyarrow()["n"].to_pylist() == [len(opened.sql("SELECT seq FROM events"))]
    assert len(shell.run_line_magic("ctrace", "SELECT seq FROM events LIMIT 3")) == 3
    assert len(shell.run_line_magic("ctrace", "@rare-executables max=1")) > 0


def test_a_named_case_and_variables(shell, case):
    shell.user_ns.update(mine=case, name="cat", other="'; DROP TABLE events --")
    shell.run_cell_magic("ctrace", "mine >> found", "SELECT proc_name FROM events WHERE proc_name = $name AND '$other' <> $other")
    assert set(shell.user_ns["found"].to_pyarrow()["proc_name"].to_pylist()) == {"cat"}
    with pytest.raises(ctrace.Error, match="no case in a variable"):
        shell.run_cell_magic("ctrace", "nobody", "SELECT 1")
    with pytest.raises(ctrace.StatementError, match="unknown"):
        shell.run_cell_magic("ctrace", "mine", "SELECT $unknown")
    for line in ("a b", "mine >> 1x", "mine >>"):
        with pytest.raises(ctrace.Error, match="write"):
            shell.run_cell_magic("ctrace", line, "SELECT 1")


def test_what_a_cell_shows(shell, case, capsys):
    shell.user_ns["mine"] = case
    done = shell.run_cell("%%ctrace mine\nSELECT 42 AS answer")
    assert "answer" in repr(done.result) and "<table>" in shell.display_formatter.format(done.result)[0]["text/html"]

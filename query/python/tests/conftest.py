"""What the tests share: the samples, the command, an export."""

import csv
import io
import os
import pathlib
import subprocess

import pytest

import ctrace

ROOT = pathlib.Path(__file__).resolve().parents[3]
ATTACK = ROOT / "samples/attack"


def run(*arguments):
    """Runs the command that was built with the package; its output."""
    command = os.environ["CTRACE_COMMAND"]
    done = subprocess.run([command, *map(str, arguments)], capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode in (0, 1, 3), done.stderr.decode()
    return done.stdout.decode()


def rows_of_command(path, sql):
    """The rows of a statement as `ctrace query --format csv` writes them."""
    return list(csv.DictReader(io.StringIO(run("query", path, sql, "--format", "csv"))))


@pytest.fixture(scope="session")
def case():
    return ctrace.open(ATTACK / "case")


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "tables"
    run("export", ATTACK / "case", "-o", folder)
    return folder


@pytest.fixture
def hostile(tmp_path):
    """A case in which a process and its arguments are named to attack whoever looks."""
    name = '<script>alert("x")</script>&\x1b[2J\u202e$x_{1}$'
    # strace's log is a format that a text file can be made of.
    quoted = "".join(c if c.isprintable() and ord(c) < 128 and c not in '"\\' else "".join(f"\\{b:03o}" for b in c.encode()) for c in name)
    log = tmp_path / "strace.out"
    log.write_text(
        f'4711  1700000000.000001 execve("/bin/sh", ["{quoted}", "{quoted}"], 0x7ffd /* 0 vars */) = 0\n'
        f'4711  1700000000.100001 openat(AT_FDCWD, "/tmp/{quoted}", O_RDONLY) = 3\n'
        "4711  1700000000.200001 exit_group(0)       = ?\n"
        "4711  1700000000.300001 +++ exited with 0 +++\n"
    )
    run("import", log, "-o", tmp_path / "case")
    return name, ctrace.open(tmp_path / "case")

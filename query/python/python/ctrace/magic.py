"""The magics ``%ctrace`` and ``%%ctrace`` of IPython."""

from __future__ import annotations

import shlex
from typing import Any, Optional

from ._ctrace import Error
from .case import Case
from .case import open as open_case

_USAGE = """write
    %ctrace PATH…            to open cases or exports for the cells below
    %ctrace SELECT …         for a statement in one line
    %%ctrace [NAME] [>> VARIABLE]
    SELECT …                 for a statement in a cell, over the case in variable NAME; the result goes into VARIABLE"""


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext ctrace`` runs."""
    opened: list[Case] = []

    def run(sql: str, case: Optional[Case]) -> Any:
        sql = sql.strip().rstrip(";")
        if case is None and not opened:
            raise Error("no case is open: %ctrace PATH, or %%ctrace NAME with a variable that holds one")
        case = case or opened[-1]
        if sql.startswith("@"):
            name, *values = shlex.split(sql[1:])
            pairs = [v.partition("=") for v in values]
            return case.investigate(name, **{key: value for key, _, value in pairs})
        # Values of $name are those of the notebook's variables.
        return case.sql(sql, _variables(sql, shell.user_ns) or None)

    def ctrace(line: str, cell: Optional[str] = None) -> Any:
        if cell is not None:
            head, arrow, variable = line.partition(">>")
            names = head.split()
            if len(names) > 1 or (arrow and not variable.strip().isidentifier()):
                raise Error(_USAGE)
            case = shell.user_ns.get(names[0]) if names else None
            if names and not isinstance(case, Case):
                raise Error(f"no case in a variable {names[0]!r}")
            result = run(cell, case)
            if arrow:
                shell.user_ns[variable.strip()] = result
                return None
            return result
        if not line.strip():
            raise Error(_USAGE)
        if line.lstrip().startswith("@") or line.split(None, 1)[0].upper() in _FIRST_WORDS:
            return run(line, None)
        opened[:] = [open_case(shlex.split(line))]
        return opened[-1]

    shell.register_magic_function(ctrace, "line_cell", "ctrace")


_FIRST_WORDS = {"SELECT", "WITH", "DESCRIBE", "DESC", "SHOW", "EXPLAIN", "VALUES", "CREATE", "DROP", "TABLE"}


def _variables(sql: str, known: dict[str, Any]) -> dict[str, Any]:
    """The variables that a statement names as ``$name``, outside of its texts."""
    out: dict[str, Any] = {}
    quote = ""
    for i, c in enumerate(sql):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "$":
            name = ""
            for letter in sql[i + 1 :]:
                if not (letter.isalnum() or letter == "_"):
                    break
                name += letter
            if name.isidentifier() and name in known:
                out[name] = known[name]
    return out

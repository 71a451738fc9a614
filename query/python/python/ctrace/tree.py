"""Process trees."""

from __future__ import annotations

import json
from typing import Any

from . import html


class Tree:
    """Processes under those that started them: text, or HTML in a notebook."""

    def __init__(self, lines: list[list[str]], objects: list[str]) -> None:
        self._lines = lines
        self._objects = objects

    @property
    def processes(self) -> list[dict[str, Any]]:
        """One dict a process, parents first: depth, pid, ppid, start, end, exit_code, exit_signal, user, container,
        programs, alerts. Names in them are as recorded: not safe to print."""
        return [json.loads(o) for o in self._objects]

    def __len__(self) -> int:
        return len(self._objects)

    def __str__(self) -> str:
        columns = len(self._lines[0]) - 1
        widths = [max(len(line[i]) for line in self._lines) for i in range(columns)]
        return "\n".join(
            "  ".join([*(cell.rjust(w) for cell, w in zip(line, widths)), line[-1]]) for line in self._lines
        )

    __repr__ = __str__

    def show(self) -> None:
        """Prints it. What was recorded cannot drive the terminal."""
        print(self)

    def _repr_html_(self) -> str:
        head, *rows = self._lines
        return html.table([(name, name == "pid") for name in head], rows)

"""Sessions over cases and exports. The package wraps this; use it through ``ctrace.open``."""

import os
from typing import Any, Optional, Union

_Path = Union[str, "os.PathLike[str]"]

class Error(Exception):
    """What ctrace cannot do, and why."""

class StatementError(Error):
    """The statement, or a parameter of an investigation, is wrong."""

class RulesError(Error):
    """The rules are wrong; the message shows each place. No event was looked at."""

class DataError(Error):
    """The case or export cannot be opened or read."""

def investigations() -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """All investigations: name, meaning, parameters (name, default, meaning)."""

class Table:
    """Rows in Arrow's format."""

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    def __len__(self) -> int: ...
    def columns(self) -> list[tuple[str, bool]]:
        """Names of the columns, escaped, and whether each holds numbers."""
    def cells(self, rows: int) -> list[list[str]]:
        """The first rows as text that is safe to show on a terminal."""
    def text(self, rows: int) -> str:
        """The first rows as an aligned table, safe to show on a terminal."""

class Stream:
    """Rows in Arrow's format, once."""

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

class Session:
    """Cases and exports that are open: a table has the rows of all."""

    def __new__(
        cls,
        paths: list[_Path],
        memory: Optional[int] = None,
        threads: Optional[int] = None,
        resolve_late: bool = True,
    ) -> Session: ...
    def query(self, text: str, params: Optional[dict[str, Any]] = None) -> Table: ...
    def stream(self, text: str, params: Optional[dict[str, Any]] = None) -> Stream: ...
    def investigation(self, name: str, values: list[tuple[str, str]]) -> str: ...
    def tables(self) -> list[tuple[str, str, list[tuple[str, str, str]]]]: ...
    def functions(self) -> list[tuple[str, str]]: ...
    def replay(self, wanted: object) -> tuple[Table, list[str], int]: ...
    def explain(self, files: list[_Path], rule: str, event: int) -> str: ...
    def tree(
        self, pid: Optional[int], at: Optional[int], alerts: dict[str, set[int]]
    ) -> tuple[list[list[str]], list[str]]: ...
    def problems(self) -> list[str]: ...
    @property
    def lost(self) -> int: ...
    @property
    def forgotten(self) -> int: ...

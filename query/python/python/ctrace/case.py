"""Cases: opening them, and what can be asked of them."""

from __future__ import annotations

import datetime
import os
import types
import warnings
from typing import Any, Iterable, Mapping, Optional, Sequence, Union

from . import _ctrace
from .result import Result, Stream
from .timeline import Timeline
from .tree import Tree

Path = Union[str, "os.PathLike[str]"]
Paths = Union[Path, Iterable[Path]]


class DamageWarning(UserWarning):
    """A part of the data is damaged: its rows are missing in results. The command's exit code is 3 then."""


class LossWarning(UserWarning):
    """The recorder lost events: that something is not found proves nothing."""


class RulesWarning(UserWarning):
    """Something about rules that is probably not meant."""


def _paths(paths: Paths) -> list[Path]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _nanoseconds(time: Union[str, int, float, datetime.datetime]) -> int:
    """Nanoseconds since 1970 of a time; without a zone it is UTC."""
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time[:-1] + "+00:00" if time.endswith("Z") else time)
    if not isinstance(time, datetime.datetime):
        return int(time * 1_000_000_000)
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    since = time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    # pandas' times have nanoseconds beside the microseconds.
    return micros * 1_000 + getattr(time, "nanosecond", 0)


def _params(params: Union[Mapping[str, Any], Sequence[Any], None]) -> Optional[dict[str, Any]]:
    if params is None:
        return None
    if isinstance(params, Mapping):
        named = dict(params)
    elif isinstance(params, (str, bytes)):
        raise _ctrace.StatementError("params is a mapping for $name, or a list for $1, $2, …")
    else:
        named = {str(i): value for i, value in enumerate(params, start=1)}
    for name, value in named.items():
        if isinstance(value, datetime.datetime):
            named[name] = ("ns", _nanoseconds(value))
        elif hasattr(value, "item") and not isinstance(value, (str, bytes)):
            # A scalar of NumPy.
            named[name] = value.item()
    return named


class Case:
    """One or several cases and exports that are open: a table has the rows of all.

    Made by :func:`open`. Statements of several threads may run at once; Ctrl-C cancels the running one.
    """

    def __init__(self, session: _ctrace.Session, paths: Sequence[Path]) -> None:
        self._session = session
        self._paths = [os.fspath(p) for p in paths]
        self._told: set[str] = set()
        self._warn(stacklevel=4)
        if session.lost:
            text = f"the recorder lost {session.lost} events; table gaps says when"
            warnings.warn(text, LossWarning, stacklevel=3)
        if session.forgotten:
            text = f"the recorder forgot {session.forgotten} processes, long texts and descriptors; table gaps says when"
            warnings.warn(text, LossWarning, stacklevel=3)

    def __repr__(self) -> str:
        return f"ctrace.open({self._paths if len(self._paths) > 1 else self._paths[0]!r})"

    def _warn(self, stacklevel: int = 3) -> None:
        """Tells what was found damaged since the last time."""
        for problem in self._session.problems():
            if problem not in self._told:
                self._told.add(problem)
                warnings.warn(problem, DamageWarning, stacklevel=stacklevel)

    @property
    def problems(self) -> list[str]:
        """What is damaged in the data that was read so far."""
        return self._session.problems()

    def sql(self, text: str, params: Union[Mapping[str, Any], Sequence[Any], None] = None) -> Result:
        """Runs a statement and gives its rows.

        ``params`` has values for placeholders: a mapping for ``$name``, a list for ``$1``, ``$2``, ….

            case.sql("SELECT * FROM processes WHERE name = $name", {"name": "sh"})
        """
        result = Result(self._session.query(text, _params(params)))
        self._warn()
        return result

    def stream(self, text: str, params: Union[Mapping[str, Any], Sequence[Any], None] = None) -> Stream:
        """Runs a statement and gives its rows as they come, for results that are larger than memory."""
        return Stream(self._session.stream(text, _params(params)))

    @property
    def tables(self) -> list[str]:
        """Names of the tables."""
        return [name for name, _, _ in self._session.tables()]

    def schema(self, table: Optional[str] = None) -> Result:
        """The columns of all tables, or of one, with type and meaning."""
        known = self.tables
        if table is not None and table not in known:
            raise _ctrace.StatementError(f"no table `{table}`; there are {', '.join(known)}")
        rows = [
            (name, column, kind, doc)
            for name, _, columns in self._session.tables()
            if table in (None, name)
            for column, kind, doc in columns
        ]
        return self._rows(("table", "column", "type", "meaning"), rows)

    def functions(self) -> Result:
        """SQL functions of ctrace's own."""
        return self._rows(("usage", "meaning"), self._session.functions())

    def investigations(self) -> Result:
        """The library of investigations, with their parameters. :meth:`investigate` runs one."""
        rows = [
            (name, doc, "; ".join(f"{p}={default} ({meaning})" for p, default, meaning in parameters))
            for name, doc, parameters in _ctrace.investigations()
        ]
        return self._rows(("name", "meaning", "parameters"), rows)

    def investigate(self, name: str, **params: Any) -> Result:
        """Runs an investigation of the library: ``case.investigate("rare-executables", max=2)``."""
        values = [(key, str(value)) for key, value in params.items()]
        result = Result(self._session.query(self._session.investigation(name.lstrip("@"), values)))
        self._warn()
        return result

    def _rows(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> Result:
        """Texts as a result. They go in as parameters, so that no text is taken for SQL."""
        rows = list(rows)
        if not rows:
            nothing = ", ".join(f"'' AS \"{n}\"" for n in names)
            return Result(self._session.query(f"SELECT {nothing} WHERE false"))
        params = {f"p{i}_{j}": cell for i, row in enumerate(rows) for j, cell in enumerate(row)}
        values = ", ".join(f"({', '.join(f'$p{i}_{j}' for j in range(len(row)))})" for i, row in enumerate(rows))
        columns = ", ".join(f'"{n}"' for n in names)
        return Result(self._session.query(f"SELECT * FROM (VALUES {values}) AS t({columns})", params))

    def replay(
        self,
        rules: Paths,
        *,
        suppress: Paths = (),
        tags: Iterable[str] = (),
        without_tags: Iterable[str] = (),
        priority: Optional[str] = None,
        enable: Iterable[str] = (),
        disable: Iterable[str] = (),
        all_matching: bool = False,
    ) -> Result:
        """Replays Falco and Sigma rules, files or folders of them, and gives a table of alerts as ``alerts('rules/')``
        does in SQL.

        ``suppress`` names files of known false alerts, which are left out; ``priority``, ``tags``, ``enable`` and
        ``disable`` select rules; ``all_matching`` gives an alert for each rule that matches an event, not for the first
        alone. Raises :class:`RulesError` where the rules are wrong.
        """
        wanted = types.SimpleNamespace(
            rules=_paths(rules),
            suppress=_paths(suppress),
            tags=list(tags),
            without_tags=list(without_tags),
            enable=list(enable),
            disable=list(disable),
            priority=priority,
            all_matching=all_matching,
        )
        table, told, _ = self._session.replay(wanted)
        for text in told:
            warnings.warn(text, RulesWarning, stacklevel=2)
        self._warn()
        return Result(table)

    def explain(self, rules: Paths, rule: str, event: int) -> str:
        """Why a rule fires on an event, or does not: its conditions, each with its truth and the value that decided.

        ``rule`` is the rule's name, or as much of its beginning as no other rule has; ``event`` the event's number,
        ``seq`` in tables. Safe to print.
        """
        return self._session.explain(_paths(rules), rule, event)

    def tree(
        self,
        pid: Optional[int] = None,
        *,
        at: Union[str, int, float, datetime.datetime, None] = None,
        rules: Paths = (),
    ) -> Tree:
        """The processes under those that started them: all, or one with its descendants.

        ``at`` shows those that there were at a time (a datetime, ISO text, or seconds since 1970; UTC without a zone),
        ``rules`` the alerts under the processes that raised them.
        """
        alerts: dict[str, set[int]] = {}
        if _paths(rules):
            for line in self.replay(rules).to_pyarrow().select(["priority", "rule", "seq"]).to_pylist():
                alerts.setdefault(f"{line['priority']} {line['rule']}", set()).add(line["seq"])
        when = None if at is None else _nanoseconds(at)
        tree = Tree(*self._session.tree(pid, when, alerts))
        self._warn()
        return tree

    def timeline(self, where: Optional[str] = None, *, by: str = "source", bins: int = 60, rules: Paths = ()) -> Timeline:
        """Events over time, counted in ``bins`` equal spans, for each value of column ``by`` of table ``events``.

        ``where`` is a condition in SQL; ``rules`` puts their alerts above. In a notebook the timeline is drawn
        (matplotlib); ``.data`` has the counts, ``.alerts`` the alerts, ``.plot()`` gives the axes.
        """
        return Timeline(self, where=where, by=by, bins=bins, rules=_paths(rules))


def open(
    *paths: Paths,
    memory: Optional[int] = None,
    threads: Optional[int] = None,
    resolve: str = "case",
) -> Case:
    """Opens case folders, segment files, or folders that ``ctrace export`` wrote: tables have the rows of all.

        ctrace.open("case")
        ctrace.open(["monday", "tuesday", "tables"])
        ctrace.open("s3://bucket/tables")

    A store is found by the usual variables of the environment (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, …).

    ``memory`` bounds the bytes of sorts, joins and groups; what needs more goes to temporary files. ``threads`` is one
    per CPU unless given. ``resolve="event"`` uses what was known when an event was recorded, not what the case learned
    later. Raises :class:`DataError`; damage and losses are warnings.
    """
    named = [path for some in paths for path in _paths(some)]
    if not named:
        raise _ctrace.Error("name a case or an export")
    if resolve not in ("case", "event"):
        raise _ctrace.Error('resolve is "case" or "event"')
    return Case(_ctrace.Session(named, memory, threads, resolve == "case"), named)

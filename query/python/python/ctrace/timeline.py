"""Events over time."""

from __future__ import annotations

import datetime
import io
from typing import TYPE_CHECKING, Any, Optional, Sequence

from ._ctrace import Error
from .need import need
from .result import Result

if TYPE_CHECKING:
    from .case import Case, Path

#: Values of ``by`` that have a colour of their own; all others together are one more.
MAX_VALUES = 8

#: Rules that have a line of their own.
MAX_RULES = 12

#: Colours that people who do not tell red from green tell apart (Okabe and Ito), and grey for the others.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
GREY = "#BBBBBB"
ALERT = "#B00020"


class Timeline:
    """Events over time, and alerts. Made by :meth:`Case.timeline`."""

    def __init__(self, case: Case, where: Optional[str], by: str, bins: int, rules: Sequence[Path]) -> None:
        if not 1 <= bins <= 10_000:
            raise Error("bins is a number from 1 to 10000")
        self.by = by
        self.bins = bins
        column = '"' + by.replace('"', '""') + '"'
        self._condition = f"WHERE ({where}\n)" if where else ""
        #: The alerts, where rules were given.
        self.alerts: Optional[Result] = case.replay(rules) if rules else None
        span = _rows(case.sql(f"SELECT CAST(min(ts) AS BIGINT) AS a, CAST(max(ts) AS BIGINT) AS b FROM events {self._condition}"))
        self._start, end = span[0]["a"] or 0, span[0]["b"] or 0
        self._width = (end - self._start) // bins + 1
        #: The counts: bin, its start, value of ``by``, number of events. Bins without events are not in it.
        self.data: Result = case.sql(
            f"""SELECT bin, to_timestamp_nanos(CAST($start AS BIGINT) + bin * CAST($width AS BIGINT)) AS start,
                       value, count(*) AS events
                FROM (SELECT (CAST(ts AS BIGINT) - CAST($start AS BIGINT)) / CAST($width AS BIGINT) AS bin,
                             coalesce(CAST({column} AS VARCHAR), '') AS value
                      FROM events {self._condition})
                GROUP BY bin, value ORDER BY bin, value""",
            {"start": self._start, "width": self._width},
        )

    def __repr__(self) -> str:
        return repr(self.data)

    def _stacks(self) -> list[tuple[str, list[int]]]:
        """A row of counts for each value, the most frequent first."""
        counts: dict[str, list[int]] = {}
        for row in _rows(self.data):
            counts.setdefault(row["value"], [0] * self.bins)[row["bin"]] += row["events"]
        order = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))
        if len(order) <= MAX_VALUES:
            return order
        others = [sum(column) for column in zip(*(row for _, row in order[MAX_VALUES:]))]
        return [*order[:MAX_VALUES], (f"{len(order) - MAX_VALUES} others", others)]

    def plot(self, axes: Any = None) -> Any:
        """Draws it with matplotlib and gives the axes of the counts."""
        return self._draw(need("matplotlib.figure", "a plot"), axes)

    def _draw(self, figure: Any, axes: Any = None) -> Any:
        dates = need("matplotlib.dates", "a plot")
        rules = self._alerts_by_rule()
        if axes is None:
            heights = [0.5 + 0.3 * len(rules), 2.6] if rules else [2.6]
            shape = figure.Figure(figsize=(10, sum(heights) + 0.6), layout="constrained", facecolor="white")
            all_axes = shape.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
            axes = all_axes[-1]
            if rules:
                _draw_alerts(all_axes[0], rules, dates)
        width = self._width / 86_400e9
        left = [dates.date2num(_time(self._start + i * self._width)) for i in range(self.bins)]
        bottom = [0] * self.bins
        for i, (value, counts) in enumerate(self._stacks()):
            colour = COLOURS[i] if i < MAX_VALUES else GREY
            label = _label(value) or "(none)"
            axes.bar(left, counts, width, bottom=bottom, align="edge", color=colour, label=label, linewidth=0)
            bottom = [a + b for a, b in zip(bottom, counts)]
        locator = dates.AutoDateLocator(tz=datetime.timezone.utc)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=datetime.timezone.utc))
        axes.set_xlim(left[0], left[-1] + width)
        axes.set_ylim(0, max(1, max(bottom)) * 1.06)
        axes.set_ylabel(f"events in {_span(self._width)}")
        axes.set_xlabel("time, UTC")
        axes.spines[["top", "right"]].set_visible(False)
        if bottom and any(bottom):
            axes.legend(title=_label(self.by), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        return axes

    def _alerts_by_rule(self) -> list[tuple[str, list[int]]]:
        if self.alerts is None:
            return []
        times: dict[str, list[int]] = {}
        alerts = self.alerts.to_pyarrow().select(["rule", "ts"])
        for rule, ts in zip(alerts["rule"].to_pylist(), alerts["ts"].cast("int64").to_pylist()):
            times.setdefault(rule, []).append(ts)
        order = sorted(times.items(), key=lambda item: (min(item[1]), item[0]))
        if len(order) <= MAX_RULES:
            return order
        rest = [t for _, some in order[MAX_RULES:] for t in some]
        return [*order[:MAX_RULES], (f"{len(order) - MAX_RULES} other rules", rest)]

    def _repr_png_(self) -> Optional[bytes]:
        try:
            axes = self.plot()
        except Error:
            # Without matplotlib the counts are shown.
            return None
        out = io.BytesIO()
        axes.figure.savefig(out, format="png", dpi=100)
        return out.getvalue()


def _draw_alerts(axes: Any, rules: list[tuple[str, list[int]]], dates: Any) -> None:
    for y, (_, times) in enumerate(rules):
        axes.plot([dates.date2num(_time(t)) for t in times], [y] * len(times), "|", color=ALERT, markersize=11, mew=2)
    axes.set_yticks(range(len(rules)), [_label(rule) for rule, _ in rules])
    axes.set_ylim(len(rules) - 0.4, -0.6)
    axes.set_title("alerts", loc="left", fontsize="medium")
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE")
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)


def _label(text: str) -> str:
    """Recorded text as matplotlib may have it: it reads ``$`` as mathematics."""
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    text = text if len(text) <= 45 else text[:44] + "…"
    return text.replace("$", r"\$")


def _time(ns: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=ns / 1000)


def _span(ns: int) -> str:
    for unit, size in (("d", 86_400e9), ("h", 3_600e9), ("min", 60e9), ("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns} ns"


def _rows(result: Result) -> list[dict[str, Any]]:
    return need("pyarrow", "a timeline").table(result).to_pylist()

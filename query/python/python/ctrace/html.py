"""Tables as HTML. Everything that was recorded is escaped twice: for terminals by the extension module, for HTML here."""

from __future__ import annotations

from html import escape
from typing import Iterable, Sequence

#: Longer values are cut; the data has all of them.
MAX_CHARACTERS = 300

#: Shorter values stand in one line, so that a table with many columns is scrolled and not squeezed.
ONE_LINE = 60

_SHORT = "text-align:{align};vertical-align:top;white-space:pre"
_LONG = "text-align:{align};vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere;min-width:30em;max-width:60em"


def cut(text: str) -> str:
    """A value as it is shown."""
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "…"


def table(names: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """A table: names with whether their column stands on the right, and rows of cells."""

    def line(tag: str, cells: Sequence[str]) -> str:
        out = []
        for (_, right), cell in zip(names, cells):
            style = (_SHORT if len(cell) <= ONE_LINE else _LONG).format(align="right" if right else "left")
            out.append(f'<{tag} style="{style}">{escape(cut(cell))}</{tag}>')
        return f"<tr>{''.join(out)}</tr>"

    head = line("th", [name for name, _ in names])
    body = "".join(line("td", row) for row in rows)
    foot = f"<p>{escape(note)}</p>" if note else ""
    return f'<div style="overflow-x:auto"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>{foot}'

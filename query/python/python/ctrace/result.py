"""Results of statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from . import html
from ._ctrace import Stream as _Stream
from ._ctrace import Table
from .need import need

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow

#: Rows that a notebook shows of a result.
SHOWN_ROWS = 50


class Result:
    """The rows of a statement, in memory and in Arrow's format.

    Whatever takes ``__arrow_c_stream__`` takes a result as it is, any number of times and without a copy:
    ``pyarrow.table(r)``, ``polars.DataFrame(r)``, ``duckdb.sql("SELECT * FROM r")``.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object:
        """Arrow's PyCapsule interface: the rows."""
        return self._table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Arrow's PyCapsule interface: the columns."""
        return self._table.__arrow_c_schema__()

    def __len__(self) -> int:
        return len(self._table)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [name for name, _ in self._table.columns()]

    def to_pyarrow(self) -> pyarrow.Table:
        """As a ``pyarrow.Table``, without a copy."""
        return need("pyarrow", "to_pyarrow").table(self)

    def to_polars(self) -> polars.DataFrame:
        """As a ``polars.DataFrame``."""
        return need("polars", "to_polars").DataFrame(self)

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """As a ``pandas.DataFrame``; needs pyarrow too, whose options of ``Table.to_pandas`` may be given."""
        need("pandas", "to_pandas")
        return self.to_pyarrow().to_pandas(**options)

    def to_duckdb(self, name: str, connection: Optional[duckdb.DuckDBPyConnection] = None) -> duckdb.DuckDBPyRelation:
        """Makes the rows known to DuckDB as view ``name``, without a copy, and gives the relation.

        Without a connection it is DuckDB's default one, which ``duckdb.sql`` uses.
        """
        connection = connection or need("duckdb", "to_duckdb").default_connection()
        # The reader of a capsule could be read once; a table can be asked again and again.
        connection.register(name, self.to_pyarrow())
        return connection.table(name)

    def show(self, rows: int = SHOWN_ROWS) -> None:
        """Prints the first rows. What was recorded cannot drive the terminal."""
        print(self._table.text(rows), end="")
        self._print_rest(rows)

    def _print_rest(self, rows: int) -> None:
        if len(self) > rows:
            print(f"the first of {len(self)} rows")

    def __repr__(self) -> str:
        text = self._table.text(10)
        return text.rstrip("\n") if len(self) <= 10 else f"{text}the first of {len(self)} rows"

    def _repr_html_(self) -> str:
        note = f"{len(self)} row{'' if len(self) == 1 else 's'}"
        if len(self) > SHOWN_ROWS:
            note = f"the first {SHOWN_ROWS} of {note}"
        return html.table(self._table.columns(), self._table.cells(SHOWN_ROWS), note)


class Stream:
    """The rows of a statement as they come, for results that are larger than memory: they can be taken once, by what
    reads ``__arrow_c_stream__`` (``pyarrow.RecordBatchReader.from_stream(s)``)."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object:
        """Arrow's PyCapsule interface: the rows. A second call fails."""
        return self._stream.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Arrow's PyCapsule interface: the columns."""
        return self._stream.__arrow_c_schema__()

"""SQL, rules and process trees over recordings of ctrace, a flight recorder for Linux container hosts.

    import ctrace

    case = ctrace.open("case")
    case.sql("SELECT proc_name, count(*) AS n FROM events GROUP BY 1 ORDER BY n DESC").to_pandas()
    case.replay("rules/")
    case.tree(4711)
    case.timeline()

Results are Arrow tables: pyarrow, Polars, DuckDB and pandas take them without a copy where they can.
In a notebook, ``%load_ext ctrace`` makes the cell magic ``%%ctrace`` known.
"""

from ._ctrace import DataError, Error, RulesError, StatementError
from .case import Case, DamageWarning, LossWarning, RulesWarning, open
from .magic import load_ipython_extension
from .result import Result, Stream
from .timeline import Timeline
from .tree import Tree

__all__ = [
    "Case",
    "DamageWarning",
    "DataError",
    "Error",
    "LossWarning",
    "Result",
    "RulesError",
    "RulesWarning",
    "StatementError",
    "Stream",
    "Timeline",
    "Tree",
    "load_ipython_extension",
    "open",
]

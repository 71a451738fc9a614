"""Libraries that are needed for some calls only."""

from __future__ import annotations

import importlib
from typing import Any

from ._ctrace import Error


def need(module: str, what: str) -> Any:
    """The module, or a clear error."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        package = module.partition(".")[0]
        raise Error(f"{what} needs {package}: pip install {package} ({e})") from None

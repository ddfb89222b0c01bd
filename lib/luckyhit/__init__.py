"""Lucky Hit: was it a fix, or a lucky cache hit?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luckyhit.api import ComparedRuns, OpenedRun, compare, open_run, runs

__version__ = "0.1.0"
__all__ = ["ComparedRuns", "OpenedRun", "__version__", "compare", "open_run", "runs"]


def __getattr__(name: str) -> Any:
    # Imported at first use: the load engine starts once per block, and needs no frames.
    if name in __all__:
        from luckyhit import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

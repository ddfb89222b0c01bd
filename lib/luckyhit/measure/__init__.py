"""Reading the world: the load engine, the signals of cache and database, the freshness probe.

plan        what a block is to measure, and what is reported of it
block       starts the engine for one block
engine      the engine's process; job, worker: one block's requests, sent when they are due
schedule    which request is due when (popularity: of which key); templates, head: its bytes
wire        the HTTP client; connection: one connection of it
answers     what is done with an answer: expect, signals, rows
selfcheck   what the engine adds by itself, measured against the echo
probe       freshness: writes versions, and looks when readers see them
load        the engine on its own, for one URL
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luckyhit.measure.block import measure_block
    from luckyhit.measure.plan import BlockPlan, BlockReport, EngineCheck

__all__ = ["BlockPlan", "BlockReport", "EngineCheck", "measure_block"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the engine's process is a module of this package, and needs none of its owner's side.
    if name == "measure_block":
        from luckyhit.measure.block import measure_block

        return measure_block
    if name in __all__:
        from luckyhit.measure import plan

        return getattr(plan, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

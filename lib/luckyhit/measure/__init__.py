"""Reading the world: the load engine, the signals of cache and database, the freshness probe.

plan        what a block is to measure, and what is reported of it
block       one block of a run; crew: the engine's processes, seen from outside
engine      the engine's process; job, worker: one block's requests, sent when they are due
schedule    which request is due when (arrivals: at what pace; popularity: of which key; replay, access_logs: as a log
            has it)
inputs      files that a workload names, read once; templates, head: a request's bytes
wire        the client; connection: one of HTTP/1.1 (heads: plain answers); http2; deadlines: timeouts
answers     what is done with an answer: bodies, expect (shown: what may be told of it), signals/, rows
selfcheck   what the engine adds by itself, measured against the echo; watch: what a run must not do to its target's
            users, and when it stops
probe       freshness: writes versions, and looks when readers see them; beside: in a block
load        the engine on its own; load_asked, load_workload, load_order, load_texts: what is asked for; load_summary,
            load_table, load_progress: what is shown
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luckyhit.measure.block import measure_block
    from luckyhit.measure.crew import Crew
    from luckyhit.measure.plan import BlockPlan, BlockReport, EngineCheck

__all__ = ["BlockPlan", "BlockReport", "Crew", "EngineCheck", "measure_block"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the engine's process is a module of this package, and needs none of its owner's side.
    if name == "measure_block":
        from luckyhit.measure.block import measure_block

        return measure_block
    if name == "Crew":
        from luckyhit.measure.crew import Crew

        return Crew
    if name in __all__:
        from luckyhit.measure import plan

        return getattr(plan, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

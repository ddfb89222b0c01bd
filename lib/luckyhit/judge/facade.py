"""What a report may ask of the judge beyond the result.

`result.json` holds the decisions. A figure needs more: a value for each request, or for each instant, by the
definitions of the verdict. A report imports nothing else of the judge."""

from __future__ import annotations

import pandas as pd

from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.belief import Belief
from luckyhit.judge.belief.doubt_text import in_doubt
from luckyhit.judge.cache_events.keyspace_log import DELETED, FLUSHED, LEFT, SHARED, KeyspaceLog, by_key
from luckyhit.judge.cache_events.write_events import events_around_writes
from luckyhit.judge.context import run_events
from luckyhit.judge.context.changepoints import FEWEST, movement
from luckyhit.judge.context.earlier_baselines import NOTHING_CHANGED, chance_text, range_text
from luckyhit.judge.context.route_metrics import direction
from luckyhit.judge.findings import NOT_LOOKED_FOR
from luckyhit.judge.freshness.classify import classify_reads, freshness_curve
from luckyhit.judge.freshness.freshness_facts import freshness_facts
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.freshness.sessions import disagreements
from luckyhit.judge.freshness.windows import kaplan_meier, staleness_windows, window_quantiles, worst_windows
from luckyhit.judge.power import Planning
from luckyhit.judge.power.words import planning_rows
from luckyhit.judge.reason import got_worse
from luckyhit.judge.service_map import Edge, Node, NodeKind, ServiceMap, service_map
from luckyhit.judge.stale.old_data import old_data_text
from luckyhit.judge.stale.proportion_bounds import ProportionBounds, bounds_of_run, uncompared
from luckyhit.judge.table.columns import JUDGED, rows_of_parts
from luckyhit.judge.table.probe_frames import probe_frame
from luckyhit.judge.table.request_values import level_of_values, values_of
from luckyhit.judge.table.samples import CACHE, NO_ERROR, RequestTable, rows_of
from luckyhit.judge.verdict import RULES
from luckyhit.records import FreshnessFacts, Result
from luckyhit.run import Run

__all__ = [
    "CACHE",
    "DELETED",
    "EXPOSED",
    "FEWEST",
    "FLUSHED",
    "LEFT",
    "NOTHING_CHANGED",
    "NOT_LOOKED_FOR",
    "NO_ERROR",
    "RULES",
    "SHARED",
    "Edge",
    "KeyspaceLog",
    "Node",
    "NodeKind",
    "Planning",
    "ProportionBounds",
    "RequestTable",
    "ServiceMap",
    "believed_rows",
    "bounds_of_run",
    "by_key",
    "chance_text",
    "classify_reads",
    "direction",
    "disagreements",
    "events_around_writes",
    "facts_of_probe",
    "freshness_curve",
    "got_worse",
    "in_doubt",
    "kaplan_meier",
    "level_of_values",
    "movement",
    "old_data_text",
    "planning_rows",
    "probe_frame",
    "range_text",
    "read_rows",
    "run_events",
    "service_map",
    "staleness_windows",
    "uncompared",
    "values_of",
    "window_quantiles",
    "worst_windows",
]  # fmt: skip


def read_rows(run: Run) -> RequestTable:
    """The requests of a run directory. Raises RunUnreadable where the judge would refuse them."""
    return rows_of_parts(run.parts("requests", JUDGED))


def believed_rows(requests: RequestTable | pd.DataFrame, result: Result | None) -> RequestTable:
    """Requests as arrays, without what the result says can't be believed."""
    rows = rows_of(requests) if isinstance(requests, pd.DataFrame) else requests
    return rows if result is None else Belief(result.doubts, result.replayed, result.miss_calls).applied(rows)


def facts_of_probe(
    reads: pd.DataFrame, writes: pd.DataFrame, within_s: float, bounds: ProportionBounds
) -> FreshnessFacts | None:
    """The facts of one arm from records that are not judged, or that the judge refused; None without a read."""
    return freshness_facts(Probed(reads, writes), within_s, bounds=bounds) if len(reads) else None

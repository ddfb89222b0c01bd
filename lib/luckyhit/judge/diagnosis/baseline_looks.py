"""What the records of a run say for a diagnosis, without another request: the measured blocks before any change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.diagnosis.outcome import Observations, RowReference
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.freshness.classify import late_reads
from luckyhit.judge.stale.background import bound_s

_SOON_NS = 500_000_000
"""A key that is asked for again so soon after an answer should hit: no time to live that is of use is shorter."""
_MOST_ROWS = 12
_COLUMNS = ("route", "key", "sent_ns", "done_ns", "status", "error", "cache")


def baseline_looks(evidence: Evidence) -> list[Observations]:
    """Of the arm before the change: answers, repeated keys, the probe's reads; no warm-up. What the records do not tell
    is left out."""
    requests = _measured(evidence)
    made = [_answers(requests, evidence.case), _hits(requests, evidence.case), _staleness(evidence)]
    return [observations for observations in made if observations.count]


def _measured(evidence: Evidence) -> pd.DataFrame:
    """The requests of the arm before, by their row in the whole table."""
    table = evidence.load(["arm", "block", "phase", *_COLUMNS])
    frame: pd.DataFrame = table.to_pandas()
    blocks = [block.block for block in evidence.blocks]
    wanted = (frame["arm"] == "before") & (frame["phase"] == "measure") & frame["block"].isin(blocks)
    return frame[wanted & frame["sent_ns"].notna()]


def _answers(requests: pd.DataFrame, case: Case) -> Observations:
    """Answers of reads against what the case expects. One that never came is a matter of the load, not of an answer."""
    reads = requests[requests["route"].isin(_reads(case)) & requests["status"].notna()]
    unexpected = (reads["error"] == "unexpected").to_numpy(dtype=bool)
    failed = unexpected & (reads["status"].to_numpy(dtype=float) >= 500)
    wrong = unexpected & (reads["status"].to_numpy(dtype=float) < 400)
    refused = unexpected & ~failed & ~wrong  # a key with nothing under it is no wrong answer of a cache
    counts = {
        "as-expected": int((~unexpected & reads["error"].isna().to_numpy(dtype=bool)).sum()),
        "wrong-answers": int(wrong.sum()),
        "server-errors": int(failed.sum()),
    }
    rows = reads.index[failed if failed.any() else wrong]
    return _observations("baseline-answers", counts, rows, refused=int(refused.sum()))


def _hits(requests: pd.DataFrame, case: Case) -> Observations:
    """Reads of a key that was answered half a second ago at most, and that nobody wrote since the answer before."""
    asked = requests.sort_values("sent_ns")
    reads = asked["route"].isin(_reads(case)).to_numpy(dtype=bool)
    by_key = asked.groupby(["block", "key"], observed=True, dropna=True)
    earlier_done = by_key["done_ns"].shift()
    same_route = by_key["route"].shift().to_numpy(dtype=object) == asked["route"].to_numpy(dtype=object)
    apart_ns = (asked["sent_ns"] - earlier_done).to_numpy(dtype=float, na_value=np.nan)
    soon = reads & same_route & (apart_ns >= 0) & (apart_ns <= _SOON_NS)
    again = asked[soon]
    hit = again["cache"].isin(("hit", "stale")).to_numpy(dtype=bool)
    miss = (again["cache"] == "miss").to_numpy(dtype=bool)
    return _observations("baseline-hits", {"hits": int(hit.sum()), "hardly-any": int(miss.sum())}, again.index[miss])


def _staleness(evidence: Evidence) -> Observations:
    """The probe's reads beyond the declared bound."""
    probed = evidence.record.probed(evidence.stage, "before")
    if not len(probed.reads):
        return Observations("baseline-staleness")
    late = late_reads(probed.classified, bound_s(evidence.case))
    counts = {"none-stale": int((late["outcome"] == "fresh").sum()), "stale": int((late["outcome"] == "stale").sum())}
    return _observations("baseline-staleness", counts, ())


def _reads(case: Case) -> list[str]:
    return [route.name for route in case.workload.routes if route.method == "GET"]


def _observations(
    experiment: str, counts: dict[str, int], rows: Sequence[int] | pd.Index, **facts: int
) -> Observations:
    counted = {outcome: number for outcome, number in counts.items() if number}
    references = tuple(RowReference("requests", int(row)) for row in rows[:_MOST_ROWS])
    return Observations(experiment, counted, references, facts)

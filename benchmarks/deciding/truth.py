"""What is true of a scenario, counted out in one long block without noise, with many probes: no interval, no guard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from deciding_cases import Scenario
from simulated_block import Noise, simulate
from simulated_service import S

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import amount_of

LONG_S = 45.0
BLOCKS = 3
PROBES = "8/s"
CLEAR = 1.2
"""A difference is beyond a margin where it is so many times as large, and inside where it is so many times smaller."""


def effects(scenario: Scenario, seed: int) -> dict[str, tuple[float, float]]:
    """By goal: (before, after)."""
    case = scenario.case(seed)
    assert case.freshness is not None
    data = case.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["freshness"] |= {"rate": PROBES, "modes": ["once"]}
    case = Case.model_validate(data)
    arms = {"before": scenario.before, "after": scenario.after}
    still = Noise(0.0, 0.0, 0.0, 0.0)
    # A run's blocks are short, and each begins with an empty cache: one of the same length, several times.
    length = round(LONG_S / BLOCKS)
    blocks = [
        simulate(case, arms, still, number=number, stage="change", pair=number, seconds=length, start_ns=0, seed=seed)
        for number in range(BLOCKS)
    ]
    found = {}
    for name in case.goals:
        if name == "stale_reads":
            shares = [_stale(blocks, arm, case) for arm in arms]
        else:
            rows = pd.concat([block.requests for block in blocks])
            rows = rows[rows["phase"] == "measure"]
            shares = [_of_requests(rows[rows["arm"] == arm], name) for arm in arms]
        found[str(name)] = (shares[0], shares[1])
    return found


def _of_requests(rows: pd.DataFrame, name: str) -> float:
    if name == "hit_ratio":
        return float((rows["cache"] == "hit")[rows["cache"] != "unknown"].mean())
    if name in ("error_rate", "wrong_answers"):
        return float(rows["error"].notna().mean())
    if name == "db_calls":
        return float(rows["db_calls"].mean())
    latency = ((rows["done_ns"] - rows["due_ns"]) / 1e6)[rows["error"].isna()]
    return float(np.quantile(latency, {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95}[name]))


def _stale(blocks: list[Any], arm: str, case: Case) -> float:
    assert case.freshness is not None
    stale = late = 0
    for block in blocks:
        acked = block.writes.set_index(["arm", "version"])["acked_ns"]
        reads = block.reads[(block.reads["arm"] == arm) & (block.reads["delay_ns"] > case.freshness.within * S)]
        for version, sent, seen in reads[["probe", "sent_ns", "seen_version"]].itertuples(index=False):
            if sent <= acked[arm, version] + case.freshness.within * S or pd.isna(seen):
                continue
            late += 1
            stale += seen < version
    return stale / max(1, late)


def verdict(case: Case, found: dict[str, tuple[float, float]]) -> str:
    """By the rules of the verdict, from true differences; `grey` where one lies near its margin."""
    each = [_of_goal(name, goal, *found[str(name)]) for name, goal in case.goals.items()]
    for first in ("HURT", "grey"):
        if first in each:
            return first
    return "HELPED" if "HELPED" in each else "EQUIVALENT"


def _of_goal(name: Any, goal: Goal, before: float, after: float) -> str:
    margin = amount_of(name, goal.margin, before) or 0.0
    better = (after - before) * (1 if name == "hit_ratio" else -1)
    limit = amount_of(name, goal.at_most, None) if goal.at_most is not None else None
    if better < -CLEAR * margin or (limit is not None and after > CLEAR * limit):
        return "HURT"
    if limit is not None and after > limit / CLEAR:
        return "grey"
    if abs(better) < margin / CLEAR:
        return "EQUIVALENT"
    if goal.want == "no-worse":
        return "EQUIVALENT" if better > 0 else "grey"
    return "HELPED" if better > CLEAR * margin else "grey"

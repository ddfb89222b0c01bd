"""Simulated records for the judge: frames as a run has them, from a seed and a few knobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from declared import KEYS, RATE, a_case
from simulated_blocks import a_block, facts, probe

from luckyhit.case import Case
from luckyhit.records import REQUESTS, Guard, Result, Rollback
from noted import noted

# A pure function of its seed and knobs: the same call gives the same records.
DECLARED = Guard(id="declared-difference-only", ok=True, detail="one environment variable differs")


@dataclass
class Records:
    """What one run recorded; `judge` decides on it."""

    requests: pd.DataFrame
    reads: pd.DataFrame
    writes: pd.DataFrame
    blocks: list[dict[str, Any]]
    guards: list[Guard] = field(default_factory=lambda: [DECLARED])

    def rows(self, arm: str, stage: str = "change") -> pd.Series:
        """Mask of the rows of one arm in the blocks of one stage."""
        numbers = [entry["block"] for entry in self.blocks if entry["stage"] == stage]
        return (self.requests["arm"] == arm) & self.requests["block"].isin(numbers)

    def judge(self, case: Case, **more: Any) -> Result:
        from luckyhit.judge import decide

        rollback = Rollback(confirmed=True, detail="The variable is as it was.")
        return decide(self.requests, self.reads, self.writes, case, noted(self.blocks), self.guards, rollback, **more)


def a_run(
    seed: int = 1,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    stale: Mapping[str, float] | None = None,
    blocks: int = 4,
    design: str = "side-by-side",
    rollback: Mapping[str, Any] | None = None,
    noise: Callable[[np.random.Generator, int], Mapping[str, np.ndarray]] | None = None,
    seconds: float = 5.0,
    probed: bool = True,
) -> Records:
    """A baseline, the blocks of the change, and one block after the rollback; `probed`: with the freshness probe."""
    rng = np.random.default_rng(seed)
    arms = {"before": dict(before or {}), "after": dict(after or {})}
    stale = {"before": 0.0, "after": 0.0} | dict(stale or {})
    plans: list[tuple[str, list[str], int]] = [("baseline", ["before"], 0)]
    for number in range(blocks):
        if design == "side-by-side":
            plans.append(("change", ["before", "after"], number + 1))
        elif design == "crossover":
            order = ["before", "after"] if number % 2 == 0 else ["after", "before"]
            plans += [("change", [arm], number + 1) for arm in order]
    if design == "before-after":
        plans += [("change", [arm], pair + 1) for arm in ("before", "after") for pair in range(blocks)]
    plans.append(("after-rollback", ["before"], 1))
    requests, reads, writes, entries = [], [], [], []
    for block, (stage, names, pair) in enumerate(plans):
        knobs = {arm: arms[arm] | ({} if stage != "after-rollback" else dict(rollback or {})) for arm in names}
        count = int((seconds + 1) * RATE)
        if noise is not None:
            factors = noise(rng, count)
            knobs = {arm: {**knob, "noise": factors[arm]} for arm, knob in knobs.items()}
        # Blocks of a pair replay the same keys, so their generator starts anew from the pair.
        frame = a_block(np.random.default_rng([seed, block]), block, knobs, seconds=seconds)
        schedule = np.random.default_rng([seed, 99, pair]).integers(KEYS["first"], KEYS["last"] + 1, count).astype(str)
        frame["key"] = np.tile(schedule, len(names))
        requests.append(frame)
        seen, wrote = probe(rng, block, {arm: stale[arm] for arm in names}, count=40 if probed else 0)
        reads.append(seen)
        writes.append(wrote)
        entries.append(facts(block, stage, names, pair))
    frame = pd.concat(requests, ignore_index=True).reindex(columns=REQUESTS.names)
    return Records(frame, pd.concat(reads, ignore_index=True), pd.concat(writes, ignore_index=True), entries)


@pytest.fixture(scope="session")
def simulate() -> Callable[..., Records]:
    return a_run


@pytest.fixture(scope="session")
def case_with() -> Callable[..., Case]:
    return a_case

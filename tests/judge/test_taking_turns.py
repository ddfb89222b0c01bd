"""Crossover and before-after on one service that goes on: no verdict on what is not there, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from test_background import _NULLABLE, READ, WRITE, case_of, request

from luckyhit.judge import decide
from luckyhit.records import READS, REQUESTS, WRITES
from noted import noted
from tier import one_of_many, seeds

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}, "latency_p50_ms": {"want": "no-worse", "margin": "30 %"}}


def on_a_restless_service(
    simulate: Any, seed: int, *, blocks: int = 8, effect: float = 0.0, swing: float = 0.04, drift: float = 0.01
) -> Any:
    """A crossover on a service whose hit ratio differs from block to block by itself, and falls slowly."""
    hits = {"before": {"hit": 0.99}, "after": {"hit": 0.99}}
    run = simulate(seed, design="crossover", blocks=blocks, seconds=2.0, probed=False, **hits)
    rng = np.random.default_rng(seed)
    for entry in run.blocks:
        lost = 0.2 + rng.normal(0, swing) + drift * entry["block"] - effect * (entry["arms"] == ["after"])
        hits_of_block = run.requests["block"].eq(entry["block"]) & run.requests["cache"].eq("hit")
        missed = hits_of_block & (rng.random(len(run.requests)) < lost)
        run.requests.loc[missed, "cache"] = "miss"
        run.requests.loc[missed, "done_ns"] += 10_000_000
    return run


@pytest.mark.parametrize(
    ("runs", "claims", "carried"), [(seeds(8), 0, 0), one_of_many(range(2000, 2200), 2, 6, quick=False)]
)
def test_blocks_that_differ_anyway_are_no_effect(
    runs: range, claims: int, carried: int, simulate: Any, case_with: Any
) -> None:
    case = case_with(GOALS, design="crossover", blocks=8, freshness=False)
    verdicts = [on_a_restless_service(simulate, seed).judge(case, interim=True).verdict for seed in runs]
    assert sum(verdict in ("HELPED", "HURT") for verdict in verdicts) <= claims, verdicts
    assert verdicts.count("INVALID") <= carried, verdicts  # false carry-over: 2 in 200 are expected


def test_an_effect_larger_than_that_is_found(simulate: Any, case_with: Any) -> None:
    case = case_with({"hit_ratio": GOALS["hit_ratio"]}, design="crossover", blocks=8, freshness=False)
    runs = (on_a_restless_service(simulate, seed, effect=0.18) for seed in seeds(6))
    assert {run.judge(case, interim=True).verdict for run in runs} == {"HELPED"}


@pytest.mark.parametrize("design", ["crossover", "before-after"])
def test_the_rollback_is_compared_with_how_blocks_differ(design: str, simulate: Any, case_with: Any) -> None:
    case = case_with({"hit_ratio": GOALS["hit_ratio"]}, design=design, blocks=5, freshness=False)

    def rolled_back(spread: float, last: float) -> Any:
        hits = {"before": {"hit": 0.99}, "after": {"hit": 0.99}}
        run = simulate(3, design=design, blocks=5, seconds=2.0, probed=False, **hits)
        lost = iter(np.tile([0.2 - spread, 0.2 + spread], 5))
        for entry in run.blocks:
            share = last if entry["stage"] == "after-rollback" else next(lost) if entry["stage"] == "change" else 0.2
            hits_of_block = run.requests["block"].eq(entry["block"]) & run.requests["cache"].eq("hit")
            chosen = np.random.default_rng(entry["block"]).random(len(run.requests)) < share
            run.requests.loc[hits_of_block & chosen, "cache"] = "miss"
        return run.judge(case).rollback

    assert rolled_back(spread=0.01, last=0.2).same_as_before is True
    assert rolled_back(spread=0.01, last=0.5).same_as_before is False
    restless = rolled_back(spread=0.06, last=0.4)
    assert restless.same_as_before is None


def test_a_write_lost_in_the_other_arm_excuses_a_read(simulate: Any) -> None:
    """Both arms are one service: what the last block could not get written may land now."""
    case = case_of(READ, WRITE).model_copy(update={"freshness": None})  # no staleness is agreed
    rows = [
        request("write", 10, 20, 5, arm="before", block=1, slot=0),
        request("write", 30, None, 7, arm="before", block=1, slot=1),
        request("write", 110, 120, 7, arm="after", block=2, slot=0),
        request("write", 130, 140, 8, arm="after", block=2, slot=1),
        request("read", 150, 160, 7, arm="after", block=2, slot=2),  # the lost one may have landed just now
        request("read", 190, 200, 8, arm="after", block=2, slot=3),
    ]
    frame = pa.Table.from_pylist(rows, schema=REQUESTS).to_pandas(types_mapper=_NULLABLE.get)
    blocks = [
        {"block": block, "stage": "change", "arms": [arm], "pair": 1} for block, arm in ((1, "before"), (2, "after"))
    ]
    empty = [schema.empty_table().to_pandas() for schema in (READS, WRITES)]

    def after(requests: pd.DataFrame) -> tuple[int | None, int | None, int | None]:
        facts = decide(requests, *empty, case, noted(blocks)).freshness["after"]
        return facts.background_stale, facts.background_reads, facts.background_unknown

    assert after(frame) == (0, 1, 1)
    assert after(frame[frame["block"] == 2]) == (1, 2, 0)  # without it, it is stale

"""Answers that take longer the longer one arm runs; and what only looks like it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.evidence import ALWAYS, Evidence
from luckyhit.judge.findings.latency_grows import COLUMNS, chance_of_rise, find
from luckyhit.records import REQUESTS, Doubt
from noted import noted
from tier import examples


def evidence(frame: pd.DataFrame, blocks: list[dict], **more) -> Evidence:  # type: ignore[no-untyped-def,type-arg]
    schema = pa.schema([REQUESTS.field(name).with_nullable(True) for name in (*ALWAYS, *COLUMNS)])
    columns = [
        pa.nulls(len(frame), field.type)
        if frame[field.name].isna().all()
        else pa.array(frame[field.name]).cast(field.type)
        for field in schema
    ]
    table = pa.table(columns, schema=schema)
    return Evidence(a_case(freshness=False), noted(blocks), lambda columns: table.select(list(columns)), **more)


def slowed(run, arms: tuple[str, ...], times: float, *, each_block: bool = False):  # type: ignore[no-untyped-def]
    """The latency of some arms grows to so many times, over the run or in each block."""
    frame = run.requests
    changed = [entry["block"] for entry in run.blocks if entry["stage"] == "change"]
    mine = frame["arm"].isin(arms) & frame["block"].isin(changed)
    since = frame["due_ns"] - frame.groupby("block")["due_ns"].transform("min")
    share = since / 6e9 if each_block else (frame["block"] - changed[0] + since / 6e9) / len(changed)
    for name in ("first_byte_ns", "done_ns"):
        late = (frame[name] - frame["due_ns"]) * (1 + (times - 1) * share)
        frame.loc[mine, name] = (frame["due_ns"] + late).astype(np.int64)[mine]
    return run


def found_in(run, **more):  # type: ignore[no-untyped-def]
    return find(evidence(run.requests, run.blocks, **more))


@pytest.mark.parametrize("each_block", [False, True])
def test_growth_in_one_arm_is_told_with_its_ends(each_block, simulate) -> None:  # type: ignore[no-untyped-def]
    finding = found_in(slowed(simulate(1, probed=False), ("before",), 3.0, each_block=each_block))
    assert finding is not None
    assert (finding.facts["arm"], finding.facts["route"]) == ("before", "detail")
    assert finding.facts["within"] == ("block" if each_block else "run")
    assert finding.facts["last_ms"] > 1.7 * finding.facts["first_ms"]
    assert finding.facts["other_last_ms"] == pytest.approx(finding.facts["other_first_ms"], rel=0.2)


def test_growth_in_both_arms_is_the_hosts(simulate) -> None:  # type: ignore[no-untyped-def]
    assert found_in(slowed(simulate(1, probed=False), ("before", "after"), 3.0)) is None


@pytest.mark.parametrize("seed", range(6))
def test_where_nothing_grows_nothing_is_told(seed: int, simulate) -> None:  # type: ignore[no-untyped-def]
    assert found_in(simulate(seed, after={"hit_ms": 1.0}, probed=False)) is None


def test_a_falling_hit_ratio_is_no_growth(simulate) -> None:  # type: ignore[no-untyped-def]
    falling = np.linspace(0.9, 0.2, 900)
    assert found_in(simulate(2, before={"hit": falling}, probed=False)) is None


def test_in_an_arm_in_doubt_calls_tell_the_kind(simulate) -> None:  # type: ignore[no-untyped-def]
    run = simulate(2, before={"hit": np.linspace(0.9, 0.2, 900)}, probed=False)
    run.requests.loc[run.requests["arm"] == "before", "cache"] = "hit"
    doubts = {"before": [Doubt(id="hit-with-db-calls", count=9, of=10)]}
    assert found_in(run) is not None and found_in(run, doubts=doubts) is None


@given(st.permutations(range(4)), st.permutations(range(3)))
@settings(max_examples=examples(40), deadline=None)
def test_chance_of_rise_counts_all_orders(first: list[int], second: list[int]) -> None:
    def rising(values) -> int:  # type: ignore[no-untyped-def]
        return sum(b > a for i, a in enumerate(values) for b in values[i + 1 :])

    wanted = rising(first) + rising(second)
    orders = [rising(one) + rising(other) for one in permutations(range(4)) for other in permutations(range(3))]
    exact = np.mean([count >= wanted for count in orders])
    assert chance_of_rise([np.array(first), np.array(second)]) == pytest.approx(exact)

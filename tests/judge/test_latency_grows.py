"""Answers that take longer the longer one arm runs; and what only looks like it."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_evidence import evidence, find, the_finding
from simulated_blocks import a_run

from luckyhit.judge.evidence import ALWAYS, Evidence
from luckyhit.judge.findings.latency_grows import COLUMNS, chance_of_rise
from luckyhit.records import REQUESTS, Doubt
from tier import examples, seeds

FALLING = np.linspace(0.9, 0.2, 900)


def of_run(run: Any, **fields: Any) -> Evidence:
    schema = pa.schema([REQUESTS.field(name).with_nullable(True) for name in (*ALWAYS, *COLUMNS)])
    columns = run.requests[schema.names].astype(object).where(run.requests[schema.names].notna(), None)
    table = pa.Table.from_pylist(columns.to_dict("records"), schema=schema)
    return evidence(table, blocks=run.blocks, case=a_case(freshness=False), **fields)


def growing(arms: tuple[str, ...], *, each_block: bool = False) -> Evidence:
    """The latency of some arms grows to three times, over the run or in each block."""
    run = a_run(1, probed=False)
    frame = run.requests
    changed = [entry["block"] for entry in run.blocks if entry["stage"] == "change"]
    slowed = frame["arm"].isin(arms) & frame["block"].isin(changed)
    since = frame["due_ns"] - frame.groupby("block")["due_ns"].transform("min")
    passed = since / 6e9 if each_block else (frame["block"] - changed[0] + since / 6e9) / len(changed)
    for name in ("first_byte_ns", "done_ns"):
        late = (frame[name] - frame["due_ns"]) * (1 + 2 * passed)
        frame.loc[slowed, name] = (frame["due_ns"] + late).astype(np.int64)[slowed]
    return of_run(run)


@pytest.mark.parametrize("each_block", [False, True])
def test_growth_in_one_arm_has_its_ends(each_block: bool) -> None:
    facts: dict[str, Any] = the_finding("latency-grows", growing(("before",), each_block=each_block)).facts
    assert facts["within"] == ("block" if each_block else "run")
    assert facts["last_ms"] > 1.7 * facts["first_ms"]
    assert facts["other_last_ms"] == pytest.approx(facts["other_first_ms"], rel=0.2)


def test_growth_in_both_arms_is_the_hosts() -> None:
    assert find("latency-grows", growing(("before", "after"))) is None


@pytest.mark.parametrize("seed", seeds(6))
def test_without_growth_there_is_no_finding(seed: int) -> None:
    assert find("latency-grows", of_run(a_run(seed, after={"hit_ms": 1.0}, probed=False))) is None


def test_a_falling_hit_ratio_is_no_growth() -> None:
    assert find("latency-grows", of_run(a_run(2, before={"hit": FALLING}, probed=False))) is None


def test_in_an_arm_in_doubt_calls_tell_the_kind() -> None:
    run = a_run(2, before={"hit": FALLING}, probed=False)
    run.requests.loc[run.requests["arm"] == "before", "cache"] = "hit"
    doubts = {"before": [Doubt(id="hit-with-db-calls", count=9, of=10)]}
    assert find("latency-grows", of_run(run)) is not None
    assert find("latency-grows", of_run(run, doubts=doubts)) is None


@given(st.permutations(range(4)), st.permutations(range(3)))
@settings(max_examples=examples(40), deadline=None)
def test_chance_of_rise_counts_all_orders(first: list[int], second: list[int]) -> None:
    def rising(values: Any) -> int:
        return sum(b > a for i, a in enumerate(values) for b in values[i + 1 :])

    wanted = rising(first) + rising(second)
    orders = [rising(one) + rising(other) for one in permutations(range(4)) for other in permutations(range(3))]
    exact = np.mean([count >= wanted for count in orders])
    assert chance_of_rise([np.array(first), np.array(second)]) == pytest.approx(exact)

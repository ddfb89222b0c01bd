"""Whatever is in the records, there is a result; and what is broken never passes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luckyhit.judge import decide
from luckyhit.records import READS, REQUESTS, WRITES, Result
from luckyhit.records.metrics import METRICS
from noted import noted
from tier import examples, in_turn

GOALS = {
    "hit_ratio": {"want": "better", "margin": "5 %"},
    "latency_p95_ms": {"want": "better", "margin": "2ms"},
    "stale_reads": {"want": "no-worse", "margin": "5 %", "at_most": "10 %"},
    "staleness_p99_ms": {"want": "no-worse", "margin": "50ms"},
    "db_calls": {"want": "no-worse", "margin": "10 %"},
}
BLOCKS = [
    {"block": 0, "stage": "baseline", "arms": ["before"]},
    {"block": 1, "stage": "change", "arms": ["before", "after"], "pair": 1},
    {"block": 2, "stage": "after-rollback", "arms": ["before"], "engine": 3, "clear": [], "accounting": "?"},
]
anything = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(2**62), 2**62),
    st.sampled_from(["", "hit", "before", "ß", "timeout"]),
    st.booleans(),
)
likely = {
    "arm": st.sampled_from(["before", "after"]),
    "block": st.integers(0, 3),
    "slot": st.integers(0, 30),
    "phase": st.sampled_from(["warmup", "measure"]),
    "cache": st.sampled_from(["hit", "miss", "stale", "bypass", "unknown"]),
    "error": st.sampled_from([None, None, "timeout", "dropped", "odd"]),
    "mode": st.sampled_from(["once", "burst"]),
    "key": st.sampled_from(["1", "2", "3"]),
    "prestate": st.sampled_from(["warm", "cold", "in-flight", "absent", "refused"]),
    "route": st.sampled_from(["detail", "list"]),
    "worker": st.sampled_from([None, "1", "2"]),
    "probe": st.integers(0, 5),
    "version": st.integers(0, 5),
    "seen_version": st.integers(0, 5),
    "sent_ns": st.integers(0, 100),
    "acked_ns": st.integers(0, 100),
    "done_ns": st.integers(0, 100),
}
number = st.integers(0, 10**9)


def frames(columns: list[str]) -> st.SearchStrategy[pd.DataFrame]:
    row = st.fixed_dictionaries({name: st.one_of(likely.get(name, number), anything) for name in columns})
    return st.lists(row, max_size=25).flatmap(
        lambda rows: st.sets(st.sampled_from(columns), max_size=3).map(
            lambda gone: pd.DataFrame(rows, columns=columns).drop(columns=list(gone))
        )
    )


@given(
    frames(REQUESTS.names),
    frames(READS.names),
    frames(WRITES.names),
    st.sampled_from(["side-by-side", "crossover", "before-after"]),
)
@settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_frame_has_a_result_and_none_of_these_passes(case_with, requests, reads, writes, design: str) -> None:
    result = decide(requests, reads, writes, case_with(GOALS, design=design), noted(BLOCKS))
    assert result.verdict in ("INVALID", "INCONCLUSIVE") and result.reason.endswith(".")
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)).verdict == result.verdict


def poison(frame: pd.DataFrame, column: str, value: object, rng: np.random.Generator, share: float) -> pd.DataFrame:
    frame = frame.astype({column: object})
    frame.loc[frame.index[rng.random(len(frame)) < share], column] = value
    return frame


NEEDED = ("arm", "block", "slot", "due_ns")
"""Columns without which a row is no evidence."""
POISONS = (float("nan"), -(10**15), "odd")


@pytest.mark.parametrize(("column", "value"), in_turn([name for name in REQUESTS.names if name not in NEEDED], POISONS))
def test_one_poisoned_column(column: str, value: object, simulate, case_with) -> None:
    assert poisoned(column, value, simulate, case_with).reason


@pytest.mark.parametrize(("column", "value"), in_turn(NEEDED, POISONS))
def test_a_poisoned_column_that_is_needed_is_invalid(column: str, value: object, simulate, case_with) -> None:
    result = poisoned(column, value, simulate, case_with)
    assert result.reason and result.verdict == "INVALID"


def poisoned(column: str, value: object, simulate, case_with) -> Result:  # type: ignore[no-untyped-def]
    run = simulate(1, blocks=2, seconds=1.0, stale={"before": 0.9, "after": 0.0})
    rng = np.random.default_rng(1)
    run.requests = poison(run.requests, column, value, rng, 0.2)
    return run.judge(case_with({name: goal for name, goal in GOALS.items() if not METRICS[name].probe}))


@pytest.mark.parametrize(("column", "value"), in_turn(READS.names, (None, "odd")))
def test_one_poisoned_column_of_the_probe(column: str, value: object, simulate, case_with) -> None:
    run = simulate(1, blocks=2, seconds=1.0, stale={"before": 0.9, "after": 0.9})
    run.reads = poison(run.reads, column, value, np.random.default_rng(1), 1.0)
    result = run.judge(case_with(GOALS))
    assert result.metrics["stale_reads"].verdict in ("INCONCLUSIVE", "HURT", "EQUIVALENT")
    assert result.verdict != "HELPED"


def test_swapping_the_arms_turns_helped_into_hurt(simulate, case_with) -> None:
    case = case_with(
        {"hit_ratio": {"want": "better", "margin": "5 %"}, "latency_p50_ms": {"want": "better", "margin": "1ms"}}
    )
    run = simulate(2, before={"hit": 0.3}, after={"hit": 0.9})
    assert run.judge(case).verdict == "HELPED"
    for name in ("requests", "reads", "writes"):
        frame = getattr(run, name)
        change = frame["block"].between(1, 4)
        swapped = frame["arm"].map({"before": "after", "after": "before"})
        setattr(run, name, frame.assign(arm=frame["arm"].where(~change, swapped)))
    assert run.judge(case).verdict == "HURT"


def test_a_slower_world_gives_the_same_verdict(simulate, case_with) -> None:
    case = case_with(
        {"latency_p50_ms": {"want": "better", "margin": "25 %"}, "latency_p95_ms": {"want": "better", "margin": "25 %"}}
    )
    run = simulate(3, after={"hit_ms": 1.0, "miss_ms": 5.0})
    normal = run.judge(case)
    for column in ("sent_ns", "first_byte_ns", "done_ns"):
        run.requests[column] = run.requests["due_ns"] + 8 * (run.requests[column] - run.requests["due_ns"])
    slow = run.judge(case)
    assert normal.verdict == slow.verdict == "HELPED"
    for name in ("latency_p50_ms", "latency_p95_ms"):
        assert slow.metrics[name].low == pytest.approx(8 * normal.metrics[name].low)


def test_empty_frames_are_invalid(case_with) -> None:
    blocks = noted([{"block": "0"}, "nonsense", {}])
    result = decide(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), case_with(GOALS), blocks)
    assert result.verdict == "INVALID"

"""When requests are due: steps and ramps are what they say, for even and for independent arrivals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.schedule import Pace, due_ns, schedule_for
from tier import examples


def workload(*stages: tuple[str, str, str | None], **other: Any) -> Workload:
    declared = [{"lasts": lasts, "rate": rate, "to": to} for lasts, rate, to in stages]
    pace = {"stages": declared} if stages else {"rate": "100/s"}
    return Workload.model_validate({"seed": 1, "routes": [{"name": "a", "path": "/"}], **pace, **other})


stages = st.lists(
    st.tuples(
        st.integers(50, 2000).map(lambda ms: f"{ms}ms"),
        st.integers(1, 400).map(lambda rate: f"{rate}/s"),
        st.none() | st.integers(1, 400).map(lambda rate: f"{rate}/s"),
    ),
    min_size=1,
    max_size=5,
)


def test_a_ramp_gets_denser_evenly() -> None:
    due_s = due_ns(workload(("10s", "10/s", "190/s"), arrivals="constant"), 10, np.random.default_rng(1)) / 1e9
    assert len(due_s) == 1000  # (10 + 190) / 2 for ten seconds
    counts, _ = np.histogram(due_s, bins=10, range=(0, 10))
    assert counts == pytest.approx(10 + 18 * (np.arange(10) + 0.5), abs=1.01)


def test_a_step_changes_the_rate_at_once_and_the_last_rate_holds() -> None:
    due_s = due_ns(
        workload(("1s", "100/s", None), ("1s", "400/s", None), arrivals="constant"), 4, np.random.default_rng(1)
    )
    counts, _ = np.histogram(due_s / 1e9, bins=4, range=(0, 4))
    assert counts.tolist() == [100, 400, 400, 400]


@given(stages, st.floats(0.05, 12), st.integers(0, 2**32))
@settings(max_examples=examples(60), deadline=None)
def test_as_many_are_due_as_the_rate_says(given_stages: list[Any], seconds: float, seed: int) -> None:
    even = workload(*given_stages, arrivals="constant")
    expected = even.requests_in(seconds)
    assert expected is not None and Pace.of(even).count(seconds) == pytest.approx(expected)
    due = due_ns(even, seconds, np.random.default_rng(seed))
    assert abs(len(due) - expected) <= 1 and (np.diff(due) > 0).all()
    assert due[0] == 0 and due[-1] < seconds * 1e9
    independent = due_ns(workload(*given_stages), seconds, np.random.default_rng(seed))
    assert abs(len(independent) - expected) <= 8 * expected**0.5 + 8
    assert (np.diff(independent) >= 0).all() and (not len(independent) or independent[-1] < seconds * 1e9)


@given(stages, st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_instants_and_counts_are_each_others_inverse(given_stages: list[Any], seconds: list[float]) -> None:
    pace = Pace.of(workload(*given_stages))
    instants = np.array(sorted(seconds))
    again = pace.instants_s(np.array([pace.count(instant) for instant in instants]))
    assert again == pytest.approx(instants, abs=1e-6)


def test_independent_arrivals_of_a_ramp_are_poisson_in_each_part() -> None:
    parts = []
    for seed in range(300):
        due_s = due_ns(workload(("2s", "50/s", "250/s")), 2, np.random.default_rng(seed)) / 1e9
        parts.append(np.histogram(due_s, bins=4, range=(0, 2))[0])
    means, variances = np.mean(parts, axis=0), np.var(parts, axis=0)
    assert means == pytest.approx([37.5, 62.5, 87.5, 112.5], rel=0.05)
    assert variances == pytest.approx(means, rel=0.35)  # of a Poisson count they are equal


def test_too_many_requests_are_refused_before_they_are_made() -> None:
    with pytest.raises(ArgumentError, match="more than one block can hold"):
        schedule_for(workload(("1s", "1/s", "100000/s")), 600, 1)

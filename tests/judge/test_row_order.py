"""Looking things up by place gives what sorting would give."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from luckyhit.judge.table.groups import among, distinct, distinct_values, members
from luckyhit.judge.table.row_order import same_requests

slot = st.one_of(st.integers(-1, 12), st.integers(0, 2**53 - 1))
arm = st.lists(st.tuples(slot, st.integers(0, 4)), max_size=30)
few = st.lists(st.one_of(st.integers(-1, 5), st.integers(-1, 2**40)), max_size=12)
in_runs = st.lists(st.tuples(st.integers(-1, 5), st.integers(1, 40)), max_size=6).map(
    lambda runs: [value for value, length in runs for _ in range(length)]
)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(rows, dtype=np.int64).reshape(len(rows), 2)
    return pairs[:, 0], pairs[:, 1].astype(np.int32)


@given(arm, arm)
@example([(3, 0), (1, 0), (3, 0)], [(3, 0), (3, 0), (1, 1)])
@example([(0, 1)], [(2**40, 0)])
@example([(2**53 - 1, 1), (0, 0)], [(0, 0), (2**53 - 1, 1)])
@settings(deadline=None)
def test_same_requests_are_those_with_the_same_slot_and_unit(one, other) -> None:
    sides = columns(one), columns(other)
    first, second = same_requests((sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))
    indices = list(zip(first.tolist(), second.tolist(), strict=True))
    both = sorted({(unit, slot) for slot, unit in one} & {(unit, slot) for slot, unit in other})
    assert indices == [(one.index((slot, unit)), other.index((slot, unit))) for unit, slot in both]


@given(st.one_of(few, in_runs), st.lists(st.integers(-1, 6), max_size=4))
@settings(deadline=None)
def test_groups_are_those_of_sorting(values: list[int], numbers: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    unique, index = distinct(array)
    assert unique.tolist() == sorted(set(values)) == distinct_values(array).tolist()
    assert unique[index].tolist() == values
    assert among(array, numbers).tolist() == [value in numbers for value in values]
    places_of = {number: places.tolist() for number, places in members(array)}
    assert list(places_of) == sorted(set(values))
    assert all(
        places == [at for at, value in enumerate(values) if value == number] for number, places in places_of.items()
    )

"""What every design keeps, and what each promises of itself: one suite over all rows of DESIGNS."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit import designs
from luckyhit.case import Case
from luckyhit.designs import BOTH, DESIGNS, Design, pair_numbers

PAIRS, SEEDS = st.integers(1, 60), st.integers()
LIBRARY = Path(designs.__file__).parents[1]
every_design = pytest.mark.parametrize("design", DESIGNS.values(), ids=list(DESIGNS))


@dataclass(frozen=True)
class FlatPlan:
    """A plan in which each block lasts a second, with nothing around the blocks."""

    blocks: int = 4
    washout: float = 3.0

    def seconds(self, blocks: int) -> float:
        return float(blocks)


@every_design
@given(pairs=PAIRS, seed=SEEDS)
def test_the_order_has_the_planned_blocks(design: Design, pairs: int, seed: int) -> None:
    order = design.order(pairs, seed)
    assert len(order) == design.planned_blocks(pairs) == pairs * design.blocks_in_pair
    assert {len(arms) for arms in order} == {design.arms_in_block}
    assert design.ends_pair(len(order)) and design.whole_pairs(len(order)) == pairs


@every_design
@given(pairs=PAIRS, seed=SEEDS)
def test_each_pair_has_both_arms_once(design: Design, pairs: int, seed: int) -> None:
    order = design.order(pairs, seed)
    members = [(pair, arm) for pair, arms in zip(pair_numbers(order), order, strict=True) for arm in arms]
    assert Counter(members) == {(pair, arm): 1 for pair in range(1, pairs + 1) for arm in BOTH}


@every_design
@given(pairs=PAIRS, seed=SEEDS)
def test_the_same_seed_gives_the_same_order(design: Design, pairs: int, seed: int) -> None:
    assert design.order(pairs, seed) == design.order(pairs, seed)


@every_design
@given(pairs=st.integers(1, 30), seed=SEEDS)
def test_a_mirrored_order_cancels_a_linear_drift(design: Design, pairs: int, seed: int) -> None:
    places: Counter[str] = Counter()
    for place, arms in enumerate(design.order(2 * pairs, seed)):
        for arm in arms:
            places[arm] += place
    assert not design.mirrored or places["before"] == places["after"]


@every_design
@given(pairs=PAIRS, seed=SEEDS)
def test_a_look_finds_both_arms(design: Design, pairs: int, seed: int) -> None:
    """Where a run may end before its last block, it ends with whole pairs: both arms have the same blocks."""
    order = design.order(pairs, seed)
    ends = [end for end in range(1, len(order) + 1) if design.ends_pair(end)] if design.may_stop_early else [len(order)]
    for end in ends:
        counts = Counter(arm for arms in order[:end] for arm in arms)
        assert counts["before"] == counts["after"] == design.whole_pairs(end)


@every_design
def test_what_a_design_promises_fits_together(design: Design) -> None:
    assert design.isolated or not design.arms_together, "two arms at once need a stack each"
    assert design.arms_together or not design.batches_are_units, "batches are cut at the same slots of both arms"
    assert design.batches_are_units or not design.looks_any_time, "intervals over whole blocks are of planned looks"
    assert not (design.isolated and design.may_carry_over), "nothing is carried over to another stack"
    assert not (design.isolated and design.washes_out), "there is nothing to wash out of a stack of its own"
    assert bool(design.words.no_early_stop) != design.may_stop_early


@every_design
def test_seconds_are_those_of_the_blocks(design: Design) -> None:
    plan = FlatPlan()
    blocks = design.planned_blocks(plan.blocks)
    assert design.load_s(plan) == blocks
    assert design.load_s(plan, 7) == design.planned_blocks(7)
    assert design.washout_s(plan) == (0 if design.isolated else plan.washout)
    assert design.longest_s(plan) == blocks * (1 + design.washout_s(plan))


def test_an_order_is_drawn_from_the_seed_where_arms_take_turns() -> None:
    firsts = {name: {design.order(2, seed)[0] for seed in range(20)} for name, design in DESIGNS.items()}
    taking_turns = {name for name, design in DESIGNS.items() if design.may_stop_early and not design.arms_together}
    assert {name for name, arms in firsts.items() if len(arms) > 1} == taking_turns


def test_pair_n_is_the_nth_block_of_either_arm() -> None:
    assert pair_numbers([BOTH, BOTH]) == [1, 2]
    assert pair_numbers([("after",), ("before",), ("before",), ("after",)]) == [1, 1, 2, 2]
    assert pair_numbers([("before",), ("before",), ("after",), ("after",)]) == [1, 2, 1, 2]


def test_each_design_is_a_file_and_a_row() -> None:
    files = {path.stem for path in Path(designs.__file__).parent.glob("*.py")} - {"__init__", "design"}
    assert files == {design_id.replace("-", "_") for design_id in DESIGNS}
    assert all(design.id == design_id for design_id, design in DESIGNS.items())


@every_design
def test_each_design_has_its_words(design: Design) -> None:
    words = design.words
    assert all([words.summary, words.compared, words.event_in_both, words.event_in_one, words.event_in_block])


def test_a_case_may_declare_each_design() -> None:
    field = Case.model_fields["design"]
    assert get_args(field.annotation) == tuple(DESIGNS)
    assert field.default in DESIGNS
    assert all(f"{design.id}: {design.words.summary}" in (field.description or "") for design in DESIGNS.values())


def test_no_other_code_knows_a_design_by_its_id() -> None:
    quoted = re.compile("|".join(f"[\"']{design_id}[\"']" for design_id in DESIGNS))
    sources = [path for path in LIBRARY.rglob("*") if path.suffix in (".py", ".j2") and path.parent.name != "designs"]
    assert sources
    assert [str(path.relative_to(LIBRARY)) for path in sources if quoted.search(path.read_text("utf-8"))] == []

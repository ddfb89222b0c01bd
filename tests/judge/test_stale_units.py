"""What counts as one stale read: one unit for one write, paired where the arms run side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from declared import a_case
from freshness_rows import frames, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.case.workload import Keys, Route
from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.compare.probe_effects import freshness_effects
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.background import background_reads, last_before
from luckyhit.judge.stale.write_units import StalePairs, stale_pairs, stale_units
from luckyhit.judge.stats.proportions import paired_difference, proportion_difference
from luckyhit.records import NOT_VISIBLE, READS, WRITES
from luckyhit.text.wording import has
from tier import examples, one_of_many

MS = 1_000_000
WITHIN_S = 0.05
KEYS = Keys(first=1, last=900)
ROUTES = [
    Route(name="read", path="/products/{key}", keys=KEYS, version="$.price"),
    Route(name="list", path="/products/{key}/card", keys=KEYS, version="$.price"),
    Route(
        name="write", method="PUT", path="/products/{key}", keys=KEYS, body={"price": "{number}"}, version="{number}"
    ),
]
SILENT = Probed(READS.empty_table().to_pandas(), WRITES.empty_table().to_pandas())


def versioned(case: Case) -> Case:
    return case.model_copy(update={"workload": case.workload.model_copy(update={"routes": ROUTES})})


CASE = versioned(a_case())


def slots(arm: str, *steps: Mapping[str, Any], block: int = 1) -> pd.DataFrame:
    """Requests of one arm, one slot each, 20 ms apart and 1 ms long; `write` or `read` holds the value."""
    rows = []
    for slot, step in enumerate(steps):
        writes = "write" in step
        sent = 20 * MS * (slot + 1) + 10_000 * MS * block
        row = {"arm": arm, "block": block, "slot": slot, "phase": "measure", "key": "7", "error": None, "status": 200}
        row |= {"route": "write" if writes else "read", "version": step["write" if writes else "read"]}
        row |= {"sent_ns": sent, "done_ns": sent + MS, "cache": "hit"}
        rows.append(row | {name: value for name, value in step.items() if name not in ("write", "read")})
    return pd.DataFrame(rows).astype(dict.fromkeys(("version", "sent_ns", "done_ns", "status"), "Int64"))


def counted(*arms: pd.DataFrame, within_s: float = WITHIN_S) -> StalePairs:
    background = background_reads(pd.concat(arms, ignore_index=True), CASE)
    return stale_pairs(SILENT, SILENT, background, within_s)


# The workload's writes

OLD, NEW = {"read": 5}, {"read": 6}
WROTE = [OLD, {"write": 6}]


COLD = [{"write": 6}, *[{"read": 6, "key": "9"}] * 3, NEW]
RACED = [{"write": 6}, NEW, *[{"read": 6, "key": "9"}] * 2, NEW]
REWRITTEN = [*WROTE, {"write": 8}, OLD, OLD, OLD, {"write": 9}, *[{"read": 9}] * 4]
FAILED_READ = {"read": None, "status": 503, "error": "unexpected"}
FAILED_WRITES = [
    {"write": 6, "status": 500, "error": "unexpected"},
    {"write": 6, "status": None, "error": "timeout", "done_ns": None},
    {"write": None},
]
FRESH = [NEW] * 4


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        # 20 ms and 40 ms after the write are within the bound; 60 ms and later are past it.
        ([*WROTE, OLD, OLD, OLD, OLD, OLD, NEW], [*WROTE, OLD, OLD, NEW, OLD, OLD, OLD], StalePairs(1, 1, 0, 1)),
        (REWRITTEN, REWRITTEN, StalePairs(2, 1, 1)),  # a read belongs to the last write before it
        ([*WROTE, *FRESH], [*WROTE, *FRESH], StalePairs(1)),
        *(([*WROTE, *FRESH], [OLD, broken, *FRESH], StalePairs()) for broken in FAILED_WRITES),
        ([*WROTE, NEW, NEW, OLD, NEW, NEW], [*WROTE, NEW, NEW, FAILED_READ, NEW, NEW], StalePairs()),
        (COLD, COLD, StalePairs()),  # a key that was not read before holds nothing old
        (RACED, RACED, StalePairs(1)),
    ],
)
def test_units_of_the_workload(before: list[Any], after: list[Any], pairs: StalePairs) -> None:
    assert counted(slots("before", *before), slots("after", *after)) == pairs
    # Arms that swap places swap their counts.
    swapped = replace(
        pairs, before=pairs.after, after=pairs.before, before_only=pairs.after_only, after_only=pairs.before_only
    )
    assert counted(slots("before", *after), slots("after", *before)) == swapped


def test_a_larger_bound_counts_a_later_read() -> None:
    arms = slots("before", *WROTE, OLD, OLD, OLD, OLD, OLD), slots("after", *WROTE, OLD, OLD, NEW, OLD, OLD)
    assert counted(*arms, within_s=0.085) == StalePairs(1, 1, 1)


def test_a_read_that_is_late_in_one_arm_only_is_no_unit() -> None:
    """Its write was answered late, so that it came within the bound: the next one is past it in both arms."""
    for steps, pairs in (([*WROTE, OLD, OLD, OLD, OLD, OLD], 1), ([*WROTE, OLD, OLD, OLD], 0)):
        slow = slots("after", *steps)
        slow.loc[1, "done_ns"] += 30 * MS
        assert counted(slots("before", *steps), slow) == StalePairs(pairs, pairs, pairs)


def test_a_block_that_replays_values_has_no_units() -> None:
    steps = [*WROTE, *FRESH]
    first, again = ([slots(arm, *steps, block=block) for arm in ("before", "after")] for block in (1, 2))
    assert counted(*first, *again).pairs == 1
    # Also where one arm alone was given the value before, in its baseline.
    assert counted(*again, first[0]).pairs == 0


steps = st.lists(
    st.tuples(st.sampled_from(["read", "write"]), st.sampled_from("789"), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=40,
)


@given(steps, st.integers(0, 100))
@settings(max_examples=examples(50), deadline=None)
def test_there_are_no_more_units_than_writes(plan: list[tuple[str, str, int, int]], within_ms: int) -> None:
    arms = [
        slots(arm, *({kind: shown[at], "key": key} for kind, key, *shown in plan))
        for at, arm in enumerate(("before", "after"))
    ]
    pairs = counted(*arms, within_s=within_ms / 1e3)
    assert pairs.pairs <= sum(kind == "write" for kind, *_ in plan)
    assert pairs.before - pairs.before_only == pairs.after - pairs.after_only >= 0
    assert max(pairs.before, pairs.after) <= pairs.pairs


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.booleans()), max_size=30),
    st.randoms(use_true_random=False),
)
def test_the_last_write_is_the_latest_in_an_earlier_slot(rows: list[tuple[int, int, bool]], random: Any) -> None:
    random.shuffle(rows)
    group, slot, writing = (np.array([row[at] for row in rows], dtype=int) for at in range(3))
    writes_before, reads = last_before(group, slot, writing.astype(bool), ~writing.astype(bool))
    for row, last in enumerate(writes_before):
        earlier = [at for at in range(len(rows)) if group[at] == group[row] and slot[at] < slot[row] and writing[at]]
        assert (last >= 0) == bool(earlier)
        if earlier:
            assert last in earlier and slot[last] == max(slot[at] for at in earlier)
    assert reads.tolist() == last_before(group, slot, ~writing.astype(bool))[0].tolist()


# The probe's writes


def probed(arm: str, *reads: Mapping[str, Any], **of_write: Any) -> Probed:
    """One probe of key 7, acknowledged at 100 ms; `at`: of each read, in ms behind that."""
    rows = [
        read(sent=(100 + step["at"]) * MS, done=(101 + step["at"]) * MS, seen=step["seen"], probe=1000, arm=arm)
        | {name: value for name, value in step.items() if name not in ("at", "seen")}
        for step in reads
    ]
    wrote = write(version=1000, sent=99 * MS, acked=100 * MS, arm=arm, **of_write)
    return Probed(*frames(rows, [wrote]))


def polls(*shown: tuple[float, int], **other: Any) -> list[dict[str, Any]]:
    return [{"at": at, "seen": value, "mode": "burst", **other} for at, value in shown]


def test_a_once_read_past_the_bound_is_a_unit_a_racing_one_not() -> None:
    raced, planned = {"at": 1, "seen": 1}, {"at": 90, "seen": 1000, "delay_ns": 90 * MS}
    arm = probed("before", raced, planned, prestate="in-flight")
    assert stale_units(arm, 0.0).reads == 1 and stale_units(arm, 0.0).stale == 0
    assert stale_units(arm, 0.1).reads == 0
    assert stale_units(probed("before", planned, prestate="cold"), 0.0).reads == 0


def test_of_a_burst_the_first_poll_past_the_bound_is_the_unit() -> None:
    wrote = {"mode": "burst"}
    late = polls((1, 1000), (40, 1000), (60, 1), (70, 1000))
    assert stale_units(probed("before", *late, **wrote), WITHIN_S).stale == 1
    assert stale_units(probed("before", *late, **wrote), 0.065).fresh == 1
    # An older run's polling ended where the route was lastingly fresh.
    early = probed("before", *polls((1, 1), (5, 1000), (11, 1000), (18, 1000)), **wrote)
    assert (stale_units(early, WITHIN_S).fresh, stale_units(early, WITHIN_S).stale) == (1, 0)
    cut = probed("before", *polls((1, 1), (5, 1000), (11, 1000)), **wrote)
    assert stale_units(cut, WITHIN_S).reads == 0


def test_the_routes_of_bursts_take_turns() -> None:
    both = polls((60, 1), route="detail") + polls((60, 1000), route="list")
    stale = []
    for version in (1000, 1002):
        arm = probed("before", *both, mode="burst")
        moved = [frame.replace({1000: version}) for frame in (arm.reads, arm.writes)]
        stale.append(stale_units(Probed(*moved), WITHIN_S).stale)
    assert sorted(stale) == [0, 1]


def test_a_probe_decided_in_one_arm_only_is_no_pair() -> None:
    planned = {"at": 90, "seen": 1, "delay_ns": 90 * MS}
    stale = probed("before", planned)
    assert stale_pairs(stale, probed("after", planned | {"seen": 1000}), None, WITHIN_S) == StalePairs(
        pairs=1, before=1, before_only=1, probed=1
    )
    silent = probed("after", planned | {"seen": None})
    pairs = stale_pairs(stale, silent, None, WITHIN_S)
    assert pairs.pairs == 0
    effect = freshness_effects(stale, silent, WITHIN_S, FixedSample(), 0.01, pairs)["stale_reads"]
    assert effect.effect is None and has(effect.notes, *NOT_VISIBLE) and effect.before == 1


def test_both_kinds_are_counted_together_and_apart() -> None:
    background = background_reads(
        pd.concat([slots("before", *WROTE, OLD, OLD, OLD), slots("after", *WROTE, NEW, NEW, NEW)]), CASE
    )
    planned = {"at": 90, "seen": 1, "delay_ns": 90 * MS}
    arms = probed("before", planned), probed("after", planned)
    pairs = stale_pairs(*arms, background, WITHIN_S)
    assert pairs == StalePairs(pairs=2, before=2, after=1, before_only=1, probed=1) and pairs.workload == 1
    effect = freshness_effects(*arms, WITHIN_S, Sequential(), 0.01, pairs)["stale_reads"]
    assert (effect.before, effect.after, effect.effect, effect.pairs) == (1, 0.5, -0.5, 2)
    assert effect.after_low <= 0.5 <= effect.after_high <= 1


# The verdict


def two_arms(pairs: int, stale_before: int, stale_after: int) -> pd.DataFrame:
    """So many writes with a late read each, of keys of their own, the first of them stale."""
    arms = []
    for arm, stale in (("before", stale_before), ("after", stale_after)):
        rows = pd.concat([slots(arm, *WROTE, NEW, NEW, NEW)] * pairs, ignore_index=True)
        number = np.arange(len(rows)) // 5
        rows = rows.assign(key=(number + 1).astype(str), slot=np.arange(len(rows)))
        rows.loc[(rows.index % 5 == 4) & (number < stale), "version"] = OLD["read"]
        arms.append(rows)
    return pd.concat(arms, ignore_index=True)


def test_the_workload_decides_where_the_probe_is_silent() -> None:
    background = background_reads(two_arms(766, 66, 0), CASE)
    pairs = stale_pairs(SILENT, SILENT, background, WITHIN_S)
    assert pairs == StalePairs(pairs=766, before=66, before_only=66)
    effect = freshness_effects(SILENT, SILENT, WITHIN_S, Sequential(), 0.001, pairs)["stale_reads"]
    assert effect.high < 0 and effect.pairs == 766 and effect.after == 0
    (noted,) = [one for one in effect.notes if one.id == "pairs-by-source"]
    assert noted.facts == {"probe": 0, "workload": 766}, "whose reads they are is told, if not the probe's alone"


GOAL = {"stale_reads": {"want": "better", "margin": "5 %"}}


def with_stale_probes(run: Any, stale: int, total: int) -> Any:
    """The run with as many pairs of probes, `stale` of them stale before the change, none after it."""
    change = run.blocks[1:-1]
    per_block = -(-total // len(change))
    numbers = {entry["block"]: index for index, entry in enumerate(change)}
    reads, writes = (frame[frame["block"].isin(list(numbers))] for frame in (run.reads, run.writes))
    place = reads["key"].astype(int) - 9000
    rank = reads["block"].map(numbers) * per_block + place
    old = (reads["arm"] == "before") & (rank < stale)
    run.reads = reads.assign(seen_version=np.where(old, 1, reads["probe"]))[(place < per_block) & (rank < total)]
    run.writes = writes
    return run


def test_eighteen_of_253_against_none_helped(simulate: Any, case_with: Any) -> None:
    run = with_stale_probes(simulate(1, blocks=7, seconds=2.0), 18, 253)
    result = run.judge(case_with(GOAL, blocks=7))
    metric = result.metrics["stale_reads"]
    assert (metric.pairs, metric.verdict, metric.after) == (253, "HELPED", 0)
    assert metric.before == pytest.approx(18 / 253)


def test_arms_that_take_turns_are_compared_by_the_probe_alone(simulate: Any, case_with: Any) -> None:
    run = simulate(2, blocks=4, design="crossover", stale={"before": 0.9, "after": 0.0}, seconds=2.0)
    metric = run.judge(case_with(GOAL, design="crossover")).metrics["stale_reads"]
    assert metric.pairs == 160 and metric.verdict == "HELPED"


def clustered(rng: np.random.Generator, writes: int, share: float) -> pd.DataFrame:
    """Both arms alike: behind each write an entry gets old with this chance, and is read thirty times."""
    slot = np.arange(32 * writes)
    step = slot % 32
    number = slot // 32
    sent = slot * 20 * MS
    arms = []
    for arm in ("before", "after"):
        stale = (rng.random(writes) < share)[number]
        shown = np.where(step == 0, 2 * number + 1, 2 * number + 2 - (stale & (step > 1)))
        arms.append(
            pd.DataFrame(
                {
                    "arm": arm, "block": 1, "slot": slot, "phase": "measure", "key": number.astype(str),
                    "route": np.where(step == 1, "write", "read"), "version": pd.array(shown, dtype="Int64"),
                    "sent_ns": sent, "done_ns": sent + MS, "status": 200, "error": None, "cache": "hit",
                }
            )
        )  # fmt: skip
    return pd.concat(arms, ignore_index=True)


@pytest.mark.parametrize("streams", [one_of_many(15, quick=True), one_of_many(400, quick=False)])
def test_old_entries_with_many_readers_are_no_difference(streams: int) -> None:
    error_rate = 0.01
    paired, by_read = 0, 0
    for seed in range(streams):
        reads = background_reads(clustered(np.random.default_rng(seed), 60, 0.2), CASE)
        pairs = stale_pairs(SILENT, SILENT, reads, WITHIN_S)
        paired_bounds = paired_difference(pairs.before_only, pairs.after_only, pairs.pairs, FixedSample(), error_rate)
        paired += not paired_bounds.low <= 0 <= paired_bounds.high
        stale = (reads["outcome"] == "stale").groupby(reads["arm"]).sum()
        apart = proportion_difference(stale["before"], 1800, stale["after"], 1800, FixedSample(), error_rate)
        by_read += not apart.low <= 0 <= apart.high
        assert pairs.pairs == 60
    assert paired <= max(0.01 * streams, 1)
    assert by_read > 0.2 * streams, "each read counted as if it were alone"

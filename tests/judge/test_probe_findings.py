"""What a run shows of the probe itself: its share of the load, its influence, variants, and what outlived a clear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from declared import a_case
from simulated_blocks import a_block, facts

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import probe_changes_the_picture, probe_is_the_load, variants_differ
from luckyhit.judge.findings.old_data import cache_outlives_clear
from luckyhit.records import REQUESTS, CountOf, FreshnessFacts
from noted import noted

BOTH = ["before", "after"]


def a_probe(requests: int = 600, share: float = 0.5, **other: Any) -> dict[str, Any]:
    return {"requests": requests, "share": share, "probes": 40, "outlived": dict.fromkeys(BOTH, False), **other}


def evidence(
    hit: Sequence[tuple[float, float]],
    *,
    control: int | None = 2,
    seed: int = 1,
    own: float = 0.05,
    errors: float = 0.0,
    slow: float = 1.0,
    **probe: Any,
) -> Evidence:
    """Side by side: of each block the hit ratio of both arms. Block `control` has no probe, and the requests of the
    one before it."""
    frames, entries = [], []
    for block, (before, after) in enumerate(hit, 1):
        slower = {"hit_ms": 2 * slow, "miss_ms": 12 * slow} if block == control else {}
        same = block - 1 if block == control else block
        rng = np.random.default_rng([seed, same])
        knobs = {
            "before": {"hit": before, "own": own, "errors": errors, **slower},
            "after": {"hit": after, "own": own, "errors": errors, **slower},
        }
        frames.append(pa.Table.from_pandas(a_block(rng, block, knobs), preserve_index=False))
        more: dict[str, Any] = {"control": True} if block == control else {"probe": a_probe(**probe)}
        entries.append(facts(block, "change", BOTH, pair=block, **more))
    table = pa.concat_tables(frames)
    absent = [field for field in REQUESTS if field.name not in table.column_names]
    for field in absent:
        table = table.append_column(field.name, pa.nulls(len(table), field.type))
    return Evidence(a_case(), noted(entries), table.select)


def test_a_probe_that_is_the_load_is_told_with_its_share() -> None:
    found = probe_is_the_load.find(evidence([(0.8, 0.8)] * 3, requests=3600, share=1.5))
    assert found is not None
    assert found.facts["added_share"] == pytest.approx(1.5)
    assert found.facts["probe_requests"] == 7200 and found.facts["workload_requests"] == 4800
    assert found.facts["declared_rate_per_s"] is None


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_a_small_share_is_no_finding(share: float) -> None:
    assert probe_is_the_load.find(evidence([(0.8, 0.8)] * 3, requests=60, share=share)) is None


def test_hits_that_come_with_the_probe_are_told_by_arm() -> None:
    found = probe_changes_the_picture.find(evidence([(0.9, 0.6), (0.5, 0.6), (0.9, 0.6), (0.9, 0.6)]))
    assert found is not None and found.facts["share"] == "hit" and found.facts["blocks"] == 2
    assert found.facts["hit_differs_before"] is True and found.facts["hit_differs_after"] is False
    assert found.before is not None and found.before.of == found.facts["hit_slots_before"]
    assert found.before.count / found.before.of == pytest.approx(0.9, abs=0.04)
    alone = float(found.facts["hit_control_before"] or 0) / found.before.of
    assert alone == pytest.approx(0.5, abs=0.06)


def test_nothing_is_told_without_a_control() -> None:
    assert probe_changes_the_picture.find(evidence([(0.9, 0.6), (0.5, 0.6)], control=None)) is None


def test_a_control_among_blocks_that_differ_anyway_tells_nothing() -> None:
    assert probe_changes_the_picture.find(evidence([(0.9, 0.6), (0.5, 0.6), (0.4, 0.6), (0.9, 0.6)])) is None


@pytest.mark.parametrize("errors", [0.0, 0.1])
def test_a_service_short_of_something_else_tells_nothing(errors: float) -> None:
    seen = evidence([(0.9, 0.6), (0.5, 0.6), (0.9, 0.6)], errors=errors)
    assert (probe_changes_the_picture.find(seen) is None) is (errors > 0)


@pytest.mark.parametrize("slow", [1.0, 9.0, 0.05])
def test_a_machine_short_of_time_tells_nothing(slow: float) -> None:
    seen = evidence([(0.7, 0.7), (0.5, 0.7), (0.7, 0.7)], slow=slow)
    assert (probe_changes_the_picture.find(seen) is None) is (slow != 1)


def test_one_block_with_the_probe_is_too_few() -> None:
    assert probe_changes_the_picture.find(evidence([(0.9, 0.6), (0.5, 0.6)])) is None


def test_a_probe_without_influence_is_hardly_ever_named() -> None:
    named = [
        probe_changes_the_picture.find(evidence([(0.7, 0.6)] * 3, seed=seed, own=1.0)) is not None for seed in range(60)
    ]
    assert sum(named) <= 2


def told(**by_variant: tuple[int, int]) -> FreshnessFacts:
    return FreshnessFacts(by_variant=by_variant)


def of_facts(**by_arm: FreshnessFacts) -> Evidence:
    return Evidence(a_case(), [], REQUESTS.empty_table().select, facts=by_arm)  # type: ignore[arg-type]


def test_a_variant_that_is_stale_beside_a_fresh_one_is_told() -> None:
    found = variants_differ.find(of_facts(before=told(de=(0, 40), fr=(30, 40)), after=told(de=(0, 41), fr=(0, 42))))
    assert found is not None
    assert (found.facts["variant"], found.facts["other"]) == ("fr", "de")
    assert found.before == CountOf(count=30, of=40) and found.after == CountOf(count=0, of=42)
    assert (found.facts["other_stale_before"], found.facts["other_reads_before"]) == (0, 40)


@pytest.mark.parametrize("by_variant", [{"de": (5, 40)}, {"de": (5, 40), "fr": (8, 40)}, {"de": (0, 3), "fr": (2, 3)}])
def test_variants_that_chance_explains_are_none(by_variant: dict[str, tuple[int, int]]) -> None:
    assert variants_differ.find(of_facts(before=told(**by_variant))) is None


def test_a_cache_that_outlives_the_clear_is_told_by_arm() -> None:
    found = cache_outlives_clear.find(evidence([(0.8, 0.8)] * 3, outlived={"before": True, "after": False}))
    assert found is not None and found.facts["arms_differ"] is True
    assert found.before == CountOf(count=2, of=2) and found.after == CountOf(count=0, of=2)
    assert cache_outlives_clear.find(evidence([(0.8, 0.8)] * 3)) is None


def test_where_nothing_was_cleared_a_hit_is_no_surprise() -> None:
    seen = evidence([(0.8, 0.8)] * 2, outlived=dict.fromkeys(BOTH, True))
    entries = [block.model_copy(update={"clear": {}}) for block in seen.blocks]
    assert cache_outlives_clear.find(Evidence(seen.case, entries, seen.load)) is None

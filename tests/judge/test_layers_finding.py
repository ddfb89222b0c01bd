"""What each cache on the way did, from the recorded chains."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pyarrow as pa
import pytest
from declared import a_case
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import layers
from luckyhit.records import REQUESTS
from luckyhit.report.tables.finding_sentences import LAYER_HEADINGS, layer_rows, sentence_of
from noted import noted


def evidence(**chains: list[tuple[str | None, int]]) -> Evidence:
    """One block of the change: answers with these chains, by arm."""
    rows = [(arm, chain) for arm, counted in chains.items() for chain, count in counted for _ in range(count)]
    count = len(rows)
    frame = pd.DataFrame({"arm": [arm for arm, _ in rows], "layers": [chain for _, chain in rows]})
    frame = frame.assign(block=0, phase="measure", error=None)
    frame.loc[count - 1, "phase"] = "warmup"
    table = pa.table(
        {
            name: pa.array(frame[name], pa.string()).dictionary_encode()
            if name != "block"
            else pa.array([0] * count, pa.int32())
            for name in ("arm", "block", "phase", "error", "layers")
        }
    )
    blocks = [{"block": 0, "stage": "change", "arms": ["before", "after"]}]
    return Evidence(a_case(), noted(blocks), lambda columns: table.select(list(columns)))


def test_one_cache_with_a_header_is_no_finding() -> None:
    assert layers.find(evidence(before=[("x-cache=hit", 90), ("x-cache=miss", 10)], after=[(None, 50)])) is None


def test_each_layer_counts_what_came_as_far_as_to_it() -> None:
    outer = [("x-varnish=hit x-cache=miss", 90), ("x-varnish=miss x-cache=hit", 6), ("x-varnish=miss x-cache=miss", 4)]
    found = layers.find(evidence(before=[("x-cache=hit", 95), ("x-cache=miss", 5)], after=[*outer, (None, 1)]))
    assert found is not None and found.after is not None
    assert (found.after.count, found.after.of) == (90, 100)
    rows = [(row["arm"], row["layer"], row["hit"], row["miss"]) for row in found.examples]
    assert rows == [("before", "x-cache", 95, 5), ("after", "x-varnish", 90, 10), ("after", "x-cache", 6, 4)]
    assert all(len(row) == len(LAYER_HEADINGS) for row in layer_rows([found]))
    assert len(sentence_of(found).split()) <= 40


@pytest.mark.parametrize("name", layers.LONE)
def test_a_layer_that_no_header_tells_is_a_finding(name: str) -> None:
    found = layers.find(evidence(after=[(f"{name}=hit", 9), (f"{name}=miss", 2)]))
    assert found is not None and found.before is None
    assert [(row["lone"], row["hit"]) for row in found.examples] == [(True, 9)]


def test_one_cache_that_tells_it_twice_is_no_finding() -> None:
    twice = [("x-cache=hit cache-status=hit", 90), ("x-cache=miss cache-status=miss", 10)]
    assert layers.find(evidence(before=twice, after=twice)) is None


words = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(layers.STATUSES)), min_size=1, max_size=4)


@given(st.lists(st.tuples(words, st.integers(1, 9)), max_size=8))
def test_no_layer_was_asked_more_often_than_the_one_before(chains: list[tuple[list[tuple[str, str]], int]]) -> None:
    counted: Counter[str] = Counter()
    for parts, count in chains:
        counted[" ".join(f"{name}={status}" for name, status in parts)] += count
    total = sum(counted.values())
    found = layers.did(counted)
    assert all(sum(counts.values()) <= total for counts in found.values())
    answered = sum(counts["hit"] + counts["stale"] for counts in found.values())
    assert answered <= total


def test_the_columns_are_those_of_the_records() -> None:
    assert {"arm", "phase", "error", "layers"} <= set(REQUESTS.names)

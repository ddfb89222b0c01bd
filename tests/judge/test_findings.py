"""Every finder has words and a row in the docs, finds nothing in nothing, and shows its case with its counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cached_answers import Cached, Workload
from cached_answers import evidence as simulated
from hypothesis import given
from hypothesis import strategies as st
from judged_evidence import CASE, ONE_BLOCK, counts, evidence, find, request_table, the_finding
from simulated_blocks import facts as block_facts
from test_cache_findings import CASES as CACHE_CASES
from test_latency_grows import growing
from test_probe_findings import controlled

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import COVERED_BY, FINDERS, NOT_LOOKED_FOR, findings
from luckyhit.judge.findings.layers import LONE, STATUSES, layer_counts
from luckyhit.records import CountOf, Doubt, FreshnessFacts, Metric, Preflight, Result, UnexpectedAnswer
from luckyhit.report.tables.finding_sentences import (
    LAYER_HEADINGS,
    SENTENCES,
    UNEXPECTED_HEADINGS,
    layer_rows,
    unexpected_rows,
)

DOCS = Path(__file__).parents[2] / "docs" / "findings.md"
BASELINE = {"block": 0, "stage": "baseline", "arms": ["before"]}


def of_facts(before: dict[str, Any], after: dict[str, Any], **fields: Any) -> Evidence:
    return evidence(facts={"before": FreshnessFacts(**before), "after": FreshnessFacts(**after)}, **fields)


def unexpected() -> Evidence:
    rows = [
        {"arm": arm, "status": status, "cache": cache, "error": error, "route": "detail"}
        for arm, status, cache, error, count in (
            ("before", 200, "hit", "unexpected", 208),
            ("before", 503, "miss", "unexpected", 4),
            ("before", 200, "miss", None, 480),
            ("before", None, "unknown", "timeout", 7),
            ("after", 200, "hit", None, 690),
        )
        for _ in range(count)
    ]
    example = {"arm": "before", "route": "detail", "request": "GET /products/1", "wrong": "$.a is 1 instead of 2"}
    example |= {"body": "", "reason": "value", "status": 200, "cache": "hit", "count": 208}
    honest = {**example, "reason": "status", "status": 503, "cache": "miss", "count": 900}
    entry = {**ONE_BLOCK[0], "examples": [honest, example, {"old": 1}]}
    return evidence(rows, blocks=[entry, {**entry, "block": 2}])


def chains(**by_arm: list[tuple[str | None, int]]) -> Evidence:
    """Answers with these chains of layers, by arm, and one of the warm-up."""
    rows = [
        {"arm": arm, "layers": chain} for arm, parts in by_arm.items() for chain, count in parts for _ in range(count)
    ]
    return evidence([*rows[:-1], {**rows[-1], "phase": "warmup"}])


def moved(status: tuple[float, float], order: tuple[float, float], *, shown: bool = True, **fields: Any) -> Evidence:
    """Median latencies of a route with a cache, of one without, and of a write, with these intervals."""
    hit_ratio, silent = Metric(unit="share", before=0.8, after=0.9), Metric(unit="share")
    intervals = {"detail": (5.0, 8.0), "status": status, "order": order}
    routes = {
        name: {
            "hit_ratio": hit_ratio if shown and name == "detail" else silent,
            "latency_p50_ms": Metric(unit="ms", before=2.0, after=2.0, low=low, high=high),
        }
        for name, (low, high) in intervals.items()
    }
    data = CASE.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["workload"]["routes"] += [
        {"name": "status", "path": "/status"},
        {"name": "order", "method": "POST", "path": "/orders/{key}", "keys": {"first": 1, "last": 400}, "body": {}},
    ]
    data |= fields
    return evidence(routes=routes, case=type(CASE).model_validate(data))


def predicted(**values: float) -> Evidence:
    """An after arm in which three of four answers are hits, and each miss makes one database call."""
    rows = [
        {"arm": "after", "cache": "miss" if number % 4 == 0 else "hit", "db_calls": number % 4 == 0, "due_ns": number}
        for number in range(400)
    ]
    data = CASE.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["predicted"] = {name: {"low": value, "value": value, "high": value} for name, value in values.items()}
    blocks = [block_facts(1, "change", ["before", "after"])]
    return evidence(rows, blocks=blocks, case=type(CASE).model_validate(data))


def outlived(before: bool, after: bool, **fields: Any) -> Evidence:
    probe = {"requests": 1, "share": 0.1, "outlived": {"before": before, "after": after}}
    return evidence(blocks=[block_facts(n, "change", ["before", "after"], probe=probe, **fields) for n in (1, 2)])


SPLIT = [("x-varnish=hit x-cache=miss", 90), ("x-varnish=miss x-cache=hit", 6), ("x-varnish=miss x-cache=miss", 4)]
BEHIND = {"by_cache": {"hit": (10, 200), "miss": (311, 400)}, "background_by_cache": {"miss": (3, 9)}}
DOUBT = Doubt(id="hit-on-write", count=5, of=6)
ASKED = Preflight(
    asked=3,
    unexpected=[UnexpectedAnswer(arm="before", route="a", request="GET /", status=500, wrong="500", body="")],
)
Counts = list[tuple[int, int] | None] | None
SHOWN: dict[str, tuple[Callable[[], Evidence], Counts, dict[str, Any]]] = {
    "status-not-believable": (
        lambda: evidence(doubts={"before": [DOUBT]}), [(5, 6), None], {"by_calls": False},
    ),
    "probe-changes-the-picture": (
        lambda: controlled([(0.9, 0.6), (0.5, 0.6), (0.9, 0.6), (0.9, 0.6)]), ...,
        {"share": "hit", "blocks": 2, "hit_differs_before": True, "hit_differs_after": False},
    ),
    "probe-is-the-load": (
        lambda: controlled([(0.8, 0.8)] * 3, requests=3600, share=1.5), [None, None],
        {"added_share": pytest.approx(1.5), "probe_requests": 7200, "workload_requests": 4800,
         "declared_rate_per_s": None},
    ),
    "same-bytes-other-url": (
        lambda: simulated(Cached(forgets_page=True), Cached()), ..., {"compared": "misses", "misses_wrong": 0},
    ),
    "unexpected-answers": (
        unexpected, [(212, 692), (0, 690)], {"before_good_status": 208, "before_hit": 208, "before_miss": 4},
    ),
    "phantom-reads": (
        lambda: of_facts({"reads": 40, "never_committed": 3}, {"reads": 40}), [(3, 40), (0, 40)], {},
    ),
    **{id_: (records, expected, {}) for id_, records, expected in CACHE_CASES.values() if expected},
    "stale-by-status": (
        lambda: of_facts(BEHIND, {"by_cache": {"hit": (0, 200), "miss": (0, 400)}}), [(314, 324), (0, 0)],
        {"before_probe_miss_stale": 311, "before_workload_miss_reads": 9},
    ),
    "changed-without-write": (
        lambda: simulated(Cached(copies=3, lives=2000), Cached(lives=2000), Workload(pages=1, writes=0.02)), ..., {},
    ),
    "arms-differ": (lambda: simulated(Cached(forgets_page=True), Cached()), [None, None], {"made_differ": 0}),
    "preflight-met-fault": (lambda: evidence(preflight=ASKED), [(1, 3), None], {}),
    "variants-differ": (
        lambda: of_facts(
            {"by_variant": {"de": (0, 40), "fr": (30, 40)}}, {"by_variant": {"de": (0, 41), "fr": (0, 42)}}
        ),
        [(30, 40), (0, 42)],
        {"variant": "fr", "other": "de", "other_stale_before": 0, "other_reads_before": 40},
    ),
    "cache-outlives-clear": (lambda: outlived(True, False), [(2, 2), (0, 2)], {"arms_differ": True}),
    "untouched-route-moved": (lambda: moved((0.5, 0.9), (-0.1, 0.3)), [None, None], {"routes": 1}),
    "latency-grows": (lambda: growing(("before",)), [None, None], {"arm": "before", "route": "detail", "within": "run"}),
    "prediction": (lambda: predicted(hit_ratio=0.75, db_calls=2.0), [None, (1, 2)], {}),
    "replayed-counts": (
        lambda: evidence(replayed={"before": {"a": CountOf(count=2, of=3), "b": CountOf(count=1, of=1)}}),
        [(3, 4), None], {"routes": "a, b"},
    ),
    "layers": (
        lambda: chains(before=[("x-cache=hit", 95), ("x-cache=miss", 5)], after=[*SPLIT, (None, 1)]),
        [(95, 100), (90, 100)], {"layers_before": 1, "layers_after": 2},
    ),
}  # fmt: skip
HEALTHY: dict[str, list[Callable[[], Evidence]]] = {
    "stale-by-status": [lambda: of_facts({"by_cache": {"hit": (311, 400), "miss": (10, 200)}}, {})],
    "variants-differ": [
        lambda: of_facts({"by_variant": {"de": (5, 40)}}, {}),
        lambda: of_facts({"by_variant": {"de": (5, 40), "fr": (8, 40)}}, {}),
        lambda: of_facts({"by_variant": {"de": (0, 3), "fr": (2, 3)}}, {}),
    ],
    "cache-outlives-clear": [lambda: outlived(False, False), lambda: outlived(True, True, clear={})],
    "probe-is-the-load": [
        *(lambda share=share: controlled([(0.8, 0.8)] * 3, requests=60, share=share) for share in (0.0, 0.02, 1.0)),
    ],
    "prediction": [predicted, lambda: predicted(stale_reads=0.1)],
    "layers": [
        lambda: chains(before=[("x-cache=hit", 90), ("x-cache=miss", 10)], after=[(None, 50)]),
        lambda: chains(after=[("x-cache=hit cache-status=hit", 90), ("x-cache=miss cache-status=miss", 10)]),
    ],
    "untouched-route-moved": [
        lambda: moved((-0.2, 0.2), (-0.1, 0.3)),
        lambda: moved((0.1, 0.3), (0.1, 0.9)),  # sure, and no more than a fifth
        lambda: moved((5, 9), (-0.1, 0.1), controls={"status.latency_p50_ms": "20 %"}),
    ],
}


def test_each_finder_has_words_docs_and_a_case() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(encoding="utf-8"), re.M)
    assert list(FINDERS) == documented
    assert set(SENTENCES) == {*FINDERS, NOT_LOOKED_FOR}
    assert set(SHOWN) == set(FINDERS)


@pytest.mark.parametrize("id_", FINDERS)
def test_a_finder_shows_its_case(id_: str) -> None:
    records, expected, facts = SHOWN[id_]
    finding = the_finding(id_, records())
    assert expected is ... or counts(finding) == expected
    assert {name: finding.facts[name] for name in facts} == facts


@pytest.mark.parametrize(("id_", "records"), [(id_, records) for id_, cases in HEALTHY.items() for records in cases])
def test_a_finder_finds_nothing_in_a_healthy_run(id_: str, records: Callable[[], Evidence]) -> None:
    assert find(id_, records()) is None


def test_nothing_is_found_in_nothing() -> None:
    assert findings(evidence(blocks=[BASELINE, *ONE_BLOCK])) == []


def test_requests_are_those_of_the_blocks_compared() -> None:
    table = request_table([{"arm": "before", "block": block} for block in (0, 0, 1, 1)])
    assert evidence(table, blocks=[BASELINE, *ONE_BLOCK]).requests()["block"].to_pylist() == [1, 1]
    assert evidence(table, blocks=[BASELINE]).requests()["block"].to_pylist() == [0, 0]


def test_a_finder_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Evidence) -> None:
        raise KeyError("outcome")

    monkeypatch.setitem(FINDERS, "layers", broken)
    by_id = {finding.id: finding for finding in findings(SHOWN["phantom-reads"][0]())}
    assert by_id[NOT_LOOKED_FOR].facts == {"finding": "layers", "error": "KeyError"}
    assert "phantom-reads" in by_id


def test_a_covered_finding_is_left_out() -> None:
    ids = {finding.id for finding in findings(SHOWN["arms-differ"][0]())}
    assert "arms-differ" not in ids and ids & COVERED_BY["arms-differ"]


def test_unexpected_answers_are_added_up_over_blocks() -> None:
    finding = the_finding("unexpected-answers", unexpected())
    assert [(row["status"], row["count"]) for row in finding.examples] == [(200, 416), (503, 1800)]
    cells = unexpected_rows(Result.model_construct(findings=[finding]))
    assert [len(row) for row in cells] == [len(UNEXPECTED_HEADINGS)] * 2


def test_each_layer_counts_the_requests_that_reached_it() -> None:
    finding = the_finding("layers", SHOWN["layers"][0]())
    rows = [(row["arm"], row["layer"], row["hit"], row["miss"]) for row in finding.examples]
    assert rows == [("before", "x-cache", 95, 5), ("after", "x-varnish", 90, 10), ("after", "x-cache", 6, 4)]
    assert all(len(row) == len(LAYER_HEADINGS) for row in layer_rows([finding]))


@pytest.mark.parametrize("name", LONE)
def test_a_layer_without_a_header_is_a_finding(name: str) -> None:
    finding = the_finding("layers", chains(after=[(f"{name}=hit", 9), (f"{name}=miss", 2)]))
    assert [(row["lone"], row["hit"]) for row in finding.examples] == [(True, 9)]


CHAIN = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(STATUSES)), min_size=1, max_size=4)


@given(st.lists(st.tuples(CHAIN, st.integers(1, 9)), max_size=8))
def test_no_layer_was_asked_more_often_than_the_first(parts: list[tuple[list[tuple[str, str]], int]]) -> None:
    requests: Counter[str] = Counter()
    for chain, count in parts:
        requests[" ".join(f"{name}={status}" for name, status in chain)] += count
    asked = layer_counts(requests)
    assert all(sum(counts.values()) <= requests.total() for counts in asked.values())
    assert sum(counts["hit"] + counts["stale"] for counts in asked.values()) <= requests.total()


@pytest.mark.parametrize(
    ("status", "order", "shown", "expected"),
    [
        ((-0.2, 0.2), (5.0, 9.0), True, [("order", "write")]),
        ((-0.9, -0.5), (5.0, 9.0), True, [("status", "uncached"), ("order", "write")]),
        ((5.0, 9.0), (5.0, 9.0), False, [("order", "write")]),  # no route shows a status
    ],
)
def test_routes_that_moved_are_named(
    status: tuple[float, float], order: tuple[float, float], shown: bool, expected: list[tuple[str, str]]
) -> None:
    finding = the_finding("untouched-route-moved", moved(status, order, shown=shown))
    assert [(row["route"], row["kind"]) for row in finding.examples] == expected

"""Each kind of finding has a finder, words and a row in the docs; none of them is said of a run without evidence."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
from cached_answers import loader, table_of
from declared import a_case

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import FINDERS, NOT_LOOKED_FOR, findings, unexpected_answers
from luckyhit.records import REQUESTS, CountOf, FreshnessFacts, Result
from luckyhit.report.tables.finding_sentences import SENTENCES, UNEXPECTED_HEADINGS, unexpected_rows
from noted import noted

DOCS = Path(__file__).parents[2] / "docs" / "findings.md"


def evidence(**more) -> Evidence:
    blocks = [
        {"block": 0, "stage": "baseline", "arms": ["before"]},
        {"block": 1, "stage": "change", "arms": ["before", "after"]},
    ]
    case = a_case()
    return Evidence(case, noted(blocks), lambda columns: REQUESTS.empty_table().select(list(columns)), **more)


def test_every_kind_has_finder_words_and_docs() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(encoding="utf-8"), re.M)
    assert list(FINDERS) == documented
    assert set(SENTENCES) == {*FINDERS, NOT_LOOKED_FOR}


def test_without_a_request_nothing_is_found() -> None:
    assert findings(evidence()) == []


def test_phantom_and_stale_reads_are_told_by_arm() -> None:
    facts = {
        "before": FreshnessFacts(reads=40, never_committed=3, background_stale=66, background_reads=766),
        "after": FreshnessFacts(reads=40, background_stale=0, background_reads=767),
    }
    by_id = {finding.id: finding for finding in findings(evidence(facts=facts))}
    assert by_id["phantom-reads"].before == CountOf(count=3, of=40)
    assert by_id["stale-workload-reads"].before == CountOf(count=66, of=766)
    assert by_id["stale-workload-reads"].after == CountOf(count=0, of=767)


def test_requests_are_those_of_the_blocks_compared() -> None:
    frame = pd.DataFrame({"arm": ["before"] * 4, "block": [0, 0, 1, 1], "phase": ["warmup", "measure"] * 2})
    table = pa.Table.from_pandas(frame, preserve_index=False).cast(
        pa.schema([REQUESTS.field(name).with_nullable(True) for name in frame.columns])
    )
    blocks = [{"block": 0, "stage": "baseline"}, {"block": 1, "stage": "change", "arms": ["before", "after"]}]
    case = a_case()
    looked_at = Evidence(case, noted(blocks), lambda columns: table.select(list(columns)))
    assert looked_at.requests()["block"].to_pylist() == [1, 1]
    assert Evidence(case, noted(blocks[:1]), looked_at.load).requests()["block"].to_pylist() == [0, 0]


def test_a_kind_that_fails_costs_no_other(monkeypatch) -> None:
    def broken(_: Evidence) -> None:
        raise KeyError("outcome")

    monkeypatch.setitem(FINDERS, "layers", broken)
    facts = {"before": FreshnessFacts(reads=40, never_committed=3)}
    by_id = {finding.id: finding for finding in findings(evidence(facts=facts))}
    assert by_id[NOT_LOOKED_FOR].facts == {"finding": "layers", "error": "KeyError"}
    assert "phantom-reads" in by_id


def test_stale_reads_told_as_misses_are_their_own_finding() -> None:
    behind = FreshnessFacts(by_cache={"hit": (10, 200), "miss": (311, 400)}, background_by_cache={"miss": (3, 9)})
    fresh = FreshnessFacts(by_cache={"hit": (0, 200), "miss": (0, 400)})
    by_id = {finding.id: finding for finding in findings(evidence(facts={"before": behind, "after": fresh}))}
    told = by_id["stale-by-status"]
    assert told.before == CountOf(count=314, of=324) and told.after == CountOf(count=0, of=0)
    probe_stale, workload_reads = (told.facts[f"before_{name}"] for name in ("probe_miss_stale", "workload_miss_reads"))
    assert (probe_stale, workload_reads) == (311, 9)
    hits = FreshnessFacts(by_cache={"hit": (311, 400), "miss": (10, 200)})
    assert "stale-by-status" not in {finding.id for finding in findings(evidence(facts={"before": hits}))}


def test_unexpected_answers_are_split_by_cache_status() -> None:
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
    entry = {"block": 1, "stage": "change", "arms": ["before", "after"], "examples": [honest, example, {"old": 1}]}
    found = unexpected_answers.find(Evidence(a_case(), noted([entry, {**entry, "block": 2}]), loader(table_of(rows))))
    assert found is not None
    assert found.before == CountOf(count=212, of=692) and found.after == CountOf(count=0, of=690)
    assert found.facts["before_good_status"] == found.facts["before_hit"] == 208 and found.facts["before_miss"] == 4
    assert [(row["status"], row["count"]) for row in found.examples] == [(200, 416), (503, 1800)]
    rows_shown = unexpected_rows(Result.model_construct(findings=[found]))
    assert [len(cells) for cells in rows_shown] == [len(UNEXPECTED_HEADINGS)] * 2

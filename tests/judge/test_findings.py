"""Each kind of finding has a finder, words and a row in the docs; none of them is said of a run without evidence."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
from declared import a_case

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import FINDERS, findings
from luckyhit.records import REQUESTS, Counted, FreshnessFacts
from luckyhit.report.finding_sentences import SENTENCES

DOCS = Path(__file__).parents[2] / "docs" / "findings.md"


def evidence(**more) -> Evidence:
    blocks = [
        {"block": 0, "stage": "baseline", "arms": ["before"]},
        {"block": 1, "stage": "change", "arms": ["before", "after"]},
    ]
    case = a_case()
    return Evidence(case, blocks, lambda columns: REQUESTS.empty_table().select(list(columns)), **more)


def test_every_kind_has_finder_words_and_docs() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(encoding="utf-8"), re.M)
    assert list(FINDERS) == documented
    assert set(SENTENCES) == set(FINDERS)


def test_without_a_request_nothing_is_found() -> None:
    assert findings(evidence()) == []


def test_phantom_and_stale_reads_are_told_by_arm() -> None:
    facts = {
        "before": FreshnessFacts(reads=40, never_committed=3, background_stale=66, background_reads=766),
        "after": FreshnessFacts(reads=40, background_stale=0, background_reads=767),
    }
    by_id = {finding.id: finding for finding in findings(evidence(facts=facts))}
    assert by_id["phantom-reads"].before == Counted(count=3, of=40)
    assert by_id["stale-workload-reads"].before == Counted(count=66, of=766)
    assert by_id["stale-workload-reads"].after == Counted(count=0, of=767)


def test_requests_are_those_of_the_blocks_compared() -> None:
    frame = pd.DataFrame({"arm": ["before"] * 4, "block": [0, 0, 1, 1], "phase": ["warmup", "measure"] * 2})
    table = pa.Table.from_pandas(frame, preserve_index=False).cast(
        pa.schema([REQUESTS.field(name).with_nullable(True) for name in frame.columns])
    )
    blocks = [{"block": 0, "stage": "baseline"}, {"block": 1, "stage": "change", "arms": ["before", "after"]}]
    case = a_case()
    looked_at = Evidence(case, blocks, lambda columns: table.select(list(columns)))
    assert looked_at.requests()["block"].to_pylist() == [1, 1]
    assert Evidence(case, blocks[:1], looked_at.load).requests()["block"].to_pylist() == [0, 0]

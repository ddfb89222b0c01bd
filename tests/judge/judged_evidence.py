"""Evidence for findings, from rows as short as a test can say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from declared import a_case
from freshness_rows import Row, event_frame, frames

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import FINDERS
from luckyhit.records import REQUESTS, RunFinding
from luckyhit.report.tables.finding_sentences import sentence_of
from noted import noted

BOTH = ["before", "after"]
ONE_BLOCK = [{"block": 1, "stage": "change", "arms": BOTH, "pair": 1}]
CASE = a_case()


def evidence(
    requests: pa.Table | Sequence[Row] = (),
    *,
    reads: Sequence[Row] = (),
    writes: Sequence[Row] = (),
    events: Sequence[Row] = (),
    blocks: Sequence[Mapping[str, Any]] = ONE_BLOCK,
    case: Any = CASE,
    **fields: Any,
) -> Evidence:
    table = requests if isinstance(requests, pa.Table) else request_table(requests)
    read_frame, write_frame = frames(list(reads), list(writes))
    return Evidence(
        case,
        noted(blocks),
        lambda columns: table.select(list(columns)).unify_dictionaries(),
        read_frame,
        write_frame,
        event_frame(list(events)),
        **fields,
    )


def request_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Requests with what every row has, and nulls for what is not given."""
    given: dict[str, Any] = {"block": 1, "phase": "measure", "slot": 0, "due_ns": 0, "cache": "unknown"}
    columns = {name: [row.get(name, given.get(name)) for row in rows] for name in REQUESTS.names}
    columns["sent_ns"] = columns["due_ns"]
    columns["done_ns"] = [due + 2_000_000 for due in columns["due_ns"]]
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in REQUESTS]
    return pa.Table.from_arrays(arrays, names=REQUESTS.names)


def find(id_: str, records: Evidence) -> RunFinding | None:
    """The finding with this id; it has words."""
    finding = FINDERS[id_](records)
    assert finding is None or (finding.id == id_ and sentence_of(finding))
    return finding


def the_finding(id_: str, records: Evidence) -> RunFinding:
    finding = find(id_, records)
    assert finding is not None
    return finding


def counts(finding: RunFinding | None) -> list[tuple[int, int] | None] | None:
    """(count, of) of each arm; None for no finding."""
    if finding is None:
        return None
    return [None if arm is None else (arm.count, arm.of) for arm in (finding.before, finding.after)]

"""`judge(run)`: a run directory in, a result out, whatever state the directory is in."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from luckyhit.case_run import CaseRun
from luckyhit.judge import decide, judge
from luckyhit.judge.table.samples import JUDGED, rows_of_parts
from luckyhit.records import READS, REQUESTS, WRITES
from luckyhit.records.parquet import write_part
from luckyhit.text.wording import note
from noted import noted, spoil_manifest

CASES = Path(__file__).parents[2] / "data" / "cases"
CASE = CASES / "placebo.yml"
TELLING = CASES / "stale-price.yml"
"""Its answers show a version."""


@pytest.fixture
def run(tmp_path, simulate) -> CaseRun:
    run = CaseRun.create(
        tmp_path, CASE, now=datetime(2026, 11, 23, 2, 15), manifest={"design": "side-by-side", "guards": []}
    )
    records = simulate(1)
    for name, frame, schema in (
        ("requests", records.requests, REQUESTS), ("reads", records.reads, READS), ("writes", records.writes, WRITES),
    ):  # fmt: skip
        plain = frame.astype(object).where(frame.notna(), None)
        write_part(run.path / name, "part-0", pa.Table.from_pylist(plain.to_dict("records"), schema=schema))
    run.update(
        blocks=records.blocks,
        guards=[guard.model_dump() for guard in records.guards],
        rollback={"confirmed": True, "detail": "as it was", "same_as_before": None},
        state="measured",
    )
    return run


def test_a_whole_run(run: CaseRun) -> None:
    result = judge(run)
    assert result.verdict == "EQUIVALENT", result.reason
    assert (result.case, result.run, result.date) == ("placebo", run.id, "2026-11-23")
    assert result.rollback.confirmed and result.rollback.same_as_before
    assert result.accounting.exact and result.accounting.scheduled == 9000
    assert judge(run) == result
    assert run.result is None


def test_given_requests_are_not_read_again(run: CaseRun) -> None:
    rows, result = rows_of_parts(run.parts("requests", JUDGED)), judge(run)
    (run.path / "requests" / "part-0.parquet").unlink()
    assert judge(run, requests=rows) == result != judge(run)


def test_a_manifest_with_odd_guards_and_no_rollback(run: CaseRun) -> None:
    failure = {"message": "the service stopped"}
    spoil_manifest(run.path, guards=["nonsense"], rollback="none", failure=failure, blocks="none")
    result = judge(run)
    assert result.verdict == "INVALID" and not result.rollback.confirmed
    assert note("run-ended-early", reason="the service stopped") in result.notes


def again_in_parts(run: CaseRun, cuts: list[int], schemas: list[pa.Schema]) -> None:
    """The same requests in several part files, written by several hands."""
    (whole,) = (run.path / "requests").glob("*.parquet")
    table = pq.read_table(whole, schema=REQUESTS)
    whole.unlink()
    ends = [0, *cuts, len(table)]
    for index, (first, last) in enumerate(itertools.pairwise(ends)):
        schema = schemas[index % len(schemas)]
        part = table.slice(first, last - first).select(schema.names).cast(schema)
        pq.write_table(part, run.path / "requests" / f"part-{index}.parquet", row_group_size=700)


def others_schemas() -> list[pa.Schema]:
    """What part files of another hand look like: plain texts, other widths, columns missing, another order."""
    plain = pa.schema(
        [field if not pa.types.is_dictionary(field.type) else pa.field(field.name, pa.string()) for field in REQUESTS]
    )
    narrow = pa.schema([pa.field(field.name, pa.int32()) if field.name == "slot" else field for field in REQUESTS])
    fewer = pa.schema([field for field in REQUESTS if field.name not in ("version", "age_s", "worker")])
    return [REQUESTS, plain, narrow, fewer, pa.schema(list(REQUESTS)[::-1])]


@pytest.mark.parametrize(
    "cuts", [[], [4000], [0, 1, 2500, 2500, 8999]], ids=["one part", "two", "six, one of them empty"]
)
def test_the_same_requests_in_other_parts_have_the_same_result(run: CaseRun, cuts: list[int]) -> None:
    whole = judge(run)
    again_in_parts(run, cuts, others_schemas())
    assert judge(run) == whole


def test_judging_files_is_judging_their_frames(run: CaseRun) -> None:
    whole = judge(run)
    manifest = run.manifest
    framed = decide(
        run.requests(), run.reads(), run.writes(), run.case, manifest.blocks,
        [guard for guard in whole.guards if guard.id == "declared-difference-only"],
    )  # fmt: skip
    judged = {guard.id for guard in framed.guards}  # the others are about the files
    assert framed.metrics == whole.metrics and framed.guards == [g for g in whole.guards if g.id in judged]
    assert (framed.noise_floor, framed.naive, framed.notes) == (whole.noise_floor, whole.naive, whole.notes)


@pytest.mark.parametrize("damage", ["cut short", "zeros inside", "no Parquet", "a column of another kind"])
def test_a_damaged_part_among_others_is_named(run: CaseRun, damage: str) -> None:
    again_in_parts(run, [3000, 6000], [REQUESTS])
    path = run.path / "requests" / "part-1.parquet"
    content = path.read_bytes()
    if damage == "a column of another kind":
        table = pq.read_table(path)
        texts = pa.array(["soon"] * len(table))
        pq.write_table(table.set_column(table.schema.get_field_index("due_ns"), "due_ns", texts), path)
    else:
        broken = {
            "cut short": content[:-30],
            "zeros inside": content[:4] + bytes(3000) + content[3004:],
            "no Parquet": b"",
        }
        path.write_bytes(broken[damage])
    result = judge(run)
    readable = next(guard for guard in result.guards if guard.id == "records-readable")
    assert result.verdict == "INVALID" and not readable.ok and "part-1.parquet" in readable.detail
    assert "part-0" not in readable.detail and readable.remedy


def test_versions_in_answers_are_judged_from_the_files(tmp_path: Path, simulate) -> None:
    """Where answers tell a version, stale reads of the workload are counted: the same from files as from a frame."""
    run = CaseRun.create(tmp_path, TELLING, now=datetime(2026, 11, 23, 2, 15), manifest={"design": "side-by-side"})
    records = simulate(1, seconds=2.0)
    reading = next(route for route in run.case.workload.routes if route.version and route.method == "GET")
    writing = next(route for route in run.case.workload.routes if route.version and route.method != "GET")
    requests = records.requests.reset_index(drop=True)
    writes = np.arange(len(requests)) % 10 == 0
    requests["route"] = np.where(writes, writing.name, reading.name)
    # All about three keys; reads show what the last write wrote, and some of the after arm what was there long before.
    requests["key"] = (requests["slot"] // 10 % 3).astype(str)
    requests["version"] = 1000 + requests["slot"] // 10
    old = ~writes & (requests["arm"] == "after") & (np.arange(len(requests)) % 7 == 0)
    requests["version"] = requests["version"].where(~old, requests["version"] - 6)
    plain = requests.astype(object).where(requests.notna(), None)
    write_part(run.path / "requests", "part-0", pa.Table.from_pylist(plain.to_dict("records"), schema=REQUESTS))
    run.update(blocks=records.blocks)
    result = judge(run)
    framed = decide(run.requests(), run.reads(), run.writes(), run.case, noted(records.blocks))
    assert result.freshness == framed.freshness and result.freshness["after"].background_stale
    assert not result.freshness["before"].background_stale

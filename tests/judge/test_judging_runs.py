"""`judge(run)`: a run directory in, a result out, the same however its requests are stored."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from run_directories import CASES, a_run_directory
from simulated_blocks import a_run

from luckyhit.case import load_case
from luckyhit.case_run import CaseRun
from luckyhit.judge import decide, judge
from luckyhit.judge.rows_so_far import RowsSoFar
from luckyhit.judge.table.samples import JUDGED, rows_of_parts
from luckyhit.records import REQUESTS, Result
from luckyhit.records.parquet import write_part
from luckyhit.text.wording import note
from noted import noted, spoil_manifest

DISTINCT = "enough-distinct-keys"


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    return a_run_directory(tmp_path, CASES / "placebo.yml", a_run(1, seconds=3.0))


@pytest.fixture
def whole(run: CaseRun) -> Result:
    return judge(run)


def test_a_whole_run(run: CaseRun, whole: Result) -> None:
    assert whole.verdict == "EQUIVALENT", whole.reason
    assert (whole.case, whole.run, whole.date) == ("placebo", run.id, "2026-11-23")
    assert whole.rollback.confirmed and whole.rollback.same_as_before
    assert whole.accounting.exact and whole.accounting.scheduled == 6000
    assert judge(run) == whole
    assert run.result is None


@pytest.mark.parametrize(("listed", "ok"), [(6, True), (400, False), (None, False)], ids=["few", "many", "not known"])
def test_a_file_of_few_keys_needs_no_more_than_it_has(tmp_path: Path, listed: int | None, ok: bool) -> None:
    text = (CASES / "placebo.yml").read_text(encoding="utf-8")
    keys, count = re.subn(r"keys: \{first: 1, last: \d+", "keys: {file: keys.txt", text)
    assert count
    case = tmp_path / "placebo.yml"
    case.write_text(keys, encoding="utf-8")
    records = a_run(1, seconds=3.0)
    records.requests["key"] = (records.requests["key"].astype(int) % 6).astype(str)
    run = a_run_directory(tmp_path / "runs", case, records)
    if listed is not None:
        (run.path / "inputs").mkdir()
        texts = "\n".join(map(str, range(listed)))
        for route in run.case.workload.routes:
            (run.path / "inputs" / f"keys-{route.name}.txt").write_text(texts, encoding="utf-8")
    (guard,) = [guard for guard in judge(run).guards if guard.id == DISTINCT]
    assert guard.ok is ok


def test_given_requests_are_not_read_again(run: CaseRun, whole: Result) -> None:
    rows = rows_of_parts(run.parts("requests", JUDGED))
    (run.path / "requests" / "part-0.parquet").unlink()
    assert judge(run, requests=rows) == whole != judge(run)


def test_looks_read_on_and_say_the_same(tmp_path: Path) -> None:
    records = a_run(1, seconds=3.0)
    run = a_run_directory(tmp_path, CASES / "placebo.yml", records, blocks=[])
    (whole,) = (run.path / "requests").glob("*.parquet")
    table = pq.read_table(whole, schema=REQUESTS)
    whole.unlink()
    so_far, blocks = RowsSoFar(run), list[Any]()
    for block in records.blocks:
        name = f"block-{block['block']:03d}-part-0000"
        write_part(run.path / "requests", name, table.filter(pc.equal(table["block"], block["block"])))
        blocks.append(block)
        run.update(blocks=blocks)
        look = judge(run, interim=True, requests=so_far.rows())
        assert look == judge(run, interim=True)
    assert so_far.rows() is not None
    (run.path / "requests" / f"{name}.parquet").write_bytes(b"half")
    assert so_far.rows() is None


def test_a_manifest_with_odd_guards_and_no_rollback(run: CaseRun) -> None:
    failure = {"message": "the service stopped"}
    spoil_manifest(run.path, guards=["nonsense"], rollback="none", failure=failure, blocks="none")
    result = judge(run)
    assert result.verdict == "INVALID" and not result.rollback.confirmed
    assert note("run-ended-early", reason="the service stopped") in result.notes


def in_parts(run: CaseRun, cuts: list[int], schemas: list[pa.Schema]) -> None:
    """The same requests in several part files, written by several hands."""
    (whole,) = (run.path / "requests").glob("*.parquet")
    table = pq.read_table(whole, schema=REQUESTS)
    whole.unlink()
    for index, (first, last) in enumerate(itertools.pairwise([0, *cuts, len(table)])):
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


@pytest.mark.parametrize("cuts", [[], [4000], [0, 1, 2500, 2500, 5999]], ids=["one part", "two", "six, one empty"])
def test_the_same_requests_in_other_parts_have_the_same_result(run: CaseRun, whole: Result, cuts: list[int]) -> None:
    in_parts(run, cuts, others_schemas())
    assert judge(run) == whole


def test_judging_files_is_judging_their_frames(run: CaseRun, whole: Result) -> None:
    declared = [guard for guard in whole.guards if guard.id == "declared-difference-only"]
    framed = decide(run.requests(), run.reads(), run.writes(), run.case, run.manifest.blocks, declared)
    judged = {guard.id for guard in framed.guards}  # the others are about the files
    assert framed.metrics == whole.metrics and framed.guards == [g for g in whole.guards if g.id in judged]
    assert (framed.noise_floor, framed.naive, framed.notes) == (whole.noise_floor, whole.naive, whole.notes)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def zeros_inside(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(3000) + content[3004:])


def another_kind(path: Path) -> None:
    table = pq.read_table(path)
    texts = pa.array(["soon"] * len(table))
    pq.write_table(table.set_column(table.schema.get_field_index("due_ns"), "due_ns", texts), path)


@pytest.mark.parametrize("damage", [cut_short, zeros_inside, another_kind])
def test_a_damaged_part_among_others_is_named(run: CaseRun, damage) -> None:  # type: ignore[no-untyped-def]
    in_parts(run, [2000, 4000], [REQUESTS])
    damage(run.path / "requests" / "part-1.parquet")
    result = judge(run)
    readable = next(guard for guard in result.guards if guard.id == "records-readable")
    assert result.verdict == "INVALID" and not readable.ok and "part-1.parquet" in readable.detail
    assert "part-0" not in readable.detail and readable.remedy


def test_versions_in_answers_are_judged_from_the_files(tmp_path: Path) -> None:
    """Where answers show a version, stale reads of the workload are counted: the same from files as from a frame."""
    records = a_run(1, seconds=2.0)
    requests = records.requests.reset_index(drop=True)
    writes = np.arange(len(requests)) % 10 == 0
    requests["route"] = np.where(writes, "write", "detail")
    # All about three keys; reads show what the last write wrote, and some of the after arm what was there long before.
    requests["key"] = (requests["slot"] // 10 % 3).astype(str)
    requests["version"] = 1000 + requests["slot"] // 10
    old = ~writes & (requests["arm"] == "after") & (np.arange(len(requests)) % 7 == 0)
    requests["version"] = requests["version"].where(~old, requests["version"] - 6)
    telling = CASES / "stale-price.yml"  # its answers show a version
    routes = load_case(telling).workload.routes
    names = {route.method == "GET": route.name for route in routes if route.version is not None}
    records.requests = requests.replace({"route": {"write": names[False], "detail": names[True]}})
    run = a_run_directory(tmp_path, telling, records)
    result = judge(run)
    framed = decide(run.requests(), run.reads(), run.writes(), run.case, noted(records.blocks))
    assert result.freshness == framed.freshness and result.freshness["after"].background_stale
    assert not result.freshness["before"].background_stale

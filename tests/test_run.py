"""The run directory: what is written whole, what can be read after a crash, what is refused."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from luckyhit import records
from luckyhit.atomic import write_atomically
from luckyhit.case_run import CaseRun
from luckyhit.cli.tasks.runs_tasks import described
from luckyhit.errors import ArgumentError, RunUnreadable
from luckyhit.records import SCHEMA_VERSION
from luckyhit.records.parquet import write_part
from luckyhit.run import find_run, runs

CASE = Path(__file__).parents[1] / "data" / "cases" / "placebo.yml"
NOW = datetime(2026, 11, 23, 2, 15, 30, tzinfo=UTC)


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    return CaseRun.create(tmp_path / "runs", CASE, now=NOW, manifest={"design": "side-by-side"})


def rows(count: int, first: int = 0) -> pa.Table:
    columns = {field.name: [None] * count for field in records.REQUESTS}
    columns |= {"arm": ["before"] * count, "block": [0] * count, "slot": list(range(first, first + count))}
    columns |= {"phase": ["measure"] * count, "route": ["detail"] * count, "cache": ["unknown"] * count}
    columns |= {"due_ns": [2**60 + 1] * count}
    return pa.table(columns, schema=records.REQUESTS)


def test_a_new_run_holds_the_case_byte_for_byte(run: CaseRun) -> None:
    assert (run.path / "case.yml").read_bytes() == CASE.read_bytes()
    assert run.name == "placebo" and run.date == "2026-11-23" and run.state == "measuring"
    assert run.case.title


def test_two_runs_in_a_second_get_two_directories(tmp_path: Path) -> None:
    ids = {CaseRun.create(tmp_path, CASE, now=NOW, manifest={}).id for _ in range(20)}
    assert len(ids) == 20


def test_part_files_add_up_and_nanoseconds_stay_whole_numbers(run: CaseRun) -> None:
    write_part(run.path / "requests", "block-000-part-0000", rows(3))
    write_part(run.path / "requests", "block-000-part-0001", rows(2, first=3))
    table = run.requests()
    assert list(table["slot"]) == [0, 1, 2, 3, 4]
    assert table["due_ns"].iloc[0] == 2**60 + 1  # a float could not hold it
    assert table["done_ns"].isna().all() and isinstance(table["done_ns"].dtype, pd.Int64Dtype)


def test_parts_come_one_after_the_other_in_the_columns_asked_for(run: CaseRun) -> None:
    for part, first in enumerate((0, 3, 3)):
        write_part(run.path / "requests", f"block-000-part-000{part}", rows(3 * (part != 1), first=first))
    wanted = ["slot", "key", "due_ns", "arm"]
    found = pa.concat_tables(list(run.parts("requests", wanted)))
    assert found["slot"].to_pylist() == [0, 1, 2, 3, 4, 5] and run.length("requests") == 6
    assert found.schema.names == ["arm", "slot", "key", "due_ns"]
    table = run.table("requests", wanted)
    assert list(table.columns) == ["arm", "slot", "key", "due_ns"]
    assert table["due_ns"].iloc[0] == 2**60 + 1 and table["key"].isna().all()
    assert list(run.table("reads", ["key"]).columns) == ["key"] and run.length("reads") == 0


def test_who_stops_before_the_last_part_leaves_no_reader_behind(run: CaseRun) -> None:
    for part in range(4):
        write_part(run.path / "requests", f"block-000-part-000{part}", rows(3))
    before = threading.active_count()
    parts = run.parts("requests", ["slot"])
    assert len(next(parts)) == 3
    parts.close()
    assert threading.active_count() == before


def test_nothing_measured_is_an_empty_table_with_its_columns(run: CaseRun) -> None:
    assert list(run.reads().columns) == records.READS.names and run.reads().empty


def test_half_a_file_from_a_crash_is_not_taken_for_data(run: CaseRun) -> None:
    write_part(run.path / "requests", "block-000-part-0000", rows(3))
    (run.path / "requests" / ".block-000-part-0001.77.tmp").write_bytes(b"PAR1 half of it")
    assert len(run.requests()) == 3


def test_a_truncated_part_is_named(run: CaseRun) -> None:
    path = write_part(run.path / "requests", "block-000-part-0000", rows(3))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunUnreadable, match="block-000-part-0000"):
        run.requests()


def test_foreign_broken_and_newer_runs_are_refused(run: CaseRun, tmp_path: Path) -> None:
    with pytest.raises(RunUnreadable, match="not a run directory"):
        CaseRun.open(tmp_path)
    write_atomically(
        run.path / "manifest.json",
        run.manifest.model_copy(update={"schema_": SCHEMA_VERSION + 1}).model_dump_json(by_alias=True),
    )
    with pytest.raises(RunUnreadable, match="newer version"):
        CaseRun.open(run.path)
    write_atomically(run.path / "manifest.json", "{half")
    with pytest.raises(RunUnreadable):
        CaseRun.open(run.path)


def test_a_run_is_found_by_path_id_end_of_id_and_latest(run: CaseRun) -> None:
    folder = run.path.parents[1]
    for wanted in (str(run.path), run.id, run.id[-4:], "latest", "latest:placebo"):
        assert find_run(folder, wanted) == run
    for wanted in ("nothing", "latest:stale-price", "x"):
        with pytest.raises(ArgumentError, match="no run"):
            find_run(folder, wanted)


def test_the_list_says_which_runs_cannot_be_read(run: CaseRun) -> None:
    other = CaseRun.create(run.path.parents[1], CASE, now=NOW.replace(hour=3), manifest={})
    (other.path / "manifest.json").write_text("")
    assert [row["state"] for row in described(run.path.parents[1])] == ["measuring", "unreadable"]
    assert len(list(runs(run.path.parents[1]))) == 2


def test_writing_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]

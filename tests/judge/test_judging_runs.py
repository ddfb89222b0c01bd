"""`judge(run)`: a run directory in, a result out, whatever state the directory is in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from luckyhit.judge import judge
from luckyhit.records import READS, REQUESTS, WRITES
from luckyhit.run import Run, write_part

CASE = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"


@pytest.fixture
def run(tmp_path, simulate) -> Run:
    run = Run.create(
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
    )
    return run


def test_a_whole_run(run: Run) -> None:
    result = judge(run)
    assert result.verdict == "EQUIVALENT", result.because
    assert (result.case, result.run, result.date) == ("placebo", run.id, "2026-11-23")
    assert result.rollback.confirmed and result.rollback.same_as_before
    assert result.accounting.exact and result.accounting.scheduled == 9000
    assert judge(run) == result
    assert run.result is None


def test_a_truncated_part_is_invalid_and_named(run: Run) -> None:
    path = run.path / "requests" / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    result = judge(run)
    assert result.verdict == "INVALID"
    assert "records readable" in result.because or any("part-0.parquet" in guard.detail for guard in result.guards)


def test_a_manifest_with_odd_guards_and_no_rollback(run: Run) -> None:
    run.update(guards=["nonsense"], rollback="none", failure={"message": "the service stopped"}, blocks="none")
    result = judge(run)
    assert result.verdict == "INVALID" and not result.rollback.confirmed
    assert "The run ended early: the service stopped." in result.notes

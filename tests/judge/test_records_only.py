"""A directory with a case and requests in it, and nothing more: numbers, but no verdict to act on."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from luckyhit.case import load_case
from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.errors import RunUnreadable
from luckyhit.judge import records_only
from luckyhit.records import MAY_LACK, REQUESTS, Result
from luckyhit.text.messages import guard_title
from luckyhit.text.wording import has

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "verdict.md").read_text(encoding="utf-8")
CASE = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"


@pytest.fixture
def folder(tmp_path: Path, simulate: Any) -> Path:
    (tmp_path / "case.yml").write_text(CASE.read_text())
    (tmp_path / "requests").mkdir()
    simulate(1, before={"hit": 0.5}, after={"hit": 0.9}, seconds=2.0).write(tmp_path, "requests")
    return tmp_path


def judged(folder: Path, *more: str) -> Result:
    done = CliRunner().invoke(app, ["judge", str(folder), "--json", *more])
    assert done.exit_code == 0, done.output
    return Result.model_validate_json(done.stdout)


def test_numbers_are_computed_and_the_verdict_is_invalid(folder: Path) -> None:
    result = judged(folder)
    assert result.verdict == "INVALID"
    ratio = result.metrics["hit_ratio"]
    assert ratio.low is not None and 0.3 < ratio.low < ratio.effect < ratio.high < 0.5
    assert result.accounting.exact and result.accounting.scheduled == 4500
    failed = {guard.id for guard in result.guards if not guard.ok}
    assert {"declared-difference-only", "engine-trustworthy"} <= failed
    assert has(result.notes, "no-manifest")
    assert result.metrics["stale_reads"].after is None  # there are no reads: not visible, which is not 0
    assert sorted(path.name for path in folder.iterdir()) == ["case.yml", "requests"]  # nothing is left there


def test_a_truncated_file_is_named_first(folder: Path) -> None:
    (part,) = (folder / "requests").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:1000])
    result = judged(folder)
    assert result.verdict == "INVALID" and guard_title("records-readable") in result.reason


def test_what_is_no_run_keeps_no_result(folder: Path) -> None:
    done = CliRunner().invoke(app, ["judge", str(folder), "--write"], catch_exceptions=True)
    assert done.exit_code != 0 and not (folder / "result.json").exists()


@pytest.mark.parametrize("design", ["side-by-side", "crossover", "before-after"])
def test_blocks_follow_from_their_rows(design: str, simulate: Any, case_with: Any) -> None:
    run = simulate(1, design=design, blocks=3, seconds=1.0)
    blocks = records_only.blocks_of(run.requests, case_with(design=design, blocks=3))
    wanted = [{name: entry[name] for name in ("block", "stage", "arms")} for entry in run.blocks]
    assert [block.model_dump(include={"block", "stage", "arms"}) for block in blocks] == wanted
    pairs = [(block.arms, block.pair) for block in blocks if block.stage == "change"]
    assert pairs == [(entry["arms"], entry["pair"]) for entry in run.blocks if entry["stage"] == "change"]


def test_nothing_in_it(case_with: Any, simulate: Any) -> None:
    assert records_only.blocks_of(simulate(1, seconds=1.0).requests.iloc[:0], case_with()) == []
    assert not records_only.is_records_only(Path("nowhere"))


def test_the_result_that_a_run_has_stays(folder: Path) -> None:
    """Judging again compares with a result, and replaces it only with --write."""
    run = CaseRun.create(folder / "runs", CASE, now=datetime(2026, 11, 23), manifest={"design": "side-by-side"})
    first = judged(run.path)
    assert run.result == first
    kept = first.model_copy(update={"reason": "older"})
    run.write_result(kept)
    assert judged(run.path).reason != kept.reason and run.result == kept
    assert judged(run.path, "--write").reason != kept.reason and run.result == first
    assert load_case(run.path / "case.yml").title


def test_the_numbers_are_printed(folder: Path) -> None:
    done = CliRunner().invoke(app, ["judge", str(folder)])
    result = judged(folder)
    compared = [name for name, metric in result.metrics.items() if None not in (metric.before, metric.after)]
    assert "hit_ratio" in compared
    assert sum(" before, " in line and " after (" in line for line in done.output.splitlines()) == len(compared)


def test_a_folder_is_judged_from_inside_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = judged(folder)
    monkeypatch.chdir(folder)
    assert judged(Path()) == elsewhere


def test_columns_that_another_program_may_lack_are_not_visible(folder: Path) -> None:
    (part,) = (folder / "requests").glob("*.parquet")
    table = pq.read_table(part)
    needed = [field.name for field in REQUESTS if f"requests.{field.name}" not in MAY_LACK]
    pq.write_table(table.select(needed), part)
    result = judged(folder)
    assert result.accounting.exact and result.accounting.scheduled == 4500
    assert result.metrics["latency_p50_ms"].effect is not None and result.metrics["error_rate"].before == 0
    assert result.metrics["hit_ratio"].before is None
    (row,) = [line for line in DOCUMENTED.splitlines() if line.startswith("| `requests/*.parquet` |")]
    assert [name for name in re.findall("`(\\w+)`", row) if name in REQUESTS.names] == needed


def test_missing_probe_records_ask_for_the_records(folder: Path) -> None:
    (folder / "case.yml").write_text((CASE.parent / "stale-price.yml").read_text())
    (guard,) = [guard for guard in judged(folder).guards if guard.id == "the-probes-writes-are-seen"]
    assert not guard.ok and "plan.block" not in guard.remedy and "requests/" in guard.remedy
    (folder / "writes").mkdir()
    (guard,) = [guard for guard in judged(folder).guards if guard.id == "the-probes-writes-are-seen"]
    assert "plan.block" in guard.remedy


def test_neither_a_run_nor_records_is_unreadable(tmp_path: Path) -> None:
    for command in ("judge", "report"):
        error = CliRunner().invoke(app, [command, str(tmp_path)]).exception
        assert isinstance(error, RunUnreadable) and error.hint

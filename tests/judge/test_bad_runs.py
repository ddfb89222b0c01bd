"""Run directories that are damaged, foreign, from another version, or not there: said in words, never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from luckyhit.cli import app
from luckyhit.errors import LuckyHitError
from luckyhit.judge import judge
from luckyhit.records import READS, REQUESTS, WRITES
from luckyhit.run import Run, write_part

CASE = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, simulate: Any) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run = Run.create(folder, CASE, now=datetime(2026, 11, 23, 2, 15), manifest={"design": "side-by-side"})
    records = simulate(1, seconds=3.0)
    frames = (records.requests, REQUESTS), (records.reads, READS), (records.writes, WRITES)
    for name, (frame, schema) in zip(("requests", "reads", "writes"), frames, strict=True):
        plain = frame.astype(object).where(frame.notna(), None)
        write_part(run.path / name, "part-0", pa.Table.from_pylist(plain.to_dict("records"), schema=schema))
    rollback = {"confirmed": True, "detail": "as it was", "same_as_before": None}
    guards = [guard.model_dump() for guard in records.guards]
    run.update(blocks=records.blocks, guards=guards, rollback=rollback, state="measured")
    run.write_result(judge(run))
    return run.path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "placebo" / whole.name
    shutil.copytree(whole, path)
    return path


def call(command: str, run: Path, *more: str) -> tuple[int, str]:
    """(exit code, all that was printed) of a command on this run; whatever `main` doesn't catch is raised here."""
    places = ["--runs-dir", str(run.parents[1])]
    if command == "report":
        places += ["--reports-dir", str(run.parents[2] / "reports")]
    done = CliRunner().invoke(app, [command, str(run), *places, *more])
    if isinstance(done.exception, LuckyHitError):
        return done.exception.exit_code, f"{done.output}{done.exception}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def part(run: Path, name: str = "requests") -> Path:
    (found,) = (run / name).glob("*.parquet")
    return found


def cut(run: Path) -> None:
    part(run).write_bytes(part(run).read_bytes()[:2000])


def a_picture(run: Path) -> None:
    part(run).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))


def a_folder_instead(run: Path) -> None:
    path = part(run)
    path.unlink()
    path.mkdir()


def texts_for_numbers(run: Path) -> None:
    table = pq.read_table(part(run))
    at = table.schema.get_field_index("done_ns")
    pq.write_table(table.set_column(at, "done_ns", pa.array(["soon"] * len(table))), part(run))


def a_column_less(run: Path) -> None:
    pq.write_table(pq.read_table(part(run)).drop_columns(["slot"]), part(run))


def more_columns(run: Path) -> None:
    table = pq.read_table(part(run))
    pq.write_table(table.append_column("mood", pa.array(["good"] * len(table))), part(run))


def note(run: Path, **facts: Any) -> None:
    path = run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def half_a_manifest(run: Path) -> None:
    path = run / "manifest.json"
    path.write_text(path.read_text()[: len(path.read_text()) // 2])


def without(*names: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        for name in names:
            path = run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_text(content) and None


BLOCKS = "blocks"
# What is done, and of `luckyhit judge --json`: the exit code, the verdict (of exit code 0), words of what is printed.
DAMAGES: list[tuple[str, Callable[[Path], Any], int, str, str]] = [
    ("a truncated part file", cut, 0, "INVALID", "part-0.parquet"),
    ("a part file of no bytes", lambda run: part(run).write_bytes(b""), 0, "INVALID", "part-0.parquet"),
    ("a picture for a part file", a_picture, 0, "INVALID", "part-0.parquet"),
    ("a folder for a part file", a_folder_instead, 0, "INVALID", "part-0.parquet"),
    ("texts for numbers", texts_for_numbers, 0, "INVALID", "part-0.parquet"),
    ("a column less", a_column_less, 0, "INVALID", "no arm, block or slot"),
    ("a column more", more_columns, 0, "EQUIVALENT", "No difference that matters"),
    ("no requests", without("requests"), 0, "INVALID", "no request was recorded"),
    ("damaged reads", lambda run: part(run, "reads").write_bytes(b"PAR1"), 0, "INVALID", "reads"),
    ("a newer version", lambda run: note(run, schema=99), 4, "", "newer version (schema 99"),
    ("a version that is none", lambda run: note(run, schema="new"), 4, "", "manifest"),
    ("half a manifest", half_a_manifest, 4, "", "manifest.json"),
    ("a list for a manifest", text("manifest.json", "[]"), 4, "", "manifest.json"),
    ("no manifest and no case", without("manifest.json", "case.yml"), 4, "", "manifest.json"),
    ("no blocks noted", lambda run: note(run, blocks="none"), 0, "INVALID", "blocks"),
    ("blocks of no kind", lambda run: note(run, blocks=[1, None, {"block": "x"}]), 0, "INVALID", ""),
    ("no case", without("case.yml"), 2, "", "case.yml"),
    ("half a case", text("case.yml", "title: [unclosed"), 2, "", "case.yml"),
    ("a journal with half a line", text("journal.jsonl", '{"step": 1}\n{"ste'), 0, "EQUIVALENT", "No difference"),
    ("a damaged result", text("result.json", '{"schema": 1, "ver'), 0, "EQUIVALENT", "No difference that matters"),
    ("a newer result", text("result.json", '{"schema": 99}'), 0, "EQUIVALENT", "No difference that matters"),
]


@pytest.mark.parametrize(("spoil", "code", "verdict", "words"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES])
def test_judging_a_damaged_run_says_what_is_wrong(
    run: Path, spoil: Callable[[Path], Any], code: int, verdict: str, words: str
) -> None:
    spoil(run)
    before = (run / "result.json").read_bytes() if (run / "result.json").exists() else None
    found, told = call("judge", run, "--json")
    assert found == code, told
    assert words.lower() in told.lower(), told
    if code == 0:
        assert json.loads(told)["verdict"] == verdict, told
        assert before is None or (run / "result.json").read_bytes() == before  # nothing is kept without --write
    plain_code, plain = call("judge", run)
    assert plain_code == code and (verdict in plain) and "Traceback" not in plain


@pytest.mark.parametrize(("spoil", "code"), [(d[1], d[2]) for d in DAMAGES], ids=[d[0] for d in DAMAGES])
def test_a_report_of_a_damaged_run_is_whole_or_not_there(run: Path, spoil: Callable[[Path], Any], code: int) -> None:
    spoil(run)
    found, told = call("report", run)
    pages = [page for page in (run.parents[2] / "reports").glob("*.html") if page.name != "index.html"]
    assert found in (0, 2, 4) and "Traceback" not in told, told
    assert (found == 0) == bool(pages), told
    for page in pages:
        assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.parametrize("what", ["a file", "nothing", "an empty folder", "a loop of links"])
def test_what_is_no_run_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "placebo" / "20261123-021500-0000"
    path.parent.mkdir(parents=True)
    if what == "a file":
        path.write_text("no run")
    elif what == "an empty folder":
        path.mkdir()
    elif what == "a loop of links":
        path.symlink_to(path)
    code, told = call("judge", path)
    assert code in (2, 4) and path.name in told, told

"""A run opened for questions of one's own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import luckyhit
from luckyhit import api
from luckyhit.errors import ArgumentError, RunUnreadable
from luckyhit.records import COUNTERS, READS, REQUESTS, WRITES
from luckyhit.records.parquet import write_part

ROOT = Path(__file__).parents[2]


def test_frames_have_the_columns_of_records_and_the_latency(judged_run) -> None:
    run = luckyhit.open_run(judged_run[0].path)
    assert list(run.requests.columns) == [*REQUESTS.names, "stage", "latency_ms"]
    answered = run.requests[run.requests["error"].isna()]
    waited = (answered["done_ns"] - answered["due_ns"]).astype(float) / 1e6
    np.testing.assert_allclose(answered["latency_ms"], waited)
    assert run.requests[run.requests["error"].notna()]["latency_ms"].isna().all()
    assert list(run.reads.columns) == [*READS.names, "stage"]
    assert list(run.writes.columns) == [*WRITES.names, "stage"]
    assert list(run.counters.columns) == [*COUNTERS.names, "block", "stage"]
    assert run.requests is run.requests, "read once"
    assert set(run.blocks["stage"]) >= {"baseline", "change"} and run.case.title and run.manifest.seed is not None
    assert run.result is None or run.result.verdict


def test_only_what_is_asked_for_is_read(judged_run) -> None:
    run = luckyhit.open_run(judged_run[0].path)
    few = run.frame("requests", ["latency_ms", "arm"])
    assert list(few.columns) == ["latency_ms", "arm"] and len(few) == len(run.requests)
    np.testing.assert_array_equal(few["latency_ms"], run.requests["latency_ms"])
    assert list(run.frame("reads", ["key"]).columns) == ["key"]
    after = run.frame("requests", ["slot"], arms="after")
    assert len(after) == (run.requests["arm"] == "after").sum() > 0
    assert len(run.frame("requests", ["slot"], arms=["before", "after"])) == len(run.requests)


@pytest.mark.parametrize(
    ("table", "column", "arms", "hint"),
    [
        ("requests", "slot", "befor", "'before'"),
        ("requests", "latncy", None, "latency_ms"),
        ("answers", "key", None, "requests"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(table, column, arms, hint: str, judged_run) -> None:
    with pytest.raises(ArgumentError) as error:
        luckyhit.open_run(judged_run[0].path).frame(table, [column], **({"arms": arms} if arms else {}))
    assert hint in f"{error.value.message} {error.value.hint}"


def test_texts_are_categories_and_nanoseconds_stay_whole(judged_run) -> None:
    """Ten million texts of Python's take a gigabyte; a nanosecond must not pass through a float."""
    run = luckyhit.open_run(judged_run[0].path)
    for frame in (run.requests, run.reads, run.writes, run.events):
        kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
        assert {kinds[name] for name in ("arm", "key", "stage")} == {"category"}
        assert "float64" not in {kind for name, kind in kinds.items() if name.endswith("_ns")}
    stages = run.requests.groupby("stage", observed=True)["block"].unique()
    assert {stage: sorted(blocks) for stage, blocks in stages.items()} == {
        "baseline": [0], "change": [1, 2, 3, 4], "after-rollback": [5],
    }  # fmt: skip


def test_a_run_can_be_named_in_many_ways(copied, monkeypatch) -> None:
    run = copied[0]
    runs, case = run.path.parent.parent, run.path.parent.name
    for wanted in (run.path, str(run.path), run.id, run.id[-4:], case, ""):
        assert luckyhit.open_run(wanted, runs_dir=runs).path == run.path
    assert luckyhit.open_run(case=case, runs_dir=runs).path == run.path
    (runs / "elsewhere" / case).mkdir(parents=True)
    monkeypatch.chdir(runs / "elsewhere")
    assert luckyhit.open_run(case, runs_dir=runs).path == run.path, "a folder here has its name"


@pytest.mark.parametrize("wanted", ["20200101-000000-abcd", "no-such-case", "stale-prise", "placebo"])
def test_an_unknown_run_names_those_there_are(wanted: str, copied) -> None:
    run = copied[0]
    with pytest.raises(ArgumentError, match=wanted) as error:
        luckyhit.open_run(wanted, runs_dir=run.path.parent.parent)
    assert run.path.parent.name in (error.value.hint or "") or wanted == "placebo"


def test_an_earlier_run_of_a_case_by_its_place(copied) -> None:
    newest = copied[0].path
    older = newest.with_name("20251101-120000-0a1b")
    shutil.copytree(newest, older)
    folder, case = newest.parent.parent, newest.parent.name
    for nth, path in ((-1, newest), (-2, older), (0, older), (1, newest)):
        assert luckyhit.open_run(case, nth, runs_dir=folder).path == path
        assert luckyhit.open_run(None, nth, case=case, runs_dir=folder).path == path
    for wanted, nth in ((case, -3), (case, 2), (newest.name, -2), (str(newest), 0)):
        with pytest.raises(ArgumentError) as error:
            luckyhit.open_run(wanted, nth, runs_dir=folder)
        assert str(nth) in error.value.message and error.value.hint


def test_counters_know_their_block_and_its_stage(copied) -> None:
    run = copied[0]
    rows = {"arm": ["before", "after"], "at_ns": [1, 2], "name": ["keyspace_hits"] * 2, "value": [5.0, 7.0]}
    for name in ("block-002", "foreign"):
        write_part(run.path / "counters", name, pa.table(rows, schema=COUNTERS))
    opened = luckyhit.open_run(run.path)
    of_block = opened.counters[opened.counters["block"] == 2]
    assert of_block["stage"].astype(str).tolist()[-2:] == ["change", "change"]
    assert opened.counters["block"].isna().sum() == 2, "a file without a number keeps its rows"
    few = opened.frame("counters", ["block"], arms="after")
    assert list(few.columns) == ["block"] and len(few) == (opened.counters["arm"] == "after").sum()


def test_times_of_the_journal_count_from_the_start(copied) -> None:
    run = copied[0]
    lines = [
        {"event": "intent", "id": 1, "at": 1_790_000_002.5, "step": "apply", "detail": {}, "inverse": {"kind": "env"}},
        {"event": "undone", "id": 1, "at": 1_790_000_004.0, "detail": {"how": "restarted"}},
        {"event": "confirm", "id": 1, "at": 1e300, "detail": {}},
    ]
    (run.path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.update(origin_s=1_790_000_000.0)
    journal = luckyhit.open_run(run.path).journal
    assert journal["at_ns"].tolist()[:2] == [2_500_000_000, 4_000_000_000] and journal["at_ns"].isna()[2]
    assert journal["step"].tolist() == ["apply"] * 3 and str(journal["at_ns"].dtype) == "Int64"
    document = run.document()
    del document["origin_s"]
    (run.path / "manifest.json").write_text(json.dumps(document | {"started": "2026-09-21T14:13:20+00:00"}))
    assert luckyhit.open_run(run.path).journal["at_ns"].tolist()[0] == 2_500_000_000, "an older run, to the second"


@pytest.mark.parametrize("name", ["requests", "counters", "journal", "blocks"])
def test_a_frames_help_explains_its_columns(name: str, judged_run) -> None:
    run = luckyhit.open_run(judged_run[0].path)
    text = getattr(type(run), name).__doc__
    explained = {column.name for column in run.columns.rows[name]}
    recorded = set(getattr(run, name).columns)
    assert all(column in text for column in explained)
    assert explained <= recorded | {"pair", "control", "purge", "start", "unexpected", "accounting", "engine", "clear",
                                    "probe", "start_ns", "measure_ns", "end_ns"}  # fmt: skip
    assert name == "blocks" or recorded <= explained


def test_a_folder_without_runs_is_refused(copied, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as error:
        luckyhit.open_run(runs_dir=tmp_path / "none")
    assert error.value.hint
    with pytest.raises(RunUnreadable):
        luckyhit.open_run(copied[0].path.parent.parent)


def test_it_shows_what_is_in_it(copied) -> None:
    run, result = copied
    run.write_result(result)
    shown = luckyhit.open_run(run.path)._repr_html_()
    assert run.id in shown and result.verdict in shown
    for name in ("requests", "reads", "writes", "counters"):
        assert f".{name}</code></th><td>{run.length(name):,}</td>" in shown
        assert f"{run.length(name):,}  " in repr(luckyhit.open_run(run.path))
    (run.path / "result.json").write_text("<b>{")
    assert "result.json" in luckyhit.open_run(run.path)._repr_html_()
    (run.path / "result.json").unlink()
    assert result.verdict not in luckyhit.open_run(run.path)._repr_html_()


def test_a_torn_journal_and_a_damaged_part(copied) -> None:
    run, _ = copied
    (run.path / "journal.jsonl").write_bytes(b'{"event": "intent", "id": 1}\n[1]\n{"event": "con')
    assert luckyhit.open_run(run.path).journal["event"].tolist() == ["intent"]
    part = next((run.path / "requests").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(RunUnreadable, match=f"1 of 6 part files in requests .*{part.name}"):
        _ = luckyhit.open_run(run.path).requests
    assert "(1 damaged)" in repr(luckyhit.open_run(run.path))
    assert len(luckyhit.open_run(run.path).reads), "the rest can be read"


def test_the_example_in_the_module_runs(copied, monkeypatch) -> None:
    lines = [line.strip() for line in (api.__doc__ or "").splitlines() if line.startswith("    ")]
    monkeypatch.chdir(copied[0].path.parent.parent)
    assert len(lines) == 6
    code = "\n".join(lines).replace('open_run("stale-price")', f"open_run({str(copied[0].path)!r})")
    exec(compile(code, "example", "exec"), {})


def test_importing_the_package_imports_no_frames() -> None:
    code = "import luckyhit, sys; sys.exit('pandas' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="nothing_of_it"):
        _ = luckyhit.nothing_of_it


def test_the_example_of_the_docs_runs_as_it_stands(judged_run) -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert example.count('"stale-price"') == 1
    names: dict[str, object] = {}
    exec(example.replace('"stale-price"', repr(str(judged_run[0].path))), names)
    waited = names["waited"]
    assert len(waited) > 100 and list(waited.columns) == ["slot", "key", "latency_ms"]

"""A run opened for questions of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import luckyhit
from luckyhit import api
from luckyhit.errors import ArgumentError, RunUnreadable
from luckyhit.records import COUNTERS, READS, REQUESTS, WRITES

ROOT = Path(__file__).parents[2]


def test_the_frames_have_the_columns_of_the_records_and_the_latency(judged_run) -> None:
    run = luckyhit.open_run(judged_run[0].path)
    assert list(run.requests.columns) == [*REQUESTS.names, "stage", "latency_ms"]
    answered = run.requests[run.requests["error"].isna()]
    waited = (answered["done_ns"] - answered["due_ns"]).astype(float) / 1e6
    np.testing.assert_allclose(answered["latency_ms"], waited)
    assert run.requests[run.requests["error"].notna()]["latency_ms"].isna().all()
    assert list(run.reads.columns) == [*READS.names, "stage"]
    assert list(run.writes.columns) == [*WRITES.names, "stage"]
    assert list(run.counters.columns) == COUNTERS.names
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
    with pytest.raises(ArgumentError, match="no arm 'befor'") as error:
        run.frame("requests", ["slot"], arms="befor")
    assert "Did you mean 'before'?" in (error.value.hint or "")
    with pytest.raises(ArgumentError, match="no column 'latncy'") as error:
        run.frame("requests", ["latncy"])
    assert "latency_ms" in (error.value.hint or "")
    with pytest.raises(ArgumentError, match="no table 'answers'"):
        run.frame("answers", ["key"])  # type: ignore[arg-type]


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


def test_what_can_be_named(judged_run, copied, monkeypatch) -> None:
    run = copied[0]
    runs = run.path.parent.parent
    for wanted in (run.path, str(run.path), run.id, run.id[-4:], run.path.parent.name, ""):
        assert luckyhit.open_run(wanted, runs_dir=runs).path == run.path
    assert luckyhit.open_run(case=run.path.parent.name, runs_dir=runs).path == run.path
    for wanted in ("20200101-000000-abcd", "no-such-case"):
        with pytest.raises(ArgumentError, match=wanted) as error:
            luckyhit.open_run(wanted, runs_dir=runs)
        assert run.path.parent.name in (error.value.hint or "") and run.id in (error.value.hint or "")
    with pytest.raises(ArgumentError) as error:
        luckyhit.open_run("stale-prise", runs_dir=runs)
    assert "Did you mean 'stale-price'?" in (error.value.hint or "")
    with pytest.raises(ArgumentError) as error:
        luckyhit.open_run("placebo", runs_dir=runs)
    assert "not run here yet" in (error.value.hint or "")
    (runs / "elsewhere" / run.path.parent.name).mkdir(parents=True)
    monkeypatch.chdir(runs / "elsewhere")
    assert luckyhit.open_run(run.path.parent.name, runs_dir=runs).path == run.path, "a folder here has its name"
    with pytest.raises(ArgumentError) as error:
        luckyhit.open_run(runs_dir=runs / "none")
    assert "There are no runs yet" in (error.value.hint or "")
    with pytest.raises(RunUnreadable, match="not a run directory"):
        luckyhit.open_run(runs)


def test_it_says_what_is_in_it(copied) -> None:
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
    assert "not judged yet" in luckyhit.open_run(run.path)._repr_html_()


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
    found: dict[str, object] = {}
    exec(example.replace('"stale-price"', repr(str(judged_run[0].path))), found)
    waited = found["waited"]
    assert len(waited) > 100 and list(waited.columns) == ["slot", "key", "latency_ms"]

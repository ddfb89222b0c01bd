"""The four cases that ship, each measured in full, each with its expected verdict.

One goes through the command line and papermill, kernels and all. `make test-all` takes all four through the command
line, and three of them through the same steps in one process as well.
"""

import json
import re
from pathlib import Path

import nbformat
import pytest
from executed import assert_outputs_can_be_read

from luckyhit import workflow

pytestmark = pytest.mark.measures
VERDICTS = {"stale-price": "HELPED", "short-ttl": "HELPED", "placebo": "EQUIVALENT", "lucky-hit": "EQUIVALENT"}


def check_result(case: str, result: dict) -> None:
    assert result["verdict"] == VERDICTS[case], result["reason"]
    assert result["rollback"]["confirmed"] is True
    assert result["accounting"]["scheduled"] > 1000
    assert all(guard["ok"] for guard in result["guards"])
    metrics = result["metrics"]
    if case == "stale-price":
        assert metrics["stale_reads"]["before"] > 0.9 and metrics["stale_reads"]["after"] == 0
        # What the fix costs is shown, not hidden.
        assert metrics["hit_ratio"]["high"] < 0 and metrics["db_calls"]["low"] > 0
    if case == "short-ttl":
        assert metrics["hit_ratio"]["low"] > 0.1 and metrics["latency_p95_ms"]["high"] < 0
    if case == "lucky-hit":
        assert result["naive"]["claim"] == "faster"
        assert result["naive"]["latency_change"] < -0.2 and result["naive"]["p_value"] < 0.001


@pytest.mark.parametrize(
    "case",
    [
        "stale-price",
        pytest.param("lucky-hit", marks=pytest.mark.slow),
        pytest.param("short-ttl", marks=pytest.mark.slow),
        pytest.param("placebo", marks=pytest.mark.slow),
    ],
)
def test_by_the_command_line(case: str, workspace) -> None:
    done = workspace.run(case)

    assert done.returncode == 0, done.stderr
    (run,) = workspace.run_dirs()
    result = json.loads((run / "result.json").read_text())
    check_result(case, result)

    report = Path(done.stdout.splitlines()[-1])
    run_id = workspace.manifest()["run"]
    assert report == workspace.reports / f"{workspace.manifest()['started'][:10]}-{case}-{run_id}.html"
    assert f"{result['verdict']}: {result['reason']}" in done.stdout
    assert result["naive"]["sentence"] in done.stdout
    notebooks = sorted((run / "notebooks").glob("*.ipynb"))
    assert [path.name for path in notebooks] == ["1-baseline.ipynb", "2-change.ipynb", "3-report.ipynb"]
    for path in notebooks:
        assert_outputs_can_be_read(nbformat.read(path, as_version=4))
    page = report.read_text()
    assert result["verdict"] in page and result["reason"].split(",")[0][:40] in page
    assert report.stat().st_size < 2_000_000
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", page)
    assert run_id in (workspace.reports / "index.html").read_text()
    assert workspace.left_running() == []


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow) for case in ("short-ttl", "placebo", "lucky-hit")],
)
def test_step_by_step(case: str, workspace) -> None:
    folders = {"runs_dir": str(workspace.runs), "reports_dir": str(workspace.reports)}
    workflow.baseline(case, **folders).measure()
    workflow.change(case=case, **folders).measure()
    book = workflow.report(case=case, **folders)
    book.judge()
    book.export()
    (run,) = workspace.run_dirs()
    check_result(case, json.loads((run / "result.json").read_text()))
    assert workspace.left_running() == []

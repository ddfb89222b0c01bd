"""The four cases that ship, each through the command line and papermill, each with its expected verdict."""

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.measures


@pytest.mark.parametrize(
    ("case", "verdict"),
    [("stale-price", "HELPED"), ("short-ttl", "HELPED"), ("placebo", "EQUIVALENT"), ("lucky-hit", "EQUIVALENT")],
)
def test_the_expected_verdict_and_a_whole_report(case: str, verdict: str, workspace) -> None:
    done = workspace.run(case)

    assert done.returncode == 0, done.stderr
    report = Path(done.stdout.splitlines()[-1])
    run_id = workspace.manifest()["run"]
    assert report == workspace.reports / f"{workspace.manifest()['started'][:10]}-{case}-{run_id}.html"
    (run,) = workspace.run_dirs()
    result = json.loads((run / "result.json").read_text())
    assert result["verdict"] == verdict, result["because"]
    assert f"{verdict}: {result['because']}" in done.stdout
    assert result["rollback"]["confirmed"] is True
    assert result["accounting"]["scheduled"] > 1000
    assert [path.name for path in sorted((run / "notebooks").glob("*.ipynb"))] == [
        "1-baseline.ipynb", "2-change.ipynb", "3-report.ipynb",
    ]  # fmt: skip
    page = report.read_text()
    assert verdict in page and result["because"].split(",")[0][:40] in page
    assert report.stat().st_size < 2_000_000
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", page)
    assert run_id in (workspace.reports / "index.html").read_text()
    assert workspace.left_running() == []

    metrics = result["metrics"]
    if case == "stale-price":
        assert metrics["stale_reads"]["before"] > 0.9 and metrics["stale_reads"]["after"] == 0
        # What the fix costs is shown, not hidden.
        assert metrics["hit_ratio"]["high"] < 0 and metrics["db_calls"]["low"] > 0
    if case == "lucky-hit":
        assert result["naive"]["claim"] == "faster"
        assert result["naive"]["latency_change"] < -0.2 and result["naive"]["p_value"] < 0.001
        assert result["naive"]["sentence"] in done.stdout

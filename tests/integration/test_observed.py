"""A run as a schedule starts it: nobody there, nothing changed, everything told in files."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree


def test_a_run_that_only_observes(workspace, variant) -> None:
    summary, xml = workspace.folder / "ci" / "summary.md", workspace.folder / "ci" / "junit.xml"
    case = variant("stale-price")
    done = workspace.run(case, "--observe", "--timeout", "5m", "--summary", str(summary), "--junit", str(xml))

    assert done.returncode == 0, done.stderr
    (run,) = workspace.run_dirs()
    manifest, result = workspace.manifest(), json.loads((run / "result.json").read_text())
    assert manifest["state"] == "finished" and [entry["stage"] for entry in manifest["blocks"]] == ["baseline"]
    assert [path.name for path in sorted((run / "notebooks").iterdir())] == ["1-baseline.ipynb", "3-report.ipynb"]
    steps = {json.loads(line).get("step") for line in (run / "journal.jsonl").read_text().splitlines()}
    assert "apply" not in steps

    assert result["verdict"] == "OBSERVED"
    assert result["metrics"]["hit_ratio"]["before"] > 0.5 and result["metrics"]["hit_ratio"]["after"] is None
    assert result["earlier"]["runs"] == 0 and result["rollback"]["confirmed"] is True
    report = Path(done.stdout.splitlines()[-1])
    assert report.is_file() and re.search(r"Hit ratio: \d+ %", done.stdout)

    lines = [line for line in done.stderr.splitlines() if line]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines), done.stderr
    assert [text for text in ("measuring the baseline", "judging", "drawing hit-ratio", "writing")
            if not any(text in line for line in lines)] == []  # fmt: skip
    markdown = summary.read_text()
    assert (
        "OBSERVED" in markdown
        and "INCONCLUSIVE" not in markdown
        and f"reports/{report.name}" in markdown.replace("\\", "")
    )
    suite = ElementTree.parse(xml).getroot()[0]
    assert suite.attrib["failures"] == suite.attrib["errors"] == "0" and int(suite.attrib["skipped"]) >= 1
    assert workspace.left_running() == []

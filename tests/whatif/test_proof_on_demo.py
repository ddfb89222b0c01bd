"""From picture to proof on the shipped service: measured, predicted, changed, and held against the prediction."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.measures, pytest.mark.slow, pytest.mark.timeout(900)]


def luckyhit(project: Path, *words: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "luckyhit", *words, "--json"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_predicted_for_the_demo_comes_true(project) -> None:
    for name in ("1-baseline", "2-change", "3-report"):
        (project / "notebooks" / f"{name}.ipynb").write_text((ROOT / "notebooks" / f"{name}.ipynb").read_text())
    document = yaml.safe_load((ROOT / "data" / "cases" / "short-ttl.yml").read_text())
    document["plan"] |= {"baseline": "15s", "block": "8s"}
    document["workload"]["rate"] = "60/s"
    case = project / "data" / "cases" / "short-ttl.yml"
    case.write_text(yaml.safe_dump(document, sort_keys=False))
    luckyhit(project, "run", "short-ttl", "--observe")
    made = luckyhit(project, "whatif", "short-ttl", "--ttl", "3s", "--prove", "three-seconds")
    assert made["answer"]["fit"]["is_fit"]
    result = luckyhit(project, "run", "three-seconds")["result"]
    (finding,) = [one for one in result["findings"] if one["id"] == "prediction"]
    came_true = {row["metric"]: row["came_true"] for row in finding["examples"]}
    assert came_true["hit_ratio"] and came_true["db_calls"]

"""Files that a workload names: read when the run is made, kept with it, and told of before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from luckyhit.case.docs.template import new_case
from luckyhit.errors import ArgumentError
from luckyhit.load.block import inputs_of
from luckyhit.project import Project
from luckyhit.workflow.checking import check_case
from luckyhit.workflow.unattended import run_case

KEYS = "keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path / "runs", tmp_path / "reports")


def case_file(project: Project) -> Path:
    text = new_case("good")
    assert text.count(KEYS) == 1
    path = project.root / "good.yml"
    path.write_text(text.replace(KEYS, "keys: {file: keys.txt}"), encoding="utf-8")
    return path


@pytest.mark.parametrize("content", [None, b"good\n\x00\n"])
def test_a_missing_or_broken_file_is_named_before_a_run_is_made(project: Project, content: bytes | None) -> None:
    if content is not None:
        (project.root / "keys.txt").write_bytes(content)
    said = r"keys\.txt can't be read: No such file" if content is None else r"keys\.txt:2: a key with a control"
    for look in (check_case, run_case.new_run):
        with pytest.raises(ArgumentError, match=said):
            look(project, case_file(project))
    assert not project.runs.exists()


def test_a_run_keeps_what_it_sends_when_the_file_changes(project: Project) -> None:
    (project.root / "keys.txt").write_text("red\nblue\nred\n")
    run = run_case.new_run(project, case_file(project))
    (project.root / "keys.txt").unlink()
    kept = inputs_of(run)
    assert kept is not None and [table.keys for table in kept.keys.values()] == [("red", "blue")]
    assert len(run.manifest.inputs) == 1 and "keys.txt" in run.manifest.inputs[0]


def live_replay(project: Project, **replay: object) -> Path:
    """A case about a service that runs already, which replays 150 requests of one second and 1 of the next."""
    lines = ['127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /items/7 HTTP/1.1" 200 12'] * 150
    lines += ['127.0.0.1 - - [10/Oct/2025:13:55:37 +0000] "GET /items/8 HTTP/1.1" 200 12']
    (project.root / "access.log").write_text("\n".join(lines) + "\n")
    case = YAML(typ="safe").load(new_case("good"))
    for part in ("freshness", "goals", "target", "cache", "design", "plan"):
        del case[part]
    case |= {
        "target": {"url": "http://shop.test"},
        "change": {"kind": "none", "what": "look"},
        "cache": {"clear": ["item:{id}"]},
        "goals": {"hit_ratio": {"want": "better", "margin": "2 %"}},
        "design": "before-after",
        "plan": {"baseline": "10s", "block": "10s", "blocks": 2, "washout": "0s"},
    }
    case["workload"]["routes"] = [{"name": "item", "path": "/items/{key}"}]
    case["workload"] |= {"replay": {"file": "access.log", **replay}}
    del case["workload"]["rate"]
    path = project.root / "live.yml"
    path.write_text(json.dumps(case))
    return path


def test_a_log_that_is_too_fast_for_a_live_service_is_refused(project: Project) -> None:
    with pytest.raises(ArgumentError, match=r"access\.log has 15\d requests within one second.*100/s"):
        run_case.new_run(project, live_replay(project))
    assert not project.runs.exists()
    assert run_case.new_run(project, live_replay(project, speed=0.5)).id

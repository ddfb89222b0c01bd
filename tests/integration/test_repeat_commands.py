"""What a report prints to repeat a run, typed into a shell as it stands there."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from luckyhit.project import Project
from luckyhit.records import Repeat
from luckyhit.workflow.unattended.run_case import repeat_of, start_again
from noted import manifest_with


def printed(page: Path) -> list[str]:
    (listed,) = re.findall(r'<ul class="commands">(.*?)</ul>', page.read_text(encoding="utf-8"), re.S)
    return [html.unescape(line) for line in re.findall(r"<code>(.*?)</code>", listed)]


@pytest.mark.slow  # two whole runs
def test_the_printed_commands_repeat_the_run(workspace, variant) -> None:
    def edit(case: dict[str, Any]) -> None:
        for route in case["workload"]["routes"]:
            route["path"] = route["path"].replace("/products", "/${PAGES}")
        case["target"]["start"]["pass_env"] = ["SHOP_TOKEN"]

    project = workspace.folder / "a shop's project"
    project.mkdir()
    environ = {**os.environ, "PAGES": "products", "SHOP_TOKEN": "c4nary-of-the-shop"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("lib"))
    environ["REPORTS_DIR"] = str(workspace.folder / "pages of all")

    def shell(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-ec", text], cwd=project, env=environ, capture_output=True, text=True, timeout=280
        )  # fmt: skip

    assert shell("luckyhit new shop").returncode == 0
    shutil.copy(variant("placebo", edit), project / "data" / "cases" / "shop.yml")
    first = shell("luckyhit run shop --runs-dir 'kept runs' --reports-dir \"$REPORTS_DIR\"")
    assert first.returncode == 0, first.stderr
    page = Path(first.stdout.splitlines()[-1])
    lines = [line for line in printed(page) if not line.startswith("git ")]
    assert not any("c4nary" in line or str(workspace.folder) in line for line in lines)
    again = shell("\n".join(lines))
    assert again.returncode == 0, again.stderr
    runs = sorted((project / "kept runs" / "shop").iterdir())
    manifests = [json.loads((run / "manifest.json").read_text()) for run in runs]
    assert [manifest["state"] for manifest in manifests] == ["finished"] * 2
    assert manifests[0]["command"] == manifests[1]["command"] and manifests[0]["repeat"] == manifests[1]["repeat"]
    assert manifests[0]["variables"] == {"PAGES": "products"}
    assert len(list((workspace.folder / "pages of all").glob("*-shop-*.html"))) == 2
    assert not (project / "data" / "runs").exists() and not (project / "reports").exists()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in a folder with spaces; one's home is beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "a project" / "data" / "cases").mkdir(parents=True)
    return Project.at(tmp_path / "a project")


@pytest.mark.parametrize(
    ("folder", "word", "variables"),
    [
        ("a project/data/runs", "", ["TOKEN"]),
        ("a project/kept runs", "'kept runs'", ["TOKEN"]),
        ("home/it's mine", "~/'it'\"'\"'s mine'", ["TOKEN"]),
        ("elsewhere", '"$RUNS_DIR"', ["RUNS_DIR", "TOKEN"]),
    ],
)
def test_a_folder_is_a_word_that_a_shell_reads_as_that_folder(
    project: Project, folder: str, word: str, variables: list[str], tmp_path: Path
) -> None:
    runs = tmp_path / folder
    runs.mkdir(parents=True)
    given = Project(project.root, runs, project.reports)
    repeat = repeat_of(given, project.cases / "shop.yml", ["TOKEN", "TOKEN"])
    assert repeat == Repeat(case="shop", runs_dir=word, variables=variables)
    if word:
        environ = {"HOME": str(tmp_path / "home"), "RUNS_DIR": str(runs)}
        cd = subprocess.run(
            ["sh", "-ec", f"cd {word}; pwd"], cwd=project.root, env=environ, capture_output=True, text=True
        )
        assert cd.stdout.strip() == str(runs)


@pytest.mark.parametrize(
    ("file", "case"),
    [
        ("a project/data/cases/my shop.yml", "'my shop'"),
        ("a project/more/shop.yml", "more/shop.yml"),
        ("elsewhere/shop.yml", '"$CASE_FILE"'),
    ],
)
def test_a_case_is_a_word_that_the_command_takes(project: Project, file: str, case: str, tmp_path: Path) -> None:
    repeat = repeat_of(project, tmp_path / file, [])
    assert repeat.case == case and repeat.variables == (["CASE_FILE"] if case.startswith('"') else [])
    assert start_again(repeat, environment="", observe=True) == f"luckyhit run {case} --observe"
    assert start_again(repeat, environment="my-laptop", observe=False) == f"luckyhit run {case} --environment my-laptop"


@pytest.mark.parametrize("noted", [None, "x", {"variables": 3}, {"case": None}, []])
def test_what_a_manifest_does_not_tell_is_nothing(noted: Any) -> None:
    assert manifest_with(repeat=noted).repeat == Repeat()

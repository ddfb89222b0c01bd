"""Files that a workload names: read when the run is made, kept with it, and told of before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from luckyhit.case.template import new_case
from luckyhit.errors import ArgumentError
from luckyhit.investigate import conduct
from luckyhit.investigate.checking import check_case
from luckyhit.measure.block import inputs_of
from luckyhit.project import Project

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
    for look in (check_case, conduct.new_run):
        with pytest.raises(ArgumentError, match=said):
            look(project, case_file(project))
    assert not project.runs.exists()


def test_a_run_keeps_what_it_sends_when_the_file_changes(project: Project) -> None:
    (project.root / "keys.txt").write_text("red\nblue\nred\n")
    run = conduct.new_run(project, case_file(project))
    (project.root / "keys.txt").unlink()
    kept = inputs_of(run)
    assert kept is not None and [table.keys for table in kept.keys.values()] == [("red", "blue")]
    assert run.manifest["inputs"] == ["1 of the lines of keys.txt repeat a key; each key counts where it stands first."]

"""A service that runs elsewhere than it is started is not credited with the repository it is started in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from luckyhit.change.fingerprints.origin import code_named, source_elsewhere
from luckyhit.change.fingerprints.sources import source_of

UP = "print('up', flush=True); input()"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with the case in it, under Git; the service's own directory lies beside it."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "a"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "shop.py").write_text(UP)
    return folder


@pytest.fixture
def started(project: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A stack of the project whose shell command runs, as far as its first Python."""
    with ExitStack() as ends:

        def start(command: str, *, in_workdir: bool = False) -> Any:
            workdir = project / "data" / "runs" / "work"
            workdir.mkdir(parents=True, exist_ok=True)
            words = ["sh", "-c", f"{command}; :", "x", sys.executable, str(tmp_path / "service"), str(workdir)]
            process = subprocess.Popen(
                words, cwd=workdir if in_workdir else project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            ends.callback(process.communicate, "\n")
            assert process.stdout is not None and process.stdout.readline() == "up\n"
            declared = SimpleNamespace(target=SimpleNamespace(start=SimpleNamespace(in_workdir=in_workdir)))
            return SimpleNamespace(
                case=declared, command=words, cwd=workdir if in_workdir else project, workdir=workdir, pid=process.pid
            )

        yield start


LEAVES = [
    'cd "$3" && PYTHONPATH="$2" "$1" -m shop',
    'cd "$2" && "$1" -m shop',
    'cd "$2" && "$1" shop.py',
    'cd / && "$1" "$2/shop.py"',
]


@pytest.mark.parametrize("command", LEAVES)
def test_service_that_leaves_the_project_has_its_own_source(started, project: Path, command: str) -> None:
    places = source_elsewhere(started(command), [])
    assert places == [(project.parent / "service").resolve()]
    assert "git.revision" not in source_of(places[0]) and "git.revision" in source_of(project)


def test_source_may_be_nowhere(started) -> None:
    assert source_elsewhere(started(f'cd "$3" && "$1" -c "{UP}"'), []) == []


def test_service_in_a_run_directory_is_found_by_its_path(started, project: Path) -> None:
    stack = started('PYTHONPATH="$2" "$1" -m shop', in_workdir=True)
    assert source_elsewhere(stack, []) == [(project.parent / "service").resolve()]


@pytest.mark.parametrize("command", ['"$1" "$2/shop.py"', 'cd data && "$1" "$2/shop.py"'])
def test_a_service_that_stays_in_the_repository_is_of_it(started, command: str) -> None:
    assert source_elsewhere(started(command), []) is None


def test_service_that_does_not_run_is_where_the_case_says(project: Path) -> None:
    declared = SimpleNamespace(target=SimpleNamespace(start=SimpleNamespace(in_workdir=False)))
    stack: Any = SimpleNamespace(case=declared, command=["x"], cwd=project, workdir=project / "data", pid=None)
    assert source_elsewhere(stack, []) is None


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["gunicorn", "shop:app"], 1), (["uvicorn", "shop.web:app"], 0), (["python", "-m", "shop"], 1),
        (["python", "shop.py"], 1), (["python", "gone.py"], 0), (["serve", "--port", "80", "", "a:b:c", "ü"], 0),
    ],
)  # fmt: skip
def test_what_a_command_names(tmp_path: Path, words: list[str], named: int) -> None:
    (tmp_path / "shop.py").touch()
    assert [*code_named(words, tmp_path)] == [tmp_path] * named

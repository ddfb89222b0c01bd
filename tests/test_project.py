"""Finding the project, its cases and its notebooks from wherever one stands."""

from pathlib import Path

import pytest

from luckyhit.errors import ArgumentError
from luckyhit.project import NOTEBOOKS, Project, case_name

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project() -> Project:
    return Project.find(ROOT)


@pytest.mark.parametrize("start", [ROOT, ROOT / "notebooks", ROOT / "data" / "cases"])
def test_it_is_found_from_inside(start: Path) -> None:
    assert Project.find(start).root == ROOT


def test_from_outside_it_is_the_one_that_is_installed(tmp_path: Path) -> None:
    assert Project.find(tmp_path).root == ROOT


def test_a_folder_of_ones_own_wins(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "1-baseline.ipynb").touch()
    (tmp_path / "data" / "cases").mkdir(parents=True)
    assert Project.find(tmp_path / "data").root == tmp_path


def test_runs_and_reports_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project.find(ROOT, runs_dir="some/runs", reports_dir=str(tmp_path / "pages"))
    assert project.runs == tmp_path / "some" / "runs"
    assert project.reports == tmp_path / "pages"
    assert all(project.notebook(name).is_file() for name in NOTEBOOKS)


def test_a_case_is_found_by_name_by_file_and_by_path(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ROOT / "data" / "cases" / "placebo.yml"
    monkeypatch.chdir(ROOT / "notebooks")
    for wanted in ("placebo", "placebo.yml", " placebo ", "../data/cases/placebo.yml", str(expected)):
        assert project.case_file(wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [("stale-prise", "'stale-price'"), ("zzz", "placebo"), ("", "placebo")],
)
def test_an_unknown_case_is_refused_with_the_known_ones(project: Project, wanted: str, hint: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        project.case_file(wanted)
    assert hint in caught.value.hint and "lucky-hit" in caught.value.hint


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/cases/slow-basket.yml", "slow-basket"),
        ("shop/case.yml", "shop"),
        ("stock/case.yaml", "stock"),
        ("shop/case-quiet.yml", "case-quiet"),
        ("data/cases/case.yml", "case"),
    ],
)
def test_case_beside_its_service_has_the_folders_name(path: str, name: str, tmp_path: Path) -> None:
    """Else the runs of all services would be one case's, and only one could be measured at a time."""
    assert case_name(tmp_path / path) == name

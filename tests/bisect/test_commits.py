"""What a search reads of a repository: real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import History, git, repository, shop_case

from luckyhit.bisect.commits import Repository
from luckyhit.case.model import Case
from luckyhit.errors import ArgumentError, GuardError


@pytest.fixture
def history(project: Path) -> History:
    return repository(project / "shop", 6, 3)


@pytest.fixture
def shop(history: History) -> Repository:
    return Repository(history.root, Path())


def commit(root: Path, name: str, message: str) -> str:
    (root / name).write_text(message)
    git(root, "add", name)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    git(root, *who, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


def test_candidates_are_a_line_oldest_first(history: History, shop: Repository) -> None:
    assert shop.candidates(history.good, history.revisions[-1]) == list(history.revisions[1:])


def test_of_a_merged_branch_only_the_merge_counts(history: History, shop: Repository) -> None:
    git(history.root, "switch", "-qc", "side", "main~2")
    commit(history.root, "side.txt", "On a branch")
    git(history.root, "switch", "-q", "main")
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    git(history.root, *who, "merge", "-q", "--no-ff", "-m", "Merge the branch", "side")
    merge = git(history.root, "rev-parse", "HEAD")
    assert shop.candidates(history.revisions[4], merge) == [history.revisions[5], merge]
    # What came before the merge does not hold the good revision of the branch.
    assert shop.candidates(git(history.root, "rev-parse", "side"), merge) == [merge]
    facts = shop.facts(merge)
    assert facts.parent == history.revisions[5] and [line.split(" ", 1)[1] for line in facts.merged] == ["On a branch"]


def test_a_commit_is_told_as_git_shows_it(history: History, shop: Repository) -> None:
    facts = shop.facts(history.culprit)
    assert (facts.author, facts.subject, facts.parent) == ("Ada Example", "Tidy the prices", history.revisions[2])
    assert facts.date.startswith("2023-11-1")
    assert "-DELETES = True" in shop.difference(history.revisions[2], history.culprit)


@pytest.mark.parametrize("name", ["no-such", "", "-v", "--exec=x", "main:terms.py"])
def test_an_unknown_revision_is_refused(name: str, shop: Repository) -> None:
    with pytest.raises(ArgumentError) as refused:
        shop.full_hash(name, "--good")
    assert "--good" in refused.value.message and refused.value.hint


def test_swapped_or_strange_ends_are_refused(history: History, shop: Repository) -> None:
    with pytest.raises(ArgumentError) as same:
        shop.candidates(history.good, history.good)
    with pytest.raises(ArgumentError) as swapped:
        shop.candidates(history.revisions[-1], history.good)
    git(history.root, "switch", "-q", "--orphan", "elsewhere")
    orphan = commit(history.root, "other.txt", "Another history")
    with pytest.raises(ArgumentError) as unrelated:
        shop.candidates(orphan, history.good)
    hints = {same.value.hint, swapped.value.hint, unrelated.value.hint}
    assert len(hints) == 3 and "" not in hints


def test_a_revision_without_the_directory_shows(history: History) -> None:
    inside = Repository(history.root, Path("backend"))
    assert not inside.has_directory(history.good)
    (history.root / "backend").mkdir()
    assert inside.has_directory(commit(history.root, "backend/app.py", "Move it"))


def test_uncommitted_files_are_counted(history: History, shop: Repository) -> None:
    assert shop.uncommitted() == 0
    (history.root / "terms.py").write_text("DELETES = None")
    assert shop.uncommitted() == 1


def test_a_service_under_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    with pytest.raises(GuardError):
        Repository.of(Case.model_validate(shop_case()), tmp_path)

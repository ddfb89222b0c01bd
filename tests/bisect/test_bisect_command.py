"""`luckyhit bisect`: what it refuses, what it plans, and a search in a real repository by a comparison that looks."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

import pytest
from repositories import History, git, repository, shop_case, write_case

from luckyhit.bisect import bisecting, search_folder
from luckyhit.bisect.bisecting import BisectRequest, bisect
from luckyhit.bisect.checkouts import Build, Untestable
from luckyhit.bisect.comparison import BisectAnswer
from luckyhit.bisect.measured_comparison import MeasuredComparison
from luckyhit.bisect.search_folder import load, searches
from luckyhit.cli import main
from luckyhit.errors import TargetBusy
from luckyhit.project import Project
from luckyhit.records import GoalName
from luckyhit.records.bisection import BisectQuestion
from luckyhit.workflow.unattended.interruptions import one_at_a_time


def luckyhit(*words: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["luckyhit", *words]),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def history(project: Path) -> History:
    write_case(project, shop_case())
    return repository(project / "shop", 8, 5, broken=(3,))


class Looking(MeasuredComparison):
    """Real worktrees, builds and starts; the fault is read in the source instead of measured."""

    def compare(self, question: BisectQuestion, margins: Mapping[GoalName, str]) -> BisectAnswer:
        self.checkouts.keep_only(question.before, question.after)
        try:
            faults = [
                "DELETES = False" in Path(str(self.checkouts.settings(revision).source), "terms.py").read_text()
                for revision in (question.before, question.after)
            ]
        except Untestable as untestable:
            return BisectAnswer(untestable.outcome, untestable.reason)
        return BisectAnswer(
            "hurt" if faults == [False, True] else "not-hurt", margins={"stale_reads": "5 %"}, attempts=1
        )


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(bisecting, "MeasuredComparison", Looking)
    yield


def request_of(project: Path, history: History, **fields: object) -> BisectRequest:
    case_file = project / "data" / "cases" / "old-prices.yml"
    return BisectRequest(case_file, history.good, "main", **fields)  # type: ignore[arg-type]


def test_the_commit_is_named_with_its_difference(project: Path, history: History, looking: None) -> None:
    code, out, _ = luckyhit(
        "bisect", "old-prices", "--good", history.good, "--bad", "main", "--build", "{python} -c pass"
    )
    page = Path(out.splitlines()[-1])
    record = load(page.parent)
    assert code == 0 and page.is_file() and record is not None and record.culprit is not None
    assert record.culprit.revision == history.culprit and record.culprit.author == "Ada Example"
    assert [step.outcome for step in record.steps].count("not-started") == 1
    assert "-DELETES = True" in (page.parent / "culprit.diff").read_text()
    assert history.culprit in out and "Tidy the prices" in (page.parent / "bisect.md").read_text()
    assert len(git(history.root, "worktree", "list").splitlines()) == 1
    assert git(history.root, "status", "--porcelain") == ""


def test_a_range_ends_with_code_4(project: Path, looking: None) -> None:
    write_case(project, shop_case())
    history = repository(project / "shop", 8, 5, broken=(4,))
    code, out, _ = luckyhit("bisect", "old-prices", "--good", history.good, "--json")
    document = json.loads(out)
    assert (code, document["conclusion"]) == (4, "cannot-tell")
    assert document["remaining"] == [history.revisions[4], history.revisions[5]] and document["culprit"] is None


def test_the_project_may_be_the_repository(project: Path, looking: None) -> None:
    history = repository(project, 4, 2)
    start = {**shop_case()["target"]["start"], "cwd": "."}
    write_case(project, shop_case(target={"start": start}))
    code, out, _ = luckyhit("bisect", "old-prices", "--good", history.good, "--json")
    assert (code, json.loads(out)["first_with"]) == (0, history.culprit)
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_an_interrupted_search_goes_on(
    project: Path, history: History, looking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare, made = Looking.compare, 0

    def interrupted(self: Looking, question: BisectQuestion, margins: Mapping[GoalName, str]) -> BisectAnswer:
        nonlocal made
        made += 1
        if made == 3:
            self.checkouts.settings(question.after)
            raise KeyboardInterrupt
        return compare(self, question, margins)

    monkeypatch.setattr(Looking, "compare", interrupted)
    words = ("bisect", "old-prices", "--good", history.good)
    code, _, _ = luckyhit(*words)
    (folder,) = searches(project / "data" / "runs", "old-prices")
    record = load(folder)
    assert code == 130 and record is not None and record.ahead is not None and len(record.steps) == 2
    assert (folder / "bisect.md").is_file() and len(git(history.root, "worktree", "list").splitlines()) == 1
    assert luckyhit(*words)[0] == 0
    (again,) = searches(project / "data" / "runs", "old-prices")
    finished = load(again)
    assert again == folder and finished is not None and finished.first_with == history.culprit
    assert finished.steps[:2] == record.steps


def test_a_full_disk_stops_the_search_and_not_more(
    project: Path, history: History, looking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = search_folder.write_atomically, 0

    def full(path: Path, text: str) -> None:
        nonlocal written
        written += 1
        if written == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(search_folder, "write_atomically", full)
        assert luckyhit("bisect", "old-prices", "--good", history.good)[0] == 4
    assert len(git(history.root, "worktree", "list").splitlines()) == 1
    assert luckyhit("bisect", "old-prices", "--good", history.good)[0] == 0
    assert len(list(searches(project / "data" / "runs", "old-prices"))) == 1


def test_a_folder_that_cant_be_made_is_said(project: Path, history: History) -> None:
    (project / "data" / "runs").write_text("a file")
    code, _, err = luckyhit("bisect", "old-prices", "--good", history.good)
    assert code == 4 and "--runs-dir" in err


def test_begun_anew_it_is_another_search(
    project: Path, history: History, looking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Looking, "compare", mock.Mock(side_effect=KeyboardInterrupt))
        assert luckyhit("bisect", "old-prices", "--good", history.good)[0] == 130
    assert luckyhit("bisect", "old-prices", "--good", history.good, "--anew")[0] == 0
    assert len(list(searches(project / "data" / "runs", "old-prices"))) == 2


def test_a_dry_run_makes_nothing(project: Path, history: History) -> None:
    (history.root / "terms.py").write_text("half-edited")
    code, out, _ = luckyhit("bisect", "old-prices", "--good", history.good, "--dry-run")
    assert code == 0 and out.startswith("7 candidates") and "uncommitted" in out
    assert not (project / "data" / "runs").exists()
    assert len(git(history.root, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--good", "no-such"), "'no-such'"),
        (("--good", "main", "--bad", "main"), "same revision"),
        (("--good", "main", "--bad", "main~3"), "not an ancestor"),
        (("--good", "main~3", "--build", "make 'x"), "--build"),
        (("--good", "main~3", "--build-within", "soon"), "--build-within"),
        (("--good", "main~3", "--goal", "db_calls"), "--goal"),
        (("--good", "main~3", "--at-most", "0"), "--at-most"),
    ],
)
def test_wrong_arguments_are_refused(words: tuple[str, ...], named: str, project: Path, history: History) -> None:
    code, _, err = luckyhit("bisect", "old-prices", *words)
    assert code == 2 and named in err
    assert not (project / "data" / "runs").exists()


URL = {"url": "http://127.0.0.1:1"}
WORKDIR = {"start": {**shop_case()["target"]["start"], "cwd": "{workdir}"}}


def test_a_service_that_runs_elsewhere_is_refused(
    project: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_CACHE", "redis://127.0.0.1:1/0")
    elsewhere = shop_case(
        target=URL,
        design="before-after",
        freshness=None,
        cache={"clear": ["/products/{id}"], "url_env": "SHOP_CACHE"},
        goals={"hit_ratio": {"want": "no-worse", "margin": "5 %"}},
    )
    write_case(project, elsewhere, "elsewhere")
    code, _, err = luckyhit("bisect", "elsewhere", "--good", history.good)
    assert code == 2 and "target.start" in err


def test_a_service_in_an_empty_folder_is_refused(project: Path, history: History) -> None:
    write_case(project, shop_case(target=WORKDIR))
    code, _, err = luckyhit("bisect", "old-prices", "--good", history.good)
    assert code == 2 and "target.start.cwd" in err


def test_a_service_outside_git_is_refused(project: Path) -> None:
    write_case(project, shop_case())
    (project / "shop").mkdir()
    code, _, err = luckyhit("bisect", "old-prices", "--good", "main")
    assert code == 3 and "no Git repository" in err


def test_a_good_revision_that_does_not_start_ends_it(project: Path) -> None:
    write_case(project, shop_case())
    history = repository(project / "shop", 4, 2, broken=(0,))
    code, _, err = luckyhit("bisect", "old-prices", "--good", history.good)
    assert code == 3 and history.good[:12] in err and "no_such_module" in err
    assert len(git(history.root, "worktree", "list").splitlines()) == 1


def test_a_bad_revision_that_does_not_start_is_said(project: Path) -> None:
    write_case(project, shop_case())
    history = repository(project / "shop", 4, 2, broken=(3,))
    code, out, _ = luckyhit("bisect", "old-prices", "--good", history.good)
    assert code == 4 and "no_such_module" in out


def test_two_searches_of_a_case_exclude_each_other(project: Path, history: History, looking: None) -> None:
    at = Project.find()
    with one_at_a_time(at.runs, "old-prices"), pytest.raises(TargetBusy):
        bisect(at, request_of(project, history, build=Build()), say=lambda _: None)

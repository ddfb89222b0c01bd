"""What every comparison holds to: the simulated one that tests search by, and the one that measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from repositories import repository, shop_case, write_case
from simulated import SimulatedComparison, revisions_of

from luckyhit.bisect.checkouts import Build, Checkouts
from luckyhit.bisect.comparison import RevisionComparison
from luckyhit.bisect.measured_comparison import MeasuredComparison
from luckyhit.case.load import load_case
from luckyhit.project import Project
from luckyhit.records.bisection import BisectPurpose, BisectQuestion
from luckyhit.scrub.redactor import Redactor
from tier import one_of_many


@dataclass(frozen=True)
class Compared:
    """A comparison of five revisions, of which number 3 brought a fault and number 2 does not start."""

    comparison: RevisionComparison
    revisions: tuple[str, ...]

    def question(self, after: int, purpose: BisectPurpose, before: int = 0) -> BisectQuestion:
        return BisectQuestion(before=self.revisions[before], after=self.revisions[after], purpose=purpose)


@contextmanager
def simulated(project: Path) -> Iterator[Compared]:
    revisions = revisions_of(5)
    yield Compared(SimulatedComparison(revisions, 3, broken={2}), revisions)


@contextmanager
def measured(project: Path) -> Iterator[Compared]:
    history = repository(project / "shop", 5, 3, broken=(2,))
    case_file = write_case(project, shop_case())
    folder = project / "data" / "runs" / "old-prices" / "bisect-20260101-000000-abcd"
    folder.mkdir(parents=True)
    with Checkouts(load_case(case_file), project, folder, Build(), Redactor()) as checkouts:
        text = case_file.read_text(encoding="utf-8")
        comparison = MeasuredComparison(folder, Project.at(project), case_file.name, text, 5, checkouts, quiet=True)
        yield Compared(comparison, history.revisions)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [one_of_many(simulated, quick=True), one_of_many(measured, quick=False)])
def test_a_comparison_holds_to_the_contract(kind: Callable[[Path], Iterator[Compared]], project: Path) -> None:
    with kind(project) as compared:  # type: ignore[attr-defined]
        ends = compared.comparison.compare(compared.question(4, "ends"), {})
        assert (ends.outcome, list(ends.margins)) == ("hurt", ["stale_reads"]) and ends.reason and ends.attempts >= 1
        reading = ends.goals["stale_reads"]
        assert reading.low is not None and reading.margin is not None and reading.low > reading.margin
        healthy = compared.comparison.compare(compared.question(1, "halving"), ends.margins)
        assert healthy.outcome == "not-hurt" and list(healthy.goals) == ["stale_reads"]
        reading = healthy.goals["stale_reads"]
        assert reading.high is not None and reading.margin is not None and reading.high < reading.margin
        broken = compared.comparison.compare(compared.question(2, "halving"), ends.margins)
        assert (broken.outcome, broken.attempts, dict(broken.goals)) == ("not-started", 0, {}) and broken.reason
        direct = compared.comparison.compare(compared.question(3, "confirmation", before=1), ends.margins)
        assert direct.outcome == "hurt"

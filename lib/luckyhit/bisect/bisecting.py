"""`luckyhit bisect`: check what is asked, go on where a killed search was, search, and report."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.bisect import bisect_page, search_folder
from luckyhit.bisect.checkouts import Build, Checkouts
from luckyhit.bisect.commits import Repository
from luckyhit.bisect.comparison import RevisionComparison
from luckyhit.bisect.measured_comparison import MeasuredComparison
from luckyhit.bisect.search import comparisons_at_most, comparisons_needed, position_of
from luckyhit.bisect.searching import search
from luckyhit.bisect.step_case import LONGER, Effort, step_case
from luckyhit.case import Case
from luckyhit.case.values.variables import known_secrets
from luckyhit.designs import design_of
from luckyhit.errors import ArgumentError, LuckyHitError, NoRoom, NotEnoughData
from luckyhit.project import Project, case_name
from luckyhit.records import GoalName
from luckyhit.records.bisection import BisectConclusion, Bisection, BisectQuestion, bisection_document
from luckyhit.scrub.redactor import Redactor, project_roots
from luckyhit.text.numbers import plural
from luckyhit.workflow.step import terminable
from luckyhit.workflow.unattended.interruptions import one_at_a_time
from luckyhit.workflow.unattended.run_case import accepted

EXIT_CODES: Mapping[BisectConclusion, int] = {
    "found": 0,
    "no-difference": 0,
    "cannot-tell": NotEnoughData.exit_code,
    "ends-undecided": NotEnoughData.exit_code,
    "contradictory": NotEnoughData.exit_code,
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class BisectRequest:
    """What the command line asks. `goals`: those that decide; empty: all of the case. `at_most`: comparisons; None: as
    many as a search of this length may need. `anew`: an interrupted search is not continued."""

    case_file: Path
    good: str
    bad: str
    build: Build = field(default_factory=Build)
    goals: Sequence[GoalName] = ()
    at_most: int | None = None
    anew: bool = False


@dataclass(frozen=True)
class Prepared:
    """A request that was checked: the case, its text, its repository, and the record of a search that has not begun.
    Nothing was made for it."""

    case: Case
    text: str
    repository: Repository
    record: Bisection

    @property
    def comparisons(self) -> int:
        return comparisons_needed(len(self.record.revisions))

    @property
    def longest_s(self) -> float:
        """Seconds of load of one comparison at its longest."""
        design, plan = design_of(self.case), self.case.plan
        one = plan.ceiling if plan.auto else design.planned_blocks(plan.blocks) * (plan.warmup + plan.block)
        return one * sum(LONGER)


@dataclass(frozen=True)
class BisectEnding:
    """How a search ended: its directory, its record, its exit code."""

    folder: Path
    record: Bisection
    exit_code: int


def prepare(project: Project, request: BisectRequest, now: datetime) -> Prepared:
    """Check the request. Makes nothing and starts nothing. Raises CaseError, ArgumentError or GuardError."""
    case = accepted(project, request.case_file)
    start = case.target.start
    if start is None:
        raise ArgumentError(
            f"case {case_name(request.case_file)} has no target.start: a search starts each revision itself",
            hint="Write target.start with a cwd in the service's repository, in the place of target.url.",
        )
    if start.in_workdir:
        raise ArgumentError(
            f"target.start.cwd of case {case_name(request.case_file)} is {start.cwd!r}, which is not under Git",
            hint="Name a directory of the service's repository: each revision is started in a worktree of it.",
        )
    _refuse_unknown(request.goals, case)
    request.build.words()
    repository = Repository.of(case, project.root)
    good, bad = repository.full_hash(request.good, "--good"), repository.full_hash(request.bad, "--bad")
    revisions = repository.candidates(good, bad)
    if not repository.has_directory(good):
        raise ArgumentError(
            f"revision {request.good!r} (--good) has no directory {repository.inside}, which target.start.cwd names",
            hint="Name a good revision that has it.",
        )
    most = comparisons_at_most(len(revisions)) if request.at_most is None else request.at_most
    if most < 1:
        raise ArgumentError(f"--at-most must be at least 1 (got {most})")
    text = request.case_file.read_text(encoding="utf-8")
    record = Bisection(
        case=case_name(request.case_file),
        case_sha256=hashlib.sha256(text.encode()).hexdigest(),
        started=now.isoformat(timespec="seconds"),
        good=good,
        bad=bad,
        named_good=request.good,
        named_bad=request.bad,
        build=request.build.command,
        asked=list(request.goals),
        revisions=revisions,
        at_most=most,
    )
    # The case of a comparison is valid, or the search must not begin.
    asked = {name: str(case.goals[name].margin) for name in request.goals}
    ends = BisectQuestion(before=good, after=bad, purpose="ends")
    step_case(text, ends, asked, Effort(1, comparisons_needed(len(revisions))))
    return Prepared(case, text, repository, record)


def bisect(project: Project, request: BisectRequest, *, say: Say, quiet: bool = False) -> BisectEnding:
    """Search, or go on with the same search that was interrupted. Raises as `prepare`; TargetBusy where a run or a
    search of this case is in progress; and what stopped the search, which goes on when it is called again."""
    now = datetime.now().astimezone()
    prepared = prepare(project, request, now)
    case_name = prepared.record.case
    with one_at_a_time(project.runs, case_name), terminable():
        for line in search_folder.clean_up(project.runs, case_name, project.root):
            say(f"cleaned up: {line}")
        if uncommitted := prepared.repository.uncommitted():
            say(f"{plural(uncommitted, 'file')} with uncommitted changes: they are in no comparison")
        folder, record = _begun(project, prepared, request, now, say)
        redactor = _redactor(prepared.case, folder)
        search_folder.save(folder, record, redactor)
        try:
            with Checkouts(prepared.case, project.root, folder, request.build, redactor) as checkouts:
                comparison = MeasuredComparison(
                    folder=folder,
                    project=project,
                    case_name=request.case_file.name,
                    case_text=prepared.text,
                    comparisons=prepared.comparisons,
                    asked={name: str(prepared.case.goals[name].margin) for name in request.goals},
                    checkouts=checkouts,
                    say=say,
                    quiet=quiet,
                )
                record = searched(record, comparison, folder, redactor, say)
        except OSError as error:
            raise NoRoom.of(error) or error from None
        record = _told(prepared.repository, record, folder, redactor)
    assert record.conclusion is not None
    return BisectEnding(folder, record, EXIT_CODES[record.conclusion])


def searched(
    record: Bisection, comparison: RevisionComparison, folder: Path, redactor: Redactor, say: Say
) -> Bisection:
    """Search in `folder`. If the search stops, the report says how far it came."""
    needed = comparisons_needed(len(record.revisions))

    def save(now: Bisection) -> None:
        search_folder.save(folder, now, redactor)
        if now.ahead is not None:
            left = plural(len(position_of(now).remaining), "revision")
            pair = f"{now.ahead.before[:12]} against {now.ahead.after[:12]}"
            say(f"comparison {now.compared + 1} of about {needed}, {left} left: {pair}")

    try:
        return search(record, comparison, save)
    except BaseException:
        with suppress(OSError, LuckyHitError):
            reached = search_folder.load(folder)
            if reached is not None:
                bisect_page.write(folder, reached, {}, "", redactor)
        raise


def _begun(
    project: Project, prepared: Prepared, request: BisectRequest, now: datetime, say: Say
) -> tuple[Path, Bisection]:
    """The directory and record of an interrupted search that asks the same, or of a new one."""
    earlier = None
    if not request.anew:
        # As it is on the disk: the command that builds may name a folder of this machine.
        kept = _redactor(prepared.case, project.runs).document(bisection_document(prepared.record))
        earlier = search_folder.unfinished(project.runs, Bisection.model_validate(kept))
    if earlier is not None:
        folder, record = earlier
        say(f"going on with {folder.name}: {record.compared} comparisons are made (--anew begins again)")
        return folder, record
    return search_folder.new_folder(project.runs, prepared.record.case, now), prepared.record


def _told(repository: Repository, record: Bisection, folder: Path, redactor: Redactor) -> Bisection:
    """The record with the commit, and the report."""
    shown = dict.fromkeys((*record.remaining, *(step.after for step in record.steps)))
    subjects = {revision: redactor.text(repository.subject(revision)) for revision in shown}
    difference = ""
    if record.conclusion == "found" and record.first_with is not None:
        facts = repository.facts(record.first_with)
        if facts.parent is not None:
            difference = redactor.text(repository.difference(facts.parent, facts.revision))
            write_atomically(folder / "culprit.diff", difference)
            facts = facts.model_copy(update={"diff": "culprit.diff"})
        record = record.model_copy(update={"culprit": facts})
    search_folder.save(folder, record, redactor)
    bisect_page.write(folder, record, subjects, difference, redactor)
    return record


def _redactor(case: Case, folder: Path) -> Redactor:
    roots = project_roots(folder / "runs" / "case" / "run")
    return Redactor(known_secrets(case, os.environ), roots=roots)


def _refuse_unknown(goals: Sequence[GoalName], case: Case) -> None:
    unknown = [name for name in goals if name not in case.goals]
    if unknown:
        raise ArgumentError(
            f"the case has no goal {unknown[0]!r} (--goal)", hint=f"Its goals: {', '.join(case.goals) or 'none'}."
        )

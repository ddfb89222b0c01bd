"""One case of a fleet: what is run, how long it may take, and what it shares with others."""

from __future__ import annotations

import datetime as dt
import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from luckyhit.case import load_case
from luckyhit.change.lock import target_identities
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.fleet.attempt import Request
from luckyhit.fleet.fleet_file import FleetCase, FleetFile
from luckyhit.project import Project, case_name
from luckyhit.workflow.steps import longest_seconds

AROUND_A_RUN_S = 30.0
"""What a run takes beside its load, roughly: the kernel, the figures, the report."""
HANGS_AFTER = (3.0, 180.0)
"""Without a time limit of its own, a run is stopped after so many times its longest load, and so many seconds more."""


@dataclass(frozen=True)
class Job:
    """`case`: as on the command line in the project's folder. `expected_s`: what it takes as a rule; `limit_s`: it is
    stopped then. `exclusive`: names of what it must have to itself. `outlives`: whether its change would outlive the
    machine it runs on, since its target runs elsewhere. `measured`: when it was measured last (the id of its newest
    run), or empty. `problem`: why it can't be run at all."""

    name: str
    case: str
    sha256: str
    words: tuple[str, ...] = ()
    expected_s: float = 0.0
    limit_s: float = 0.0
    exclusive: frozenset[str] = frozenset()
    window: tuple[dt.time, dt.time] | None = None
    outlives: bool = False
    measured: str = ""
    problem: LuckyHitError | None = None

    def request(self, fleet: str, number: int, *, grace_s: float, project: Project, results: str) -> Request:
        """The attempt `number` at this job. Folders are named only where they are not the project's own."""
        own = Project.at(project.root)
        return Request(
            fleet=fleet,
            name=self.name,
            number=number,
            case=self.case,
            sha256=self.sha256,
            words=self.words,
            timeout_s=self.limit_s,
            grace_s=grace_s,
            runs_dir=str(project.runs) if project.runs != own.runs else "",
            reports_dir=str(project.reports) if project.reports != own.reports else "",
            results=results,
            outlives=self.outlives,
        )


def jobs_of(fleet: FleetFile, project: Project) -> list[Job]:
    """The jobs of a fleet, in its order. A case that can't be loaded is a job with a problem: the others are run.

    Raises ArgumentError for a name that no case has, and for a case that is named twice.
    """
    jobs: dict[str, Job] = {}
    for entry in fleet.cases:
        for case_file in _case_files(entry.case, project):
            job = _job(entry, fleet, case_file, project)
            if job.name in jobs:
                if any(sign in entry.case for sign in "*?["):
                    continue  # an entry of its own says more than a pattern
                raise ArgumentError(
                    f"the case {job.name!r} is named twice", hint="Each case runs once; patterns come last in the list."
                )
            jobs[job.name] = job
    return _ordered(list(jobs.values()), fleet.order)


def _case_files(word: str, project: Project) -> list[Path]:
    if not any(sign in word for sign in "*?["):
        return [project.case_file(word)]
    files = [path.resolve() for path in project.case_files() if fnmatch.fnmatchcase(path.stem, word)]
    if not files:
        project.case_file(word)  # raises, with the names that exist
    return files


def _job(entry: FleetCase, fleet: FleetFile, case_file: Path, project: Project) -> Job:
    observe = fleet.observe if entry.observe is None else entry.observe
    words = ["--observe"] if observe else []
    words += ["--environment", entry.environment] if entry.environment and not observe else []
    root = project.root.resolve()
    named = case_file.stem if case_file.parent == project.cases.resolve() else str(case_file)
    if case_file.parent != project.cases.resolve() and case_file.is_relative_to(root):
        named = str(case_file.relative_to(root))
    newest = max((path.name for path in (project.runs / case_name(case_file)).glob("*-*-*")), default="")
    job = Job(
        name=case_name(case_file),
        case=named,
        sha256=hashlib.sha256(case_file.read_bytes()).hexdigest(),
        words=tuple(words),
        window=entry.window or fleet.window,
        measured=newest,
    )
    try:
        case = load_case(case_file)
    except LuckyHitError as error:
        return replace(job, problem=error)
    load_s = longest_seconds(case)
    shared = target_identities(case)
    shared += [f"variable {case.cache.url_env}"] if case.cache.url_env is not None else []
    times, more_s = HANGS_AFTER
    return replace(
        job,
        expected_s=load_s + AROUND_A_RUN_S,
        limit_s=entry.timeout or fleet.timeout or times * load_s + more_s,
        exclusive=frozenset([*shared, *entry.exclusive]),
        outlives=not observe and (case.target.url is not None or case.cache.url_env is not None),
    )


def _ordered(jobs: Sequence[Job], order: str) -> list[Job]:
    if order == "longest-first":
        return sorted(jobs, key=lambda job: -job.expected_s)
    if order == "oldest-first":
        return sorted(jobs, key=lambda job: job.measured)
    return list(jobs)

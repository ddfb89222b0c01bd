"""`luckyhit bisect`: search, and say which revision it was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from luckyhit.bisect import bisect_page
from luckyhit.bisect.bisect_words import conclusion_text, next_text, short
from luckyhit.bisect.bisecting import BisectRequest, Prepared, bisect, prepare
from luckyhit.bisect.checkouts import Build
from luckyhit.cli.app import print_json
from luckyhit.cli.tasks.case_tasks import duration
from luckyhit.project import Project
from luckyhit.records.bisection import Bisection, bisection_document
from luckyhit.report.run_index import refresh_index
from luckyhit.text.numbers import minutes, plural


def bisect_case(
    case: str,
    *,
    good: str,
    bad: str,
    build: str,
    build_within: str,
    goals: Sequence[str],
    at_most: int | None,
    anew: bool,
    dry_run: bool,
    as_json: bool,
    runs_dir: str,
) -> int:
    """Search, and print the outcome. Returns the exit code."""
    project = Project.find(runs_dir=runs_dir)
    request = BisectRequest(
        case_file=project.case_file(case),
        good=good,
        bad=bad,
        build=Build(build, duration(build_within, "--build-within")),
        goals=tuple(goals),
        at_most=at_most,
        anew=anew,
    )
    if dry_run:
        for line in _planned(prepare(project, request, datetime.now().astimezone())):
            print(line)
        return 0
    ending = bisect(project, request, say=_say)
    refresh_index(project.runs, project.reports, _say)
    if as_json:
        print_json(bisection_document(ending.record))
    else:
        for line in _outcome(ending.record):
            print(line)
        print(ending.folder / bisect_page.PAGE)
    return ending.exit_code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _planned(prepared: Prepared) -> list[str]:
    record = prepared.record
    lines = [
        f"{plural(len(record.revisions), 'candidate')} after {short(record.good)}, up to {short(record.bad)}",
        f"{plural(prepared.comparisons, 'comparison')}, and at most {record.at_most} where some stay undecided",
        f"each takes up to {minutes(prepared.longest_s)} of load, and ends as soon as it is decided",
    ]
    uncommitted = prepared.repository.uncommitted()
    if uncommitted:
        lines.append(f"{plural(uncommitted, 'file')} with uncommitted changes: they are in no comparison")
    return lines


def _outcome(record: Bisection) -> list[str]:
    lines = [conclusion_text(record)]
    if record.culprit is not None:
        lines += [
            "",
            f"commit {record.culprit.revision}",
            f"author {record.culprit.author}",
            f"date   {record.culprit.date}",
            *(f"    {line}" for line in record.culprit.message.splitlines()),
            "",
        ]
    following = next_text(record)
    return [*lines, *([f"  what to do: {following}"] if following else [])]

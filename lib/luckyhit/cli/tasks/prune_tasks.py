"""`luckyhit runs --prune`: old runs and their reports go."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import typer

from luckyhit.cli.app import print_json
from luckyhit.errors import LuckyHitError
from luckyhit.project import Project
from luckyhit.report.index import write_index
from luckyhit.text.numbers import plural
from luckyhit.workflow.unattended.prune import Going, age_of, plan, remove, sweep


def prune_runs(project: Project, keep: int | None, older_than: str, *, dry_run: bool, as_json: bool) -> None:
    """Remove old runs and their reports by the rules that are given, and print which. Raises typer.Exit(1) where one
    could not be removed."""
    now = datetime.now().astimezone()
    older_than_s = age_of(older_than) if older_than else None
    planned = plan(project.runs, project.reports, keep=keep, older_than_s=older_than_s, now=now)
    gone: list[Going] = []
    failed: list[str] = []
    for going in planned.going:
        try:
            if not dry_run:
                remove(going, project.runs, now=now)
            gone.append(going)
        except (LuckyHitError, OSError) as error:
            failed.append(f"{going.run.id}: {error}")
    if not dry_run:
        sweep(project.runs)
        if gone:
            write_index(project.runs, project.reports)
    staying = {run.id: reason for run, reason in planned.staying}
    if as_json:
        print_json(
            {"dry_run": dry_run, "gone": [_facts(leaving) for leaving in gone], "stay": staying, "failed": failed}
        )
    else:
        for leaving in gone:
            unreported = "" if leaving.report else "  (no report)"
            print(f"{leaving.run.id}  {leaving.case:<20}  {megabytes(leaving.size):>9}{unreported}")
        word = "would go" if dry_run else "removed"
        print(f"{plural(len(gone), 'run')} {word}, {megabytes(sum(e.size for e in gone))}")
        for run, reason in staying.items():
            print(f"{run} stays: {reason}", file=sys.stderr)
    for text in failed:
        print(f"error: {text}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _facts(going: Going) -> dict[str, Any]:
    report = going.report.name if going.report is not None else None
    return {"run": going.run.id, "case": going.case, "started": going.started, "bytes": going.size, "report": report}


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

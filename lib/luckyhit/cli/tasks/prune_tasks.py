"""`luckyhit runs --prune`: remove old runs and their reports."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import typer

from luckyhit.case_run import CaseRun
from luckyhit.cli.app import print_json
from luckyhit.errors import LuckyHitError
from luckyhit.project import Project
from luckyhit.report.run_index import write_index
from luckyhit.text.numbers import plural
from luckyhit.workflow.unattended.prune import PrunableRun, parse_age, plan, remove, sweep


def pin_run(project: Project, run: str, *, pinned: bool, as_json: bool) -> None:
    """Pin a run, so that pruning keeps it, or end that. Raises ArgumentError if there is no such run."""
    opened = CaseRun.find(project.runs, run)
    opened.update(pinned=pinned)
    if as_json:
        print_json({"run": opened.id, "pinned": pinned})
    else:
        print(f"{opened.id} is {'pinned: pruning keeps it' if pinned else 'no longer pinned'}")


def prune_runs(
    project: Project, keep: int | None, older_than: str, *, verdicts: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove old runs and their reports by the rules given, and print which. Raises typer.Exit(1) if one could not be
    removed."""
    now = datetime.now().astimezone()
    older_than_s = parse_age(older_than) if older_than else None
    planned = plan(project.runs, project.reports, keep=keep, older_than_s=older_than_s, now=now, verdicts=verdicts)
    gone: list[PrunableRun] = []
    failed: list[str] = []
    for removable in planned.removable:
        try:
            if not dry_run:
                remove(removable, project.runs, now=now)
            gone.append(removable)
        except (LuckyHitError, OSError) as error:
            failed.append(f"{removable.run.id}: {error}")
    if not dry_run:
        sweep(project.runs)
        if gone:
            write_index(project.runs, project.reports)
    kept = {run.id: reason for run, reason in planned.kept}
    incomplete = sum(removable.incomplete for removable in gone)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "gone": [_facts(removable) for removable in gone],
                "incomplete": incomplete,
                "stay": kept | {run.id: "it has a verdict on a change" for run in planned.judged},
                "failed": failed,
            }
        )
    else:
        for removable in gone:
            marks = ["incomplete"] * removable.incomplete + ["no report"] * (removable.report is None)
            more = f"  ({', '.join(marks)})" if marks else ""
            print(f"{removable.run.id}  {removable.case:<20}  {megabytes(removable.size):>9}{more}")
        word = "would be removed" if dry_run else "removed"
        early = f" ({incomplete:,} of them incomplete)" if incomplete else ""
        print(f"{plural(len(gone), 'run')} {word}{early}, {megabytes(sum(e.size for e in gone))}")
        if planned.judged:
            judged = plural(len(planned.judged), "run")
            print(f"kept {judged} with a verdict on a change; --verdicts removes these too", file=sys.stderr)
        for run, reason in kept.items():
            print(f"kept {run}: {reason}", file=sys.stderr)
    for text in failed:
        print(f"error: {text}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _facts(removable: PrunableRun) -> dict[str, Any]:
    report = removable.report.name if removable.report is not None else None
    return {
        "run": removable.run.id,
        "case": removable.case,
        "started": removable.started,
        "bytes": removable.size,
        "incomplete": removable.incomplete,
        "report": report,
    }


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

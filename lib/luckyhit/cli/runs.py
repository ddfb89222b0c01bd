"""`luckyhit runs`: which runs there are, and which of them may go."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luckyhit.cli.app import JsonOption, ReportsOption, RunsOption, app, print_json
from luckyhit.errors import ArgumentError, LuckyHitError, RunUnreadable
from luckyhit.project import Project
from luckyhit.text.numbers import plural

if TYPE_CHECKING:
    from luckyhit.workflow.unattended.prune import Going


@app.command()
def runs(
    prune: Annotated[bool, typer.Option("--prune", help="Remove old runs and their reports (see --keep).")] = False,
    keep: Annotated[int | None, typer.Option(help="With --prune: how many runs of each case stay.")] = None,
    older_than: Annotated[str, typer.Option(help="With --prune: only what is older, such as 90d.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --prune: only say what would go.")] = False,
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """List the runs there are, oldest first; or remove old ones. A run that goes on, or has not taken its change back,
    always stays."""
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    if prune:
        _prune(project, keep, older_than, dry_run=dry_run, as_json=as_json)
        return
    if keep is not None or older_than or dry_run:
        raise ArgumentError("--keep, --older-than and --dry-run say what --prune removes", hint="Add --prune.")
    rows = described(project.runs)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("no runs yet; `luckyhit run stale-price` makes one", file=sys.stderr)
    for row in rows:
        print(f"{row['run']}  {row['case']:<20}  {row['state']:<10}  {row['verdict'] or '-'}")


def described(runs_dir: Path) -> list[dict[str, Any]]:
    """One row for each run: case, run, started, state, verdict (None before it was judged), report."""
    from luckyhit.run import runs as runs_in

    rows = []
    for run in runs_in(runs_dir):
        row: dict[str, Any] = {"run": run.id, "case": run.path.parent.name, "path": str(run.path)}
        try:
            manifest, result = run.manifest, run.result
            row |= {"started": manifest.started or None, "state": manifest.state or "unknown"}
            row |= {"verdict": result.verdict if result else None, "report": manifest.report or None}
        except RunUnreadable as error:
            nothing = dict.fromkeys(("started", "verdict", "report"))
            row |= {**nothing, "state": "unreadable", "error": error.message}
        rows.append(row)
    return rows


def _prune(project: Project, keep: int | None, older_than: str, *, dry_run: bool, as_json: bool) -> None:
    from luckyhit.report.index import write_index
    from luckyhit.workflow.unattended.prune import age_of, plan, remove, sweep

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

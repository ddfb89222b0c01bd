"""`luckyhit runs`: which runs there are, and which of them may go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from luckyhit.cli.app import JsonOption, ReportsOption, RunsOption, app, print_json
from luckyhit.errors import ArgumentError, RunUnreadable
from luckyhit.project import Project


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
        from luckyhit.cli.tasks.prune_tasks import prune_runs

        prune_runs(project, keep, older_than, dry_run=dry_run, as_json=as_json)
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

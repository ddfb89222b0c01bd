"""`luckyhit bisect`: which revision brought a fault."""

from __future__ import annotations

from typing import Annotated

import typer

from luckyhit.cli.app import CaseArgument, JsonOption, RunsOption, app


@app.command()
def bisect(
    case: CaseArgument,
    good: Annotated[str, typer.Option(metavar="REV", help="A revision without the fault: a branch, a tag or a hash.")],
    bad: Annotated[str, typer.Option(metavar="REV", help="A later revision with the fault.")] = "HEAD",
    build: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Builds a revision, in target.start.cwd of its worktree. `{python}` is filled in. Without a shell.",
        ),
    ] = "",
    build_within: Annotated[str, typer.Option(help="How long a build may take. Default: 10m.")] = "10m",
    goal: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A goal of the case that decides; repeatable. Default: those that are hurt."),
    ] = None,
    at_most: Annotated[int | None, typer.Option(help="Comparisons at most. Default: what the search may need.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin again, though such a search was interrupted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be searched, and how long.")] = False,
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
) -> None:
    """Find the revision that brought a fault: compare the good revision with others, each on a stack of its own, until
    one commit is left. A revision that can't be built or started is skipped. A search that was interrupted goes on when
    the same command is given again. The last line is the report's path."""
    from luckyhit.cli.tasks import bisect_tasks

    code = bisect_tasks.bisect_case(
        case,
        good=good,
        bad=bad,
        build=build,
        build_within=build_within,
        goals=goal or [],
        at_most=at_most,
        anew=anew,
        dry_run=dry_run,
        as_json=as_json,
        runs_dir=runs_dir,
    )
    if code:
        raise typer.Exit(code)

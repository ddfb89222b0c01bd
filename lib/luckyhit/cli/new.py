"""`luckyhit new`: a case to start from, and around it a project, where there is none yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luckyhit.cli.app import app

_PACKAGE = Path(__file__).resolve().parents[1]
# Not asked of luckyhit.case.examples: that would load every model of a case for the sake of a help text.
_EXAMPLES = ", ".join(sorted(path.stem for path in (_PACKAGE / "case" / "examples").glob("*.yml")))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the case, for example `slow-basket`.")],
    example: Annotated[str, typer.Option("--example", help=f"Start from the case of a framework: {_EXAMPLES}.")] = "",
) -> None:
    """Write a commented starting case to data/cases/NAME.yml. Outside of a project, the working directory becomes one:
    it gets the notebooks and data/cases. The last line is the case's path."""
    from luckyhit.cli.tasks import new_tasks

    new_tasks.new(name, example)

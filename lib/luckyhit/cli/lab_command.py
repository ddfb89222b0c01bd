"""`luckyhit lab`: the project in JupyterLab."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from luckyhit.cli.app import app
from luckyhit.errors import ArgumentError
from luckyhit.project import EXPLORE, NOTEBOOKS, Project

SETTINGS = Path(__file__).parent / "jupyter"
"""Defaults of JupyterLab that suit a project (`labconfig/default_setting_overrides.json`): documents are shown, not
edited, and nothing is asked of the network. One's own settings win."""
_CONFIG_PATH = "JUPYTER_CONFIG_PATH"


@app.command()
def lab(
    notebook: Annotated[
        str, typer.Argument(metavar="NOTEBOOK", help="The notebook to open: 1-baseline, 2-change, 3-report or explore.")
    ] = NOTEBOOKS[0],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS", help="For JupyterLab, after --, such as `-- --no-browser --port 8889`."),
    ] = None,
) -> None:
    """Open the project in JupyterLab, at its root: notebooks, case files, reports and docs are all at hand."""
    project = Project.find()
    folders = filter(None, (os.environ.get(_CONFIG_PATH), str(SETTINGS)))
    environment = {**os.environ, _CONFIG_PATH: os.pathsep.join(folders)}
    command = lab_command(project, notebook, arguments or [])
    os.chdir(project.root)
    sys.stdout.flush()
    os.execve(command[0], command, environment)


def lab_command(project: Project, notebook: str, arguments: list[str]) -> list[str]:
    """The command that starts JupyterLab on a project. Raises ArgumentError for an unknown notebook. What stands after
    `--` comes as the notebook where none is named: an option is for JupyterLab."""
    if notebook.startswith("-"):
        notebook, arguments = NOTEBOOKS[0], [notebook, *arguments]
    name = notebook.removeprefix("notebooks/").removesuffix(".ipynb")
    if not project.notebook(name).is_file():
        known = ", ".join((*NOTEBOOKS, EXPLORE))
        raise ArgumentError(f"no notebook {notebook!r} in {project.root / 'notebooks'}", hint=f"Choose from {known}.")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={project.root}"]
    # A file as an argument would make its folder the root; and the list of files would begin in that folder.
    command.append(f"--LabApp.default_url=/lab/tree/notebooks/{name}.ipynb?file-browser-path=/")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return [*command, *arguments]

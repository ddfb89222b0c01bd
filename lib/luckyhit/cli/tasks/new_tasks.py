"""`luckyhit new`: write a starting case, and make a project if there is none."""

from __future__ import annotations

import sys
from pathlib import Path

from luckyhit.case.docs.case_reference import schema_text
from luckyhit.case.docs.template import new_case
from luckyhit.errors import ArgumentError
from luckyhit.project import EXPLORE, NOTEBOOKS, Project

_PACKAGE = Path(__file__).resolve().parents[2]


def new(name: str, example: str) -> None:
    """Write the case, and print its path. Raises ArgumentError if it exists or can't be written."""
    text = new_case(name, example)
    path = project_for(Path.cwd()).cases / f"{name}.yml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ArgumentError(
            f"{error.filename} already exists", hint="Choose another name, or edit that file."
        ) from None
    except OSError as error:
        raise ArgumentError(
            f"{error.filename} can't be written: {error.strerror}",
            hint="Change into a folder that you can write to, or into an existing project.",
        ) from None
    print(path)


def project_for(here: Path) -> Project:
    """The project around a folder; without one, the folder becomes one, which is said. Raises ArgumentError if it can't
    be written."""
    project = Project.around(here)
    if project is not None:
        return project
    try:
        project, made = _made(here)
    except OSError as error:
        raise ArgumentError(
            f"{error.filename} can't be written: {error.strerror}",
            hint="Change into a folder that you can write to, or into an existing project.",
        ) from None
    if made:
        files = ", ".join(str(path.relative_to(here)) for path in made)
        print(f"made {here} a project: wrote {files}", file=sys.stderr)
    return project


def _made(root: Path) -> tuple[Project, list[Path]]:
    """Make a folder a project: write the notebooks, and the schema for editors. Existing files are kept. Returns the
    project and the files written."""
    project = Project.at(root)
    texts = {project.notebook(name): _shipped(name) for name in (*NOTEBOOKS, EXPLORE)}
    texts[project.cases / "case.schema.json"] = schema_text()
    made = [path for path in texts if not path.exists()]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    return project, made


def _shipped(name: str) -> str:
    """The text of a notebook, from an installed package or from a checkout."""
    for folder in (_PACKAGE / "notebooks", _PACKAGE.parents[1] / "notebooks"):
        if (folder / f"{name}.ipynb").is_file():
            return (folder / f"{name}.ipynb").read_text(encoding="utf-8")
    raise ArgumentError(f"this installation lacks the notebook {name}", hint="Reinstall Lucky Hit.")

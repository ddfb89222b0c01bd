"""`luckyhit new`: writes a starting case, and a project around it where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

from luckyhit.case.docs.schema import schema_text
from luckyhit.case.docs.template import new_case
from luckyhit.errors import ArgumentError
from luckyhit.project import NOTEBOOKS, Project

_PACKAGE = Path(__file__).resolve().parents[2]


def new(name: str, example: str) -> None:
    """Write the case, and print its path. Raises ArgumentError where it exists, or can't be written."""
    text = new_case(name, example)
    here = Path.cwd()
    project = Project.around(here)
    made: list[Path] = []
    try:
        if project is None:
            project, made = _made(here)
        path = project.cases / f"{name}.yml"
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ArgumentError(
            f"{error.filename} exists already", hint="Choose another name, or edit that file."
        ) from None
    except OSError as error:
        raise ArgumentError(
            f"{error.filename} can't be written: {error.strerror}",
            hint="Change into a folder of your own, or into one that has notebooks/ and data/cases/ in it.",
        ) from None
    if made:
        files = ", ".join(str(path.relative_to(here)) for path in made)
        print(f"{here} is a project now, with {files}", file=sys.stderr)
    print(path)


def _made(root: Path) -> tuple[Project, list[Path]]:
    """A project in a folder: the notebooks, and the schema for editors. Gives what was written, too; a file that is
    there stays as it is."""
    project = Project.at(root)
    texts = {project.notebook(name): _shipped(name) for name in NOTEBOOKS}
    texts[project.cases / "case.schema.json"] = schema_text()
    made = [path for path in texts if not path.exists()]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    return project, made


def _shipped(name: str) -> str:
    """The text of a notebook: an installed package has them in it, a checkout beside it."""
    for folder in (_PACKAGE / "notebooks", _PACKAGE.parents[1] / "notebooks"):
        if (folder / f"{name}.ipynb").is_file():
            return (folder / f"{name}.ipynb").read_text(encoding="utf-8")
    raise ArgumentError(f"this installation has no notebook {name}", hint="Install Lucky Hit anew.")

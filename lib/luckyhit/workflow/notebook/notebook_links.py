"""Links from a notebook in JupyterLab to the files of its project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from luckyhit.project import Project

NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"
"""Set by JupyterLab to the path of the notebook, and not by papermill."""


def in_jupyterlab(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody at a desk runs this notebook."""
    return NOTEBOOK_VARIABLE in environ


def linked(path: Path, text: str, project: Project, environ: Mapping[str, str] = os.environ) -> str:
    """`text` as a Markdown link to a file that JupyterLab can open, or as code where it can't: outside of JupyterLab,
    or for a file outside of the project."""
    base = _folder(environ)
    root = project.root.resolve()
    if base is None or not (path.resolve().is_relative_to(root) and base.is_relative_to(root)):
        return f"`{text}`"
    return f"[{text}]({quote(os.path.relpath(path.resolve(), base))})"


def _folder(environ: Mapping[str, str]) -> Path | None:
    """The folder of the notebook."""
    name = environ.get(NOTEBOOK_VARIABLE)
    if name is None:
        return None
    path = Path(name)
    return (path.parent if path.is_absolute() else Path.cwd()).resolve()

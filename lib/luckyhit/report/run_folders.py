"""The folders of runs that reported into one folder of reports, so that its index covers them all.

They are noted in a hidden file beside the reports, relative to it: it is of use on this machine alone, and no page
shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from luckyhit.atomic import write_atomically

FOLDERS_FILE = ".run-folders.json"
MOST_FOLDERS = 50
"""Those that reported last."""


def run_folders(reports_dir: Path, runs_dir: Path) -> list[Path]:
    """`runs_dir`, then the other folders that reported before and are still there, the newest first. What the file
    holds beside them is skipped."""
    folders = [runs_dir]
    known = {runs_dir.resolve()}
    for noted in _noted(reports_dir):
        with contextlib.suppress(OSError, ValueError):
            folder = (reports_dir / noted).resolve()
            if folder not in known and folder.is_dir():
                known.add(folder)
                folders.append(folder)
    return folders


def note_folder(reports_dir: Path, runs_dir: Path) -> None:
    """Note that runs of a folder report here. On a disk that takes no more, the index covers only what it knows."""
    own = os.path.relpath(runs_dir.resolve(), reports_dir.resolve())
    noted = _noted(reports_dir)
    if noted[:1] == [own]:
        return
    folders = [own, *(folder for folder in noted if folder != own)][:MOST_FOLDERS]
    with contextlib.suppress(OSError):
        write_atomically(reports_dir / FOLDERS_FILE, json.dumps({"schema": 1, "folders": folders}, indent=2) + "\n")


def _noted(reports_dir: Path) -> Sequence[str]:
    try:
        document = json.loads((reports_dir / FOLDERS_FILE).read_text(encoding="utf-8"))
        return [folder for folder in document["folders"] if isinstance(folder, str) and "\0" not in folder]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []

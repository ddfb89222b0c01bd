"""The project folder: where cases, notebooks, runs and reports are, found from any directory inside it."""

from __future__ import annotations

import contextlib
import difflib
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from luckyhit.errors import ArgumentError

NOTEBOOKS = ("1-baseline", "2-change", "3-report")
"""Those that a run goes through, in order."""
EXPLORE = "explore"
"""The one for questions of one's own."""


def case_name(case_file: Path) -> str:
    """The name of a case, under which its runs are kept: its file's, or its folder's where a `case.yml` stands beside a
    service. Two services' runs would be one case's otherwise."""
    folder = case_file.resolve().parent.name
    return folder if case_file.stem == "case" and folder not in ("", "cases") else case_file.stem


@dataclass(frozen=True)
class Project:
    """A folder with `notebooks/` and `data/cases/`. `runs` and `reports` may be elsewhere."""

    root: Path
    runs: Path
    reports: Path

    @classmethod
    def find(cls, start: Path | None = None, *, runs_dir: str = "", reports_dir: str = "") -> Project:
        """The project around `start` (default: the working directory), else the one around this package.

        Raises ArgumentError if there is none.
        """
        start = (start or Path.cwd()).resolve()
        project = cls.around(start) or cls.around(Path(__file__).resolve().parents[2])
        if project is None:
            raise ArgumentError(
                f"no Lucky Hit project in {start} or above it",
                hint="Change into a folder with notebooks/ and data/cases/; `luckyhit new NAME` makes one.",
            )
        return project.with_folders(runs_dir=runs_dir, reports_dir=reports_dir)

    @classmethod
    def around(cls, start: Path) -> Project | None:
        """The project around `start`; None if there is none."""
        for root in (start, *start.parents):
            if (root / "notebooks" / f"{NOTEBOOKS[0]}.ipynb").is_file() and (root / "data" / "cases").is_dir():
                return cls.at(root)
        return None

    @classmethod
    def at(cls, root: Path) -> Project:
        """The project of that folder, whether or not it exists."""
        return cls(root, root / "data" / "runs", root / "reports")

    def with_folders(self, *, runs_dir: str, reports_dir: str) -> Project:
        changed = self
        if runs_dir:
            changed = replace(changed, runs=Path(runs_dir).expanduser().resolve())
        if reports_dir:
            changed = replace(changed, reports=Path(reports_dir).expanduser().resolve())
        return changed

    @property
    def cases(self) -> Path:
        return self.root / "data" / "cases"

    def notebook(self, name: str) -> Path:
        return self.root / "notebooks" / f"{name}.ipynb"

    def case_files(self) -> Iterator[Path]:
        return iter(sorted(self.cases.glob("*.yml")))

    def case_file(self, wanted: str) -> Path:
        """A case file by its path, or by its name in `data/cases`. Raises ArgumentError with the nearest name."""
        wanted = str(wanted).strip()
        if not wanted:
            raise ArgumentError("missing case name", hint=f"Cases here: {self._case_names()}.")
        as_path = Path(wanted).expanduser()
        looks_like_path = os.sep in wanted or as_path.suffix in (".yml", ".yaml")
        candidates = [as_path, self.cases / as_path.name] if looks_like_path else [self.cases / f"{wanted}.yml"]
        for candidate in candidates:
            if candidate.is_file():
                return candidate.resolve()
        names = [path.stem for path in self.case_files()]
        near = difflib.get_close_matches(as_path.stem, names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(f"no case file for {wanted!r}", hint=f"{hint}Cases here: {self._case_names()}.")

    def called(self, case_file: Path) -> str:
        """The name of a case on the command line in this folder, as a shell word: its name if it is in `data/cases`,
        else its path."""
        if case_file.parent == self.cases.resolve():
            return shlex.quote(case_file.stem)
        return self.word(case_file, "CASE_FILE")

    def word(self, path: Path, otherwise: str) -> str:
        """A path as a shell word in this folder: relative to it, or to the home directory. Any other path is specific
        to this machine, and replaced by the variable `otherwise`."""
        path = path.resolve()
        if path.is_relative_to(self.root.resolve()):
            return shlex.quote(str(path.relative_to(self.root.resolve())))
        with contextlib.suppress(RuntimeError):
            home = Path.home().resolve()
            if path.is_relative_to(home) and path != home:
                return f"~/{shlex.quote(str(path.relative_to(home)))}"
        return f'"${otherwise}"'

    def _case_names(self) -> str:
        return ", ".join(path.stem for path in self.case_files()) or "none yet (`luckyhit new NAME` writes one)"

"""What has to be typed to start a run again: noted with the run, and printed in its report."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from luckyhit.project import Project
from luckyhit.records import Repeat


def repeat_of(project: Project, case_file: Path, variables: Iterable[str]) -> Repeat:
    """The case and the folders of `project` as words for a shell; `variables` are those that the case names."""
    own = Project.at(project.root)
    words = {"case": project.called(case_file)}
    if project.runs != own.runs:
        words["runs_dir"] = project.word(project.runs, "RUNS_DIR")
    if project.reports != own.reports:
        words["reports_dir"] = project.word(project.reports, "REPORTS_DIR")
    places = [word.strip('"$') for word in words.values() if word.startswith('"$')]
    return Repeat(**words, variables=[*dict.fromkeys([*places, *variables])])


def start_again(repeat: Repeat, *, environment: str, observe: bool) -> str:
    """The command that starts the same run again."""
    words = [f"luckyhit run {repeat.case}"]
    words += [f"--environment {shlex.quote(environment)}"] if environment else []
    words += ["--observe"] if observe else []
    words += [f"--runs-dir {repeat.runs_dir}"] if repeat.runs_dir else []
    words += [f"--reports-dir {repeat.reports_dir}"] if repeat.reports_dir else []
    return " ".join(words)

"""What `luckyhit whatif RUN|LOG|CASE` names: a run, an access log, or a case, whose newest run it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.project import Project, case_name
from luckyhit.records import Arm
from luckyhit.run import runs
from luckyhit.whatif.recorded.cache_recording import Recording
from luckyhit.whatif.recorded.logged_trace import logged_trace
from luckyhit.whatif.recorded.recorded_trace import recorded_trace

_CASE_FILES = (".yml", ".yaml")


@dataclass(frozen=True)
class Source:
    """`run`: None for a log. `name`: of the files that are written about it."""

    recording: Recording
    run: CaseRun | None
    name: str


def read_source(project: Project, wanted: str, *, arm: Arm, by: str, log_format: str) -> Source:
    """Find and read it. Raises ArgumentError where there is none, or where it can't be used so."""
    path = Path(wanted).expanduser()
    if path.is_file() and path.suffix not in _CASE_FILES:
        if by == "bytes":
            raise ArgumentError(
                "a log tells no sizes that can be used", hint="Leave out --by: sizes are numbers of entries."
            )
        return Source(logged_trace(path, form=log_format), None, path.name)
    if log_format != "auto":
        raise ArgumentError("--log-format is for an access log", hint="Leave it out.")
    run = _run(project, wanted, path)
    return Source(recorded_trace(run, arm, by=by), run, f"{run.name}-{run.id}")


def _run(project: Project, wanted: str, path: Path) -> CaseRun:
    if path.is_dir():
        return CaseRun.find(project.runs, wanted)
    is_case = path.suffix in _CASE_FILES or wanted in {one.stem for one in project.case_files()}
    if not is_case:
        return CaseRun.find(project.runs, wanted)
    case = case_name(project.case_file(wanted))
    of_case = [run for run in runs(project.runs) if run.path.parent.name == case]
    if not of_case:
        raise ArgumentError(
            f"case {case} has no runs, and a prediction needs recorded requests",
            hint=f"Measure one first: luckyhit run {case} --observe.",
        )
    return CaseRun.open(of_case[-1].path)

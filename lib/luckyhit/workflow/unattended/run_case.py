"""`luckyhit run`: run the three notebooks unattended through papermill.

papermill runs in a thread, so that the main thread can show progress (which the kernel writes to the run directory) and
pass on Ctrl-C: the kernel is interrupted as in JupyterLab, rolls back and stops what it started, and the run ends with
an INCOMPLETE report. A time limit has the same effect.

A new run records its code revision, versions, host, and the command that repeats it.
"""

from __future__ import annotations

import difflib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from luckyhit.case import Case, load_case
from luckyhit.case.values.variables import named_variables, noted_variables, refuse_quoted, refuse_unset
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, GuardError, naming_a_full_disk
from luckyhit.load.inputs import Inputs, gather
from luckyhit.load.sharding.shard_hosts import ADDRESS_VARIABLE, check_hosts
from luckyhit.project import NOTEBOOKS, Project, case_name
from luckyhit.records import Repeat
from luckyhit.run import INPUTS
from luckyhit.system.control import authorities
from luckyhit.workflow import steps
from luckyhit.workflow.late_imports import imported_meanwhile
from luckyhit.workflow.preflight import refuse_fast_log
from luckyhit.workflow.step import how_to_allow, may_change, observes
from luckyhit.workflow.unattended import console
from luckyhit.workflow.unattended.ending import RunEnding, finish
from luckyhit.workflow.unattended.interruptions import interruptions_of, one_at_a_time
from luckyhit.workflow.unattended.kernel import Kernel, Notebook

SAFE = ("GET", "HEAD")
_AT_THE_END = ("luckyhit.report.run_outcome",)
"""What the command line says at the end of a run."""


def new_run(project: Project, case_file: Path, *, environment: str = "", observe: bool = False) -> CaseRun:
    """Check the case and make its run directory. `environment` repeats the environment that may be changed; without it
    a running service is only observed. `observe`: measure only the baseline.

    Raises what `accepted` raises, and ArgumentError for a time limit that is too short for any plan; nothing is made
    then.
    """
    case = accepted(project, case_file, environment=environment, observe=observe)
    sized: tuple[str, list[str]] | None = None
    with tempfile.TemporaryDirectory(prefix="luckyhit-inputs-") as folder:
        inputs = Path(folder) / INPUTS
        declared = load_case(case_file)
        names = [name for name, _ in named_variables(declared)]
        names += [ADDRESS_VARIABLE] if case.workload.hosts > 1 else []
        repeat = repeat_of(project, case_file, names)
        notes = gather(case.workload, project.root, inputs)
        files = Inputs.load(inputs, len(case.workload.routes)) if inputs.is_dir() else Inputs({})
        refuse_fast_log(case, files)
        if case.plan.auto:
            from luckyhit.workflow.planning import sized_text  # imports the judge, which other runs need not wait for

            sized = sized_text(case_file.read_text(encoding="utf-8"), case, files.listed)
        run = CaseRun.create(
            project.runs,
            case_file,
            now=datetime.now().astimezone(),
            manifest={
                **manifest_facts(project.root),
                "seed": case.workload.seed,
                "design": case.design,
                "command": start_again(repeat, environment=environment, observe=observe),
                "repeat": repeat.model_dump(),
                "environment": environment or None,
                "observe": observe,
                "variables": noted_variables(declared, os.environ),
                "guards": [],
                "inputs": notes,
            },
        )
        if inputs.is_dir():
            shutil.copytree(inputs, run.path / INPUTS)
    if sized is not None:
        text, fields = sized
        run.update(plan={"sized": fields})
        run.replace_case(text)
    return run


def accepted(project: Project, case_file: Path, *, environment: str = "", observe: bool = False) -> Case:
    """The case, if it can be run in this way. Makes nothing, and touches no target.

    Raises CaseError, ArgumentError, or GuardError for a case that writes to a target that is only observed.
    """
    case = load_case(case_file)
    if observe and environment:
        raise ArgumentError(
            f"--observe and --environment {environment} can't be combined", hint="Leave one of them out."
        )
    _refuse_other(environment, case)
    _refuse_writes(environment, case, observe=observe)
    refuse_unset(case, os.environ)
    refuse_quoted(case_file, case, os.environ)
    case = load_case(case_file, variables=noted_variables(case, os.environ))
    authorities(case.target, project.root)
    check_hosts(case.workload.hosts)
    return case


def _refuse_other(environment: str, case: Case) -> None:
    """Raise ArgumentError if the given environment is not that of the case."""
    if environment and environment != case.target.environment:
        named = case.target.environment
        raise ArgumentError(
            f"--environment {environment} does not match target.environment of the case "
            + (f"({named!r})" if named else "(not set)"),
            hint="Check target.url and target.environment in the case. Nothing was done.",
        )


def _refuse_writes(environment: str, case: Case, *, observe: bool = False) -> None:
    """Raise GuardError for a workload or probe that writes to a service or cache that this run may only observe."""
    if case.target.url is None and not (observe and case.cache.url_env is not None):
        return
    if case.target.allow_change and environment:
        return
    if case.freshness is not None or any(route.method not in SAFE for route in case.workload.routes):
        raise GuardError(
            "the case writes (freshness probe, or routes other than GET and HEAD) to a service that is only observed",
            hint=how_to_allow(case)
            or "Remove freshness and these routes, or let the case start the service itself (target.start).",
        )


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """Raise ArgumentError for an unknown notebook parameter; papermill would only warn."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ArgumentError(
                f"unknown notebook parameter {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""),
                hint=f"Choose from {', '.join(sorted(known))}.",
            )


def run_case(
    project: Project,
    case_file: Path,
    *,
    environment: str = "",
    observe: bool = False,
    diagnose: bool = False,
    timeout_s: float | None = None,
    quiet: bool = False,
    ahead: subprocess.Popen[bytes] | None = None,
) -> RunEnding:
    """Run the notebooks on one case. `environment`, `observe`: as in `new_run`. `diagnose`: after the baseline, find
    out which kind of fault the service has. After `timeout_s` seconds it is stopped as by Ctrl-C. `ahead`: a process
    for the kernel, see `Kernel`. Raises before anything is started for invalid input, and TargetBusy if another run of
    this case is in progress."""
    started = time.monotonic()
    # From here on signals are only counted: the notebook is stopped, and the report is still written. That includes the
    # making of the run directory: every run has a report.
    with one_at_a_time(project.runs, case_name(case_file)), interruptions_of(timeout_s) as interruptions:
        with naming_a_full_disk():
            run = new_run(project, case_file, environment=environment, observe=observe)
        error: BaseException | None = None
        handed = {
            "case": str(case_file),
            "run": str(run.path),
            "runs_dir": str(project.runs),
            "reports_dir": str(project.reports),
            **({"diagnose": True} if diagnose else {}),
        }
        with console.follow(run, quiet=quiet) as show, Kernel(ahead) as kernel:
            show(f"run {run.id} of case {run.name}")
            if run.case.target.url is not None:
                show(_what_may_happen(run))
            for name in (NOTEBOOKS[0], NOTEBOOKS[-1]) if observe else NOTEBOOKS:
                if interruptions.count:
                    break
                worker = Notebook(project.notebook(name), run, kernel, handed, timeout_s=_timeout_s(run))
                # Nothing is measured any more while the last one is executed, and one core has nothing to do.
                with imported_meanwhile(_AT_THE_END if name == NOTEBOOKS[-1] else ()):
                    worker.execute(interruptions)
                error = worker.error
                if interruptions.count or error is not None:
                    break
        # Opened again: the numbers in its case may have changed.
        outcome = finish(project, CaseRun.open(run.path), interruptions, error)
    outcome.seconds = time.monotonic() - started
    return outcome


def _what_may_happen(run: CaseRun) -> str:
    """One line about a running service: whether it is changed."""
    target = run.case.target
    if observes(run):
        return f"{target.url} is only observed (--observe)"
    if may_change(run):
        return f"{target.url} ({target.environment}) will be changed, measured, and rolled back"
    if target.allow_change:
        return f"{target.url} is only observed; --environment {target.environment} allows the change"
    return f"{target.url} is only observed: the case does not allow changes"


def _timeout_s(run: CaseRun) -> int:
    """Time after which a cell is considered hanging (papermill's default is none)."""
    return int(3 * steps.longest_seconds(run.case) + 180)


def repeat_of(project: Project, case_file: Path, variables: Iterable[str]) -> Repeat:
    """The case and the folders of `project` as shell words; `variables`: those that the case names."""
    own = Project.at(project.root)
    words = {"case": project.called(case_file)}
    if project.runs != own.runs:
        words["runs_dir"] = project.word(project.runs, "RUNS_DIR")
    if project.reports != own.reports:
        words["reports_dir"] = project.word(project.reports, "REPORTS_DIR")
    places = [word.strip('"$') for word in words.values() if word.startswith('"$')]
    return Repeat(**words, variables=[*dict.fromkeys([*places, *variables])])


def start_again(repeat: Repeat, *, environment: str, observe: bool) -> str:
    """The command that repeats the run."""
    words = [f"luckyhit run {repeat.case}"]
    words += [f"--environment {shlex.quote(environment)}"] if environment else []
    words += ["--observe"] if observe else []
    words += [f"--runs-dir {repeat.runs_dir}"] if repeat.runs_dir else []
    words += [f"--reports-dir {repeat.reports_dir}"] if repeat.reports_dir else []
    return " ".join(words)


_PACKAGES = ("luckyhit", "httptools", "httpx", "numpy", "pandas", "papermill", "pyarrow", "redis", "uvloop")


def code_revision(folder: Path) -> str:
    """The Git revision of `folder`, and whether there are uncommitted changes; `not under Git` if there is none."""
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
        dirty = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "not under Git"
    return f"{head} ({'with uncommitted changes' if dirty else 'clean'})"


def manifest_facts(project_root: Path) -> dict[str, Any]:
    """The part of the manifest that is known before anything starts."""
    return {
        "revision": code_revision(project_root),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "host": {
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        },
    }

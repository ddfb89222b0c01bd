"""What the cells of the notebooks call; each call returns one table, figure or sentence.

book = baseline("stale-price")      1-baseline     makes the run directory
book = change(run)                  2-change       continues in it
book = report(run)                  3-report       judges and exports
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luckyhit.api import OpenedRun
from luckyhit.case_run import CaseRun
from luckyhit.errors import (
    ArgumentError,
    naming_a_full_disk,
)
from luckyhit.project import Project, case_name
from luckyhit.records import Accounting, Result
from luckyhit.workflow import steps
from luckyhit.workflow.late_imports import uncollected
from luckyhit.workflow.notebook.case_form import case_form
from luckyhit.workflow.notebook.cell_output import Picture, Progress
from luckyhit.workflow.notebook.notebook_links import in_jupyterlab, linked
from luckyhit.workflow.notebook.notebook_parameters import Parameters, refuse_misspelt
from luckyhit.workflow.notebook.sentences import interrupted, rolled_back, sentence, show
from luckyhit.workflow.step import observes
from luckyhit.workflow.unattended import run_case

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown

    from luckyhit.case import Case
    from luckyhit.workflow.notebook.cell_contents import CellContents

PARAMETERS = frozenset({"case", "run", "environment", "observe", "diagnose", "runs_dir", "reports_dir"})
"""What the `parameters` cells of the notebooks define (a test keeps this true)."""


class Workbook(OpenedRun):
    """One run as the notebooks use it; its frames are for your own questions.

    If a parameter of the notebook changes after the book was opened from it, the next call opens it again: a cell shows
    what the parameters say.
    """

    def __init__(self, run: CaseRun | None, project: Project, parameters: Parameters | None = None) -> None:
        super().__init__(run)
        self.project = project
        self._parameters = parameters
        self._shown: CellContents | None = None

    @property
    def run(self) -> CaseRun:
        """The run directory. Raises ArgumentError in a notebook that has measured nothing yet."""
        self._follow()
        return super().run

    def _follow(self) -> None:
        """Open the book again if a parameter has changed, and say so."""
        if self._parameters is None or not (changes := self._parameters.changed()):
            return
        self._shown = None
        self._open({**self._parameters.given, **changes})
        self._parameters.given |= changes  # not before: a misspelt one is refused by each cell until it is right
        listed = ", ".join(f"{name} is now {value!r}" for name, value in changes.items())
        show(f"*The parameters have changed ({listed}): opened again.*")

    def _open(self, parameters: dict[str, Any]) -> None:
        """Continue with what these parameters say."""
        run, self.project = _existing(**parameters)
        self.reopen(run)

    def _measure(
        self, step: Callable[[CaseRun, Project, steps.Progress], None], again: str, until_s: float | None = None
    ) -> None:
        """Take one step of the run and show its progress. Raises what the step raises; if it was interrupted,
        NotEnoughData or RollbackNotConfirmed. `again`: what to do then. `until_s`: seconds of the run that are measured
        at the end of the step (None: all)."""
        run = self.run
        try:
            with Progress(run, until_s) as progress:
                step(run, self.project, progress)
        except KeyboardInterrupt:
            raise interrupted(run, again) from None
        finally:
            self.measured()

    def doing(self, activity: str) -> None:
        """Record the current activity in the progress file. Raises NoRoom on a full disk."""
        with naming_a_full_disk():
            self.run.progress(activity)

    def declared(self) -> pd.DataFrame:
        """The case as declared: what, where, who, and what should happen."""
        return self._cells().declared(self.run.case)

    def figure(self, name: str) -> Picture | None:
        """A figure of the report, by name, drawn from the records so far, with alternative text. None if it needs a
        probe or a change that the run doesn't have."""
        if self._has_no(name):
            return None
        self.doing(f"drawing {name}")
        return self._cells().figure(name, self.run, self._result())

    def reading(self, name: str) -> Markdown:
        """The sentence on what figure `name` shows."""
        return sentence(self._cells().reading(name, self.run, self._result()))

    def whatif(
        self, ttl: Sequence[str] = (), size: Sequence[str] = (), *, policy: Sequence[str] = (), rule: str = "",
        now_ttl: str = "", now_size: str = "", by: str = "auto", arm: str = "before",
    ) -> pd.DataFrame:  # fmt: skip
        """What other times to live (`30s`) and sizes (`8MB`) would do, as `luckyhit whatif` predicts it from the
        recorded requests: a row for each time to live."""
        grid = {"ttls": tuple(ttl), "sizes": tuple(size), "policies": tuple(policy)}
        return self._cells().what_if(
            self.run, {**grid, "rule": rule, "now_ttl": now_ttl, "now_size": now_size, "by": by, "arm": arm}
        )

    def whatif_figure(self, name: str) -> Picture:
        """A figure of what was asked last: `by-size`, `by-ttl`, `map`, `pareto` or `policies`."""
        return self._cells().what_if_figure(self.run, name)

    def whatif_reading(self) -> Markdown:
        """Whether the model fits the service, and where the knees are."""
        return sentence(self._cells().what_if_summary(self.run))

    def _cells(self) -> CellContents:
        """Imported late, so that the first cell does not wait for judge and pandas."""
        if self._shown is None:
            with uncollected():
                from luckyhit.workflow.notebook.cell_contents import CellContents
            self._shown = CellContents()
        return self._shown

    def _has_no(self, name: str) -> bool:
        return self.run.case.freshness is None and self._cells().shows_probe(name)

    def _result(self) -> Result | None:
        return self.run.result


class Baseline(Workbook):
    """1-baseline: what the system does now. Each measurement makes a new run; a given run is measured once."""

    def __init__(self, parameters: Parameters) -> None:
        given = parameters.given
        super().__init__(None, Project.find(runs_dir=given["runs_dir"], reports_dir=given["reports_dir"]), parameters)
        self._open(given)

    def _open(self, parameters: dict[str, Any]) -> None:
        self.project = Project.find(runs_dir=parameters["runs_dir"], reports_dir=parameters["reports_dir"])
        self._case_file: Path | None = None
        self._how = {name: parameters[name] for name in ("environment", "observe")}
        if parameters["run"]:
            run = CaseRun.find(self.project.runs, str(parameters["run"]))
            self._case = run.case
            self.reopen(run)
            return
        self._case_file = self.project.case_file(parameters["case"])
        self._read_case(self._case_file)
        self.reopen(None)

    def _read_case(self, case_file: Path) -> None:
        self._case_bytes = case_file.read_bytes()
        self._case = run_case.accepted(self.project, case_file, **self._how)

    def _declared(self) -> Case:
        """The case by the parameters and the file as they are now."""
        self._follow()
        if self._case_file is not None:
            case_file = self.project.case_file(str(self._case_file))  # which may be gone
            if case_file.read_bytes() != self._case_bytes:
                self._read_case(case_file)
        return self._case

    def links(self) -> Markdown | None:
        """Where the files are: the case, the reports, the docs. None outside of JupyterLab, which opens them."""
        self._follow()
        if not in_jupyterlab():
            return None
        places = {
            "the case file": self._case_file or self.run.path / "case.yml",
            "all reports": self.project.reports / "index.html",
            "the docs": self.project.root / "docs" / "README.md",
        }
        shown = [linked(path, text, self.project) for text, path in places.items() if path.exists()]
        return sentence(" · ".join(shown))

    def form(self) -> Any:
        """A form for the main numbers of the case, which writes the case file. None outside of JupyterLab; a sentence
        for a given run, which is measured with the case that it has."""
        if not in_jupyterlab():
            return None
        self._declared()
        if self._case_file is None:
            return sentence(f"Run `{self.run.id}` has its case already: leave the parameter `run` empty to change it.")
        return case_form(self._case_file, self._changed_by_form)

    def _changed_by_form(self) -> None:
        """The cells below show the case as it is written now, and not the run that was measured before."""
        self.reopen(None)

    def declared(self) -> pd.DataFrame:
        """The case as declared: what, where, who, and what should happen."""
        return self._cells().declared(self._declared())

    def power(self) -> pd.DataFrame:
        """What the plan can decide for each goal, and what to change if that is too little: from the case alone, and
        after the baseline from its noise."""
        return self._cells().power(self._declared(), self._run, self.project)

    def measure(self) -> Markdown:
        """Start the service, clear the declared keys, warm up, measure. Returns what was done."""
        self._declared()
        if self._case_file is not None:
            with naming_a_full_disk():
                self.reopen(run_case.new_run(self.project, self._case_file, **self._how))
        plan = self.run.case.plan
        again = "Run this cell again to start a new run." if self._case_file is not None else "Start a new run."
        self._measure(steps.measure_baseline, again, plan.warmup + plan.baseline)
        return sentence(self._counted())

    def _counted(self) -> str:
        counted = self.run.manifest.blocks[-1].accounting.get("before", Accounting())
        return (
            f"{counted.scheduled:,} requests were scheduled, warm-up included; {counted.completed:,} completed, "
            f"{counted.failed:,} failed, {counted.timed_out:,} timed out, {counted.dropped:,} were dropped."
        )

    def numbers(self) -> pd.DataFrame:
        """Response time, errors, cache status, database calls and freshness of the baseline, one row each."""
        return self._cells().baseline(self.run, self._result())

    def service_map(self) -> pd.DataFrame:
        """What each route does with the cache: a row for each key that it reads, stores or deletes."""
        return self._cells().service_map(self.run, self._result())

    def diagnose(self, budget: str = "90s", *, wanted: bool = True, outage: bool = False) -> Markdown:
        """Find out which kind of fault the service has, by experiments on a stack of its own, for that long at most.
        The record is kept in the run, and its report shows it. `wanted`: else nothing is done. `outage`: whether the
        cache of that stack may be cut off during a write."""
        if not wanted:
            return sentence("Not asked for: the parameter `diagnose` makes one, and so does `book.diagnose()`.")
        return sentence(self._cells().diagnosis(self.run, self.project, budget, outage=outage))

    def not_seen(self) -> Markdown:
        """What could not be seen."""
        return sentence(self._cells().not_seen(self.run, self._result()))

    def next_step(self) -> Markdown:
        notebook = "3-report" if observes(self.run) else "2-change"
        return sentence(f"Baseline measured. Continue with `{notebook}` (run `{self.run.id}`).")


class Changed(Workbook):
    """2-change: the one controlled change, measured and rolled back."""

    def one_change(self) -> pd.DataFrame:
        """What is changed, and what may be cleared."""
        return self._cells().change(self.run.case)

    def measure(self) -> Markdown:
        """Measure both arms, block by block, then roll back and measure once more. Returns what was done."""
        self._measure(
            steps.measure_change,
            "Start a new run with 1-baseline, then run this notebook from its first cell.",
        )
        rows = self.run.length("requests")
        blocks = len(self.run.blocks("change"))
        return sentence(f"{blocks} blocks measured; {rows:,} requests recorded in the run so far.")

    def cleared(self) -> pd.DataFrame:
        """Keys scanned, in scope, and cleared before each block."""
        return self._cells().cleared(self.run, self._result())

    def actions(self) -> pd.DataFrame:
        """What was done to the target, by the journal: each kind of step, how often, and its outcome."""
        return self._cells().actions(self.run, self._result())

    def guards(self) -> pd.DataFrame:
        """What was checked while measuring, with the evidence."""
        return self._cells().guards(self.run, self._result())

    def rolled_back(self) -> Markdown:
        """Whether the change is rolled back."""
        return sentence(rolled_back(self.run, unconfirmed="**not confirmed**"))


class Reported(Workbook):
    """3-report: the verdict, and the page to send."""

    def judge(self) -> Markdown:
        """Judge the records (without the target) and write result.json. Returns the verdict."""
        self.doing("judging what was recorded")
        self._cells().judge(self.run)
        result = self._judged()
        if self._observed():
            return sentence(self._cells().observed_sentence(result))
        return sentence(f"**{result.verdict}.** {result.reason}")

    def findings(self) -> Markdown:
        """What the run shows beside its metrics: old, wrong or impossible answers, an untrustworthy cache status."""
        lines = self._cells().finding_lines(self._judged())
        return sentence("\n".join(f"- {line}" for line in lines) or "Nothing beside the metrics.")

    def _observed(self) -> bool:
        """Whether only the baseline was measured, so that there is nothing to compare."""
        return self._cells().observed_only(self.run)

    def _has_no(self, name: str) -> bool:
        return super()._has_no(name) or (name == "forest" and self._observed())

    def _result(self) -> Result:
        return self._judged()

    def _judged(self) -> Result:
        result = self.run.result
        if result is None:
            raise ArgumentError(f"run {self.run.id} is not judged yet", hint="Run the cell with `judge()` first.")
        return result

    def naive(self) -> Markdown:
        """What a plain before/after comparison would say."""
        if self._observed():
            return sentence("Nothing: only the baseline was measured.")
        return sentence(self._judged().naive.sentence)

    def metrics(self) -> pd.DataFrame:
        """Every metric in both arms, with its interval, margin and verdict; or a baseline alone beside earlier ones."""
        return self._cells().metrics(self._judged(), observed=self._observed())

    def readers(self) -> pd.DataFrame:
        """What readers saw of the writes of probe and workload; no rows if there was nothing to see."""
        return self._cells().readers(self.run, self._result())

    def guards(self) -> pd.DataFrame:
        """Each guard with its evidence; a failed one makes the verdict INVALID."""
        return self._cells().guards(self.run, self._result())

    def checklist(self) -> pd.DataFrame:
        """The five questions that every change has to answer, with the evidence."""
        return self._cells().checklist(self.run, self._result())

    def export(self) -> Markdown:
        """Write the HTML report and the index. Returns the report's path; in JupyterLab, links to both."""
        self.doing("writing the report")
        path = self._cells().export(self.run, self._judged(), self.project.reports)
        report = linked(path, os.path.relpath(path), self.project)
        if not in_jupyterlab():
            return sentence(f"Report: {report}")
        return sentence(f"Report: {report} · {linked(path.with_name('index.html'), 'all reports', self.project)}")


def baseline(
    case: str,
    run: str = "",
    *,
    environment: str = "",
    observe: bool = False,
    runs_dir: str = "",
    reports_dir: str = "",
) -> Baseline:
    """Open `case` (its name in data/cases, or a file), for a new run with each measurement; or open an existing `run`
    without a baseline.

    `environment` repeats the environment that may be changed, for a service that is already running. `observe`: the run
    measures only its baseline, and continues with the report.
    """
    refuse_misspelt(PARAMETERS)
    given = {"case": case, "run": run, "environment": environment, "observe": observe}
    return Baseline(Parameters({**given, "runs_dir": runs_dir, "reports_dir": reports_dir}))


def change(run: str = "", case: str = "", *, runs_dir: str = "", reports_dir: str = "") -> Changed:
    """Continue a run (default: the newest of `case`) with the change."""
    refuse_misspelt(PARAMETERS)
    given = {"run": run, "case": case, "runs_dir": runs_dir, "reports_dir": reports_dir}
    return Changed(*_existing(**given), Parameters(given))


def report(run: str = "", case: str = "", *, runs_dir: str = "", reports_dir: str = "") -> Reported:
    """Judge and report a run (default: the newest of `case`)."""
    refuse_misspelt(PARAMETERS)
    given = {"run": run, "case": case, "runs_dir": runs_dir, "reports_dir": reports_dir}
    return Reported(*_existing(**given), Parameters(given))


def _existing(run: str, case: str, runs_dir: str, reports_dir: str) -> tuple[CaseRun, Project]:
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    wanted = str(run) or (f"latest:{case_name(project.case_file(case))}" if case else "latest")
    return CaseRun.find(project.runs, wanted), project


__all__ = ["PARAMETERS", "Baseline", "Changed", "Reported", "Workbook", "baseline", "change", "report"]

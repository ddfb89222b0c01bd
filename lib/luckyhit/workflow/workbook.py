"""What the cells of the notebooks call: each returns one table, figure or sentence.

book = baseline("stale-price")      1-baseline     makes the run directory
book = change(run)                  2-change       continues in it
book = report(run)                  3-report       judges and exports
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from luckyhit.api import OpenedRun
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, LuckyHitError, NotEnoughData, RollbackNotConfirmed
from luckyhit.project import Project
from luckyhit.records import Accounting, Result, Rollback
from luckyhit.workflow import steps
from luckyhit.workflow.cell_output import Picture, Progress
from luckyhit.workflow.step import observes
from luckyhit.workflow.unattended import run_case

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown

    from luckyhit.case import Case
    from luckyhit.workflow.cell_contents import CellContents

PARAMETERS = frozenset({"case", "run", "environment", "observe", "runs_dir", "reports_dir"})
"""What the `parameters` cells of the notebooks define (a test keeps this true)."""


class Workbook(OpenedRun):
    """One run, as the notebooks see it; its frames are there for questions of one's own."""

    def __init__(self, run: CaseRun | None, project: Project) -> None:
        super().__init__(run)
        self.project = project
        self._shown: CellContents | None = None

    def _measure(
        self, step: Callable[[CaseRun, Project, steps.Progress], None], again: str, until_s: float | None = None
    ) -> None:
        """Take one step of the run, showing how far it is. Raises what the step raises; where it was interrupted,
        NotEnoughData with what became of the rollback. `again`: what to do then. `until_s`: how many seconds of the
        run are measured at the end of the step (None: all)."""
        run = self.run
        try:
            with Progress(run, until_s) as progress:
                step(run, self.project, progress)
        except KeyboardInterrupt:
            raise _interrupted(run, again) from None
        finally:
            self.measured()

    def doing(self, activity: str) -> None:
        """Note what takes a moment now, for whoever follows the run from outside."""
        self.run.progress(activity)

    def declared(self) -> pd.DataFrame:
        """The case as declared: what, where, who, and what should happen."""
        return self._cells().declared(self.run.case)

    def figure(self, name: str) -> Picture | None:
        """One of the report's figures, by name, drawn from what was measured so far; with alternative text. None where
        the case declares no probe for it to show, or the run no change."""
        if self._has_no(name):
            return None
        self.doing(f"drawing {name}")
        return self._cells().figure(name, self.run, self._result())

    def reading(self, name: str) -> Markdown:
        """The sentence that says what figure `name` shows, made from the data."""
        return _sentence(self._cells().reading(name, self.run, self._result()))

    def _cells(self) -> CellContents:
        """What the cells show: late, since the first cell need not wait for the judge and pandas."""
        from luckyhit.workflow.cell_contents import CellContents

        self._shown = self._shown or CellContents()
        return self._shown

    def _has_no(self, name: str) -> bool:
        return self.run.case.freshness is None and self._cells().shows_probe(name)

    def _result(self) -> Result | None:
        return self.run.result


class Baseline(Workbook):
    """1-baseline: what the system does now. `begin` makes a run directory, for each measuring anew; None where the run
    was given, which is measured once."""

    def __init__(
        self, run: CaseRun | None, project: Project, case: Case, begin: Callable[[], CaseRun] | None = None
    ) -> None:
        super().__init__(run, project)
        self._case = case
        self._begin = begin

    def declared(self) -> pd.DataFrame:
        """The case as declared: what, where, who, and what should happen."""
        return self._cells().declared(self._case)

    def power(self) -> pd.DataFrame:
        """What the plan gives each goal, what it needs, and what to change where that is too little: from the case
        alone, and from the baseline's noise once that is measured."""
        return self._cells().power(self._case, self._run)

    def measure(self) -> Markdown:
        """Start the service, reset the declared part of the cache, warm up, measure. Returns what was done."""
        if self._begin is not None:
            self.reopen(self._begin())
        plan = self.run.case.plan
        again = "Run this cell again: it begins a new run." if self._begin is not None else "Start a new run."
        self._measure(steps.measure_baseline, again, plan.warmup + plan.baseline)
        return _sentence(self._counted())

    def _counted(self) -> str:
        counted = self.run.manifest.blocks[-1].accounting.get("before", Accounting())
        return (
            f"{counted.scheduled:,} requests were due, those of the warm-up included; {counted.completed:,} completed, "
            f"{counted.failed:,} failed, {counted.timed_out:,} timed out, {counted.dropped:,} were dropped."
        )

    def numbers(self) -> pd.DataFrame:
        """Response time, errors, cache status, database calls and freshness of the baseline, one row each."""
        return self._cells().baseline(self.run, self._result())

    def not_seen(self) -> Markdown:
        """What could not be seen, said plainly."""
        return _sentence(self._cells().not_seen(self.run, self._result()))

    def next_step(self) -> Markdown:
        notebook = "3-report" if observes(self.run) else "2-change"
        return _sentence(f"Baseline measured. Go on with `{notebook}` (run `{self.run.id}`).")


class Changed(Workbook):
    """2-change: the one controlled change, measured and rolled back."""

    def one_change(self) -> pd.DataFrame:
        """What is changed, and what may be cleared."""
        return self._cells().change(self.run.case)

    def measure(self) -> Markdown:
        """Measure both arms, block by block, then roll back and measure once more. Returns what was done."""
        self._measure(
            steps.measure_change,
            "Nothing keeps you from another: measure 1-baseline again, then run this notebook from its first cell on.",
        )
        rows = self.run.length("requests")
        blocks = len(self.run.blocks("change"))
        return _sentence(f"{blocks} blocks measured; {rows:,} requests in the run so far, each one recorded.")

    def cleared(self) -> pd.DataFrame:
        """Keys looked at, in scope, and cleared before each block."""
        return self._cells().cleared(self.run, self._result())

    def actions(self) -> pd.DataFrame:
        """What was done to the target, by the journal: each kind of step, how often, and what became of it."""
        return self._cells().actions(self.run, self._result())

    def guards(self) -> pd.DataFrame:
        """What was checked while measuring, with the evidence."""
        return self._cells().guards(self.run, self._result())

    def rolled_back(self) -> Markdown:
        """Whether the change is out again."""
        return _sentence(_rolled_back(self.run, unconfirmed="**not confirmed**"))


class Reported(Workbook):
    """3-report: the verdict, and the page to send."""

    def judge(self) -> Markdown:
        """Judge what was recorded (no target needed) and write result.json. Returns the verdict."""
        self.doing("judging what was recorded")
        self._cells().judge(self.run)
        result = self._judged()
        if self._observed():
            return _sentence(self._cells().observed_sentence(result))
        return _sentence(f"**{result.verdict}.** {result.reason}")

    def findings(self) -> Markdown:
        """What the run shows beside its metrics: old, wrong or impossible answers, a status that can't be believed."""
        lines = self._cells().finding_lines(self._judged())
        return _sentence("\n".join(f"- {line}" for line in lines) or "Nothing beside the metrics.")

    def _observed(self) -> bool:
        """Whether the baseline alone was measured: then there is nothing to compare."""
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
        """What a plain before/after would have said."""
        if self._observed():
            return _sentence("Nothing: only the baseline was measured.")
        return _sentence(self._judged().naive.sentence)

    def metrics(self) -> pd.DataFrame:
        """Every metric in both arms, with its interval, margin and verdict; of a baseline alone, beside earlier
        ones."""
        return self._cells().metrics(self._judged(), observed=self._observed())

    def readers(self) -> pd.DataFrame:
        """What readers saw of the probe's writes, and of the workload's; no rows where there was nothing to see."""
        return self._cells().readers(self.run, self._result())

    def guards(self) -> pd.DataFrame:
        """What would overturn the verdict: each guard, with its evidence."""
        return self._cells().guards(self.run, self._result())

    def checklist(self) -> pd.DataFrame:
        """The five questions every change has to answer, with the evidence."""
        return self._cells().checklist(self.run, self._result())

    def export(self) -> Markdown:
        """Write the HTML report and the index. Returns where it is."""
        self.doing("writing the report")
        path = self._cells().export(self.run, self._judged(), self.project.reports)
        return _sentence(f"Report: `{os.path.relpath(path)}`")


def _refuse_unknown_parameters() -> None:
    """Refuse a misspelt parameter under plain papermill, which only warns and then runs without it.

    papermill injects what it was given as a cell that begins with `# Parameters`; nothing else is looked at, so
    variables that somebody defines by hand are theirs.
    """
    from IPython import get_ipython

    shell = get_ipython()
    for source in shell.user_ns.get("In", []) if shell is not None else []:
        if source.startswith("# Parameters"):
            given = {
                target.id
                for node in ast.parse(source).body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            run_case.refuse_unknown(given, PARAMETERS)


def baseline(
    case: str,
    run: str = "",
    *,
    environment: str = "",
    observe: bool = False,
    runs_dir: str = "",
    reports_dir: str = "",
) -> Baseline:
    """Take up `case` (its name in data/cases, or a file), of which each measuring makes a new run; or take one run
    that exists and has no baseline yet.

    `environment` repeats the name of what may be changed, where the case is about a service that runs already.
    `observe`: the run measures its baseline alone, and goes on with the report.
    """
    _refuse_unknown_parameters()
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    if run:
        made = CaseRun.find(project.runs, str(run))
        return Baseline(made, project, made.case)
    case_file = project.case_file(case)
    declared = run_case.accepted(project, case_file, environment=environment, observe=observe)

    def begin() -> CaseRun:
        return run_case.new_run(project, case_file, environment=environment, observe=observe)

    return Baseline(None, project, declared, begin)


def change(run: str = "", case: str = "", *, runs_dir: str = "", reports_dir: str = "") -> Changed:
    """Continue a run (default: the newest of `case`) with the change."""
    return Changed(*_existing(run, case, runs_dir, reports_dir))


def report(run: str = "", case: str = "", *, runs_dir: str = "", reports_dir: str = "") -> Reported:
    """Take a run (default: the newest of `case`) to its report."""
    return Reported(*_existing(run, case, runs_dir, reports_dir))


def _existing(run: str, case: str, runs_dir: str, reports_dir: str) -> tuple[CaseRun, Project]:
    _refuse_unknown_parameters()
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    wanted = str(run) or (f"latest:{project.case_file(case).stem}" if case else "latest")
    return CaseRun.find(project.runs, wanted), project


def _sentence(text: str) -> Markdown:
    from IPython.display import Markdown

    return Markdown(text)


def _rolled_back(run: CaseRun, *, unconfirmed: str = "not confirmed") -> str:
    rollback = run.manifest.rollback or Rollback(detail="nothing was noted")
    return f"Rollback {'confirmed' if rollback.confirmed else unconfirmed}: {rollback.detail}"


def _interrupted(run: CaseRun, again: str) -> LuckyHitError:
    """What to raise in place of KeyboardInterrupt, whose traceback would say nothing of the rollback."""
    manifest = run.manifest
    if manifest.changed:
        hint = manifest.failure.hint if manifest.failure else ""
        hint = hint or f"`luckyhit revert {run.called}` tries again."
        return RollbackNotConfirmed(f"Interrupted. {_rolled_back(run)}", hint=hint)
    return NotEnoughData(f"Interrupted. {_rolled_back(run)}", hint=again)


__all__ = ["PARAMETERS", "Baseline", "Changed", "Reported", "Workbook", "baseline", "change", "report"]

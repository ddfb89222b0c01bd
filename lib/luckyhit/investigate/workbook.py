"""What the cells of the notebooks call: each returns one table, figure or sentence.

book = baseline("stale-price")      1-baseline     makes the run directory
book = change(run)                  2-change       continues in it
book = report(run)                  3-report       judges and exports
"""

from __future__ import annotations

import ast
import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from luckyhit.errors import ArgumentError
from luckyhit.investigate import conduct, steps
from luckyhit.investigate.step import observes
from luckyhit.opened import OpenedRun
from luckyhit.project import Project
from luckyhit.records import Result
from luckyhit.run import Run, find_run

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Image, Markdown
    from matplotlib.figure import Figure

PARAMETERS = frozenset({"case", "run", "environment", "observe", "runs_dir", "reports_dir"})
"""What the `parameters` cells of the notebooks define (a test keeps this true)."""


class Workbook(OpenedRun):
    """One run, as the notebooks see it; its frames are there for questions of one's own."""

    def __init__(self, run: Run, project: Project) -> None:
        super().__init__(run)
        self.project = project

    def doing(self, what: str) -> None:
        """Note what takes a moment now, for whoever follows the run from outside."""
        self.run.progress(what)

    def declared(self) -> pd.DataFrame:
        """The case as declared: what, where, who, and what should happen."""
        from luckyhit.report import tables

        return tables.declared(self.run.case)

    def figure(self, name: str) -> Image | None:
        """One of the report's figures, by name, drawn from what was measured so far; with alternative text. None where
        the case declares no probe for it to show."""
        from luckyhit.report import figure_for
        from luckyhit.report.gallery import OF_A_PROBE

        if name in OF_A_PROBE and self.run.case.freshness is None:
            return None
        self.doing(f"drawing {name}")
        figure, sentence = figure_for(name, self.run, self._result())
        assert figure is not None  # it is None only where none was asked for
        return _image(figure, sentence)

    def reading(self, name: str) -> Markdown:
        """The sentence that says what figure `name` shows, made from the data."""
        from IPython.display import Markdown

        from luckyhit.report import figure_for

        return Markdown(figure_for(name, self.run, self._result(), draw=False)[1])

    def _result(self) -> Result | None:
        return self.run.result


class Baseline(Workbook):
    """1-baseline: what the system does now."""

    def measure(self) -> Markdown:
        """Start the service, reset the declared part of the cache, warm up, measure. Returns what was done."""
        with _Progress(self.run) as progress:
            steps.measure_baseline(self.run, self.project, progress)
        self.measured()
        return _sentence(self._counted())

    def _counted(self) -> str:
        accounting = self.run.manifest["blocks"][-1].get("accounting", {}).get("before", {})
        return (
            f"{accounting.get('scheduled', 0):,} requests were due; {accounting.get('completed', 0):,} completed, "
            f"{accounting.get('failed', 0):,} failed, {accounting.get('timed_out', 0):,} timed out, "
            f"{accounting.get('dropped', 0):,} were dropped."
        )

    def numbers(self) -> pd.DataFrame:
        """Response time, errors, cache status, database calls and freshness of the baseline, one row each."""
        from luckyhit.report import tables

        return tables.baseline(self.run)

    def not_seen(self) -> Markdown:
        """What could not be seen, said plainly."""
        from luckyhit.report import tables

        return _sentence(tables.not_seen(self.run))

    def next_step(self) -> Markdown:
        notebook = "3-report" if observes(self.run) else "2-change"
        return _sentence(f"Baseline measured. Go on with `{notebook}` (run `{self.run.id}`).")


class Changed(Workbook):
    """2-change: the one controlled change, measured and rolled back."""

    def one_change(self) -> pd.DataFrame:
        """What is changed, and what may be cleared."""
        from luckyhit.report import tables

        return tables.change(self.run.case)

    def measure(self) -> Markdown:
        """Measure both arms, block by block, then roll back and measure once more. Returns what was done."""
        with _Progress(self.run) as progress:
            steps.measure_change(self.run, self.project, progress)
        self.measured()
        rows = self.run.length("requests")
        blocks = len(self.run.blocks("change"))
        return _sentence(f"{blocks} blocks measured; {rows:,} requests in the run so far, each one recorded.")

    def cleared(self) -> pd.DataFrame:
        """Keys looked at, in scope, and cleared before each block."""
        from luckyhit.report import tables

        return tables.cleared(self.run)

    def touched(self) -> pd.DataFrame:
        """What was done to the target, by the journal: each kind of step, how often, and what became of it."""
        from luckyhit.report import tables

        return tables.touched(self.run)

    def guards(self) -> pd.DataFrame:
        """What was checked while measuring, with the evidence."""
        from luckyhit.report import tables

        return tables.guards(self.run)

    def rolled_back(self) -> Markdown:
        """Whether the change is out again."""
        rollback = self.run.manifest.get("rollback", {})
        return _sentence(f"Rollback {'confirmed' if rollback.get('confirmed') else '**not confirmed**'}: "
                         f"{rollback.get('detail', 'nothing was noted')}")  # fmt: skip


class Reported(Workbook):
    """3-report: the verdict, and the page to send."""

    def judge(self) -> Markdown:
        """Judge what was recorded (no target needed) and write result.json. Returns the verdict."""
        from luckyhit.judge import judge
        from luckyhit.judge.earlier import with_earlier

        self.doing("judging what was recorded")
        self.run.write_result(with_earlier(self.run, judge(self.run)))
        result = self._judged()
        return _sentence(f"**{result.verdict}.** {result.because}")

    def _judged(self) -> Result:
        result = self.run.result
        if result is None:
            raise ArgumentError(f"run {self.run.id} is not judged yet", hint="Run the cell with `judge()` first.")
        return result

    def naive(self) -> Markdown:
        """What a plain before/after would have said."""
        return _sentence(self._judged().naive.sentence)

    def metrics(self) -> pd.DataFrame:
        """Every metric in both arms, with its interval, margin and verdict."""
        from luckyhit.report import tables

        return tables.metrics(self._judged())

    def readers(self) -> pd.DataFrame:
        """What readers saw of the probe's writes, and of the workload's; no rows where there was nothing to see."""
        from luckyhit.report import tables

        return tables.readers(self.run, self._judged())

    def guards(self) -> pd.DataFrame:
        """What would overturn the verdict: each guard, with its evidence."""
        from luckyhit.report import tables

        return tables.guards(self.run, self._judged())

    def checklist(self) -> pd.DataFrame:
        """The five questions every change has to answer, with the evidence."""
        from luckyhit.report import tables

        return tables.checklist(self.run, self._judged())

    def export(self) -> Markdown:
        """Write the HTML report and the index. Returns where it is."""
        from luckyhit.report import render

        self.doing("writing the report")
        path = render(self.run, self._judged(), self.project.reports)
        finished = {"state": "finished"} if self.run.state == "measured" else {}
        self.run.update(report=os.path.relpath(path, self.run.path), **finished)
        self.run.write_result(self._judged().model_copy(update={"report": path.name}))
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
            conduct.refuse_unknown(given, PARAMETERS)


def baseline(
    case: str,
    run: str = "",
    *,
    environment: str = "",
    observe: bool = False,
    runs_dir: str = "",
    reports_dir: str = "",
) -> Baseline:
    """Begin a run of `case` (its name in data/cases, or a file), or take one that exists and has no baseline yet.

    `environment` repeats the name of what may be changed, where the case is about a service that runs already.
    `observe`: the run measures its baseline alone, and goes on with the report.
    """
    _refuse_unknown_parameters()
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    if run:
        return Baseline(find_run(project.runs, str(run)), project)
    made = conduct.new_run(project, project.case_file(case), environment=environment, observe=observe)
    return Baseline(made, project)


def change(run: str = "", case: str = "", *, runs_dir: str = "", reports_dir: str = "") -> Changed:
    """Continue a run (default: the newest of `case`) with the change."""
    return Changed(*_existing(run, case, runs_dir, reports_dir))


def report(run: str = "", case: str = "", *, runs_dir: str = "", reports_dir: str = "") -> Reported:
    """Take a run (default: the newest of `case`) to its report."""
    return Reported(*_existing(run, case, runs_dir, reports_dir))


def _existing(run: str, case: str, runs_dir: str, reports_dir: str) -> tuple[Run, Project]:
    _refuse_unknown_parameters()
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    wanted = str(run) or (f"latest:{project.case_file(case).stem}" if case else "latest")
    return find_run(project.runs, wanted), project


class _Progress:
    """Progress of a step: to `progress.jsonl` always, and as a bar where somebody is looking at the cell.

    Under papermill nobody is: whoever started it follows the file (or looks at papermill's own bar).
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._bar: Any = None

    def __enter__(self) -> Callable[[str, float, float], None]:
        return self._show

    def _show(self, text: str, done: float, total: float) -> None:
        self._run.progress(text, done=done, total=total)
        if "JPY_SESSION_NAME" not in os.environ:  # set by JupyterLab, not by papermill
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, bar_format="{percentage:3.0f}% {bar} {desc}", leave=False)
        self._bar.n = done
        self._bar.set_description_str(text)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _sentence(text: str) -> Markdown:
    from IPython.display import Markdown

    return Markdown(text)


def _image(figure: Figure, alt: str) -> Image:
    from IPython.display import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return Image(buffer.getvalue(), metadata={"alt": alt}, alt=alt)


__all__ = ["PARAMETERS", "Baseline", "Changed", "Reported", "Workbook", "baseline", "change", "report"]

"""What the cells of the notebooks show: tables, figures and sentences, made from the records.

Imports judge, pandas and report, which takes a second: the workbook imports this module with the first cell that shows
something, and while the service starts (`luckyhit.workflow.late_imports`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.errors import GuardError, TargetError
from luckyhit.judge import judge
from luckyhit.judge.context.earlier_baselines import with_earlier
from luckyhit.judge.table.samples import RequestTable
from luckyhit.load.block import inputs_of
from luckyhit.load.inputs import Inputs, gather
from luckyhit.project import Project
from luckyhit.records import Result
from luckyhit.report import notebook_tables
from luckyhit.report.diagnosis_view import diagnosis_rows, markdown_of, view_of
from luckyhit.report.evidence.journal_view import journal_of
from luckyhit.report.figures.figure_rows import FIGURES, figure_for
from luckyhit.report.html_files import chart_text
from luckyhit.report.recorded import Recorded, recorded
from luckyhit.report.tables import finding_sentences, observed
from luckyhit.whatif.answer_words import frame_of, summary_of
from luckyhit.whatif.answering import WhatIf, ask
from luckyhit.whatif.recorded.recorded_trace import recorded_trace
from luckyhit.whatif.whatif_figures import figure_of
from luckyhit.whatif.whatif_request import ARMS, WhatIfRequest
from luckyhit.workflow.case_diagnosis import diagnose_run
from luckyhit.workflow.notebook.cell_output import Picture
from luckyhit.workflow.planning import planning_after, planning_of
from luckyhit.workflow.unattended.export import export, keep_result


class CellContents:
    """The records are read once for all figures, tables and sentences, until there are more of them or another
    result."""

    def __init__(self) -> None:
        self._recorded: Recorded | None = None
        self._what_if: tuple[WhatIfRequest, WhatIf] | None = None

    def recorded(self, run: CaseRun, result: Result | None) -> Recorded:
        known = self._recorded
        if known is None or known.manifest != run.manifest:
            self._recorded = known = recorded(run, result)
        elif known.result != result:
            self._recorded = known = known.with_result(result)
        return known

    def declared(self, case: Case) -> pd.DataFrame:
        return notebook_tables.declared(case)

    def power(self, case: Case, run: CaseRun | None, project: Project) -> pd.DataFrame:
        """From the case alone before there is a run, then from its baseline."""
        if run is not None and run.blocks("baseline"):
            return notebook_tables.power(planning_after(run))
        if run is not None:
            inputs = inputs_of(run) or Inputs({})
            return notebook_tables.power(planning_of(run.case, listed=inputs.listed))
        with tempfile.TemporaryDirectory(prefix="luckyhit-inputs-") as folder:
            gather(case.workload, project.root, Path(folder))
            inputs = Inputs.load(Path(folder), len(case.workload.routes))
        return notebook_tables.power(planning_of(case, listed=inputs.listed))

    def what_if(self, run: CaseRun, wanted: Mapping[str, Any]) -> pd.DataFrame:
        """What is predicted, a row for each time to live. Raises ArgumentError for a wrong field."""
        return frame_of(self._asked(run, WhatIfRequest(**wanted)))

    def what_if_figure(self, run: CaseRun, name: str) -> Picture:
        """Of what was asked last. Raises ArgumentError for an unknown name."""
        return Picture.plotted(*figure_of(name, self._asked(run)))

    def what_if_summary(self, run: CaseRun) -> str:
        return summary_of(self._asked(run))

    def _asked(self, run: CaseRun, request: WhatIfRequest | None = None) -> WhatIf:
        known = self._what_if
        if known is not None and request in (None, known[0]):
            return known[1]
        wanted = request or WhatIfRequest()
        wanted.check()
        recording = recorded_trace(run, ARMS[wanted.arm], by=wanted.by)
        answer = ask(recording, wanted.question(recording, run))
        self._what_if = wanted, answer
        return answer

    def shows_probe(self, name: str) -> bool:
        """Whether figure `name` needs a probe."""
        return name in FIGURES and FIGURES[name].needs == "probe"

    def figure(self, name: str, run: CaseRun, result: Result | None) -> Picture:
        """Raises ArgumentError for an unknown name."""
        chart, sentence = figure_for(name, self.recorded(run, result))
        assert chart is not None  # None only with draw=False
        return Picture.of(chart, name, sentence, chart_text(run.redactor))

    def reading(self, name: str, run: CaseRun, result: Result | None) -> str:
        """The sentence of figure `name`, without drawing it."""
        return figure_for(name, self.recorded(run, result), draw=False)[1]

    def baseline(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.baseline(self.recorded(run, result))

    def service_map(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.service_map(self.recorded(run, result))

    def diagnosis(self, run: CaseRun, project: Project, budget: str, *, outage: bool) -> str:
        """Make it, keep it in the run, and tell it as Markdown; or why it could not be made, since the run can go on
        without. Raises ArgumentError for a budget that is no time."""
        try:
            made = diagnose_run(run, project, budget, outage=outage)
        except (TargetError, GuardError) as error:
            return f"There is no diagnosis: {error.message}. {error.hint}"
        return markdown_of(view_of(made, diagnosis_rows(run.path)))

    def not_seen(self, run: CaseRun, result: Result | None) -> str:
        return notebook_tables.not_seen(self.recorded(run, result))

    def change(self, case: Case) -> pd.DataFrame:
        return notebook_tables.change(case)

    def cleared(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.cleared(self.recorded(run, result))

    def actions(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.action_table(self.recorded(run, result), journal_of(run))

    def guards(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.guards(self.recorded(run, result))

    def judge(self, run: CaseRun) -> None:
        """Judge the records, and write result.json. They are read once, for judging and for everything shown."""
        self._recorded = known = recorded(run)
        requests = known.requests if isinstance(known.requests, RequestTable) else None
        keep_result(run, with_earlier(run, judge(run, requests=requests)))

    def finding_lines(self, result: Result) -> Sequence[str]:
        return finding_sentences.finding_lines(result)

    def observed_only(self, run: CaseRun) -> bool:
        """Whether only the baseline was measured."""
        return observed.only(run.manifest, run.result)

    def observed_sentence(self, result: Result) -> str:
        return f"**{observed.headline(result)}.** {observed.reason_of(result)}"

    def metrics(self, result: Result, *, observed: bool) -> pd.DataFrame:
        """Both arms side by side; with `observed`, the baseline beside earlier ones."""
        return notebook_tables.earlier(result) if observed else notebook_tables.metrics(result)

    def readers(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.readers(self.recorded(run, result))

    def checklist(self, run: CaseRun, result: Result | None) -> pd.DataFrame:
        return notebook_tables.checklist(self.recorded(run, result), journal_of(run))

    def export(self, run: CaseRun, result: Result, reports_dir: Path) -> Path:
        """Write the report and the index. Returns the report's path. Raises ReportNotWritten."""
        return export(run, result, reports_dir, recorded_run=self.recorded(run, result))

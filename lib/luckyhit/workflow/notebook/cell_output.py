"""Output of a notebook cell: a figure with alternative text, and the progress of a step."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from luckyhit.case_run import CaseRun
from luckyhit.report.charts.chart import Chart
from luckyhit.report.charts.svg import drawn
from luckyhit.report.plot_style import to_svg
from luckyhit.workflow.notebook.notebook_links import in_jupyterlab
from luckyhit.workflow.time_left import TimeLeft

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110
_SCALE = 1.3
"""A chart's units in CSS pixels: its texts are then as large as those of a cell."""


@dataclass(frozen=True)
class Picture:
    """A figure with its alternative text. It is kept once, as HTML, since JupyterLab gives a bare picture no
    alternative text; its plain text is the alternative one."""

    svg: str = field(repr=False)
    alt: str
    width: int

    @classmethod
    def of(cls, chart: Chart, name: str, alt: str, clean: Callable[[str], str] = str) -> Picture:
        """`clean` is applied to the texts in the chart."""
        return cls(drawn(chart, name, clean=clean, alone=True), alt, round(chart.width * _SCALE))

    @classmethod
    def plotted(cls, figure: Figure, alt: str) -> Picture:
        """Of a figure that matplotlib drew."""
        return cls(to_svg(figure).decode(), alt, round(figure.get_figwidth() * _DPI))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        data = base64.b64encode(self.svg.encode()).decode("ascii")
        # White background in any theme, since the lines and letters of a figure are dark.
        style = "max-width: 100%; height: auto; background: white"
        source = f'src="data:image/svg+xml;base64,{data}" width="{self.width}"'
        shown = f'<img {source} alt="{html.escape(self.alt)}" style="{style}">'
        return {"text/html": shown, "text/plain": self.alt}


class Progress:
    """Progress of a step: always to `progress.jsonl`, and as a bar in JupyterLab.

    Under papermill there is no bar; whoever started it follows the file. The file counts seconds of the whole run; the
    bar counts those of this step, which ends at `until_s` of them (None: with the run).
    """

    def __init__(self, run: CaseRun, until_s: float | None = None) -> None:
        self._run = run
        self._until_s = until_s
        self._from_s = 0.0
        self._left = TimeLeft()
        self._bar: Any = None

    def __enter__(self) -> Callable[[str, float, float], None]:
        return self._show

    def _show(self, text: str, done: float, total: float) -> None:
        self._run.progress(text, done=done, total=total)
        if not in_jupyterlab():
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._from_s = done
            of_step = max((self._until_s or total) - done, 1.0)
            self._bar = tqdm(total=of_step, bar_format="{percentage:3.0f}% {bar} {desc}", leave=False)
        self._bar.n = min(done - self._from_s, self._bar.total)
        left = self._left.text(self._bar.n, self._bar.total)
        self._bar.set_description_str(f"{text}, {left}" if left else text)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._bar is None:
            return
        if error is None:  # an unfinished bar stays, in red
            self._bar.n = self._bar.total
        self._bar.close()

"""Two runs side by side: their numbers, and what was different between them.

Runs of different hours differ by more than a change does, so this is for looking; only arms of one run are judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from luckyhit.api.opened_run import OpenedRun, open_run
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.records import GoalName, Result, kind_of
from luckyhit.records.column_docs import COMPARE_COLUMNS, ColumnDocs
from luckyhit.records.vocabulary import Arm
from luckyhit.text.json_values import leaves

if TYPE_CHECKING:
    import pandas as pd

NO_VERDICT = "Runs of different hours differ by more than a change does: this is no verdict."
SAME_RUN = "Both are the same run, so there is nothing to compare: name another one."
ARMS: tuple[Arm, ...] = ("before", "after")
_LONGEST = 80
_FACTS = ("started", "seed", "design", "revision", "environment", "observe", "host", "versions", "revisions")


def compare(
    first: OpenedRun | str | Path, second: OpenedRun | str | Path, *, runs_dir: str | Path = ""
) -> ComparedRuns:
    """Put two judged runs side by side. Each is an opened run, or what `open_run` takes.

    Raises ArgumentError if there is no such run, or if one is not judged yet.
    """
    opened = [run if isinstance(run, OpenedRun) else open_run(run, runs_dir=runs_dir) for run in (first, second)]
    return ComparedRuns(*opened)


class ComparedRuns:
    """Two judged runs. `numbers`: a frame with a row for each metric and arm; `conditions`: a frame with what was
    different (case, seed, revision, host, versions)."""

    def __init__(self, first: OpenedRun, second: OpenedRun) -> None:
        self.first, self.second = first, second
        self._results = (_result(first), _result(second))

    @property
    def numbers(self) -> pd.DataFrame:
        """One row for every metric and arm that either run has."""
        import pandas as pd

        rows = list(self._rows())
        return pd.DataFrame(rows, columns=[column.name for column in COMPARE_COLUMNS])

    @property
    def conditions(self) -> pd.DataFrame:
        """What was different between the runs: one row for each field that was, with both values as text."""
        import pandas as pd

        first, second = _conditions(self.first), _conditions(self.second)
        names = [name for name in dict.fromkeys([*first, *second]) if first.get(name) != second.get(name)]
        rows = [(name, first.get(name, ""), second.get(name, "")) for name in names]
        return pd.DataFrame(rows, columns=["field", "first", "second"])

    @property
    def columns(self) -> ColumnDocs:
        """The meaning of each column of `numbers`."""
        return ColumnDocs("compare")

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        first, second = self._results
        for name in dict.fromkeys([*first.metrics, *second.metrics]):
            of_both = [result.metrics.get(name) for result in (first, second)]
            unit = next(metric.unit for metric in of_both if metric is not None)
            floors = [floor for result in (first, second) if (floor := result.noise_floor.get(name)) is not None]
            for arm in ARMS:
                old, new = (getattr(metric, arm) if metric is not None else None for metric in of_both)
                if old is None and new is None:
                    continue
                difference = new - old if old is not None and new is not None else None
                yield name, unit, arm, old, new, difference, max(floors, default=None), _better(name, difference)

    def _heading(self) -> list[str]:
        both = zip(("first", "second"), (self.first, self.second), self._results, strict=True)
        lines = [f"{which}: run {run.path.name} of case {run.path.parent.name}: {result.verdict}"
                 for which, run, result in both]  # fmt: skip
        return [*lines, SAME_RUN if self.first.path == self.second.path else NO_VERDICT]

    def __repr__(self) -> str:
        parts = [*self._heading(), "", self.numbers.to_string(index=False), ""]
        different = self.conditions
        parts.append(different.to_string(index=False) if len(different) else "Nothing else was different.")
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        heading = "<br>".join(map(escape, self._heading()))
        different = self.conditions
        below = different.to_html(index=False) if len(different) else "<p>Nothing else was different.</p>"
        # Without these classes JupyterLab would render text between two dollar signs as a formula.
        return (
            f"<div class='tex2jax_ignore mathjax_ignore'><p>{heading}</p>{self.numbers.to_html(index=False)}"
            f"<p><strong>What was different</strong></p>{below}</div>"
        )


def _result(run: OpenedRun) -> Result:
    result = run.result
    if result is None:
        name = run.run.called
        raise ArgumentError(f"run {run.run.id} is not judged yet", hint=f"`luckyhit judge {name}` judges it.")
    return result


def _better(name: GoalName, difference: float | None) -> Literal["first", "second"] | None:
    """Which run has the better value."""
    if not difference:
        return None
    return "second" if (difference > 0) == kind_of(name).higher_is_better else "first"


def _conditions(run: OpenedRun) -> dict[str, str]:
    """By dotted name: the facts of the manifest, and the fields of the case, as short texts."""
    facts = run.manifest.model_dump(mode="json", include=set(_FACTS))
    ordered = {name: facts[name] for name in _FACTS if name in facts}
    try:
        ordered["case"] = run.case.model_dump(mode="json", exclude_unset=True)
    except LuckyHitError as error:
        ordered["case"] = error.message
    return {
        ".".join(map(str, path)): " ".join(str(value).split())[:_LONGEST]
        for path, value in leaves(ordered)
        if value is not None
    }


compare.__doc__ = f"{compare.__doc__}\n\nThe columns of `numbers`:\n\n{ColumnDocs('compare')}"

__all__ = ["ComparedRuns", "compare"]

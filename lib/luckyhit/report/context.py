"""Everything that the page shows, as values of its template; parts that can't be made are named, not fatal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from markupsafe import Markup

from luckyhit import __version__
from luckyhit.designs import DESIGNS
from luckyhit.judge.facade import RULES, old_data_text
from luckyhit.records import Result
from luckyhit.records.manifest import Manifest
from luckyhit.report.charts.chart_csv import csv_of
from luckyhit.report.charts.svg import drawn
from luckyhit.report.diagnosis_view import (
    EXPERIMENT_HEADINGS,
    STRIP_HEADINGS,
    DiagnosisView,
    diagnosis_in,
    diagnosis_rows,
    view_of,
)
from luckyhit.report.evidence import actions, blocks, checklist, cleared_keys, compared, one_change, restored
from luckyhit.report.evidence.journal_view import JournalEvidence, journal_lost, open_steps
from luckyhit.report.evidence.repeat_run import commands, data_files
from luckyhit.report.figures import timeline
from luckyhit.report.figures.figure_rows import FIGURES, FigureRow, numbers_of, picture_of, shown_on_page
from luckyhit.report.html_files import LONGEST_CASE_FILE, Long
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import (
    baseline_rows,
    cache_counters,
    cache_event_table,
    contents,
    earlier_runs,
    freshness_tables,
    glance,
    metric_rows,
    observed,
    route_rows,
    service_map_rows,
    slowest_requests,
)
from luckyhit.report.tables.finding_sentences import (
    LAYER_HEADINGS,
    UNEXPECTED_HEADINGS,
    finding_lines,
    layer_rows,
    unexpected_rows,
)
from luckyhit.run import Run
from luckyhit.text.messages import VERDICT_MEANINGS
from luckyhit.text.numbers import percent

MOST_NOTES = 60
MOST_LOG_LINES = 5
_Made = TypeVar("_Made")


class _Attempts:
    """Makes parts of the page. One that can't be made from the records is left out and named in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def __call__(self, part: str, make: Callable[..., _Made], *arguments: Any) -> _Made | None:
        try:
            return make(*arguments)
        except Exception as error:  # whatever is wrong with the records, the rest of the report has to be there
            self.problems.append(f"{part}: can't be made from the records ({type(error).__name__}).")
            return None


def context(
    run: Run, recorded: Recorded, journal: JournalEvidence, incomplete: str | None, clean: Callable[[str], str]
) -> dict[str, Any]:
    """All values of the template, except links. `clean` is applied to the texts in figures."""
    attempt = _Attempts()
    values = {
        **_head(run, recorded, incomplete),
        **_measured(run, recorded, attempt, clean),
        **_the_change(run, recorded, attempt),
    }
    values |= _evidence(recorded, journal, attempt)
    values |= _repeating(run, recorded.manifest)
    values |= _of_an_observation(recorded, incomplete, values)
    values |= _first_page(recorded, values, attempt)
    problems = [*recorded.problems, *([journal.problem] if journal.problem else []), *attempt.problems]
    return {**values, "problems": problems[:MOST_NOTES], "index": "index.html"}


def _head(run: Run, recorded: Recorded, incomplete: str | None) -> dict[str, Any]:
    case, result, manifest = recorded.case, recorded.result, recorded.manifest
    name = manifest.case or run.path.parent.name
    return {
        "title": case.title if case else f"Case {name}",
        "name": name,
        "run": run.id,
        "date": (manifest.started or run.id[:8])[:10],
        "started": (manifest.started or "unknown")[:16].replace("T", " "),
        "version": __version__,
        "case": case,
        "result": result,
        "incomplete": incomplete,
        "hint": manifest.failure.hint if incomplete and manifest.failure else "",
        "failure_log": manifest.failure.log[-MOST_LOG_LINES:] if incomplete and manifest.failure else [],
        "invalid": result is not None and result.verdict == "INVALID",
        "remedy": _remedy(result) if result and not incomplete else "",
        "changed": recorded.changed,
        "observing": manifest.observe,
        "observed": case is not None and case.target.start is None,
        "live": live(recorded),
        "verdict_meanings": VERDICT_MEANINGS,
    }


def _remedy(result: Result) -> str:
    """What to do about the guard that makes a result INVALID; "" for any other result."""
    failed = (guard.remedy for guard in result.guards if not guard.ok)
    return next(failed, "") if result.verdict == "INVALID" else ""


def _measured(run: Run, recorded: Recorded, attempt: _Attempts, clean: Callable[[str], str]) -> dict[str, Any]:
    case, result = recorded.case, recorded.result
    return {
        "declared": contents.declared(case)[2:] if case else [],
        "goals": contents.goals(case) if case else [],
        "compared": DESIGNS[result.design].words.compared if result and result.design in DESIGNS else "",
        "key_numbers": metric_rows.key_numbers(recorded),
        "old_data": old_data_text(result.old_data) if result and not result.earlier else "",
        "findings": finding_lines(result) if result else [],
        "layers": layer_rows(result.findings) if result else [],
        "layer_headings": LAYER_HEADINGS,
        "unexpected": unexpected_rows(result) if result else [],
        "unexpected_headings": UNEXPECTED_HEADINGS,
        "naive": metric_rows.naive_rows(result) if result else [],
        "baseline": baseline_rows.baseline(recorded),
        "earlier": observed.earlier_rows(result) if result else [],
        "earlier_headings": observed.EARLIER_HEADINGS,
        "earlier_left_out": observed.left_out(result) if result else [],
        "not_seen": baseline_rows.not_seen(recorded)[:MOST_NOTES],
        "metrics": metric_rows.metrics(result) if result else [],
        "pairs_needed": attempt("How many pairs it took", metric_rows.pairs_needed, recorded),
        "pairs_headings": metric_rows.PAIRS_HEADINGS,
        "routes": attempt("The routes", route_rows.route_table, result),
        "confidence": _confidence(recorded),
        "figures": _figures(recorded, clean),
        "diagnosis": attempt("The diagnosis", _diagnosis, run),
        "strip_headings": STRIP_HEADINGS,
        "experiment_headings": EXPERIMENT_HEADINGS,
        "service_map": _service_map(recorded),
        "service_map_headings": service_map_rows.HEADINGS,
        "slowest": attempt("The slowest requests", slowest_requests.slowest_requests, run, recorded),
        "slowest_headings": slowest_requests.HEADINGS,
        "history": attempt("Earlier runs", _history, recorded),
        "course": attempt("The course of the run", timeline.course_rows, recorded),
        "course_headings": timeline.HEADINGS,
        "last_of_freshness": "freshness-strip" if recorded.probed else "freshness",
        "readers": attempt("What readers saw", freshness_tables.readers, recorded),
        "counters": attempt("What the cache counted", cache_counters.as_counted, recorded),
        "cache_event_table": attempt("What the cache did", cache_event_table.cache_event_table, recorded),
        "guards": contents.guards(recorded),
        "rules": RULES,
        "events": attempt("What happened inside the arms", contents.event_rows, result),
        "notes": (contents.other_notes(result) if result else [])[:MOST_NOTES],
        "environment": contents.environment(recorded.manifest),
    }


def _the_change(run: Run, recorded: Recorded, attempt: _Attempts) -> dict[str, Any]:
    case = recorded.case
    revision = one_change.revision_diff(run) if case is not None and case.change.diff_noted else None
    return {
        "sides": one_change.sides(case, recorded.manifest) if case else None,
        "subject": case.change.subject[1] if case and case.change.subject else "",
        "diff": case.change.diff(case) if case else [],
        "calls": case.change.calls(case) if case else [],
        "may_be_cleared": one_change.may_be_cleared(case) if case else [],
        "revision": revision,
        "blocks": attempt("What was done before each block", blocks.prepared, recorded) or [],
        "block_headings": blocks.HEADINGS,
        "limits": attempt("The limits of the run", blocks.limits, recorded),
    }


def _evidence(recorded: Recorded, journal: JournalEvidence, attempt: _Attempts) -> dict[str, Any]:
    """What was touched, what was not, and whether it is as it was."""
    nothing = compared.FingerprintComparison([], 0, 0, "")
    fingerprints = attempt("The fingerprints", compared.compared, recorded) or nothing
    rollback = recorded.result.rollback if recorded.result else recorded.manifest.rollback
    clears = journal.named("clear")
    return {
        "journal": journal,
        "lost": journal_lost(recorded, journal),
        "actions": attempt("What was touched", actions.action_rows, recorded, journal) or [],
        "keys": attempt("The cleared keys", cleared_keys.cleared_keys, clears) if clears else None,
        "untouched_claims": attempt("What was not touched", restored.untouched_claims, recorded, journal, fingerprints)
        or [],
        "restored_claims": attempt("Whether it is as it was", restored.restored_claims, recorded, journal, rollback)
        or [],
        "remains": attempt("What stays", restored.remains, recorded, journal) or [],
        "open_steps": attempt("What is open", open_steps, recorded, journal) or [],
        "fingerprints": fingerprints,
        "rollback": rollback,
        "checklist": checklist.checklist(recorded, journal),
    }


def _repeating(run: Run, manifest: Manifest) -> dict[str, Any]:
    return {"commands": commands(run, manifest), "files": data_files(run), "case_file": _case_file(run)}


def _of_an_observation(recorded: Recorded, incomplete: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Where the baseline alone was measured, or was to be: its first screen, and nothing that is about a change."""
    observation = observed.observation(recorded, incomplete)
    if observation is None and not values["observing"]:
        return {"observation": None}
    return {
        "observation": observation,
        "observing": True,
        "notes": observed.notes(values["notes"]),
        "checklist": observed.checks(values["checklist"]),
        "figures": [shown for shown in values["figures"] if not FIGURES[shown.name].of_change],
        "key_numbers": [],
    }


FIRST_FIGURE = "over-time"
"""Of the figures, the one on the first page."""
FIRST_FINDINGS = 3


def _first_page(recorded: Recorded, values: Mapping[str, Any], attempt: _Attempts) -> dict[str, Any]:
    """What is shown before anything is unfolded."""
    glances = attempt(
        "The run at a glance",
        partial(glance.glances, open_steps=len(values["open_steps"])),
        recorded,
        values["checklist"],
        values["not_seen"],
    )
    figures = {shown.name: shown for shown in values["figures"]}
    result, observation, incomplete = values["result"], values["observation"], values["incomplete"]
    verdict = "INCOMPLETE" if incomplete else observation.headline if observation else result.verdict
    reason = incomplete or (observation.reason if observation else result.reason)
    return {
        "summary": glance.message(values["title"], verdict, reason, values["key_numbers"], glances or []),
        "glances": glances or [],
        "first_findings": FIRST_FINDINGS,
        "first_figure": figures.pop(FIRST_FIGURE, None),
        "history_figure": figures.pop("history", None),
        "figures": list(figures.values()),
        "passed": sum(check.passed for check in values["checklist"]),
        "held": sum(guard.ok for guard in values["guards"]),
    }


@dataclass(frozen=True)
class Live:
    """A service that was running already: its environment's name (empty where the case names none), its address, and
    whether this run might change it."""

    environment: str
    url: str
    changed: bool


def live(recorded: Recorded) -> Live | None:
    """None where the run started the service itself, or the case can't be read."""
    if recorded.case is None or recorded.case.target.url is None:
        return None
    target = recorded.case.target
    allowed = target.allow_change and recorded.manifest.environment == target.environment is not None
    return Live(target.environment or "", str(target.url), allowed)


def _confidence(recorded: Recorded) -> str:
    return percent(1 - recorded.case.plan.error_rate) if recorded.case else "the declared"


@dataclass(frozen=True)
class PageFigure:
    """One figure on the page: `picture` as SVG, and its `numbers` as CSV in a data URI; None where there is nothing to
    see."""

    name: str
    title: str
    sentence: str
    picture: Markup | None = None
    numbers: Markup | None = None


def _diagnosis(run: Run) -> DiagnosisView | None:
    made = diagnosis_in(run.path)
    return None if made is None else view_of(made, diagnosis_rows(run.path))


def _history(recorded: Recorded) -> earlier_runs.EarlierRuns | None:
    return earlier_runs.earlier_runs(recorded, numbers_of(FIGURES["history"], recorded))


def _service_map(recorded: Recorded) -> list[tuple[str, str, str, str, str]]:
    """No rows where the figure could not be made: records of any kind leave a page."""
    numbers = recorded.aggregates.get("service-map")
    return [] if numbers is None else service_map_rows.service_map_rows(numbers)


def _figures(recorded: Recorded, clean: Callable[[str], str]) -> list[PageFigure]:
    figures = []
    for row in shown_on_page(recorded):
        try:
            figures.append(_figure(row, recorded, clean))
        except Exception as error:  # whatever is wrong with the records, the rest of the report has to be there
            sentence = f"This figure could not be drawn from the records ({type(error).__name__})."
            figures.append(PageFigure(row.id, row.title, sentence))
    return figures


def _figure(row: FigureRow, recorded: Recorded, clean: Callable[[str], str]) -> PageFigure:
    chart, sentence = picture_of(row.id, recorded)
    if chart is None:
        return PageFigure(row.id, row.title, sentence)
    picture = drawn(chart, row.id, clean=clean, labelled_by=f"h-{row.id} s-{row.id}")
    numbers = quote(csv_of(chart, clean), safe=",.:;/()-_=+*~!?")
    return PageFigure(row.id, row.title, sentence, Markup(picture), Markup(f"data:text/csv;charset=utf-8,{numbers}"))


def _case_file(run: Run) -> Long | None:
    try:
        with (run.path / "case.yml").open(encoding="utf-8", errors="replace") as file:
            return Long(file.read(4 * LONGEST_CASE_FILE))
    except OSError:
        return None

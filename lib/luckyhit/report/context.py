"""Everything that the page shows, as its template takes it; what can't be made from the records is named, not fatal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from markupsafe import Markup

from luckyhit import __version__
from luckyhit.designs import DESIGNS
from luckyhit.judge.facade import RULES, old_data_text
from luckyhit.records.manifest import Manifest
from luckyhit.report.evidence import (
    actions,
    blocks,
    checklist,
    cleared_keys,
    compared,
    one_change,
    open_steps,
    restored,
)
from luckyhit.report.evidence.journal_view import JournalEvidence
from luckyhit.report.evidence.repeat_run import commands, data_files
from luckyhit.report.figures import timeline
from luckyhit.report.figures.figure_rows import FIGURES, drawn, shown_on_page
from luckyhit.report.html_files import LONGEST_CASE_FILE, Long
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import (
    baseline_rows,
    cache_counters,
    cache_event_table,
    contents,
    event_rows,
    freshness_tables,
    how_many,
    metric_rows,
    observed,
    route_rows,
)
from luckyhit.report.tables.finding_sentences import (
    LAYER_HEADINGS,
    UNEXPECTED_HEADINGS,
    finding_lines,
    layer_rows,
    unexpected_rows,
)
from luckyhit.run import Run
from luckyhit.text.numbers import percent

MOST_NOTES = 60
_Made = TypeVar("_Made")


class _Attempts:
    """Makes parts of the page; one that can't be made from the records is left out, and said to be."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def __call__(self, part: str, make: Callable[[], _Made]) -> _Made | None:
        try:
            return make()
        except Exception as error:  # whatever is wrong with the records, the rest of the report has to be there
            self.problems.append(f"{part} can't be told from the records ({type(error).__name__}).")
            return None


def context(run: Run, recorded: Recorded, journal: JournalEvidence, incomplete: str | None) -> dict[str, Any]:
    """Everything that the template shows, but for links."""
    attempt = _Attempts()
    values = {**_head(run, recorded, incomplete), **_measured(recorded, attempt), **_the_change(run, recorded, attempt)}
    values |= _evidence(recorded, journal, attempt)
    values |= _repeating(run, recorded.manifest)
    values |= _of_an_observation(recorded, incomplete, values)
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
        "invalid": result is not None and result.verdict == "INVALID",
        "changed": recorded.changed,
        "observing": manifest.observe,
        "observed": case is not None and case.target.start is None,
        "live": live(recorded),
    }


def _measured(recorded: Recorded, attempt: _Attempts) -> dict[str, Any]:
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
        "how_many": attempt("How many pairs it took", lambda: how_many.how_many(recorded)),
        "how_many_headings": how_many.HEADINGS,
        "routes": attempt("The routes", lambda: route_rows.route_table(result)),
        "confidence": _confidence(recorded),
        "figures": _figures(recorded),
        "course": attempt("The course of the run", lambda: timeline.course_rows(recorded)),
        "course_headings": timeline.HEADINGS,
        "last_of_freshness": "freshness-strip" if recorded.probed else "freshness",
        "readers": attempt("What readers saw", lambda: freshness_tables.readers(recorded)),
        "counters": attempt("What the cache counted", lambda: cache_counters.as_counted(recorded)),
        "cache_event_table": attempt("What the cache did", lambda: cache_event_table.cache_event_table(recorded)),
        "guards": contents.guards(recorded),
        "rules": RULES,
        "events": attempt("What happened inside the arms", lambda: event_rows.event_rows(result)),
        "notes": (event_rows.other_notes(result) if result else [])[:MOST_NOTES],
        "environment": contents.environment(recorded.manifest),
    }


def _the_change(run: Run, recorded: Recorded, attempt: _Attempts) -> dict[str, Any]:
    case = recorded.case
    revision = one_change.revision_diff(run) if case is not None and case.change.diff_noted else None
    return {
        "swap": one_change.sides(case, recorded.manifest) if case else None,
        "swapped": case.change.subject[1] if case and case.change.subject else "",
        "diff": case.change.diff(case) if case else [],
        "calls": case.change.calls(case) if case else [],
        "may_be_cleared": one_change.may_be_cleared(case) if case else [],
        "revision": revision,
        "blocks": (attempt("What was done before each block", lambda: blocks.prepared(recorded)) or [])[
            : blocks.MOST_BLOCKS
        ],
        "block_headings": blocks.HEADINGS,
        "limits": attempt("The limits of the run", lambda: blocks.limits(recorded)),
    }


def _evidence(recorded: Recorded, journal: JournalEvidence, attempt: _Attempts) -> dict[str, Any]:
    """What was touched, what was not, and whether it is back."""
    nothing = compared.ComparedFingerprints([], 0, 0, "")
    compared_arms = attempt("What was compared", lambda: compared.compared(recorded)) or nothing
    rollback = recorded.result.rollback if recorded.result else recorded.manifest.rollback
    clears = journal.named("clear")
    return {
        "journal": journal,
        "lost": open_steps.lost(recorded, journal),
        "actions": attempt("What was touched", lambda: actions.action_rows(recorded, journal)) or [],
        "keys": attempt("The cleared keys", lambda: cleared_keys.cleared_keys(clears)) if clears else None,
        "untouched": attempt("What was not touched", lambda: restored.untouched(recorded, journal, compared_arms))
        or [],
        "as_it_was": attempt("Whether it is as it was", lambda: restored.as_it_was(recorded, journal, rollback)) or [],
        "remains": attempt("What stays", lambda: restored.remains(recorded, journal)) or [],
        "open_steps": attempt("What is open", lambda: open_steps.open_steps(recorded, journal)) or [],
        "seen": compared_arms,
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
class Shown:
    """One figure on the page; `wide` and `narrow` are data URIs, or None where there is nothing to see."""

    name: str
    title: str
    sentence: str
    wide: Any
    narrow: Any


def _figures(recorded: Recorded) -> list[Shown]:
    shown = []
    for row in shown_on_page(recorded):
        try:
            figure = drawn(row.id, recorded)
        except Exception as error:  # whatever is wrong with the records, the rest of the report has to be there
            sentence = f"This figure could not be drawn from the records ({type(error).__name__})."
            shown.append(Shown(row.id, row.title, sentence, None, None))
            continue
        uris = [None if uri is None else Markup(uri) for uri in (figure.wide, figure.narrow)]
        shown.append(Shown(row.id, row.title, figure.sentence, *uris))
    return shown


def _case_file(run: Run) -> Long | None:
    try:
        with (run.path / "case.yml").open(encoding="utf-8", errors="replace") as file:
            return Long(file.read(4 * LONGEST_CASE_FILE))
    except OSError:
        return None

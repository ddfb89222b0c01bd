"""A diagnosis for readers: its conclusion, the evidence as a strip, what was excluded by what, and what comes next.

Made from `diagnosis.json` and its table of requests; the page, the notebook and the terminal show the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luckyhit.errors import RunUnreadable
from luckyhit.records.diagnosis import Diagnosis, DiagnosisConclusion, ExperimentRecord, load_diagnosis
from luckyhit.records.experiment_requests import EXPERIMENT_TABLE
from luckyhit.records.parquet import read_table
from luckyhit.text.experiment_words import NEED_WORDS, OUTCOME_WORDS, QUESTIONS
from luckyhit.text.fault_words import FAULT_WORDS
from luckyhit.text.numbers import percent

DIAGNOSIS_FILE = "diagnosis.json"
EXPERIMENTS_FILE = f"{EXPERIMENT_TABLE}.parquet"
STRIP_HEADINGS = ("time", "what", "answer", "version", "cache", "database calls")
EXPERIMENT_HEADINGS = ("experiment", "question", "outcome", "trials", "seconds")
CONCLUSION_WORDS: Mapping[DiagnosisConclusion, str] = {
    "shown": "an experiment came out as this kind of fault alone explains",
    "open": "something may be wrong, and what would tell the remaining kinds apart is named",
    "none-found": "no experiment came out as with a fault",
    "outside": "something is wrong, and no known kind of fault explains it",
}
_MOST_STRIP = 8
_ENDS = {
    "explained": "every faulty outcome has its class",
    "one-left": "one class is left",
    "nothing-splits": "no experiment tells the remaining ones apart",
    "needs-missing": "what would tell more is not at hand",
    "over-budget": "the time was used up",
    "interrupted": "it was interrupted",
    "service-stopped": "the service stopped",
}


@dataclass(frozen=True)
class ClassView:
    """One class that is shown or possible, in words, with the outcomes that speak for it."""

    id: str
    status: str
    title: str
    wrong: str
    readers: str
    fix: str
    price: str
    because: list[str]
    strip: list[tuple[str, str, str, str, str, str]]


@dataclass(frozen=True)
class DiagnosisView:
    """All that is shown. `excluded`: a class, and the outcome that excludes it."""

    headline: str
    about: str
    classes: list[ClassView]
    excluded: list[tuple[str, str]]
    experiments: list[tuple[str, str, str, str, str]]
    next_step: str
    not_seen: list[str]


def diagnosis_in(folder: Path) -> Diagnosis | None:
    """The diagnosis that is kept in a folder; None where there is none that can be read."""
    try:
        document = json.loads((folder / DIAGNOSIS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return load_diagnosis(document)[0] if hasattr(document, "items") else None


def diagnosis_rows(folder: Path) -> list[dict[str, Any]]:
    """The requests of the diagnosis; none where they can't be read."""
    try:
        rows: list[dict[str, Any]] = read_table(folder / EXPERIMENTS_FILE).to_pylist()
    except RunUnreadable:
        return []
    return rows


def view_of(diagnosis: Diagnosis, rows: Sequence[dict[str, Any]]) -> DiagnosisView:
    by_id = {experiment.id: experiment for experiment in diagnosis.experiments}
    made = [one for one in diagnosis.experiments if one.outcome is not None]
    shown = [standing for standing in diagnosis.classes if standing.status == "shown" and standing.id in FAULT_WORDS]
    chosen = shown or [
        one for one in diagnosis.classes if one.status == "possible" and one.because and one.id in FAULT_WORDS
    ]
    classes = []
    for standing in chosen:
        words = FAULT_WORDS[standing.id]
        because = [_outcome(by_id[reason.experiment]) for reason in standing.because if reason.experiment in by_id]
        # The strip is of experiments: rows of a run's own tables have other numbers.
        of_experiments = [
            [one.row for one in reason.evidence if one.table == EXPERIMENT_TABLE] for reason in standing.because
        ]
        evidence = max(of_experiments, key=len, default=[])
        classes.append(
            ClassView(
                standing.id,
                standing.status,
                words.title,
                words.wrong,
                words.readers,
                words.fix,
                words.price,
                because,
                list(_strip(rows, evidence)),
            )
        )
    return DiagnosisView(
        headline=_headline(diagnosis, [one.title for one in classes if one.status == "shown"]),
        about=_about(diagnosis, made),
        classes=classes,
        excluded=[
            (FAULT_WORDS[one.id].title, _outcome(by_id[one.because[0].experiment]))
            for one in diagnosis.classes
            if one.status == "excluded" and one.id in FAULT_WORDS and one.because and one.because[0].experiment in by_id
        ],
        experiments=[
            (
                one.id,
                QUESTIONS.get(one.id, ""),
                OUTCOME_WORDS.get(one.outcome or "", "not beyond chance" if not one.lacking else "not possible here"),
                f"{one.count} of {one.total}" if one.total else "-",
                f"{one.seconds:.1f}" if one.seconds is not None else "with another",
            )
            for one in diagnosis.experiments
        ],
        next_step=_next_step(diagnosis),
        not_seen=[
            f"{QUESTIONS.get(one.experiment, one.experiment)} It needs {_needs(one.lacking)}."
            for one in diagnosis.not_seen
        ],
    )


def text_of(view: DiagnosisView) -> str:
    """For the terminal."""
    lines = [view.headline, f"  {view.about}"]
    for one in view.classes:
        lines += ["", f"{'shown' if one.status == 'shown' else 'possible'}: {one.id}: {one.title}", f"  {one.wrong}"]
        lines += [f"  because: {reason}" for reason in one.because]
        lines += [f"    {'  '.join(cell for cell in row if cell)}" for row in one.strip]
        if one.status == "shown":
            lines += [f"  what usually helps: {one.fix}", f"  its price: {one.price}"]
    if view.next_step:
        lines += ["", f"next: {view.next_step}"]
    return "\n".join(lines)


def markdown_of(view: DiagnosisView) -> str:
    """For a notebook."""
    lines = [f"**{view.headline}** {view.about}", ""]
    for one in view.classes:
        lines += [f"**{one.id}** ({one.status}): {one.wrong} {one.readers}", ""]
        lines += [f"- {reason}" for reason in one.because]
        if one.strip:
            lines += ["", f"| {' | '.join(STRIP_HEADINGS)} |", f"|{' --- |' * len(STRIP_HEADINGS)}"]
            lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in one.strip]
        if one.status == "shown":
            lines += ["", f"What usually helps: {one.fix} Its price: {one.price}"]
        lines.append("")
    lines += [f"Next: {view.next_step}"] if view.next_step else []
    return "\n".join(lines)


def _headline(diagnosis: Diagnosis, shown: Sequence[str]) -> str:
    if diagnosis.conclusion == "shown":
        return f"Shown: {'; and '.join(shown)}."
    if diagnosis.conclusion == "outside":
        return "Something is wrong, and it is none of the known faults of caches."
    possible = [one.id for one in diagnosis.classes if one.status == "possible" and one.because]
    if diagnosis.conclusion == "none-found":
        bounds = [
            one.visible_from for one in diagnosis.experiments
            if one.visible_from is not None and one.id in ("write-then-read", "overlapping-reads", "repeat-request")
        ]  # fmt: skip
        bound = f" What at least {percent(max(bounds))} of the trials show would have been seen." if bounds else ""
        return f"No fault was found.{bound}"
    return f"Not decided: {', '.join(possible)}." if possible else "Not decided: nothing was looked at."


def _about(diagnosis: Diagnosis, made: Sequence[ExperimentRecord]) -> str:
    seconds = sum(one.seconds or 0.0 for one in diagnosis.experiments)
    write = f" and {diagnosis.write}" if diagnosis.write else ""
    ended = _ENDS.get(diagnosis.ended, diagnosis.ended)
    return f"{diagnosis.read}{write}: {len(made)} outcomes in {seconds:.0f} s; it ended since {ended}."


def _outcome(experiment: ExperimentRecord) -> str:
    words = OUTCOME_WORDS.get(experiment.outcome or "", experiment.outcome or "")
    known = {name.replace("_", " "): value for name, value in experiment.facts.items() if value not in (None, "")}
    facts = ", ".join(f"{name} {value}" for name, value in known.items())
    trials = f" ({experiment.count} of {experiment.total})" if experiment.total > 1 else ""
    return f"{QUESTIONS.get(experiment.id, experiment.id)} {words}{trials}{'; ' + facts if facts else ''}"


def _strip(rows: Sequence[dict[str, Any]], evidence: Sequence[int]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Who wrote and who read what, in the order of time, from the first of them on."""
    known = [rows[number] for number in evidence if number < len(rows)]
    # Of several trials the first: one key from its write to its old answer.
    key = next((row["key"] for row in known if row["key"]), None)
    chosen = sorted((row for row in known if row["key"] in (None, key)), key=lambda row: int(row["sent_ns"]))
    for row in chosen[:_MOST_STRIP]:
        after_ms = (int(row["sent_ns"]) - int(chosen[0]["sent_ns"])) / 1e6
        answer = row["error"] or (str(row["status"]) if row["status"] else "")
        version = "" if row["version"] is None else f"version {row['version']}"
        calls = "" if row["db_calls"] is None else f"{row['db_calls']} database calls"
        cache = "" if row["cache"] in (None, "unknown") else str(row["cache"])
        yield f"+{after_ms:.1f} ms", str(row["request"]), answer, version, cache, calls


def _next_step(diagnosis: Diagnosis) -> str:
    step = diagnosis.next
    if step is None:
        if diagnosis.next_case:
            return f"run the case {diagnosis.next_case} beside the record: it changes the setting, and nothing else."
        shown = diagnosis.conclusion == "shown"
        return "make the fix, declare it as the change of this case, and measure it: luckyhit run." if shown else ""
    text = f"{QUESTIONS.get(step.experiment, step.experiment)} It would tell apart: {', '.join(step.splits)}."
    return text + (f" It needs {_needs(step.lacking)}." if step.lacking else "")


def _needs(names: Sequence[str]) -> str:
    return ", ".join(NEED_WORDS.get(name, name) for name in names)

"""The digest as files: `nightly.html`, `nightly.md` and `nightly.json` in the folder of the reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from luckyhit.atomic import write_atomically
from luckyhit.case.values.variables import mentioned_secrets
from luckyhit.errors import ReportNotWritten
from luckyhit.fleet.digest import night_words as words
from luckyhit.fleet.digest.nightly import Night, NightCase
from luckyhit.project import Project
from luckyhit.report.html_files import environment, write_page
from luckyhit.report.tables.other_pages import NIGHT
from luckyhit.scrub.redactor import Redactor, project_roots
from luckyhit.text.numbers import minutes


def redactor_of(project: Project, case_files: Sequence[Path]) -> Redactor:
    """Knows the secrets that the cases name, and the folders of the project."""
    secrets: set[str] = set().union(*(mentioned_secrets(path) for path in case_files), set())
    roots = {**project_roots(project.runs / "x", project.reports / "x"), project.root: "."}
    return Redactor(secrets, roots=roots)


def write_digest(night: Night, project: Project, redactor: Redactor) -> Path:
    """Write the three files; gives the path of the page. Raises ReportNotWritten."""
    folder = project.reports
    template = environment(redactor).get_template("nightly.html.j2")
    page = template.render(night=night, groups=groups_of(night), words=words, took=minutes, quote=quote)
    record = Night.model_validate(redactor.document(night.model_dump(mode="json", by_alias=True)))
    try:
        write_atomically(folder / f"{NIGHT}.json", record.model_dump_json(by_alias=True, indent=1) + "\n")
        write_atomically(folder / f"{NIGHT}.md", redactor.text(markdown(night)))
    except OSError as error:
        raise ReportNotWritten(
            f"the digest could not be written: {error.strerror or type(error).__name__}",
            hint=f"Free space in, or get permission to write to, {folder}. The runs have all measurements.",
        ) from None
    write_page(folder / f"{NIGHT}.html", page)
    return folder / f"{NIGHT}.html"


def groups_of(night: Night) -> list[tuple[str, str, list[NightCase]]]:
    """(id, heading, cases): what asks for attention first. Each case is in one group."""
    groups: list[tuple[str, str, list[NightCase]]] = [
        ("open", "Not rolled back for certain: look at these at once", []),
        ("not-run", "What has no result of this night, and why", []),
        ("invalid", "What can't be relied on, and why", []),
        ("changed", "What changed against the earlier nights", []),
        ("decided", "What was decided", []),
        ("undecided", "What was not decided", []),
        ("quiet", "As in the nights before", []),
        ("incomparable", "Measured, with too few earlier nights to compare", []),
    ]
    places = {name: number for number, (name, _, _) in enumerate(groups)}
    for case in night.cases:
        groups[places[group_of(case)]][2].append(case)
    return [group for group in groups if group[2]]


def group_of(case: NightCase) -> str:
    if case.state == "not-rolled-back":
        return "open"
    if "not-run" in case.alarms:
        return "not-run"
    if case.verdict == "INVALID":
        return "invalid"
    if case.outside or case.before is not None or any(shift.new for shift in case.shifts):
        return "changed"
    if case.verdict in ("HELPED", "HURT", "EQUIVALENT"):
        return "decided"
    if not case.observed:
        return "undecided"
    return "quiet" if case.metrics else "incomparable"


def markdown(night: Night) -> str:
    """The digest for a chat or a CI page."""
    parts = [f"# Night of {_inline(night.started[:10])}", words.headline(night)]
    parts += [text] if (text := words.by_chance_text(night)) else []
    for _, heading, cases in groups_of(night):
        lines = [line for case in cases for line in _lines(case, night)]
        parts.append(f"## {heading}\n\n" + "\n".join(lines))
    if night.settled:
        parts.append(
            "## Rolled back for earlier fleets\n\n" + "\n".join(f"- {_inline(text)}" for text in night.settled)
        )
    if night.news:
        parts.append("## Machines\n\n" + "\n".join(f"- {_inline(text)}" for text in night.news))
    return "\n\n".join(parts) + "\n"


def _lines(case: NightCase, night: Night) -> list[str]:
    page = f" ([report]({quote(case.report)}))" if case.report else ""
    alarms = words.alarms_text(case, night)
    head = f"- **{_inline(case.case)}**: {words.label(case) or words.STATES[case.state]}{page}"
    head += f" · alarm: {alarms}" if alarms else ""
    lines = [head]
    if case.before is not None:
        lines.append(f"  - was {case.before} in the run before")
    lines += [f"  - {_inline(words.departure_text(departure))}" for departure in case.outside]
    lines += [f"  - {_inline(words.shift_text(shift))}" for shift in case.shifts if shift.new]
    if text := words.why(case):
        lines.append(f"  - {_inline(text)}")
    if case.hint and case.state != "finished":
        lines.append(f"  - what to do: {_inline(case.hint)}")
    lines += [f"  - {_inline(text)}" for text in case.lost]
    return lines


def _inline(text: str) -> str:
    """A text in a line of Markdown."""
    return re.sub(r"[\\*_\[\]<>|#]", lambda match: "\\" + match[0], " ".join(text.split()))

"""What stands in the report's tables, as rows of text; the page and the notebooks show the same rows.

A dash stands for what was not visible: never a zero in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from luckyhit.records import Guard
from luckyhit.records.manifest import Manifest
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import number, sentence_case
from luckyhit.text.quantities import name_of

if TYPE_CHECKING:
    from luckyhit.case import Case

MOST_GUARDS = 100


def declared(case: Case) -> list[tuple[str, str]]:
    """The case as declared: what is wrong, where, and what should happen."""
    response = case.expected.response
    parts = [f"status {' or '.join(map(str, response.statuses))}"]
    parts += [f"header {name} with {value!r}" for name, value in response.headers.items()]
    parts += [f"fields {', '.join(response.fields)}"] if response.fields else []
    return [
        ("Case", case.title),
        ("Owner", f"{case.owner.name} ({case.owner.contact})"),
        ("Route", case.route),
        ("Input", case.input),
        ("Noticed", case.noticed),
        ("Slow query or failing command", case.suspect),
        ("Expected result", case.expected.result),
        ("Expected response", ", ".join(parts)),
        ("Hypothesis", case.hypothesis),
    ]


def goals(case: Case) -> list[tuple[str, str]]:
    """What has to happen, in words."""
    rows = []
    for name, goal in case.goals.items():
        text = "has to get better" if goal.want == "better" else "may get worse by the margin at most"
        limit = f"; at most {goal.at_most} after the change" if goal.at_most is not None else ""
        rows.append((sentence_case(name_of(name)), f"{text} (margin {goal.margin}){limit}"))
    for name, margin in case.controls.items():
        rows.append((sentence_case(name_of(name)), f"negative control: may not move by more than {margin}"))
    return rows


def guards(recorded: Recorded) -> list[Guard]:
    """The result's guards; before the run is judged, those that were noted while measuring. Failed ones come first."""
    if recorded.result is not None:
        every = recorded.result.guards
    else:
        every = recorded.manifest.guards
    return sorted(every, key=lambda guard: guard.ok)[:MOST_GUARDS]


def environment(manifest: Manifest) -> list[tuple[str, str]]:
    """Where and with what it was measured."""
    host = manifest.host
    cpus = "" if host.cpus is None else f"{host.cpus} CPUs"
    rows = [
        ("Run", manifest.run),
        ("Started", manifest.started),
        ("Revision of this project", manifest.revision),
        ("Design", manifest.design),
        ("Seed", manifest.seed),
        ("Host", ", ".join(text for text in (cpus, host.machine, host.system) if text)),
        ("Versions", ", ".join(f"{name} {value}" for name, value in manifest.versions.items())),
        ("Load engine", engine(manifest)),
        ("File format", f"schema {manifest.schema_}" if manifest.schema_ else None),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def engine(manifest: Manifest) -> str:
    """What the load engine added by itself, in the worst block."""
    worst: dict[str, float] = {}
    for block in manifest.blocks:
        check = block.engine
        values_ms = {
            "added_p50_ms": check.added_p50_ms,
            "added_p99_ms": check.added_p99_ms,
            "schedule_error_p99_ms": check.schedule_error_p99_ms,
        }
        for name, value_ms in values_ms.items():
            if value_ms is not None:
                worst[name] = max(worst.get(name, 0.0), value_ms)
    words = {
        "added_p50_ms": "added {} ms at the median",
        "added_p99_ms": "{} ms at p99",
        "schedule_error_p99_ms": "requests left at most {} ms late (p99)",
    }
    return ", ".join(words[name].format(number(value)) for name, value in worst.items())

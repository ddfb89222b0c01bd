"""What a report says of itself to other programs: a few `meta` elements at its head, quickly read.

They are made from what the page shows, so they tell no more than it does. The list of all runs goes by them where a
report lies beside it and the run's data do not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from luckyhit.report.tables import observed
from luckyhit.report.tables.metric_rows import MetricRow

VERDICTS = ("HELPED", "HURT", "EQUIVALENT", "INCONCLUSIVE", "INVALID", "OBSERVED")
HEAD_BYTES = 65_536
"""The elements stand at the very beginning of a page; a title of any length fits before them."""
MOST_NUMBERS = 2
LONGEST = 1000
_PREFIX = "luckyhit:"
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-(.+)-(\d{8}-\d{6}-[0-9a-f]{4})\.html")
_SHOWN = ("name", "before", "after", "effect", "interval", "said")


@dataclass(frozen=True)
class CardNumber:
    """One goal, as the list of all runs shows it; of a baseline alone `before` is its value, `said` its noise, and the
    others are empty."""

    name: str
    before: str
    after: str
    effect: str
    interval: str
    said: str


@dataclass(frozen=True)
class Card:
    """`verdict` is empty where the report has none; `state` says why then."""

    run: str
    case: str
    started: str
    verdict: str
    state: str
    reason: str
    numbers: tuple[CardNumber, ...] = ()


def elements(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, content) of each element, from what the template takes."""
    result, incomplete = document["result"], document["incomplete"]
    judged = result is not None and not incomplete
    observation = document["observation"]
    rows = of_observation(observation.numbers) if observation else numbers_of(document["key_numbers"]) if judged else []
    facts = {
        "run": document["run"],
        "case": document["name"],
        "started": document["started"],
        "verdict": observation.headline if observation else result.verdict if judged else "",
        "state": f"not complete: {incomplete}" if incomplete else "finished",
        "reason": (observation.reason if observation else result.reason) if judged else "",
    }
    pairs = [(name, str(text)[:LONGEST]) for name, text in facts.items()]
    return [(f"{_PREFIX}{name}", text) for name, text in [*pairs, *(("number", _as_json(row)) for row in rows)]]


def numbers_of(rows: Sequence[MetricRow]) -> list[CardNumber]:
    """The two goals that matter most."""
    goals = [row for row in rows if row.verdict][:MOST_NUMBERS]
    return [CardNumber(**{name: getattr(row, name) for name in _SHOWN}) for row in goals]


def of_observation(numbers: Sequence[observed.ObservedNumber]) -> list[CardNumber]:
    """The same of a run that measured its baseline alone."""
    return [CardNumber(row.name, row.value, "", "", "", row.noise) for row in numbers[:MOST_NUMBERS]]


def _as_json(row: CardNumber) -> str:
    return json.dumps({name: getattr(row, name) for name in _SHOWN}, ensure_ascii=False)


def cards(reports_dir: Path, known: set[str]) -> dict[str, Card]:
    """By file name: the reports of runs that are not `known`. A file that is called like a report and says nothing of
    itself, as a damaged one does, or one of an earlier version, is told by its name; any other file is passed over."""
    documents = {}
    for path in sorted(reports_dir.glob("*.html")):
        match = _NAME.fullmatch(path.name)
        if match is None or match[3] in known or not path.is_file():
            continue
        documents[path.name] = _card(path) or Card(
            match[3], match[2], match[1], "", "its report says nothing that can be read here", ""
        )
    return documents


def _card(path: Path) -> Card | None:
    """None where the file can't be read, or is no report that tells of the run it is called after."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    reader = _Head()
    reader.feed(head)
    facts = dict(reversed(reader.found))  # the first of each counts
    if not facts.get("run") or not path.name.endswith(f"-{facts['run']}.html"):
        return None
    verdict = facts.get("verdict", "")
    numbers = [row for name, text in reader.found if name == "number" and (row := _number(text)) is not None]
    return Card(
        run=facts["run"],
        case=facts.get("case", "")[:LONGEST],
        started=facts.get("started", "")[:LONGEST],
        verdict=verdict if verdict in VERDICTS else "",
        state=facts.get("state", "")[:LONGEST],
        reason=facts.get("reason", "")[:LONGEST],
        numbers=tuple(numbers[:MOST_NUMBERS]),
    )


def _number(text: str) -> CardNumber | None:
    try:
        row = json.loads(text)
        return CardNumber(**{name: str(row[name])[:LONGEST] for name in _SHOWN})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class _Head(HTMLParser):
    """The elements of a page, in their order; nothing else is looked at."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        name = attributes.get("name") or ""
        if tag == "meta" and name.startswith(_PREFIX):
            self.found.append((name.removeprefix(_PREFIX), attributes.get("content") or ""))

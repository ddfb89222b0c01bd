"""What a report says about itself to other programs: `meta` elements at the top of its page.

They are made from what the page shows. The index lists a report by them when the data of its run lie elsewhere, and
pages that are no reports on runs (`tables/other_pages`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from luckyhit.report.tables.metric_rows import MetricRow
from luckyhit.report.tables.observed import ObservedNumber

VERDICTS = ("HELPED", "HURT", "EQUIVALENT", "INCONCLUSIVE", "INVALID", "OBSERVED")
HEAD_BYTES = 65_536
"""The elements are at the very beginning of a page."""
MOST_GOALS = 2
LONGEST = 1000
_PREFIX = "luckyhit:"
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-(.+)-(\d{8}-\d{6}-[0-9a-f]{4})\.html")


@dataclass(frozen=True)
class GoalNumbers:
    """One goal as the index shows it. Of a baseline alone `before` is its value and `verdict` its noise; the others are
    empty."""

    name: str
    before: str
    after: str
    effect: str
    interval: str
    verdict: str


@dataclass(frozen=True)
class PageMetadata:
    """`verdict` is empty when the report has none; `state` says why."""

    run: str
    case: str
    started: str
    verdict: str
    state: str
    reason: str
    goals: tuple[GoalNumbers, ...] = ()


def meta_elements(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, content) of each element, from the values of the page's template."""
    result, incomplete, observation = document["result"], document["incomplete"], document["observation"]
    verdict, reason, goals = "", "", []
    if observation:
        verdict, reason, goals = observation.headline, observation.reason, of_observation(observation.numbers)
    elif result is not None and not incomplete:
        verdict, reason, goals = result.verdict, result.reason, of_metrics(document["key_numbers"])
    state = f"not complete: {incomplete}" if incomplete else "finished"
    facts = {"run": document["run"], "case": document["name"], "started": document["started"]}
    facts |= {"verdict": verdict, "state": state, "reason": reason}
    pairs = [(name, str(text)[:LONGEST]) for name, text in facts.items()]
    pairs += [("number", json.dumps(asdict(goal), ensure_ascii=False)) for goal in goals]
    return [(f"{_PREFIX}{name}", text) for name, text in pairs]


def of_metrics(rows: Sequence[MetricRow]) -> list[GoalNumbers]:
    """The two goals that matter most."""
    goals = [row for row in rows if row.verdict][:MOST_GOALS]
    return [GoalNumbers(row.name, row.before, row.after, row.effect, row.interval, row.verdict_words) for row in goals]


def of_observation(numbers: Sequence[ObservedNumber]) -> list[GoalNumbers]:
    """The same for a run that measured its baseline alone."""
    return [GoalNumbers(row.name, row.value, "", "", "", row.noise) for row in numbers[:MOST_GOALS]]


def metadata_of_reports(reports_dir: Path, known: set[str]) -> dict[str, PageMetadata]:
    """By file name: the reports of runs that are not `known`. A file named like a report, but without readable
    metadata, is listed by its name; any other file is skipped."""
    documents = {}
    for path in sorted(reports_dir.glob("*.html")):
        match = _NAME.fullmatch(path.name)
        if match is not None and match[3] not in known and path.is_file():
            unreadable = PageMetadata(match[3], match[2], match[1], "", "its report can't be read here", "")
            documents[path.name] = _metadata_of(path) or unreadable
    return documents


def meta_of(path: Path) -> dict[str, str]:
    """What a page of ours says about itself, the first of each name; nothing where it can't be read."""
    return dict(reversed(_elements_of(path)))


def _elements_of(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    reader = _MetaReader()
    reader.feed(head)
    return reader.elements


def _metadata_of(path: Path) -> PageMetadata | None:
    """None when the file can't be read, or its metadata name another run than its file name."""
    elements = _elements_of(path)
    facts = dict(reversed(elements))
    if not facts.get("run") or not path.name.endswith(f"-{facts['run']}.html"):
        return None
    texts = {name: facts.get(name, "")[:LONGEST] for name in ("run", "case", "started", "verdict", "state", "reason")}
    if texts["verdict"] not in VERDICTS:
        texts["verdict"] = ""
    goals = [goal for name, text in elements if name == "number" and (goal := _goal(text)) is not None]
    return PageMetadata(**texts, goals=tuple(goals[:MOST_GOALS]))


def _goal(text: str) -> GoalNumbers | None:
    try:
        return GoalNumbers(**{name: str(value)[:LONGEST] for name, value in json.loads(text).items()})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


class _MetaReader(HTMLParser):
    """Our `meta` elements of a page, in their order; everything else is ignored."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        name = attributes.get("name") or ""
        if tag == "meta" and name.startswith(_PREFIX):
            self.elements.append((name.removeprefix(_PREFIX), attributes.get("content") or ""))

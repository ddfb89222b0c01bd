"""Pages that are no reports on runs, for the index: what they are, of which case, when they were made, what they say.

Each says so itself, in `meta` elements (`page_metadata`). Of one that does not, or can't be read, its place and its
file tell what they can.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from luckyhit.report.html_files import link_to
from luckyhit.report.page_metadata import LONGEST, meta_of

PageKind = Literal["diagnosis", "what-if", "bisect", "night"]
DIAGNOSES, WHAT_IF, NIGHT = "diagnoses", "whatif", "nightly"
"""The folder of diagnoses, beside that of the runs; that of predictions, among the reports; a fleet's newest digest."""
DIAGNOSIS_PAGE, BISECT_PAGE = "diagnosis.html", "bisect.html"
TITLES: dict[PageKind, str] = {
    "diagnosis": "Which kind of fault",
    "what-if": "What another time to live or size would do",
    "bisect": "Which revision brought a fault",
    "night": "The newest night of a fleet",
}
MOST_PAGES = 300
_STAMP = re.compile(r"(?:bisect-)?(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)\d\d-[0-9a-f]{4}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d)?")


@dataclass(frozen=True)
class OtherPage:
    """One page. `case`: empty where it is of none, or not known; `made`: `2026-11-30 18:45`, or a date; `says`: in a
    sentence, empty where the page doesn't tell; `link`: from the reports, None where it is too far away."""

    kind: PageKind
    case: str
    made: str
    says: str
    link: str | None

    @property
    def title(self) -> str:
        return TITLES[self.kind]


class _Place(NamedTuple):
    """Where pages of one kind are. `of_case`: each in a folder of its own, in one named like its case."""

    kind: PageKind
    folder: Path
    pattern: str
    of_case: bool


def other_pages(run_folders: Sequence[Path], reports_dir: Path) -> list[OtherPage]:
    """Those beside these folders of runs and their reports, the newest first. Whatever can't be read is left out."""
    places = [
        _Place("what-if", reports_dir / WHAT_IF, "*.html", of_case=False),
        _Place("night", reports_dir, f"{NIGHT}.html", of_case=False),
    ]
    for folder in run_folders:
        places.append(_Place("diagnosis", folder.parent / DIAGNOSES, f"*/*/{DIAGNOSIS_PAGE}", of_case=True))
        places.append(_Place("bisect", folder, f"*/bisect-*/{BISECT_PAGE}", of_case=True))
    pages: dict[Path, OtherPage] = {}
    for place in places:
        for path in _files(place.folder, place.pattern):
            with contextlib.suppress(OSError, ValueError):
                pages.setdefault(path.resolve(), _page(place, path, reports_dir))
    return sorted(pages.values(), key=lambda page: (page.made, page.case, page.kind), reverse=True)[:MOST_PAGES]


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    """As far as the folder can be listed."""
    with contextlib.suppress(OSError):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if path.is_file():
                    yield path


def _page(place: _Place, path: Path, reports_dir: Path) -> OtherPage:
    facts = meta_of(path)
    made = facts.get("made", "")
    return OtherPage(
        place.kind,
        case=facts.get("case", path.parents[1].name if place.of_case else "")[:LONGEST],
        made=made if _DATE.fullmatch(made) else _made(path),
        says=facts.get("says", "" if place.of_case else path.stem)[:LONGEST],
        link=link_to(path, reports_dir),
    )


def _made(path: Path) -> str:
    """By the folder's name, else by the file's time. Raises OSError, and ValueError for a time that is none."""
    stamped = time_in(path.parent.name)
    return stamped or f"{datetime.fromtimestamp(path.stat().st_mtime).astimezone():%Y-%m-%d %H:%M}"


def time_in(name: str) -> str:
    """`2026-11-30 18:45` of a folder named `20261130-184500-1a2b`; empty where the name has no time."""
    stamp = _STAMP.fullmatch(name)
    return "{}-{}-{} {}:{}".format(*stamp.groups()) if stamp else ""

"""The report of a search: for each end of it, and whatever Git holds."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import pytest
from simulated import SimulatedComparison, new_record, revisions_of

from luckyhit.bisect import bisect_page
from luckyhit.bisect.bisect_words import conclusion_text, next_text
from luckyhit.bisect.searching import search
from luckyhit.records.bisection import Bisection, RevisionFacts
from luckyhit.scrub.redactor import Redactor

REVISIONS = revisions_of(17)
HOSTILE = "Fix `x` | <script>alert(1)</script> ```` end ![a](b)"


def ended(bad_at: int, noise: float = 0.05, broken: Collection[int] = (), at_most: int | None = None) -> Bisection:
    comparison = SimulatedComparison(REVISIONS, bad_at, noise, broken=broken)
    return search(new_record(REVISIONS, at_most), comparison, lambda _: None)


def pages(folder: Path, record: Bisection, difference: str = "", subject: str = "A change") -> tuple[str, str]:
    subjects = dict.fromkeys(REVISIONS, subject)
    bisect_page.write(folder, record, subjects, difference, Redactor({"s3cr3t-canary"}))
    return (folder / bisect_page.MARKDOWN).read_text(), (folder / bisect_page.PAGE).read_text()


ENDS = {
    "found": ended(9),
    "cannot-tell": ended(9, broken={8}),
    "limit": ended(9, at_most=3),
    "no-difference": ended(17),
    "ends-undecided": ended(9, noise=3.0),
    "contradictory": ended(9).model_copy(update={"conclusion": "contradictory", "confirmed": False}),
    "not told apart directly": ended(9, at_most=5),
    "interrupted": new_record(REVISIONS),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_end_has_a_report_that_links_its_pages(end: str, tmp_path: Path) -> None:
    record = ENDS[end]
    markdown, page = pages(tmp_path, record)
    assert f'data-conclusion="{record.conclusion or ""}"' in page
    assert all(step.after[:12] in markdown and step.after[:12] in page for step in record.steps)
    assert markdown.startswith("# ")


def test_the_ends_are_told_in_different_words() -> None:
    assert len({conclusion_text(record) for record in ENDS.values()}) == len(ENDS)
    to_do = {end: next_text(record) for end, record in ENDS.items()}
    assert not any(to_do.pop(end) for end in ("found", "not told apart directly", "interrupted"))
    assert all(to_do.values())
    assert len(set(to_do.values())) == len(to_do)


def test_a_range_lists_what_is_left(tmp_path: Path) -> None:
    record = ENDS["cannot-tell"]
    assert record.remaining == [REVISIONS[8], REVISIONS[9]]
    markdown, page = pages(tmp_path, record)
    left = markdown.split("## What is left")[1].split("##")[0]
    assert [line[3:15] for line in left.splitlines() if line.startswith("- ")] == [r[:12] for r in record.remaining]
    assert 'id="left"' in page


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    facts = RevisionFacts(
        revision=REVISIONS[9], author=HOSTILE, date="2026-01-01", subject=HOSTILE, message=f"{HOSTILE}\n\n# No heading"
    )
    record = ENDS["found"].model_copy(update={"culprit": facts})
    markdown, page = pages(tmp_path, record, difference=f"+{HOSTILE}\n+token=s3cr3t-canary\n", subject=HOSTILE)
    assert "<script" not in page
    assert "s3cr3t-canary" not in markdown + page
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", markdown)
    assert "<script" not in outside.replace("\\<script", "") and "# No heading" not in outside
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and "one between" in line]
    assert rows and all(len(re.split(r"(?<!\\)\|", row)) == 9 for row in rows)


def test_a_long_difference_is_cut_and_linked(tmp_path: Path) -> None:
    facts = RevisionFacts(revision=REVISIONS[9], diff="culprit.diff")
    markdown, page = pages(tmp_path, ENDS["found"].model_copy(update={"culprit": facts}), difference="+line\n" * 50_000)
    assert len(markdown) < 60_000 and "(culprit.diff)" in markdown and 'href="culprit.diff"' in page

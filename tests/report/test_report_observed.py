"""The report of a run that measured its baseline alone: what was seen, and no word of a change, an effect or a rollback."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from baselines import OBSERVED, copy_of
from page_reader import Page, assert_self_contained
from synthetic_run import judged

from luckyhit.case_run import CaseRun
from luckyhit.judge.context.earlier_baselines import with_earlier
from luckyhit.report.page import render
from luckyhit.report.tables import observed

OF_A_CHANGE = ("#naive", "#change", "#effect", "#rollback")


@pytest.fixture
def seen(new_run: Callable[..., CaseRun]) -> CaseRun:
    run = new_run(stages=("baseline",), manifest=OBSERVED, probes=20)
    judged(run)
    return run


def page_of(run: CaseRun, folder: Path, **more: str) -> Page:
    result = with_earlier(run, run.result)
    return Page(render(run, result, folder / "reports", **more).read_text())


@pytest.mark.usefixtures("plain_figures")
def test_its_first_screen_says_what_was_measured_and_how_that_stands(seen: CaseRun, tmp_path: Path) -> None:
    for day in range(1, 13):
        copy_of(seen, day, {"hit_ratio": 0.5 + day / 1000})
    page = page_of(seen, tmp_path)
    assert_self_contained(page)
    first = page.text.partition("The case, as declared")[0]
    assert first.strip().startswith("OBSERVED: ") and "so there is no verdict" in first
    assert re.search(r"[\d,]+ requests, [\d,]+ of them completed, in 2 s of warm-up and \d+ s that count", first)
    ratio = r"Hit ratio 91 % ± [\d.]+ points noise \(A/A\) ✗ Outside of 12 earlier baselines: 50 % to 51 %, median 51 %"
    assert re.search(ratio, first)
    assert first.count("12 earlier baselines:") == 3, "three numbers"


@pytest.mark.usefixtures("plain_figures")
def test_nothing_in_it_is_about_a_change_that_was_not_made(seen: CaseRun, tmp_path: Path) -> None:
    html = render(seen, with_earlier(seen, seen.result), tmp_path / "reports").read_text()
    told = html.partition("</style>")[2]
    for word in ("INCONCLUSIVE", "Rollback confirmed", "The rules of the verdict", "If the change is wrong",
                 "To undo the change", "Failure mode reviewed", "The change was not measured"):  # fmt: skip
        assert word not in told, word
    assert not [link for link in OF_A_CHANGE if f'href="{link}"' in html]
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert {"Baseline: what the system does", "What was seen", "Nothing was left behind"} <= set(headings)
    assert "figure-forest" not in html and "figure-hit-ratio" in html


@pytest.mark.usefixtures("plain_figures")
def test_one_that_ended_early_or_failed_a_guard_is_not_called_observed(seen: CaseRun, tmp_path: Path) -> None:
    assert page_of(seen, tmp_path, incomplete="interrupted").text.strip().startswith("INCOMPLETE")
    invalid = seen.result.model_copy(update={"verdict": "INVALID", "reason": "A guard failed: clock monotonic."})
    page = Page(render(seen, invalid, tmp_path / "reports").read_text())
    assert page.text.strip().startswith("INVALID") and "A guard failed: clock monotonic." in page.text
    assert "OBSERVED" not in page.text


def test_a_run_with_its_change_measured_is_none(judged_run) -> None:
    run, result = judged_run
    assert not observed.only(run.manifest, result)
    assert not observed.only(run.manifest.model_copy(update={"blocks": []}), result)


@pytest.mark.parametrize("earlier, said", [
    (0, "No earlier baseline to compare with."),
    (1, "1 earlier baseline: 50 %. Too few to call it usual or unusual."),
    (2, "2 earlier baselines: 50 % to 52 %, median 51 %. Too few to call it usual or unusual."),
])  # fmt: skip
def test_few_earlier_baselines_are_said_to_be_few(seen: CaseRun, earlier: int, said: str) -> None:
    for day in range(1, earlier + 1):
        copy_of(seen, day, {"hit_ratio": 0.48 + day / 50})
    numbers = observed.key_numbers(with_earlier(seen, seen.result))
    assert [each.beside for each in numbers if each.name == "Hit ratio"] == [said]

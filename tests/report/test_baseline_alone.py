"""A run that measured its baseline alone, beside earlier ones: what was seen, and no word of a change or a verdict."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from baselines import copy_of, rewrite
from page_reader import Page
from synthetic_run import START, judged

from luckyhit.case_run import CaseRun
from luckyhit.judge.context import earlier_baselines
from luckyhit.judge.context.earlier_baselines import baseline_of, with_earlier
from luckyhit.records import Guard
from luckyhit.report.page import render
from luckyhit.report.tables import observed
from luckyhit.report.tables.observed import EARLIER_HEADINGS, as_lines, earlier_rows
from luckyhit.text.numbers import sentence_case
from luckyhit.text.quantities import name_of

OF_A_CHANGE = {"naive", "change", "effect", "figure-forest"}


def beside_earlier(run: CaseRun):
    assert run.result is not None
    return with_earlier(run, run.result)


# Beside earlier baselines


def test_it_names_the_metric_that_was_never_like_this(observed_run: CaseRun) -> None:
    for day in range(1, 21):
        copy_of(observed_run, day, {"hit_ratio": 0.5 + day / 1000})
    result = beside_earlier(observed_run)
    metrics = result.earlier.metrics
    assert result.earlier.runs == 20 and result.verdict == "OBSERVED"
    assert (metrics["hit_ratio"].low, metrics["hit_ratio"].high) == (0.501, 0.52)
    assert [name for name, beside in metrics.items() if beside.outside] == ["hit_ratio"]
    assert json.loads(result.model_dump_json())["earlier"]["metrics"]["hit_ratio"]["chance"] == pytest.approx(2 / 21)
    (row,) = [row for row in earlier_rows(result) if row[0] == "Hit ratio"]
    cells = dict(zip(EARLIER_HEADINGS, row, strict=True))
    assert (cells["Earlier ones"], cells["Their range"], cells["It lies"]) == ("20", "50 % to 52 %", "outside (better)")
    assert any("OUTSIDE" in line for line in as_lines(result))


def test_a_run_that_measured_its_change_is_not_put_beside(judged_run) -> None:
    run, result = judged_run
    assert with_earlier(run, result) == result
    assert not observed.only(run.manifest, result)
    assert not observed.only(run.manifest.model_copy(update={"blocks": []}), result)


def test_the_baseline_of_a_run_with_its_change_counts_too(observed_run: CaseRun, new_run) -> None:
    """Its result is about the arms; its baseline, of the same seed here, is in its records."""
    changed = new_run(now=START - timedelta(days=1), blocks=1, probes=20, stages=("baseline", "change"))
    assert judged(changed).metrics["hit_ratio"].before != observed_run.result.metrics["hit_ratio"].before
    assert baseline_of(changed) == pytest.approx(baseline_of(observed_run))
    assert beside_earlier(observed_run).earlier.runs == 1


def test_only_the_newest_runs_before_it_count(observed_run: CaseRun) -> None:
    for day in range(1, earlier_baselines.MOST + 4):
        copy_of(observed_run, day, {"hit_ratio": 0.9 if day <= earlier_baselines.MOST else 0.1})
    copy_of(observed_run, -1, {"hit_ratio": 0.01})
    beside = beside_earlier(observed_run).earlier
    assert beside.runs == earlier_baselines.MOST and beside.metrics["hit_ratio"].low == 0.9


def test_what_can_not_be_compared_is_left_out_and_counted(observed_run: CaseRun) -> None:
    copy_of(observed_run, 1, {})
    other_rate, other_host, lost, invalid, failed, uncleared, torn = (copy_of(observed_run, n, {}) for n in range(2, 9))
    rewrite(other_rate.path / "case.yml", "\n  rate: ", "\n  rate: 1")
    other_host.update(host={"machine": "x86_64", "cpus": 64})
    (lost.path / "result.json").unlink()
    rewrite(invalid.path / "result.json", '"INCONCLUSIVE", "reason"', '"INVALID", "reason"')
    failed.update(failure={"message": "interrupted"}, state="failed")
    uncleared.update(blocks=[block.model_copy(update={"clear": {}}) for block in uncleared.manifest.blocks])
    (torn.path / "result.json").write_text("{")
    result = beside_earlier(observed_run)
    assert result.earlier.runs == 1 and len(observed.left_out(result)) == 5
    assert result.earlier.left_out == {
        earlier_baselines.SAME_CONDITIONS: 1, earlier_baselines.OTHER_HOST: 1, earlier_baselines.NOT_FINISHED: 3, earlier_baselines.OTHER_STATE: 1,
        earlier_baselines.NOT_READABLE: 1,
    }  # fmt: skip


def test_texts_and_the_other_side_of_the_change_may_differ(observed_run: CaseRun) -> None:
    other = copy_of(observed_run, 1, {})
    rewrite(other.path / "case.yml", "title: ", "title: Once more, ")
    rewrite(other.path / "case.yml", "after: reader-key", "after: some-other-way")
    assert beside_earlier(observed_run).earlier.runs == 1


@pytest.mark.parametrize("change", [{"failure": {"message": "interrupted"}}, {"blocks": []}])
def test_a_run_without_a_whole_baseline_is_not_compared(observed_run: CaseRun, change: dict) -> None:
    copy_of(observed_run, 1, {})
    observed_run.update(**change)
    assert beside_earlier(observed_run).earlier is None


@pytest.mark.parametrize(
    ("runs", "facts"), [(0, ""), (1, "1 earlier baseline: 50 %."), (2, "50 % to 52 %, median 51 %.")]
)
def test_few_earlier_baselines_make_nothing_unusual(observed_run: CaseRun, runs: int, facts: str) -> None:
    for day in range(1, runs + 1):
        copy_of(observed_run, day, {"hit_ratio": 0.48 + day / 50})
    (number,) = [row for row in observed.key_numbers(beside_earlier(observed_run)) if row.name == "Hit ratio"]
    assert facts in number.beside and not number.outside and not number.beside.startswith(("Inside", "Outside"))


def test_what_the_case_is_about_comes_first(observed_run: CaseRun) -> None:
    result = beside_earlier(observed_run)
    metrics = {name: metric.model_copy(update={"want": None}) for name, metric in result.metrics.items()}
    for name, want in (("error_rate", "no-worse"), ("db_calls", "better")):
        metrics[name] = metrics[name].model_copy(update={"want": want})
    numbers = observed.key_numbers(result.model_copy(update={"metrics": metrics}))
    wanted = [sentence_case(name_of(name)) for name in ("db_calls", "error_rate", "hit_ratio")]
    assert [number.name for number in numbers] == wanted


# The report


@pytest.mark.usefixtures("plain_figures")
def test_the_page_has_its_numbers_and_nothing_of_a_change(observed_run: CaseRun, tmp_path: Path) -> None:
    for day in range(1, 13):
        copy_of(observed_run, day, {"hit_ratio": 0.5 + day / 1000, "latency_p99_ms": 300.0})
    page = Page.read(render(observed_run, beside_earlier(observed_run), tmp_path / "reports"))
    first = page.text.partition("The case, as declared")[0]
    assert page.headline == "OBSERVED" and "INCONCLUSIVE" not in page.text
    assert first.count("12 earlier baselines:") == 3, "three numbers"
    assert re.search(r"Hit ratio 91 % ± [\d.]+ points .* ✗ .* 50 % to 51 %, median 51 %", first)
    assert re.search(r"P99 latency [\d.]+ ms 12 300 ms 300 ms outside \((better|worse)\) 15 % ", page.text)
    assert not OF_A_CHANGE & set(page.ids) and {"seen", "figure-hit-ratio", "earlier"} <= set(page.ids)
    assert not {f"#{id}" for id in OF_A_CHANGE} & {link["href"] for link in page.all("a")}
    assert "failure-mode" not in page.results("checklist") and "second-before" not in page.results("rollback")


@pytest.mark.usefixtures("plain_figures")
def test_one_that_ended_early_or_is_invalid_is_not_observed(observed_run: CaseRun, tmp_path: Path) -> None:
    result = beside_earlier(observed_run)
    page = Page.read(render(observed_run, result, tmp_path, incomplete="interrupted"))
    assert page.headline == "INCOMPLETE" and page.metadata["verdict"] == ""
    invalid = result.model_copy(update={"verdict": "INVALID", "reason": "A guard failed."})
    page = Page.read(render(observed_run, invalid, tmp_path))
    assert page.headline == page.metadata["verdict"] == "INVALID" and "OBSERVED" not in page.text
    assert "remedy" not in page.ids
    guards = [Guard(id="washed-out", ok=False, detail="It moved.", remedy="Wait longer.")]
    page = Page.read(render(observed_run, invalid.model_copy(update={"guards": guards}), tmp_path))
    assert "remedy" in page.ids and "Wait longer." in page.text.partition("At a glance")[0]

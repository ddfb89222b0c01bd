"""Bodies of real services, through the engine to the judge: their sizes as they were sent, and pages of another URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from handled import ARMS
from measured_block import check, declare, measure, new_run

from luckyhit.case.model import Goal
from luckyhit.case_run import CaseRun
from luckyhit.judge import decide
from luckyhit.judge.evidence import Evidence, evidence_of
from luckyhit.judge.findings import FINDERS
from noted import manifest_with, noted
from world.paged_service import PagedService

KEYS = {"first": 1, "last": 20}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseRun, pd.DataFrame, list[dict[str, Any]]]:
    """A run, its rows and its blocks: before, bodies of some 4,000 bytes, after, the same ones packed."""
    run = new_run(tmp_path_factory.mktemp("packed"))
    routes = [{"name": "item", "path": "/things/{key}/pages/1", "keys": KEYS}]
    declare(run, workload={"seed": 1, "rate": "100/s", "timeout": "5s", "routes": routes}, expected={"status": 200})
    blocks = []
    with PagedService(text="x" * 4000) as plain, PagedService(text="x" * 4000, packed=True) as zipped:
        for block in (0, 1):
            report = measure(run, plain, zipped, block=block, stage="change", measure_s=1.0)
            blocks.append({"block": block, "stage": "change", "arms": list(ARMS), **report.as_facts()})
    return run, run.requests(), blocks


@pytest.mark.parametrize(
    ("swapped", "want", "verdict", "limit"), [(False, "better", "HELPED", "kept"), (True, "no-worse", "HURT", "broken")]
)
def test_bytes_are_judged_as_they_were_sent(
    packed: tuple[CaseRun, pd.DataFrame, list[dict[str, Any]]], swapped: bool, want: str, verdict: str, limit: str
) -> None:
    run, rows, blocks = packed
    of_arm = rows.groupby("arm", observed=True)["bytes"]
    assert of_arm.min()["before"] > 4000 > 500 > of_arm.max()["after"]
    if swapped:
        rows = rows.assign(arm=rows["arm"].map({"before": "after", "after": "before"}).astype(rows["arm"].dtype))
    goal = Goal.model_validate({"want": want, "margin": "500B", "at_most": "4kB"})
    case = run.case.model_copy(update={"goals": {"bytes_per_request": goal}, "design": "side-by-side"})
    metric = decide(rows, run.table("reads"), run.table("writes"), case, noted(blocks)).metrics["bytes_per_request"]
    assert (metric.verdict, metric.unit, metric.limit) == (verdict, "bytes/request", limit)
    assert (metric.margin, metric.at_most) == (500, 4000)
    assert 4000 < (metric.after if swapped else metric.before) < 4200


WORKLOAD = {
    "seed": 3, "rate": "250/s", "timeout": "5s",
    "routes": [
        *({"name": name, "path": path, "weight": 4, "keys": KEYS} for name, path in {
            "one": "/things/{key}/pages/1", "two": "/things/{key}/pages/2", "alias": "/t/{key}/1",
            "empty": "/empty/{key}", "clock": "/clock/{key}", "gone": "/gone/{key}",
        }.items()),
        {"name": "write", "method": "PUT", "path": "/things/{key}", "body": {"v": "{number}"}, "keys": KEYS,
         "response": {"status": 204}},
    ],
}  # fmt: skip


def measured(folder: Path, before: PagedService, after: PagedService) -> Evidence:
    run = new_run(folder)
    declare(run, workload=WORKLOAD, expected={"status": 200})
    with before, after:
        report = measure(run, before, after, measure_s=4.0)
    check(run, report)
    entry = {"block": 0, "stage": "change", "arms": list(ARMS), "pair": 0, **report.as_facts()}
    return evidence_of(run, manifest_with(blocks=[entry]))


@pytest.mark.measures
def test_wrong_pages_of_a_real_service_are_found(tmp_path: Path) -> None:
    evidence = measured(tmp_path, PagedService(forgets_page=True), PagedService(packed=True))
    findings = {id: finding for id, find in FINDERS.items() if (finding := find(evidence)) is not None}
    assert set(findings) <= {"same-bytes-other-url", "unexpected-answers", "arms-differ"}
    wrong = findings["same-bytes-other-url"]
    assert wrong.before is not None and wrong.after is not None
    assert wrong.before.count >= 10 and wrong.after.count == 0 and wrong.facts["misses_wrong"] == 0
    assert {wrong.facts["route"], wrong.facts["other_route"]} <= {"one", "two", "alias"}
    gone = findings["unexpected-answers"]
    assert gone.facts["before_good_status"] == 0
    assert {(row["route"], row["reason"], row["status"]) for row in gone.examples} == {("gone", "status", 404)}


@pytest.mark.slow
@pytest.mark.measures
def test_a_healthy_real_service_is_not_accused(tmp_path: Path) -> None:
    evidence = measured(tmp_path, PagedService(packed=True), PagedService())
    assert {id for id, find in FINDERS.items() if find(evidence) is not None} <= {"unexpected-answers"}

"""Measuring a block of a case that a test declares, and what holds for its rows, whatever happened."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from hostile_service import HostileService

from luckyhit.case import Case
from luckyhit.case.docs.template import new_case
from luckyhit.case.freshness import Freshness
from luckyhit.case_run import CaseRun
from luckyhit.load.block import BlockPlan, BlockReport, Progress, measure_block
from luckyhit.load.sharding.engine_pool import EnginePool

BASIC: dict[str, Any] = {
    "workload": {
        "seed": 1, "rate": "100/s", "timeout": "5s",
        "routes": [{"name": "item", "path": "/ok/{key}", "keys": {"first": 1, "last": 9}}],
    },
    "expected": {"status": 200, "fields": ["$.id"]},
    "freshness": None,
}  # fmt: skip

FRESHNESS = {
    "write": {"path": "/v/{key}", "body": {"v": "{version}"}}, "reads": [{"path": "/v/{key}", "version": "$.v"}],
    "keys": {"first": 1000, "last": 1100}, "within": "0s", "horizon": "100ms", "rate": "20/s",
}  # fmt: skip


def new_run(folder: Path) -> CaseRun:
    folder.mkdir(parents=True, exist_ok=True)
    case_file = folder / "some-case.yml"
    case_file.write_text(new_case("some-case"))
    return CaseRun.create(folder / "runs", case_file, now=datetime(2025, 1, 2), manifest={})


def declare(run: CaseRun, **parts: Any) -> None:
    """Give the run's case this workload, expected response and freshness."""
    case: Case = run.case
    given = {**BASIC, **parts}
    update: dict[str, Any] = {
        "workload": type(case.workload).model_validate_json(json.dumps(given["workload"])),
        "expected": case.expected.model_copy(
            update={"response": type(case.expected.response).model_validate(given["expected"])}
        ),
        "freshness": None,
    }
    if given["freshness"]:
        update["freshness"] = Freshness.model_validate_json(json.dumps(given["freshness"]))
    run.__dict__["case"] = case.model_copy(update=update)


def routed(*paths: str, **other: Any) -> dict[str, Any]:
    routes = [{"name": path.strip("/"), "path": path} for path in paths]
    return {**BASIC["workload"], "routes": routes, **other}


def measure(
    run: CaseRun,
    *services: HostileService | str,
    on_progress: Progress | None = None,
    pool: EnginePool | None = None,
    **plan: Any,
) -> BlockReport:
    urls = [service if isinstance(service, str) else service.url for service in services]
    usual = {"block": 0, "stage": "baseline", "warmup_s": 0.2, "measure_s": 0.4, "seed": 5, "selfcheck": False}
    settings = {**usual, **plan}
    targets = dict(zip(("before", "after"), urls, strict=False))
    return measure_block(run, BlockPlan(targets=targets, **settings), on_progress=on_progress, pool=pool)


def check(run: CaseRun, report: BlockReport) -> pd.DataFrame:
    """What holds always: one row for each slot and arm, counted exactly, in the order of the clock."""
    rows = run.requests()
    for arm, counts in report.accounting.items():
        of_arm = rows[rows["arm"] == arm]
        assert counts.exact and counts.scheduled == len(of_arm) > 0
        assert sorted(of_arm["slot"]) == list(range(len(of_arm)))
        assert counts.completed == of_arm["error"].isna().sum()
        assert counts.timed_out == (of_arm["error"] == "timeout").sum()
        assert counts.dropped == (of_arm["error"] == "dropped").sum()
    assert not rows["due_ns"].isna().any()
    assert (rows["sent_ns"].dropna() >= rows.loc[rows["sent_ns"].notna(), "due_ns"]).all()
    assert (rows["done_ns"].notna() <= rows["sent_ns"].notna()).all()
    done = rows[rows["done_ns"].notna()]
    assert (done["sent_ns"] <= done["first_byte_ns"]).all() and (done["first_byte_ns"] <= done["done_ns"]).all()
    return rows


def engines() -> list[psutil.Process]:
    """Engines of this process that run."""
    running = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it may end just now
            if "luckyhit.load.engine" in " ".join(child.cmdline()):
                running.append(child)
    return running

"""The metric `bytes_per_request`, from a real service through the engine to its verdict: bytes as they were sent."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import pytest
from measured_block import declare, measure

from luckyhit.case.docs.template import new_case
from luckyhit.case.model import Goal
from luckyhit.case_run import CaseRun
from luckyhit.judge import decide
from luckyhit.records import Result
from noted import noted
from world import Reply, Service

TEXT = 4000


def body_of(path: str, text: int, packed: bool) -> bytes:
    key = int(path.rpartition("/")[2])
    plain = json.dumps({"id": key, "text": "x" * (text + key)}).encode()
    return gzip.compress(plain, mtime=0) if packed else plain


def serving(text: int, packed: bool = False) -> Service:
    """A service whose items have so much text."""
    headers = {"Content-Encoding": "gzip"} if packed else {}
    return Service(lambda request: Reply(body_of(request.path, text, packed), headers=headers))


def judged(tmp_path: Path, want: str, margin: str, *, after: tuple[int, bool], at_most: str | None = None) -> Result:
    """Two blocks of both arms, before with TEXT and plain; judged by a goal on the bytes."""
    case_file = tmp_path / "bytes.yml"
    case_file.write_text(new_case("bytes"))
    run = CaseRun.create(tmp_path / "runs", case_file, now=datetime(2025, 1, 2), manifest={})
    declare(run)
    goal = Goal.model_validate({"want": want, "margin": margin, "at_most": at_most})
    case = run.case.model_copy(update={"goals": {"bytes_per_request": goal}, "design": "side-by-side"})
    blocks = []
    with serving(TEXT) as first, serving(*after) as second:
        for block in (0, 1):
            report = measure(run, first.url, second.url, block=block, stage="change", measure_s=1.0)
            blocks.append({"block": block, "stage": "change", "arms": ["before", "after"], **report.as_facts()})
    rows = run.requests()
    for arm, (text, packed) in {"before": (TEXT, False), "after": after}.items():
        of_arm = rows[rows["arm"] == arm]
        assert [len(body_of(f"/{key}", text, packed)) for key in of_arm["key"]] == of_arm["bytes"].tolist()
    return decide(rows, run.table("reads"), run.table("writes"), case, noted(blocks))


@pytest.mark.parametrize(
    ("want", "after", "verdict"),
    [
        ("no-worse", (TEXT, False), "EQUIVALENT"),
        ("no-worse", (TEXT + 800, False), "HURT"),
        ("better", (TEXT, True), "HELPED"),
    ],
)
def test_bytes_are_judged_as_they_were_sent(tmp_path: Path, want: str, after: tuple[int, bool], verdict: str) -> None:
    metric = judged(tmp_path, want, "5 %", after=after).metrics["bytes_per_request"]
    assert metric.verdict == verdict and metric.unit == "bytes/request"
    assert TEXT < metric.before < TEXT + 60
    assert metric.margin == pytest.approx(0.05 * metric.before)


def test_a_limit_on_bytes_is_a_size(tmp_path: Path) -> None:
    metric = judged(tmp_path, "no-worse", "500B", after=(TEXT, False), at_most="4kB").metrics["bytes_per_request"]
    assert (metric.margin, metric.at_most, metric.limit) == (500, 4000, "broken")

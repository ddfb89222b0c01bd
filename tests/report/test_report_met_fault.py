"""An answer that was not as expected before anything was measured, from the manifest to the first screen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from page_reader import Page
from synthetic_run import judged

from luckyhit.records import PREFLIGHT_MET_FAULT, RunFinding
from luckyhit.report.page import render
from luckyhit.report.tables.finding_sentences import sentence_of
from noted import manifest_with, spoil_manifest

MET = {
    "arm": "before", "route": "list", "request": "GET /products?page=2", "status": 200,
    "wrong": "$.number is 1 instead of 11", "body": '{"number": 1}',
}  # fmt: skip


def met(findings: list[RunFinding]) -> list[RunFinding]:
    return [finding for finding in findings if finding.id == PREFLIGHT_MET_FAULT]


@pytest.mark.usefixtures("plain_figures")
def test_the_first_screen_shows_the_request_that_met_the_fault(new_run: Any, tmp_path: Any) -> None:
    run = new_run(blocks=2, manifest={"preflight": {"asked": 2, "unexpected": [MET]}})
    result = judged(run)
    (finding,) = met(result.findings)
    assert finding.before is not None and (finding.before.count, finding.before.of) == (1, 2)
    assert finding.after is None and finding.examples == [MET]
    page = Page(render(run, result, tmp_path / "reports").read_text(encoding="utf-8"))
    assert sentence_of(finding) in page.text and MET["request"] in sentence_of(finding)


@pytest.mark.parametrize("noted", [{"asked": 2, "unexpected": []}, {"asked": "two"}, [], None, "lost"])
def test_nothing_is_shown_where_nothing_was_met(new_run: Any, noted: Any) -> None:
    run = new_run(blocks=2, probes=0)
    spoil_manifest(run.path, preflight=noted)
    assert not met(judged(run).findings)


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MET, "asked", "unexpected"]), inner),
)


@example({"arm": None, "asked": -1})
@given(anything)
def test_any_manifest_can_be_asked_for_it(noted: Any) -> None:
    assert manifest_with(preflight=noted).preflight.asked >= 0

"""A manifest of any shape can be read as far as it goes, and is written as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from luckyhit.case_run import CaseRun
from luckyhit.records.manifest import Manifest, NotedBlock, load_manifest
from tier import examples

WHOLE: dict[str, Any] = {
    "schema": 1, "case": "placebo", "run": "20261123-021500-abcd", "started": "2026-11-23T02:15:00+00:00",
    "origin_ns": 5, "origin_s": 5.5, "pinned": True, "state": "finished", "seed": 7, "design": "side-by-side", "case_sha256": "ab", "revision": "0123",
    "command": "luckyhit run placebo", "environment": None, "observe": False, "changed": False, "report": "a.html",
    "measured_s": 12.5, "inputs": ["a note"], "variables": {"REGION": "eu"}, "versions": {"python": "3.11.7"},
    "host": {"system": "Linux", "machine": "x86_64", "cpus": 2}, "repeat": {"case": "placebo", "variables": ["A"]},
    "plan": {"sized": ["plan.block"], "power": [{"name": "hit_ratio", "needs": None}]},
    "preflight": {"id": "x", "asked": 2, "unexpected": []}, "revisions": {"before": "a", "after": "b"},
    "fingerprints": {"before": {"hz": "10"}}, "cache_keys": {"before": {"shapes": [{"before": "a", "after": ""}]}},
    "guards": [{"id": "directories", "ok": True, "detail": "b", "remedy": ""}], "inputs_scrubbed": True,
    "looks": [{"blocks": 1, "verdict": "HELPED", "reason": "x", "stopped": True, "added": 1}],
    "rollback": {"confirmed": True, "detail": "x", "same_as_before": None},
    "failure": {"error": "E", "message": "m", "hint": "h", "exit_code": 4, "log": ["l"]},
    "blocks": [
        {
            "block": 0, "stage": "change", "arms": ["before", "after"], "pair": 1, "control": True, "start_ns": 1,
            "clear": {"before": {"scanned": 3, "cleared": 2, "outside_keys": ["k"]}}, "purge": {"after": {"calls": 1}},
            "washout": {"settled": None, "seconds": 2.0, "stretches": 1, "ratios": [0.5]}, "started": {"before": None},
            "limits": {"error_rate": 0.1, "stopped": None}, "differences": {"after": {"hz": ["10", "11"]}},
            "engine": {"trustworthy": True, "added_p99_ms": 0.4}, "probe": {"share": 0.1, "put_back": {"before": 3}},
            "accounting": {"before": {"scheduled": 1, "completed": 1}}, "unseen": ["x"], "start": {"before": 1},
        }
    ],
}  # fmt: skip
"""Each field of a manifest, as a run writes it."""

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WHOLE, "block", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def as_written(manifest: Manifest) -> dict[str, Any]:
    written: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return written


def test_the_example_has_each_field() -> None:
    assert {field.alias or name for name, field in Manifest.model_fields.items()} == set(WHOLE)


def test_a_whole_manifest_is_read_and_written_as_it_was() -> None:
    manifest, unread = load_manifest(WHOLE)
    assert not unread and as_written(manifest) == WHOLE


@given(name=st.sampled_from([*WHOLE]), value=anything)
@settings(max_examples=examples(100), deadline=None)
def test_anything_in_a_field_leaves_the_others(name: str, value: Any) -> None:
    manifest, unread = load_manifest({**WHOLE, name: value})
    assert all(problem.path[0] == name for problem in unread)
    others = {other: WHOLE[other] for other in WHOLE if other != name}
    assert {other: as_written(manifest)[other] for other in others} == others


@given(name=st.sampled_from([*NotedBlock.model_fields]), value=anything)
@settings(max_examples=examples(100), deadline=None)
def test_anything_in_a_block_leaves_its_other_fields(name: str, value: Any) -> None:
    block = WHOLE["blocks"][0]
    manifest, unread = load_manifest({"blocks": [{**block, name: value}]})
    others = {other: block[other] for other in block if other != name}
    for noted in as_written(manifest)["blocks"]:
        assert {other: noted[other] for other in others} == others
    assert manifest.blocks or any(problem.path == ("blocks", 0) for problem in unread)


@given(document=st.dictionaries(st.sampled_from([*WHOLE, "x"]), anything, max_size=6))
@settings(max_examples=examples(100), deadline=None)
def test_any_object_is_read_as_far_as_it_goes(document: dict[str, Any]) -> None:
    manifest, unread = load_manifest(document)
    assert load_manifest(as_written(manifest))[1] == [] and all(str(problem) for problem in unread)


def test_problems_tell_where_they_stood() -> None:
    blocks = [7, {"block": 1, "stage": "x"}, None, {"block": 1}, {"block": 2, "examples": [{"old": 1}], "arms": [3]}]
    manifest, unread = load_manifest({"blocks": blocks, "guards": [{"name": "a"}], "failure": 5, "changed": "yes"})
    assert [block.block for block in manifest.blocks] == [1, 2]
    assert [problem.path for problem in unread] == [
        ("blocks", 0), ("blocks", 1, "stage"), ("blocks", 2), ("blocks", 3), ("blocks", 4, "arms", 0),
        ("blocks", 4, "examples", 0), ("changed",), ("failure",), ("guards", 0),
    ]  # fmt: skip
    assert [problem.number for problem in unread if problem.repeated] == [1]
    assert manifest.failure and manifest.changed  # what can't be read is no good news


def test_a_field_that_no_manifest_has_is_refused(tmp_path: Path) -> None:
    case = Path(__file__).parents[1] / "data" / "cases" / "placebo.yml"
    run = CaseRun.create(tmp_path, case, now=datetime(2026, 1, 2, tzinfo=UTC), manifest={})
    for call in (
        lambda: run.update(sate="measured"),
        lambda: run.update(state="done"),
        lambda: run.add_block(0, "baseline", ["before"], washed_out={}),
        lambda: run.add_block(0, "baseline", ["before"], engine={"trusty": True}),
    ):
        with pytest.raises(ValidationError):
            call()
    path = run.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "of a newer version": 1, "seed": "odd"}))
    run.update(state="measured")
    document = json.loads(path.read_text())
    assert (document["of a newer version"], document["seed"], document["state"]) == (1, "odd", "measured")

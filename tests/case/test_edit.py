"""Single values of a case file, changed in its text: all else is kept, and an invalid result is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from luckyhit.case.edit import with_values, written_values
from luckyhit.case.findings import FieldPath
from luckyhit.errors import ArgumentError, CaseError
from luckyhit.text.json_values import leaves
from tier import examples

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [*(ROOT / "data" / "cases").glob("*.yml"), *(ROOT / "lib" / "luckyhit" / "case" / "examples").glob("*.yml")]
)
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in FILES}
STALE = TEXTS["stale-price"]
seconds = st.integers(1, 50).map(lambda number: f"{number}s")
EDITS: dict[FieldPath, st.SearchStrategy[str]] = {
    ("workload", "rate"): st.integers(20, 500).map(
        lambda number: f"{number}/s"
    ),  # the shortest stretches of a plan need as many
    ("workload", "seed"): st.integers(0, 10**6).map(str),
    ("workload", "timeout"): st.integers(1, 30).map(lambda number: f"{number}s"),
    ("plan", "warmup"): seconds,
    ("plan", "washout"): seconds,
    ("plan", "error_rate"): st.sampled_from(["0.01", "0.05"]),
}


def data_of(text: str) -> dict:
    return dict(leaves(YAML(typ="safe").load(text)))


def comments_of(text: str) -> list[str]:
    return re.findall(r"(?m)(?:^|\s)(#.*)$", text)


@given(st.sampled_from(sorted(TEXTS)), st.dictionaries(st.sampled_from(sorted(EDITS)), st.just(None)), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_only_the_given_values_change(name: str, chosen: dict[FieldPath, None], data: st.DataObject) -> None:
    text = TEXTS[name]
    by_itself = ("plan",) in written_values(text)  # `plan: auto` has no fields
    values = {path: data.draw(EDITS[path]) for path in chosen if not (by_itself and path[0] == "plan")}
    edited = with_values(text, values)
    before, after = data_of(text), data_of(edited)
    assert {path: value for path, value in after.items() if path not in values} == {
        path: value for path, value in before.items() if path not in values
    }
    assert all(str(after[path]) == value or float(after[path]) == float(value) for path, value in values.items())
    assert comments_of(edited) == comments_of(text)
    assert with_values(edited, values) == edited, "once more changes nothing"
    kept = [
        line for line in text.splitlines() if not re.match(r"\s+(rate|seed|timeout|warmup|washout|error_rate):", line)
    ]
    assert [line for line in edited.splitlines() if line in set(kept)] == kept


def test_a_comment_behind_a_value_stays_there() -> None:
    text = STALE.replace("  rate: 110/s", "  rate: 110/s   # a busy hour")
    edited = with_values(text, {("workload", "rate"): "120/s", ("plan", "washout"): "3s"})
    assert "  rate: 120/s   # a busy hour\n" in edited
    assert edited.index("error_rate: 0.01") < edited.index("washout: 3s")


def test_sections_in_braces_take_new_fields_too() -> None:
    text = re.sub(r"plan:\n(?:  .*\n)+", "plan: {baseline: 5s, block: 4s}  # short\n", STALE)
    edited = with_values(text, {("plan", "blocks"): "8", ("plan", "block"): "6s"})
    assert "plan: {baseline: 5s, block: 6s, blocks: 8}  # short\n" in edited
    empty = with_values(text.replace("{baseline: 5s, block: 4s}", "{}"), {("plan", "blocks"): "8"})
    assert "plan: {blocks: 8}  # short\n" in empty


def test_a_section_that_is_missing_is_added() -> None:
    text = re.sub(r"plan:\n(?:  .*\n)+", "", STALE)
    edited = with_values(text, {("plan", "blocks"): "8"})
    assert edited.endswith("plan:\n  blocks: 8\n")


def test_line_ends_and_byte_order_mark_are_kept() -> None:
    text = "\ufeff" + STALE.replace("\n", "\r\n")
    edited = with_values(text, {("workload", "rate"): "120/s", ("plan", "washout"): "3s"})
    assert edited.startswith("\ufeff") and edited.count("\n") == edited.count("\r\n") == text.count("\n") + 1


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        (("workload", "rate"), "fast", CaseError),
        (("workload", "rate"), "120", CaseError),
        (("workload", "rate"), "120/s\nseed: 1", CaseError),
        (("workload", "rate"), "{a: 1}", CaseError),
        (("workload", "rate"), "  ", ArgumentError),
        (("workload", "rtae"), "120/s", CaseError),
        (("workload", "rate", "per"), "s", ArgumentError),
        (("workload", "routes"), "none", ArgumentError),
        (("workload", "routes", 9), "none", ArgumentError),
    ],
)
def test_an_invalid_result_is_refused(path: FieldPath, value: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as error:
        with_values(STALE, {path: value})
    assert path[1] in str(error.value)


def test_values_as_they_are_written() -> None:
    written = written_values(STALE)
    assert written["workload", "rate"] == "110/s" and written["goals", "hit_ratio", "margin"] == "30 %"
    assert written["workload", "routes", 0, "keys", "exponent"] == "0.9"

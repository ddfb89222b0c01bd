"""`bisect.json`: written, read again, and never believed where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from simulated import SimulatedComparison, new_record, revisions_of

from luckyhit.bisect import search_folder
from luckyhit.bisect.searching import search
from luckyhit.records.bisection import BISECT_SCHEMA, Bisection, bisection_document, load_bisection
from luckyhit.scrub.redactor import Redactor

REVISIONS = revisions_of(9)
FIELDS = sorted(bisection_document(Bisection()))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["number", "outcome", *FIELDS]), inner, max_size=3)
    ),
    max_leaves=8,
)


def at_its_end() -> Bisection:
    return search(new_record(REVISIONS), SimulatedComparison(REVISIONS, 5, broken={2}), lambda _: None)


def test_a_written_record_is_read_as_it_was() -> None:
    record = at_its_end()
    document = json.loads(json.dumps(bisection_document(record)))
    assert document["schema"] == BISECT_SCHEMA
    assert load_bisection(document) == (record, [])


def test_a_step_with_a_damaged_outcome_is_left_out() -> None:
    document = bisection_document(at_its_end())
    document["steps"][1]["outcome"] = "perhaps"
    record, problems = load_bisection(document)
    assert len(record.steps) == len(document["steps"]) - 1 and problems


@given(st.dictionaries(st.sampled_from(FIELDS), anything))
def test_any_damage_is_read_past(parts: dict[str, Any]) -> None:
    record, _ = load_bisection({**bisection_document(at_its_end()), **parts})
    assert isinstance(record, Bisection)


def test_only_a_search_that_asks_the_same_is_continued(tmp_path: Path) -> None:
    folder = tmp_path / "old-prices" / "bisect-20260101-000000-abcd"
    wanted = new_record(REVISIONS)
    search_folder.save(folder, wanted, Redactor())
    assert search_folder.unfinished(tmp_path, wanted) == (folder, wanted)
    others = ({"good": REVISIONS[1]}, {"build": "make"}, {"case_sha256": "another"}, {"asked": ["hit_ratio"]})
    assert all(search_folder.unfinished(tmp_path, wanted.model_copy(update=other)) is None for other in others)


def test_a_search_at_its_end_or_damaged_is_not_continued(tmp_path: Path) -> None:
    folder = tmp_path / "old-prices" / "bisect-20260101-000000-abcd"
    search_folder.save(folder, at_its_end(), Redactor())
    assert search_folder.unfinished(tmp_path, new_record(REVISIONS)) is None
    for damage in ("", "[]", '{"schema": 1, "case": "old-prices", "steps": 7}'):
        (folder / search_folder.RECORD).write_text(damage)
        assert search_folder.unfinished(tmp_path, new_record(REVISIONS)) is None

"""`diagnosis.json`: written, read again, and read as far as a damaged one goes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.diagnosis.elimination import eliminate
from luckyhit.judge.diagnosis.experiment import NEEDS
from luckyhit.judge.diagnosis.next_experiment import End, Means, next_experiment
from luckyhit.judge.diagnosis.outcome import Decided, RowReference
from luckyhit.judge.diagnosis.table import FAULTS, OUTSIDE
from luckyhit.judge.diagnosis.written import experiment_record, written_diagnosis
from luckyhit.records.diagnosis import (
    DIAGNOSIS_SCHEMA,
    Diagnosis,
    ExperimentRecord,
    diagnosis_document,
    load_diagnosis,
)

DECIDED = Decided("vary-one-dimension", "answer-of-another", 5, 6, 0.4, (RowReference("requests", 3),), {"wait_s": 2})
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["schema", "classes", "id", "status", "next"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def example() -> Diagnosis:
    elimination, means = eliminate([DECIDED]), Means(NEEDS, seed=7)
    end = next_experiment(elimination, means)
    assert isinstance(end, End)
    records = [experiment_record(DECIDED, 4.0)]
    return written_diagnosis(elimination, means, end, records, case="stores", run="r", read="GET /stores", write=None)


def test_a_written_diagnosis_is_read_as_it_was() -> None:
    document = json.loads(json.dumps(diagnosis_document(example())))
    assert document["schema"] == DIAGNOSIS_SCHEMA
    assert load_diagnosis(document) == (example(), [])


def test_it_has_each_class_once_with_its_rows() -> None:
    diagnosis = example()
    assert [standing.id for standing in diagnosis.classes] == [name for name in FAULTS if name != OUTSIDE]
    (shown,) = [standing for standing in diagnosis.classes if standing.status == "shown"]
    assert shown.id == "underspecified-key"
    assert [(row.table, row.row) for reason in shown.because for row in reason.evidence] == [("requests", 3)]


def test_an_interrupted_one_names_what_would_come_next() -> None:
    diagnosis = written_diagnosis(eliminate([]), Means(("cache-access",)), "interrupted", [])
    assert diagnosis.conclusion == "open"
    assert diagnosis.next
    assert not diagnosis.next.lacking
    assert all(one.lacking for one in diagnosis.not_seen)


def test_what_was_begun_and_not_possible_is_named_and_excludes_nothing() -> None:
    """An empty cache holds no entry of an earlier build: nothing was read of one, and nothing is known of it."""
    record = ExperimentRecord(id="read-stored-entries", lacking=["stored-entries"], seconds=0.1)
    means = Means({*NEEDS} - {"stored-entries"}, tried=["read-stored-entries"])
    diagnosis = written_diagnosis(eliminate([]), means, "interrupted", [record])
    (unseen,) = [one for one in diagnosis.not_seen if one.experiment == record.id]
    assert unseen.lacking == record.lacking and "deploy-mismatch" in unseen.splits
    assert diagnosis.next is not None and diagnosis.next.experiment != record.id, "it is not proposed again"
    assert "deploy-mismatch" in diagnosis.having("possible")


def test_a_class_with_a_damaged_status_is_left_out() -> None:
    document = diagnosis_document(example())
    document["classes"][0]["status"] = "certain"
    document["unknown"] = 1
    diagnosis, problems = load_diagnosis(document)
    assert len(diagnosis.classes) == len(example().classes) - 1
    assert {problem.path[0] for problem in problems} == {"classes", "unknown"}


@given(st.dictionaries(st.sampled_from(list(diagnosis_document(example()))), anything))
def test_a_damaged_diagnosis_is_read_as_far_as_it_goes(document: dict[str, Any]) -> None:
    diagnosis, _ = load_diagnosis(document)
    assert not diagnosis.having("shown")

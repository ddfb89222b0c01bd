"""The case that a diagnosis proposes: valid, with another change, and nothing else."""

from __future__ import annotations

import pytest

from luckyhit.case.load import load_case, parse_case
from luckyhit.records.diagnosis import ClassStanding, Diagnosis, ExperimentRecord
from luckyhit.workflow.next_case import next_case
from sick import SICK


def shown(fault_class: str, **facts: str | float) -> Diagnosis:
    record = ExperimentRecord(id="entry-lifetime", outcome="longer", facts=facts)
    return Diagnosis(classes=[ClassStanding(id=fault_class, status="shown")], experiments=[record])


@pytest.mark.parametrize(
    ("fault_class", "setting", "now_s", "after"),
    [("ttl-wrong", "RATE_TTL_S", 3600.0, "2"), ("ttl-shorter-than-load", "GOOD_FOR_MS", 0.15, "1500")],
)
def test_the_setting_is_changed_alone(fault_class: str, setting: str, now_s: float, after: str) -> None:
    path = SICK[fault_class] / "case.yml"
    text = next_case(
        path.read_text(encoding="utf-8"), shown(fault_class, setting=setting, setting_s=now_s, declared_s=2.0)
    )
    assert text is not None
    made, before = parse_case(text), load_case(path)
    assert (made.change.name, made.change.after) == (setting, after)
    assert made.model_copy(update={"change": before.change}) == before


def test_without_a_setting_nothing_is_proposed() -> None:
    text = (SICK["ttl-wrong"] / "case.yml").read_text(encoding="utf-8")
    assert next_case(text, shown("ttl-wrong", declared_s=2.0)) is None
    assert next_case(text, shown("stampede", setting="RATE_TTL_S", setting_s=1.0, declared_s=2.0)) is None


def test_a_setting_that_is_right_already_is_left() -> None:
    text = (SICK["ttl-wrong"] / "case.yml").read_text(encoding="utf-8")
    assert next_case(text, shown("ttl-wrong", setting="RATE_TTL_S", setting_s=2.0, declared_s=2.0)) is None

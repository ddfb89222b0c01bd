"""The case of one comparison: valid whatever case it is made of, and about worse alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from repositories import shop_case
from ruamel.yaml import YAML

from luckyhit.bisect.step_case import LONGER, Effort, step_case
from luckyhit.case.changes.revision import RevisionChange
from luckyhit.case.examples import example, examples
from luckyhit.case.load import parse_case
from luckyhit.case.model import Case
from luckyhit.records.bisection import BisectQuestion

# A hash that YAML would take for a number, and one of digits alone.
QUESTION = BisectQuestion(before="1" * 40, after="12345e" + "7" * 34, purpose="halving")
GOALS = {"hit_ratio": {"want": "no-worse", "margin": "5 %"}}
ROOT = Path(__file__).parents[2]
WRITTEN = sorted([*(ROOT / "data" / "cases").glob("*.yml"), *(ROOT / "tests" / "sick").glob("*/case.yml")])


def text_of(**parts: Any) -> str:
    stream = io.StringIO()
    YAML().dump(shop_case(**parts), stream)
    return stream.getvalue()


def made(text: str, margins: dict[str, str] | None = None, attempt: int = 1) -> Case:
    return parse_case(step_case(text, QUESTION, margins or {}, Effort(attempt, 8)))  # type: ignore[arg-type]


def test_both_revisions_are_its_change() -> None:
    change = made(text_of()).change
    assert isinstance(change, RevisionChange)
    assert (change.before, change.after) == (QUESTION.before, QUESTION.after) and change.other_defaults


KINDS: dict[str, dict[str, Any]] = {
    "env": {"name": "SHOP_TTL", "before": "30", "after": "60"},
    "argument": {"before": "shop.py", "after": "other.py"},
    "revision": {"before": "v1", "after": "v2"},
    "cache-setting": {"name": "maxmemory", "after": "100mb"},
    "http": {
        "apply": {"path": "/flag", "body": {}},
        "revert": {"path": "/flag", "body": {}},
        "verify": {"path": "/flag", "value": "$.on"},
        "before": "old",
        "after": "new",
    },
    "command": {
        "apply": ["a", "{base_url}"],
        "revert": ["b", "{base_url}"],
        "verify": ["c", "{base_url}"],
        "before": "old",
        "after": "new",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_change_of_the_case_is_not_made(kind: str) -> None:
    env = {"SHOP_TTL": "30", **shop_case()["target"]["start"]["env"]}
    target = {**shop_case()["target"], "start": {**shop_case()["target"]["start"], "env": env}}
    change = {"kind": kind, "what": "Something else", "smallest": "One.", **KINDS[kind]}
    case = made(text_of(change=change, target=target))
    assert case.change.kind == "revision" and case.change.after == QUESTION.after
    assert case.target.start is not None and case.target.start.env["SHOP_TTL"] == "30"


def test_no_goal_has_to_get_better_and_none_has_a_limit() -> None:
    goals = {
        "hit_ratio": {"want": "better", "margin": "5 %"},
        "latency_p95_ms": {"want": "no-worse", "margin": "10 %", "at_most": "80ms"},
        "db_calls": {"want": "no-worse", "margin": 0.2},
    }
    case = made(text_of(goals=goals, controls={"error_rate": "1 %"}))
    assert {(goal.want, goal.at_most) for goal in case.goals.values()} == {("no-worse", None)}
    assert {name: str(goal.margin) for name, goal in case.goals.items()} == {
        "hit_ratio": "5 %", "latency_p95_ms": "10 %", "db_calls": "0.2"
    }  # fmt: skip
    assert not case.controls


def test_later_ones_have_the_goals_that_are_hurt() -> None:
    margins = {"stale_reads": "13.5 %", "db_calls": "0.45", "latency_p50_ms": "2.25ms"}
    case = made(text_of(), margins)
    assert {name: str(goal.margin) for name, goal in case.goals.items()} == margins


def test_old_data_beside_holds_nothing_up() -> None:
    """A probed run without a goal on old data would go on until it knows about it."""
    case = made(text_of(), {"hit_ratio": "40 %"})
    assert case.freshness is not None and set(case.goals) == {"hit_ratio", "stale_reads"}
    assert case.goals["stale_reads"].margin.amount >= 0.5
    assert set(made(text_of(freshness=None, goals=GOALS), {"hit_ratio": "40 %"}).goals) == {"hit_ratio"}


def test_a_second_attempt_may_take_longer() -> None:
    case = Case.model_validate(shop_case())
    lengths = [made(text_of(), attempt=attempt).plan.blocks for attempt in (1, 2)]
    assert lengths == [case.plan.blocks * times for times in LONGER] and lengths[1] > lengths[0]


def test_all_comparisons_share_the_error_rate() -> None:
    case = Case.model_validate(shop_case())
    assert made(text_of()).plan.error_rate * 8 * len(LONGER) == pytest.approx(case.plan.error_rate)


@pytest.mark.parametrize("plan", ["auto", {"auto": True, "at_most": "60s"}, {"blocks": 200}, {"stop_early": False}])
def test_any_plan_becomes_one_that_may_end_early(plan: Any) -> None:
    case = made(text_of(plan=plan))
    assert case.stops_early and case.plan.auto == (plan == "auto" or "auto" in plan)


def test_arms_that_take_turns_keep_their_design() -> None:
    case = made(text_of(design="before-after"))
    assert case.design == "before-after" and not case.stops_early


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_written_case_can_be_searched(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    case, declared = made(text), parse_case(text)
    assert case.change.kind == "revision" and case.goals.keys() == declared.goals.keys()
    assert (case.target, case.workload, case.freshness) == (declared.target, declared.workload, declared.freshness)


@pytest.mark.parametrize("name", examples())
def test_the_examples_can_be_searched(name: str) -> None:
    assert made(example(name)).change.kind == "revision"

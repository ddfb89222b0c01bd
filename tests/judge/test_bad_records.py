"""Records that nobody could judge: INVALID or INCONCLUSIVE, with the reason in words, whatever the design.

Each kind is a name, what is done to good records of a change that helped, the verdicts that are right then, and words
that have to stand in the sentence or in the failed guard's detail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from luckyhit.records import NOT_VISIBLE, Result
from luckyhit.text.wording import has
from tier import one_of_many

GOALS = {
    "hit_ratio": {"want": "better", "margin": "5 %"},
    "latency_p50_ms": {"want": "no-worse", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "2 %"},
}
DESIGNS = ("side-by-side", "crossover", "before-after")
INVALID, OPEN = ("INVALID",), ("INVALID", "INCONCLUSIVE")


@dataclass(frozen=True)
class Kind:
    """One way in which records are bad."""

    name: str
    spoil: Callable[[Any], None]
    verdicts: tuple[str, ...]
    words: str
    designs: tuple[str, ...] = DESIGNS

    def __str__(self) -> str:
        return self.name


def change(run: Any) -> pd.Series:
    return run.rows("before") | run.rows("after")


def only(run: Any, keep: pd.Series) -> None:
    run.requests = run.requests[keep].reset_index(drop=True)


def put(
    column: str, value: object, arms: tuple[str, ...] = ("before", "after"), each: int = 1
) -> Callable[[Any], None]:
    """This value in a column of each `each`-th row of these arms."""

    def spoil(run: Any) -> None:
        mine = np.flatnonzero(np.any([run.rows(arm) for arm in arms], axis=0))[::each]
        frame = run.requests.astype({column: object})
        frame.iloc[mine, frame.columns.get_loc(column)] = value
        run.requests = frame

    return spoil


def three_rows(run: Any) -> None:
    first = [run.requests[run.rows(arm)].head(3) for arm in ("before", "after")]
    run.requests = pd.concat(first, ignore_index=True)


def identical(run: Any) -> None:
    """Every answer takes the same time, to the nanosecond."""
    for name, late in (("sent_ns", 1000), ("first_byte_ns", 2000), ("done_ns", 3000)):
        run.requests[name] = run.requests["due_ns"] + late


def copied(run: Any) -> None:
    """The after arm is a copy of the before arm."""
    for name in ("sent_ns", "first_byte_ns", "done_ns", "cache", "error"):
        run.requests.loc[run.rows("after"), name] = run.requests.loc[run.rows("before"), name].to_numpy()


def done_before_sent(run: Any) -> None:
    mine = change(run)
    run.requests.loc[mine, "done_ns"] = run.requests.loc[mine, "sent_ns"] - 5_000_000


def duplicated(run: Any) -> None:
    twice = run.requests[run.rows("after")].head(50)
    run.requests = pd.concat([run.requests, twice], ignore_index=True)


def other_slots(run: Any) -> None:
    mine = run.rows("after")
    only(run, ~(mine & (run.requests["slot"] % 3 == 0)))


def other_keys(run: Any) -> None:
    mine = run.rows("after")
    run.requests.loc[mine, "key"] = "1" + run.requests.loc[mine, "key"].astype(str)


def other_routes(run: Any) -> None:
    run.requests.loc[run.rows("after"), "route"] = "list"


def shorter(run: Any) -> None:
    mine = run.rows("after")
    only(run, ~(mine & (run.requests["slot"] > run.requests["slot"].max() // 2)))


def labelled_otherwise(run: Any) -> None:
    run.requests["arm"] = run.requests["arm"].map({"before": "control", "after": "treatment"})


def a_late_clock(run: Any) -> None:
    for name in ("due_ns", "sent_ns", "first_byte_ns", "done_ns"):
        run.requests[name] = run.requests[name].astype(float) + 2.0**63


NO_HITS = "no verdict on hit ratio: not visible: no request"
KINDS = (
    Kind("one arm empty", lambda run: only(run, ~run.rows("after")), INVALID, "no measured requests in the after arm"),
    Kind("no rows", lambda run: only(run, run.requests["block"] < 0), INVALID, "no request was recorded"),
    Kind("three rows", three_rows, INVALID, "fewer than 100"),
    Kind("all identical", identical, INVALID, "nearly all the same number: nothing was measured"),
    Kind("one arm a copy", copied, INVALID, "one is a copy of the other", ("side-by-side",)),
    Kind("NaN where it was done", put("done_ns", None), OPEN, "neither an answer nor an error"),
    Kind("inf where it was done", put("done_ns", float("inf"), each=7), INVALID, "times that are no numbers"),
    Kind("NaN where it was due", put("due_ns", None, each=5), INVALID, "no due time"),
    Kind("negative durations", done_before_sent, INVALID, "done before they were sent"),
    Kind("times beyond any clock", a_late_clock, INVALID, "no due time, or none that a run can have"),
    Kind("duplicated slots", duplicated, INVALID, "50 slots are there more than once"),
    Kind("other slots in one arm", other_slots, INVALID, "slots of the schedule are missing"),
    Kind("other keys in one arm", other_keys, INVALID, "slots ask for something else in the other arm"),
    Kind("other routes in one arm", other_routes, INVALID, "slots ask for something else in the other arm"),
    Kind("one arm shorter", shorter, INVALID, "have no partner in the other arm"),
    Kind("cache status unknown", put("cache", "unknown"), OPEN, f"{NO_HITS} in either arm told its cache status"),
    Kind("unknown in one arm", put("cache", "unknown", ("after",)), OPEN, f"{NO_HITS} in the after arm told"),
    Kind("no cache status at all", put("cache", None), OPEN, f"{NO_HITS} in either arm told its cache status"),
    Kind("arms of other names", labelled_otherwise, INVALID, "rows tell no arm, block or slot"),
    Kind("unknown errors", put("error", "gremlins", ("after",)), ("HURT", "INVALID"), ""),
    Kind("every answer an error", put("error", "timeout"), OPEN, "fewer than 100"),
    Kind("slots that are no numbers", put("slot", "first", each=9), INVALID, "rows tell no arm, block or slot"),
)


def spoilt(kind: Kind, design: str, simulate: Any, case_with: Any) -> Result:
    knobs = {"before": {"hit": 0.5}, "after": {"hit": 0.9}, "probed": False}
    run = simulate(3, blocks=2, seconds=3.0, design=design, **knobs)
    kind.spoil(run)
    return run.judge(case_with(GOALS, design=design, blocks=2, freshness=False))


@pytest.mark.parametrize("design", ["side-by-side"])
def test_without_damage_the_same_records_pass(design: str, simulate, case_with) -> None:
    nothing = Kind("none", lambda run: None, ("HELPED",), "")
    assert spoilt(nothing, design, simulate, case_with).verdict == "HELPED"


EACH = [  # in one design at least; which one goes round
    one_of_many(kind, design, quick=design == kind.designs[number % len(kind.designs)])
    for number, kind in enumerate(KINDS)
    for design in kind.designs
]


@pytest.mark.parametrize(("kind", "design"), EACH, ids=str)
def test_bad_records_never_pass_and_say_why(kind: Kind, design: str, simulate, case_with) -> None:
    result = spoilt(kind, design, simulate, case_with)
    failed = [guard for guard in result.guards if not guard.ok]
    told = " ".join(
        [
            result.reason,
            *(guard.detail for guard in failed),
            *(note.text for m in result.metrics.values() for note in m.notes),
        ]
    )
    assert result.verdict in kind.verdicts, (result.verdict, result.reason)
    assert kind.words.lower() in told.lower() or kind.words in " ".join(note.text for note in result.notes), told
    assert result.reason.endswith(".") and len(result.reason) > 20
    assert all(guard.remedy for guard in failed), failed
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result


@pytest.mark.parametrize("status", ["unknown", None])
def test_what_is_not_visible_is_null_and_never_zero(status: str | None, simulate, case_with) -> None:
    run = simulate(3, blocks=2, seconds=3.0)
    put("cache", status)(run)
    put("db_calls", None)(run)
    result = run.judge(case_with({**GOALS, "db_calls": {"want": "no-worse", "margin": "10 %"}}))
    for name in ("hit_ratio", "db_calls"):
        metric = result.metrics[name]
        assert (metric.before, metric.after, metric.effect, metric.low, metric.high) == (None,) * 5
        assert metric.verdict == "INCONCLUSIVE" and has(metric.notes, *NOT_VISIBLE)
    assert result.verdict == "INCONCLUSIVE"

"""Guards: each has one row, trips on its own faults whatever the design, and stays quiet otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from declared import a_case
from simulated_blocks import Records, a_run
from test_bad_runs import HELD

from luckyhit.judge import GUARDS, guards
from luckyhit.records import NOT_VISIBLE, Guard, Result
from luckyhit.text.messages import guard_title
from luckyhit.text.wording import has
from tier import in_turn, one_of_many

HITS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
GOALS = {
    **HITS,
    "latency_p50_ms": {"want": "no-worse", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "2 %"},
}
DESIGNS = ("side-by-side", "crossover", "before-after")
TIMES = ("due_ns", "sent_ns", "first_byte_ns", "done_ns")
INVALID, OPEN = ("INVALID",), ("INVALID", "INCONCLUSIVE")
Spoil = Callable[[Records], Any]
(ACCOUNTING, CLOCK, ENGINE, SAME, STATE, RAMP_GUARD, KEYS, SAMPLE, DROPPED, ANSWERS, WARM) = (
    "accounting-exact", "clock-monotonic", "engine-trustworthy", "arms-exposed-to-the-same-slots",
    "same-cache-state-at-block-start", "hit-ratio-stationary-after-warm-up", "enough-distinct-keys",
    "sample-size-sane", "dropped-share-small", "answers-as-expected", "arms-warmed-up-alike",
)  # fmt: skip


def by_id(result: Result) -> dict[str, Guard]:
    return {guard.id: guard for guard in result.guards}


def failed(result: Result) -> set[str]:
    return {guard.id for guard in result.guards if not guard.ok}


# Rows


def names_in(code: CodeType) -> set[str]:
    return {*code.co_names, *(name for part in code.co_consts if isinstance(part, CodeType) for name in names_in(part))}


def test_each_guard_function_has_a_row() -> None:
    modules = [import_module(f"{guards.__name__}.{module.name}") for module in iter_modules(guards.__path__)]
    functions = {
        name
        for module in modules
        for name, value in vars(module).items()
        if name.endswith("_guard") and not name.startswith("_") and value.__module__ == module.__name__
    }
    asked = set().union(*(names_in(row.check.__code__) for row in GUARDS))
    assert len(functions) > 10 and functions <= asked


def test_each_row_has_an_own_id_docs_and_a_fault() -> None:
    ids = [row.id for row in GUARDS]
    assert len(set(ids)) == len(ids)
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    titles = set(re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| (`.+?) \|", page, re.M))))
    assert {guard_title(id_) for id_ in ids} <= titles
    elsewhere = {
        "records-readable", "negative-controls-still", "no-carry-over", "washed-out", "within-the-targets-limits",
        "the-probes-writes-are-seen", ANSWERS,
    }  # fmt: skip
    assert set(ids) <= {*(fault.guard for fault in FAULTS), *(guard for _, guard in HELD.values()), *elsewhere}


@pytest.mark.parametrize("design", DESIGNS)
def test_a_clean_run_passes_all_in_the_order_of_their_rows(design: str) -> None:
    run = a_run(1, design=design, blocks=4, seconds=2.0)
    result = run.judge(a_case(HITS, design=design))
    ids = [guard.id for guard in result.guards if guard not in run.guards]
    order = [row.id for row in GUARDS]
    assert set(ids) <= set(order) and ids == sorted(ids, key=order.index)
    assert ("no-carry-over" in ids) is (design == "crossover")
    assert {ACCOUNTING, CLOCK, ENGINE, SAME, STATE, RAMP_GUARD, KEYS, SAMPLE, DROPPED, ANSWERS, WARM} <= set(ids)
    assert all(guard.ok and guard.detail and not guard.remedy for guard in result.guards)


# Faults


@dataclass(frozen=True)
class Fault:
    """What is done to records of a change that helped, the guard that fails ("" for none), and the right verdicts."""

    name: str
    spoil: Spoil
    guard: str
    verdicts: tuple[str, ...] = INVALID
    designs: tuple[str, ...] = DESIGNS

    def __str__(self) -> str:
        return self.name


def put(column: str, value: object, arms: tuple[str, ...] = ("before", "after"), every: int = 1) -> Spoil:
    """This value in a column of every so many rows of these arms."""

    def spoil(run: Records) -> None:
        places = np.flatnonzero(np.any([run.rows(arm) for arm in arms], axis=0))[::every]
        frame = run.requests.astype({column: object})
        frame.iloc[places, frame.columns.get_loc(column)] = value
        run.requests = frame

    return spoil


def keep(which: Callable[[Records], Any]) -> Spoil:
    def spoil(run: Records) -> None:
        run.requests = run.requests[which(run)].reset_index(drop=True)

    return spoil


def after_arm(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Spoil:
    """Other rows in the after arm."""

    def spoil(run: Records) -> None:
        after = run.rows("after")
        run.requests.loc[after] = change(run.requests[after].copy())

    return spoil


def of_block(number: int, **facts: Any) -> Spoil:
    return lambda run: run.blocks[number].update(facts)


def late(frame: pd.DataFrame, *late_ns: int) -> pd.DataFrame:
    """Times so long after the due time."""
    return frame.assign(**{name: frame["due_ns"] + ns for name, ns in zip(TIMES[1:], late_ns, strict=True)})


def identical(run: Records) -> None:
    run.requests = late(run.requests, 1000, 2000, 3000)


def copied(run: Records) -> None:
    for name in (*TIMES[1:], "cache", "error"):
        run.requests.loc[run.rows("after"), name] = run.requests.loc[run.rows("before"), name].to_numpy()


def duplicated(run: Records) -> None:
    run.requests = pd.concat([run.requests, run.requests[run.rows("after")].head(50)], ignore_index=True)


def three_rows(run: Records) -> None:
    run.requests = pd.concat([run.requests[run.rows(arm)].head(3) for arm in ("before", "after")], ignore_index=True)


def other_names(run: Records) -> None:
    run.requests["arm"] = run.requests["arm"].map({"before": "control", "after": "treatment"})


def beyond_any_clock(run: Records) -> None:
    for name in TIMES:
        run.requests[name] = run.requests[name].astype(float) + 2.0**63


def never_sent(run: Records) -> None:
    for column, value in (("error", "dropped"), *((name, None) for name in TIMES[1:])):
        put(column, value, ("after",), every=20)(run)


def filled_again(run: Records) -> None:
    for entry in run.blocks:
        entry["clear"] = {arm: report | {"appeared": 90 * (arm == "after")} for arm, report in entry["clear"].items()}


def ramp_in_one_arm(run: Records) -> None:
    frame = run.requests
    lost = run.rows("after") & (frame["cache"] == "hit") & (frame["slot"] < frame["slot"].max() * 2 // 3)
    frame.loc[lost, "cache"] = "miss"


MISCOUNTED = {"before": {"scheduled": 901, "completed": 901, "failed": 0, "timed_out": 0, "dropped": 0}}
FAULTS = (
    Fault("one arm empty", keep(lambda run: ~run.rows("after")), SAME),
    Fault("no rows", keep(lambda run: run.requests["block"] < 0), ACCOUNTING),
    Fault("three rows", three_rows, SAMPLE),
    Fault("all identical", identical, SAMPLE),
    Fault("one arm a copy", copied, SAMPLE, designs=("side-by-side",)),
    Fault("NaN where it was done", put("done_ns", None), ACCOUNTING, OPEN),
    Fault("inf where it was done", put("done_ns", float("inf"), every=7), CLOCK),
    Fault("NaN where it was due", put("due_ns", None, every=5), CLOCK),
    Fault("done before sent", after_arm(lambda frame: frame.assign(done_ns=frame["sent_ns"] - 5_000_000)), CLOCK),
    Fault("sent before due", after_arm(lambda frame: frame.assign(sent_ns=frame["sent_ns"] - 5_000_000)), CLOCK),
    Fault("times beyond any clock", beyond_any_clock, CLOCK),
    Fault("duplicated slots", duplicated, ACCOUNTING),
    Fault("a third of the slots lost", keep(lambda run: ~(run.rows("after") & (run.requests["slot"] % 3 == 0))), SAME),
    Fault("the end lost", keep(lambda run: ~(run.rows("after") & (run.requests["slot"] > 300))), SAME),
    Fault("other keys in one arm", after_arm(lambda frame: frame.assign(key="1" + frame["key"].astype(str))), SAME),
    Fault("other routes in one arm", put("route", "list", ("after",)), SAME),
    Fault("slots that are no numbers", put("slot", "first", every=9), ACCOUNTING),
    Fault("arms of other names", other_names, ACCOUNTING),
    Fault("the engine counted others", of_block(1, accounting=MISCOUNTED), ACCOUNTING),
    Fault("an untrustworthy engine", of_block(1, engine={"trustworthy": False, "detail": "40 ms at p99"}), ENGINE),
    Fault("no check of the engine", of_block(1, engine=None), ENGINE),
    Fault("keys back at once", filled_again, STATE),
    Fault("no clear", of_block(1, clear=None), STATE),
    Fault("one key", put("key", "7"), KEYS),
    Fault("requests never sent", never_sent, DROPPED),
    Fault("a ramp in one arm", ramp_in_one_arm, RAMP_GUARD),
    Fault("unknown errors", put("error", "gremlins", ("after",)), "", ("HURT", "INVALID")),
    Fault("every answer an error", put("error", "timeout"), SAMPLE, OPEN),
    Fault("no cache status told", put("cache", "unknown"), "", OPEN),
    Fault("no cache status in one arm", put("cache", None, ("after",)), "", OPEN),
    Fault("nobody compared", lambda run: run.guards.clear(), "declared-difference-only"),
    Fault("none", lambda run: None, "", ("HELPED",), ("side-by-side",)),
)
EACH = [  # in one design at least; which one goes round
    one_of_many(fault, design, quick=design == fault.designs[number % len(fault.designs)])
    for number, fault in enumerate(FAULTS)
    for design in fault.designs
]


@pytest.mark.parametrize(("fault", "design"), EACH, ids=str)
def test_bad_records_never_pass_and_name_their_guard(fault: Fault, design: str) -> None:
    run = a_run(3, blocks=2, seconds=3.0, design=design, before={"hit": 0.5}, after={"hit": 0.9}, probed=False)
    fault.spoil(run)
    result = run.judge(a_case(GOALS, design=design, blocks=2, freshness=False))
    assert result.verdict in fault.verdicts, (result.verdict, result.reason)
    assert fault.guard in {*failed(result), ""}, result.guards
    assert all(guard.remedy for guard in result.guards if not guard.ok)
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result


@pytest.mark.parametrize("status", ["unknown", None])
def test_what_is_not_visible_is_null_and_never_zero(status: str | None) -> None:
    run = a_run(3, blocks=2, seconds=3.0)
    put("cache", status)(run)
    put("db_calls", None)(run)
    result = run.judge(a_case({**GOALS, "db_calls": {"want": "no-worse", "margin": "10 %"}}))
    for name in ("hit_ratio", "db_calls"):
        metric = result.metrics[name]
        assert (metric.before, metric.after, metric.effect, metric.low, metric.high) == (None,) * 5
        assert metric.verdict == "INCONCLUSIVE" and has(metric.notes, *NOT_VISIBLE)
    assert result.verdict == "INCONCLUSIVE"


# What is fair


RAMP = np.concatenate([np.zeros(150), np.linspace(0.1, 0.95, 750)])


@pytest.mark.parametrize(
    ("design", "arms", "ok"),
    [
        ("side-by-side", ("before", "after"), True),
        ("side-by-side", ("after",), False),
        ("crossover", ("before", "after"), False),
    ],
)
def test_a_ramp_is_fair_where_both_arms_share_it(design: str, arms: tuple[str, ...], ok: bool) -> None:
    run = a_run(3, design=design, **{arm: {"hit": RAMP} for arm in arms})
    result = run.judge(a_case(HITS, design=design))
    assert by_id(result)[RAMP_GUARD].ok is ok
    assert (result.verdict == "EQUIVALENT") is ok


def test_crossover_pairs_must_replay_the_same_slots() -> None:
    run = a_run(4, design="crossover")
    for entry in run.blocks:
        entry["pair"] += entry["stage"] == "change" and entry["arms"] == ["after"]
    assert SAME in failed(run.judge(a_case(HITS, design="crossover")))


def test_a_cache_inside_the_service_needs_new_processes() -> None:
    run = a_run(5)
    for entry in run.blocks:
        entry |= {"clear": {}, "started": dict.fromkeys(entry["arms"], 4000 + 2 * entry["block"])}
    assert by_id(run.judge(a_case(HITS)))[STATE].ok
    run.blocks[3]["started"] = run.blocks[2]["started"]
    assert failed(run.judge(a_case(HITS))) == {STATE}
    del run.blocks[2]["started"]
    assert failed(run.judge(a_case(HITS))) == {STATE}


def failing(run: Records, error: str, every: int, arm: str) -> None:
    """Each `every`-th request of an arm failed, at once."""
    rows = run.requests[run.rows(arm)].index[::every]
    run.requests.loc[rows, "error"] = error
    run.requests.loc[rows, "status"] = 500 if error == "unexpected" else None
    if error != "unexpected":
        run.requests.loc[rows, ["first_byte_ns", "done_ns"]] = None


@pytest.mark.parametrize(
    ("error", "arm"), in_turn(["unexpected", "reset", "timeout", "protocol", "connect"], ["before", "after"])
)
def test_failed_answers_are_no_evidence_without_a_goal(error: str, arm: str) -> None:
    run = a_run(6, after={"hit": 0.99}, probed=False)
    failing(run, error, every=25, arm=arm)
    result = run.judge(a_case(HITS, freshness=False))
    assert result.verdict == "INVALID" and failed(result) == {ANSWERS}
    # With a goal for the error rate they are judged, not guarded.
    judged = run.judge(a_case(HITS | {"error_rate": {"want": "no-worse", "margin": "1 %"}}, freshness=False))
    assert ANSWERS not in by_id(judged)
    assert judged.metrics["error_rate"].verdict == ("HURT" if arm == "after" else "HELPED")


def test_a_few_failed_answers_are_no_reason_to_doubt() -> None:
    run = a_run(6, after={"hit": 0.99}, probed=False)
    for arm in ("before", "after"):  # in one alone, it would have got worse
        failing(run, "unexpected", every=150, arm=arm)
    result = run.judge(a_case(HITS, freshness=False))
    assert not failed(result) and result.verdict == "HELPED"


def test_wrong_answers_with_a_goal_are_judged_and_errors_guarded() -> None:
    case = a_case(HITS | {"wrong_answers": {"want": "better", "margin": "2 %"}})
    run = a_run(2, after={"hit": 0.95})
    before = run.requests[run.rows("before")].index
    run.requests.loc[before[::5], "error"] = "unexpected"  # with a status of 200
    result = run.judge(case)
    assert not failed(result) and result.verdict == result.metrics["wrong_answers"].verdict == "HELPED"
    run.requests.loc[before[1::5], ["error", "status"]] = ["unexpected", 500]
    assert ANSWERS in failed(run.judge(case))


def test_a_run_that_ended_early_is_never_decided() -> None:
    run, case = a_run(2, before={"hit": 0.5}, after={"hit": 0.95}), a_case(HITS)
    assert run.judge(case).verdict == "HELPED"
    lost = run.blocks.pop(-2)
    run.requests = run.requests[run.requests["block"] != lost["block"]]
    assert run.judge(case).verdict == "INCONCLUSIVE"

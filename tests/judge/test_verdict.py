"""One goal, one interval, one verdict; and the overall rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from declared import a_case
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import UNDECLARED, Effect, ErrorRates
from luckyhit.judge.reason import parts_of, verdict_reason
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.intervals import INF
from luckyhit.judge.verdict import Ruling, faults_moved, overall, rule_on
from luckyhit.records import FAULTS, Guard, MetricName
from luckyhit.text.wording import has, note

POINT = 0.01


def goal(want: str = "better", margin: str | float = "5 %", at_most: str | None = None) -> Goal:
    return Goal.model_validate({"want": want, "margin": margin, "at_most": at_most})


def shares(low: float, high: float, before: float = 0.5, after_high: float | None = None) -> Effect:
    """An effect on a share, in points."""
    effect = (low + high) / 2 * POINT
    after = before + effect
    return Effect(
        before, after, effect, low * POINT, high * POINT, after, after if after_high is None else after_high, 4000
    )


@pytest.mark.parametrize(
    ("want", "low", "high", "verdict", "passes"),
    [
        ("better", -4, 4, "EQUIVALENT", True),
        ("better", 1, 4, "EQUIVALENT", True),
        ("better", 1, 9, "HELPED", True),
        ("better", -9, -1, "HURT", False),
        ("better", -1, 9, "INCONCLUSIVE", False),
        ("better", -5, 5, "EQUIVALENT", True),
        ("no-worse", -4, -1, "EQUIVALENT", True),
        ("no-worse", -9, -6, "HURT", False),
        ("no-worse", -9, -1, "INCONCLUSIVE", False),
        ("no-worse", -1, 9, "INCONCLUSIVE", True),
        ("no-worse", 1, 9, "HELPED", True),
    ],
)
def test_a_goal_on_the_hit_ratio(want: str, low: float, high: float, verdict: str, passes: bool) -> None:
    ruling = rule_on("hit_ratio", shares(low, high), goal(want), 20.0, 0.01)
    assert (ruling.metric.verdict, ruling.passes) == (verdict, passes)
    # The same for a metric where less is better, the other way round.
    turned = rule_on("error_rate", shares(-high, -low), goal(want), 20.0, 0.01)
    assert (turned.metric.verdict, turned.passes) == (verdict, passes)


def test_relative_margins_are_shares_of_the_before_value() -> None:
    effect = Effect(20.0, 21.0, 1.0, 0.5, 1.9, 20.5, 21.9, 1000)
    ruling = rule_on("latency_p95_ms", effect, goal("no-worse", "10 %"), 20.0, 0.01)
    assert ruling.metric.margin == 2.0 and ruling.metric.verdict == "EQUIVALENT"
    assert ruling.metric.notes == [note("accepted-cost", least="0.5 ms", most="1.9 ms")]


@pytest.mark.parametrize(
    ("metric", "margin"), [("hit_ratio", "5ms"), ("latency_p50_ms", 2), ("db_calls", "1s"), ("error_rate", 1)]
)
def test_a_margin_in_the_wrong_unit_is_no_pass(metric: str, margin: str | float) -> None:
    ruling = rule_on(metric, shares(-0.1, 0.1), goal("better", margin), 20.0, 0.01)
    assert (ruling.metric.verdict, ruling.passes) == ("INCONCLUSIVE", False)
    assert has(ruling.metric.notes, "margin-not-comparable")


LIMITED = [((0.0, 0.08), "HELPED", "kept"), ((0.0, 0.12), "INCONCLUSIVE", "open"), ((0.11, 0.2), "HELPED", "broken")]


@pytest.mark.parametrize(("after", "verdict", "limit"), LIMITED)
def test_a_hard_limit_must_be_shown_to_hold(after: tuple[float, float], verdict: str, limit: str) -> None:
    effect = Effect(0.9, sum(after) / 2, -0.8, -0.9, -0.7, *after, pairs=200)
    ruling = rule_on("stale_reads", effect, goal("better", "5 %", "10 %"), 20.0, 0.01)
    assert (ruling.metric.verdict, ruling.metric.limit) == (verdict, limit)
    assert ruling.passes == (limit != "open") and ruling.missed == (limit == "broken")


def limited(low: float, high: float, after: tuple[float, float], want: str = "no-worse") -> Ruling:
    """Stale reads that changed by `low` to `high` points, with bounds of the after arm, and a limit of 10 %."""
    middle = (low + high) / 2 * POINT
    effect = Effect(sum(after) / 2 - middle, sum(after) / 2, middle, low * POINT, high * POINT, *after, pairs=400)
    return rule_on("stale_reads", effect, goal(want, "5 %", "10 %"), 20.0, 0.01)


@pytest.mark.parametrize(
    ("ruling", "metric", "verdict"),
    [
        (limited(-1, 1, (0.2, 0.3)), "EQUIVALENT", "EQUIVALENT"),  # broken before, broken after
        (limited(-1, 1, (0.2, 0.3), "better"), "EQUIVALENT", "EQUIVALENT"),
        (limited(-40, -30, (0.2, 0.3), "better"), "HELPED", "EQUIVALENT"),  # better, and not enough
        (limited(1, 3, (0.11, 0.3)), "HURT", "HURT"),  # inside the margin, surely worse, surely beyond the limit
        (limited(-1, 3, (0.11, 0.3)), "EQUIVALENT", "EQUIVALENT"),  # beyond it, and not surely worse
        (limited(6, 9, (0.2, 0.3)), "HURT", "HURT"),
        (limited(-30, 30, (0.2, 0.5)), "INCONCLUSIVE", "INCONCLUSIVE"),  # it may have got worse
        (limited(-30, 1, (0.2, 0.5)), "INCONCLUSIVE", "EQUIVALENT"),  # no worse than the margin, and beyond the limit
    ],
)
def test_a_broken_limit_is_a_goal_not_met(ruling: Ruling, metric: str, verdict: str) -> None:
    assert (ruling.metric.verdict, ruling.metric.limit) == (metric, "broken")
    assert overall([], [ruling]) == verdict


def fault(name: MetricName, low: float, high: float, after: float = 0.0) -> dict[str, Effect]:
    middle = (low + high) / 2 * POINT
    return {name: Effect(after - middle, after, middle, low * POINT, high * POINT, after, after, 600)}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(
    ("low", "high", "after", "rulings", "verdict"),
    [
        (-6, -2, 0.0, "EQUAL", "HELPED"),  # gone
        (-6, -2, 0.03, "EQUAL", "EQUIVALENT"),  # less of it
        (-6, -2, 0.0, "NO_WORSE", "HELPED"),
        (-6, -2, 0.0, "OPEN", "INCONCLUSIVE"),
        (-6, -2, 0.0, "HURT", "HURT"),
        (-6, 1, 0.0, "EQUAL", "EQUIVALENT"),  # not sure
        (1, 5, 0.04, "HELPED", "HURT"),
        (1, 5, 0.04, "EQUAL", "HURT"),
        (1, 5, 0.04, "OPEN", "HURT"),
        (-1, 5, 0.04, "HELPED", "HELPED"),
    ],
)
def test_a_fault_without_a_goal(
    name: MetricName, low: float, high: float, after: float, rulings: str, verdict: str
) -> None:
    moved = faults_moved(fault(name, low, high, after), ["hit_ratio"])
    ruling = {"EQUAL": EQUAL, "OPEN": OPEN, "HURT": HURT, "HELPED": HELPED, "NO_WORSE": NO_WORSE}[rulings]
    assert overall([], [ruling], moved) == verdict
    parts = [part for part in parts_of(verdict, [ruling], moved) if name in part.names]
    assert len(parts) == len(moved)
    if moved and low > 0:
        assert parts_of(verdict, [ruling], moved)[0].id == "fault-worse"  # what got worse leads


def test_a_declared_fault_is_judged_by_its_goal_alone() -> None:
    effects = fault("phantom_reads", 1, 5, 0.04) | fault("wrong_answers", 1, 5, 0.04)
    assert [moved.name for moved in faults_moved(effects, ["phantom_reads"])] == ["wrong_answers"]
    # Each wrong answer is an error, so a goal on errors says how many are accepted.
    (covered,) = faults_moved(effects, ["phantom_reads", "error_rate"])
    assert not covered.decides and overall([], [HELPED], [covered]) == "HELPED"


@given(st.lists(st.sampled_from(FAULTS), unique=True))
def test_faults_share_their_level(declared: list[str]) -> None:
    goals = {name: {"want": "no-worse", "margin": "1 %"} for name in declared}
    error_rates = ErrorRates.of(a_case({**goals, "hit_ratio": {"want": "better", "margin": "5 %"}}))
    undeclared = [name for name in FAULTS if name not in declared]
    assert sum(error_rates.at(name) for name in undeclared) == pytest.approx(UNDECLARED if undeclared else 0.0)
    assert {error_rates.at(name) for name in declared} <= {error_rates.goals}


def test_an_interval_open_on_one_side_can_still_decide() -> None:
    # Before the change staleness had no end that could be seen; after it, it has.
    effect = Effect(None, 40.0, None, -INF, -1500.0, 10.0, 60.0, 600)
    ruling = rule_on("staleness_p99_ms", effect, goal("better", "100ms"), 20.0, 0.01)
    assert ruling.metric.verdict == "HELPED" and ruling.metric.low is None and ruling.metric.high == -1500.0


def test_the_note_and_the_field_have_one_forecast() -> None:
    effect = replace(shares(-10, 10), standard_error=0.1 / FixedSample().critical_value(200, 0.01), degrees=200)
    metric = rule_on("hit_ratio", effect, goal("better", "5 %"), 60.0, 0.01).metric
    assert metric.expected_pairs > 4 * effect.pairs  # the interval has to become half as long, and less
    more = float(str(metric.notes[-1].facts["pairs"]).replace(",", ""))
    assert more == pytest.approx(metric.expected_pairs - effect.pairs, rel=0.5)
    assert rule_on("hit_ratio", shares(-10, 10), goal(), 60.0, 0.01).metric.expected_pairs is None


def ruling_of(want: str, low: float, high: float, name: str = "hit_ratio"):  # type: ignore[no-untyped-def]
    return rule_on(name, shares(low, high), goal(want), 20.0, 0.01)


HELPED, EQUAL, OPEN, HURT = (ruling_of("better", *pair) for pair in ((6, 9), (-1, 1), (-9, 9), (-9, -6)))
STORES = "stores.hit_ratio"
COST, TOO_MUCH = ruling_of("no-worse", -4, -1, STORES), ruling_of("no-worse", -9, -6, STORES)
FAILED = Guard(id="clock-monotonic", ok=False, detail="done before it was sent")


@pytest.mark.parametrize(
    ("guards", "rulings", "verdict"),
    [
        ([FAILED], [HELPED], "INVALID"),
        ([], [HELPED, COST], "HELPED"),
        ([], [HELPED, EQUAL], "HELPED"),
        ([], [HELPED, TOO_MUCH], "HURT"),
        ([], [HELPED, OPEN], "INCONCLUSIVE"),
        ([], [HURT, OPEN], "HURT"),
        ([], [EQUAL, COST], "EQUIVALENT"),
        ([], [COST], "EQUIVALENT"),
        ([], [], "INCONCLUSIVE"),
    ],
)
def test_the_overall_rules(guards, rulings, verdict: str) -> None:
    assert overall(guards, rulings) == verdict


bounds = st.floats(-100, 100).flatmap(lambda low: st.tuples(st.just(low), st.floats(low, 100)))


@given(bounds, st.floats(0, 50), st.sampled_from(["better", "no-worse"]))
def test_a_better_effect_never_makes_a_verdict_worse(pair: tuple[float, float], margin: float, want: str) -> None:
    order = ["HURT", "INCONCLUSIVE", "EQUIVALENT", "HELPED"]
    declared = goal(want, f"{margin:.3f} %")
    now = rule_on("hit_ratio", shares(*pair), declared, 20.0, 0.01)
    shifted = rule_on("hit_ratio", shares(pair[0] + 200, pair[1] + 200), declared, 20.0, 0.01)
    assert order.index(shifted.metric.verdict) >= order.index(now.metric.verdict)
    assert shifted.passes


@given(bounds, st.floats(0, 50))
def test_a_verdict_agrees_with_its_interval(pair: tuple[float, float], margin: float) -> None:
    for want in ("better", "no-worse"):
        metric = rule_on("hit_ratio", shares(*pair), goal(want, f"{margin:.3f} %"), 20.0, 0.01).metric
        if metric.verdict == "EQUIVALENT":
            assert -metric.margin <= metric.low and metric.high <= metric.margin
        if metric.verdict == "HELPED":
            assert metric.low > 0
        if metric.verdict == "HURT":
            assert metric.high < 0


BETTER_UNASKED, NO_WORSE = ruling_of("no-worse", 6, 9, STORES), ruling_of("no-worse", -1, 9, STORES)


@pytest.mark.parametrize(
    ("rulings", "parts"),
    [
        ([EQUAL, COST], ["equivalent"]),
        ([EQUAL, BETTER_UNASKED], ["equivalent", "better-unasked"]),
        ([BETTER_UNASKED], ["better-unasked"]),
        ([NO_WORSE], ["no-worse"]),
        ([EQUAL, NO_WORSE], ["equivalent", "no-worse"]),
    ],
)
def test_equivalent_says_no_more_than_is_shown(rulings, parts: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert overall([], rulings) == "EQUIVALENT"
    assert [part.id for part in parts_of("EQUIVALENT", rulings)] == parts
    assert verdict_reason("EQUIVALENT", [], rulings, {}, 99).endswith(".")

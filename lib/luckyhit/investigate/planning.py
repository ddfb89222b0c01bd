"""What a plan gives and what its goals need, before anything is measured and again after the baseline; and the numbers
of a plan that was left to be sized."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from luckyhit.case import Case
from luckyhit.case.freshness import Freshness
from luckyhit.case.rewrite import with_plan
from luckyhit.investigate.controls import with_controls
from luckyhit.judge.power import Planning, ProbeUnits, as_facts, plan_for, requests_of_block, to_size, unsized
from luckyhit.measure.probe_plan import KeyRanges, counted_units, plan_events, usual_requests
from luckyhit.records import MetricName

if TYPE_CHECKING:
    from luckyhit.judge.power import Baseline
    from luckyhit.run import Run


class ProbePlanner:
    """What the probe does in a block of a case's plan; each kind of block is planned once."""

    def __init__(self) -> None:
        self._known: dict[tuple[float | None, float, float], tuple[float, int, int]] = {}

    def __call__(self, case: Case) -> ProbeUnits:
        probe, seconds = case.freshness, case.plan.block
        if probe is None:
            return ProbeUnits()
        requests = requests_of_block(case) or 0.0
        key = probe.rate, seconds, requests
        if key not in self._known:
            self._known[key] = _of_block(probe, seconds, requests)
        counted, windows, sent = self._known[key]
        share = sent / requests if requests else 0.0
        _, controls = with_controls(case.plan.blocks, share, on_top=case.design == "side-by-side")
        return ProbeUnits(counted, windows, sent, len(controls))


def _of_block(probe: Freshness, seconds: float, requests: float) -> tuple[float, int, int]:
    """(writes that count, windows, requests) of one block."""
    events = plan_events(
        probe,
        duration_ns=round(seconds * 1e9),
        rng=random.Random(0),
        first_version=probe.first_version,
        requests=requests,
        cold_keys=KeyRanges.of(probe).cold,
    )
    sent = sum(usual_requests(event, len(probe.reads)) for event in events)
    windows = sum(event.mode == "burst" for event in events)
    return counted_units(probe, seconds, requests), windows, sent


def planning_of(case: Case, hidden: Collection[MetricName] = ()) -> Planning:
    """Before anything is measured. `hidden`: metrics that no answer told. Raises ArgumentError for a ceiling that holds
    no plan."""
    return plan_for(case, ProbePlanner(), hidden=hidden)


def planned_text(text: str, case: Case) -> tuple[str, dict[str, Any]]:
    """(the text of a case file with the numbers of its plan, what the manifest notes of it)."""
    fields = to_size(case)
    planning = planning_of(case)
    written = with_plan(text, planning.case) if fields else text
    return written, {"sized": list(fields), "power": as_facts(planning.goals)}


def plan_again(run: Run) -> Planning:
    """After the baseline, with what it showed: the rest of the plan is sized anew where it was left out, and noted; the
    run's case has it then."""
    noted = run.manifest.get("plan") or {}
    fields = [str(name) for name in noted.get("sized", []) if name != "plan.baseline"]
    planning = plan_for(unsized(run.case, fields), ProbePlanner(), _baseline(run))
    if planning.case != run.case:
        run.replace_case(with_plan((run.path / "case.yml").read_text(encoding="utf-8"), planning.case))
    run.update(plan={**noted, "power": as_facts(planning.goals), "after_baseline": True})
    return planning


def _baseline(run: Run) -> Baseline:
    from luckyhit.judge.power.recorded import recorded_baseline  # takes a second to import, with all of the judge

    return recorded_baseline(run)

"""What a case asks of the load engine and of the freshness probe each second: more than was measured, or too little.

What can't work at all is refused as the case is loaded. Here is what may be meant, and what only a plan's numbers show.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import findings_in
from luckyhit.case.checks.workload_checks import measured_rate
from luckyhit.case.findings import field_name
from luckyhit.case.freshness import FINISH_S, Freshness
from luckyhit.case.values.units import format_duration, format_rate, parse_rate, rate_of_at_least, rate_of_at_most
from luckyhit.case.workload import MEASURED_PER_S, MOST_SENDERS
from luckyhit.designs import design_of
from luckyhit.judge.findings.from_result import MOST_ADDED
from luckyhit.judge.power import requests_of_block, sized
from luckyhit.probe.probe_plan import DEFAULT_PROPORTION
from luckyhit.records import Guard
from luckyhit.text.numbers import percent
from luckyhit.workflow.planning import ProbePlanner

_SLOWER = 0.9


def rates_guard(case: Case) -> Guard | None:
    """None where there is nothing to say. Fails where the numbers that `plan: auto` filled in can't work with the rates
    that the case declares. Raises ArgumentError for a time limit that is too short for any plan."""
    planned = sized(case, ProbePlanner())
    if planned is not case and (findings := findings_in(planned)):
        wrong = "; ".join(f"{field_name(one.path)}: {one.actual}, expected {one.expected}" for one in findings)
        return Guard(id="rates", ok=False, detail=f"{wrong}.", remedy="Change these fields, or declare the plan.")
    notes = [*_engine(planned), *_probe(planned)]
    return Guard(id="rates", ok=True, detail=" ".join(notes)) if notes else None


def _engine(case: Case) -> Iterator[str]:
    """A rate above the highest one at which the engine was measured."""
    workload, arms = case.workload, design_of(case).arms_in_block
    sent_per_s, peak = workload.sent_per_s(arms), workload.peak_rate
    if sent_per_s is None or peak is None or sent_per_s <= MEASURED_PER_S:
        return
    field = "rate" if workload.rate is not None else "stages"
    senders = -(-peak * arms // MEASURED_PER_S)
    more = ""
    if senders <= MOST_SENDERS:
        more = f" (or {senders:.0f} processes, by workload.workers and hosts, each with a processor of its own)"
    yield (
        f"workload.{field}: {format_rate(peak)} is {sent_per_s:.0f}/s for one sending process, which was measured "
        f"up to {MEASURED_PER_S:.0f}/s: its own delays may be in each latency. To be sure, set workload.{field}: "
        f"{rate_of_at_most(measured_rate(case))}{more}."
    )


def _probe(case: Case) -> Iterator[str]:
    """A probe that is most of the load, or none at all."""
    probe, requests = case.freshness, requests_of_block(case)
    if probe is None or not requests:
        return
    units = ProbePlanner()(case)
    if probe.rate is not None and units.requests > MOST_ADDED * requests:
        bearable = _bearable(case, probe, requests, units.requests)
        yield (
            f"freshness.rate: {format_rate(probe.rate)} adds about {units.requests:,.0f} requests to the "
            f"{requests:,.0f} of the workload in each block and arm: what it finds may be what it causes. Set "
            f"freshness.rate: {bearable}, or less."
        )
    block = format_duration(case.plan.block)
    if not units.requests and probe.horizon + FINISH_S > case.plan.block:
        longer = format_duration(floor(probe.horizon + FINISH_S) + 1)
        yield (
            f"freshness.horizon: {format_duration(probe.horizon)} leaves no room for a probe in a block of {block}, so "
            f"that old data is not looked for. Set plan.block: {longer}, or more, or a shorter horizon."
        )
    elif not units.requests and probe.rate is None:
        yield (
            f"freshness.rate: none is declared, and {percent(DEFAULT_PROPORTION)} of the {requests:,.0f} requests of a "
            f"block have no room for a probe, so that old data is not looked for. Set freshness.rate: "
            f"{rate_of_at_least(1 / case.plan.block)}, which is one probe in a block of {block}, or more."
        )


def _bearable(case: Case, probe: Freshness, requests: float, added: float) -> str:
    """A rate at which the probe adds no more than the workload has; one probe in a block is the least."""
    rate = (probe.rate or 0.0) * MOST_ADDED * requests / added
    while rate * case.plan.block > 1:
        text = rate_of_at_most(rate)
        slower = case.model_copy(update={"freshness": probe.model_copy(update={"rate": parse_rate(text)})})
        if ProbePlanner()(slower).requests <= MOST_ADDED * requests:
            return text
        rate *= _SLOWER
    return rate_of_at_least(1 / case.plan.block)

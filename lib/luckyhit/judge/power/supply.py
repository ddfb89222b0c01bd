"""How many pairs, reads and windows the blocks of a plan give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from luckyhit.case import Case
from luckyhit.case.freshness import Prestate
from luckyhit.case.values.key_order import LARGEST_TABLE, by_popularity
from luckyhit.case.workload import Keys, Route
from luckyhit.designs import design_of
from luckyhit.judge.stale.background_routes import Family, families
from luckyhit.judge.table.samples import BATCH_S, FEWEST_SLOTS

SAFE = ("GET", "HEAD")
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")
_NOT_A_NUMBER = -(2**62)


@dataclass(frozen=True)
class ProbeUnits:
    """The freshness probe in one block of the change, in each arm: its writes that are read past the bound, by the
    state of the key before (`states`); polled `windows`; `requests` beside the workload's. `controls`: the plan's pairs
    of blocks without the probe, where they come on top of the declared ones. `kinds`: by goal on a part of its reads,
    what counts for it. `workload`: writes of the workload itself that count (see `workload_units`)."""

    states: Mapping[Prestate, float] = field(default_factory=dict)
    windows: float = 0.0
    requests: float = 0.0
    controls: int = 0
    kinds: Mapping[str, float] = field(default_factory=dict)
    workload: float = 0.0

    @property
    def counted(self) -> float:
        """All its writes that are read past the bound."""
        return sum(self.states.values())


Probing = Callable[[Case], ProbeUnits]
"""The probe in a block of a case's plan. `luckyhit.probe` plans its events, so callers pass this in."""


def block_pairs(case: Case, probe: ProbeUnits) -> int:
    """All measured pairs of blocks: side by side, those without the probe come on top of the declared ones."""
    return case.plan.blocks + (probe.controls if design_of(case).controls_on_top else 0)


def probed_pairs(case: Case, probe: ProbeUnits) -> int:
    """Pairs of blocks with the probe beside the load."""
    return block_pairs(case, probe) - probe.controls


def load_seconds(case: Case, probe: ProbeUnits) -> float:
    """Seconds of load in the whole run, warm-ups included."""
    return design_of(case).load_s(case.plan, block_pairs(case, probe))


def requests_of_block(case: Case) -> float | None:
    """Requests in the measured part of one block of one arm; None where a log sets the pace."""
    plan = case.plan
    upto, before = (case.workload.requests_in(seconds) for seconds in (plan.warmup + plan.block, plan.warmup))
    return None if upto is None or before is None else upto - before


def route_proportion(case: Case, name: str = "", reads: bool = False) -> float:
    """The proportion of requests to one route (empty: any), or of its reads where only these count."""
    routes = case.workload.routes
    chosen = [route for route in routes if name in ("", route.name) and (not reads or route.method in SAFE)]
    return sum(route.weight for route in chosen) / sum(route.weight for route in routes)


def pairs_in_batch(case: Case) -> float:
    """Pairs in one batch, the unit of intervals side by side."""
    return max(FEWEST_SLOTS, (requests_of_block(case) or 0.0) / case.plan.block * BATCH_S)


def workload_units(case: Case, listed: Mapping[str, Sequence[str]] = {}) -> float:
    """The workload's own writes of a block that count (see `stale.write_units`): of a key that was read before, and
    read past the bound before its next write. `listed`: by route whose keys are from a file, these keys, the most
    popular first. 0 where arms take turns, and where it is not known (no versions, a log)."""
    requests = requests_of_block(case)
    if requests is None or case.workload.replay is not None or not design_of(case).arms_together:
        return 0.0
    rate, seconds = requests / case.plan.block, case.plan.block
    within_s = case.freshness.within if case.freshness is not None else 0.0
    weight = sum(route.weight for route in case.workload.routes)
    by_name = {route.name: route for route in case.workload.routes}
    return sum(
        _of_family(family, by_name, listed, case.workload.seed, rate / weight, within_s, seconds, case.plan.warmup)
        for family in families(case.workload.routes)
    )


def _of_family(
    family: Family,
    routes: dict[str, Route],
    listed: Mapping[str, Sequence[str]],
    seed: int,
    rate_per_weight: float,
    within_s: float,
    seconds: float,
    warmup_s: float,
) -> float:
    """A write counts if the next request for its key past the bound is a read: two Poisson streams until the block
    ends."""
    numbered = _numbered([routes[name] for name in sorted(family.reads | family.every_write)], listed, seed)
    if not numbered:
        return 0.0
    distinct = np.unique(np.concatenate(list(numbered.values())))
    read, written = np.zeros(len(distinct)), np.zeros(len(distinct))
    for names, rates in ((family.reads, read), (family.every_write, written)):
        for name in names & numbered.keys():
            popularity = _popularity(routes[name].keys, len(numbered[name]))
            rates[np.searchsorted(distinct, numbered[name])] += routes[name].weight * rate_per_weight * popularity
    both = read + written
    met = np.divide(read, both, out=np.zeros_like(both), where=both > 0)
    left = max(seconds - within_s, 0.0)
    held = 1 - np.exp(-read * warmup_s) * np.divide(
        -np.expm1(-read * seconds), read * seconds, out=np.ones_like(read), where=read > 0
    )
    # Writes late in the block may find no read before its end.
    waited = left - np.divide(-np.expm1(-both * left), both, out=np.full_like(both, left), where=both > 0)
    return float(np.sum(written * np.exp(-written * within_s) * met * waited * held))


def _numbered(routes: Sequence[Route], listed: Mapping[str, Sequence[str]], seed: int) -> dict[str, np.ndarray]:
    """Of each route with keys a number for each, the most popular first: the key itself where it is one, so that ranges
    and files agree. {} where they are too many."""
    numbered: dict[str, np.ndarray] = {}
    others: dict[str, int] = {}
    for route in routes:
        keys = route.keys
        if keys is not None and keys.first is not None and keys.last is not None:
            size = keys.last - keys.first + 1
            if size > LARGEST_TABLE:
                return {}
            numbered[route.name] = by_popularity(keys.first, size, seed)
        elif route.name in listed:
            numbers = (
                int(key) if _NUMBER.fullmatch(key) else _NOT_A_NUMBER - others.setdefault(key, len(others))
                for key in listed[route.name]
            )
            numbered[route.name] = np.fromiter(numbers, dtype=np.int64)
    return numbered if sum(map(len, numbered.values())) <= 2 * LARGEST_TABLE else {}


def _popularity(keys: Keys | None, count: int) -> np.ndarray:
    """The proportion of requests for each key, the most popular first."""
    assert keys is not None
    if keys.popularity == "zipf":
        weights = np.arange(1, count + 1, dtype=float) ** -keys.exponent
        return weights / weights.sum()
    if keys.popularity == "hot-set" and keys.hot is not None and keys.hot < count:
        cold = np.full(count, (1 - keys.hot_share) / (count - keys.hot))
        cold[: keys.hot] = keys.hot_share / keys.hot
        return cold
    return np.full(count, 1 / count)

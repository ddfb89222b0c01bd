"""How often the judge sees an event where nothing happened, and how surely it sees one that did.

Both arms of the streams in `streams`, side by side. Of each kind: the share of runs with any event at all (in kinds
that move by themselves, drifts and ramps, events of both arms are right), the share with an event of one arm only
(which is wrong in all of them), and how often a shift of one arm, by three standard deviations of a batch at a moment
in the middle third, is found in that arm alone.

    python benchmarks/judge/events.py [--runs 100] [--shifts 50] [--seed 1] [--jobs 2]
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from arguments import at_least
from streams import COMMON, GOALS, KINDS, RATIO, SECONDS, arm

from luckyhit.judge.context.drift import ArmSeries, events_of
from luckyhit.judge.table.rows import HIT, MISS, RequestTable
from luckyhit.judge.table.samples import side_by_side
from luckyhit.records import RunEvent

SHIFT = 3.0
"""In standard deviations of a batch."""
NEAR_S = 2.5


def shifted(rows: RequestTable, name: str, at_s: float, rng: np.random.Generator) -> RequestTable:
    """The latency up, or the hit ratio down, from a moment on."""
    series = ArmSeries(rows).series("hit_ratio" if name == "hit_ratio" else "latency_ms")
    assert series is not None
    size = SHIFT * float(np.std(series.value, ddof=1))
    late = rows.due_ns >= at_s * 1e9
    if name == "latency_ms":
        slower = np.where(late, rows.due_ns + (rows.done_ns - rows.due_ns) * np.exp(size), rows.done_ns)
        return rows.with_columns(done_ns=slower)
    lost = late & (rows.cache == HIT) & (rng.random(len(rows)) < size / np.mean(rows.cache == HIT))
    return rows.with_columns(cache=np.where(lost, MISS, rows.cache).astype(np.int8))


def events(before: RequestTable, after: RequestTable) -> list[RunEvent]:
    return events_of(side_by_side(before, after), GOALS, 0.0)


def one_run(kind: str, seed: int, shifts: bool) -> tuple[bool, bool, float, float]:
    """(any event, an event of one arm, and whether a shift of latency and of the hit ratio was found in its arm)."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    arms = [arm(kind, rng, number, SECONDS) for number in (0, 1)]
    quiet = events(*arms)
    found = []
    for name in ("latency_ms", "hit_ratio") if shifts else ():
        at_s, which = float(rng.uniform(SECONDS / 3, 2 * SECONDS / 3)), int(rng.integers(2))
        moved = list(arms)
        moved[which] = shifted(arms[which], name, at_s, rng)
        label = ["before", "after"][which]
        found.append(
            float(
                any(
                    event.metric == name and event.arms == [label] and abs(event.at_s - at_s) <= NEAR_S
                    for event in events(*moved)
                )
            )
        )
    return bool(quiet), any(len(event.arms) == 1 for event in quiet), *(found or [np.nan, np.nan])  # type: ignore[return-value]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--runs", type=at_least(1), default=100)
    arguments.add_argument("--shifts", type=at_least(0), default=50, help="of the runs, those with shifts as well")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=at_least(1), default=2)
    given = arguments.parse_args()
    shifts = min(given.shifts, given.runs)
    seeds = range(given.seed * 1_000_000, given.seed * 1_000_000 + given.runs)
    started = time.monotonic()
    print(f"% of {given.runs} runs of {SECONDS} s ({shifts} with a shift of {SHIFT:g} standard deviations):")
    headings = ("any event", "one arm only", "shift: latency", "shift: hit ratio")
    print("".join([f"{'':26}", *(f"{heading:>17}" for heading in headings)]), flush=True)
    with ProcessPoolExecutor(given.jobs) as pool:
        for kind in KINDS:
            flags = [number < shifts for number in range(given.runs)]
            told = np.array(list(pool.map(partial(one_run, kind), seeds, flags, chunksize=5)), dtype=float)
            name = f"{kind} (moves)" if kind in COMMON or kind in RATIO else kind
            shares = [*told[:, :2].mean(axis=0), *(told[:shifts, 2:].mean(axis=0) if shifts else ())]
            print("".join([f"{name:26}", *(f"{100 * share:17.1f}" for share in shares)]), flush=True)
    print(f"{time.monotonic() - started:.0f} s, seed {given.seed}.")


if __name__ == "__main__":
    main()

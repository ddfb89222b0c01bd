"""Many requests at once for one key that is not stored."""

from __future__ import annotations

import itertools
import threading
from statistics import median

from luckyhit.experiments.means.bench import Bench, Trial, lacking, observed
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import Key
from luckyhit.experiments.means.settings_in_force import multiplied, ttl_setting, with_variable
from luckyhit.experiments.repeats import ids
from luckyhit.experiments.surroundings import serving_processes
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import burst

READERS = 12
_LONGER = 16
"""A time to live that is doubled may still be shorter than its load."""


def at_once(bench: Bench, keys: list[Key]) -> list[Reading]:
    """One read of each of these keys, begun together, each over a connection of its own."""
    readings: list[Reading] = []
    barrier = threading.Barrier(len(keys))

    def read(key: Key) -> None:
        barrier.wait()
        readings.append(bench.read(key, fresh=True))

    threads = [threading.Thread(target=read, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return readings


def burst_on_cold_key(bench: Bench, trials: int) -> list[Observations]:
    """A burst on one cold key, beside the same burst on warm keys: what is slower then are the loads."""
    return [_bursts(bench, "burst-on-cold-key", trials, None)]


def burst_at_expiry(bench: Bench, trials: int) -> list[Observations]:
    """The same on a key that was stored, and has just gone."""
    if bench.cache is None:
        return [lacking("burst-at-expiry", "known-ttl")]
    return [_bursts(bench, "burst-at-expiry", trials, "gone")]


def _bursts(bench: Bench, experiment: str, trials: int, state: str | None) -> Observations:
    processes = serving_processes(bench.stack)
    few = max(1, min(READERS, len(bench.routes.keys) // 4))
    made, stored = [], [bench.take() for _ in range(few)]
    if len(bench.routes.keys) <= few:
        return observed(experiment, [], ids(experiment))  # the one key would be warm
    # A case may name a dozen keys: some stay warm, and are read more than once.
    warm = list(itertools.islice(itertools.cycle(stored), READERS))

    def cold() -> Key:
        while (key := bench.take()) in stored:
            pass
        return key

    for _ in range(trials):
        key, singles = cold(), [cold() for _ in range(3)]
        load_ms = median(bench.read(single, fresh=True).ms for single in singles)
        at_once(bench, warm)  # those that have gone meanwhile are stored again
        calm = at_once(bench, warm)
        if state == "gone" and bench.cache is not None:
            bench.cache.delete(bench.traced_read(key)[0].filled)
        readings = at_once(bench, [key] * READERS)
        loads = [bench.loaded(reading) for reading in readings]
        if None in loads or not any(loads):
            continue
        # The warm burst costs time, too: connections, the interpreter, the load generator itself.
        slowest_ms = max(one.ms for one in readings) - max(one.ms for one in calm) + bench.costs.hit_ms
        number = sum(map(bool, loads))
        facts = {"requests": READERS, "loads": number, "load_ms": round(load_ms, 1), "slowest_ms": round(slowest_ms, 1)}
        outcome = burst(READERS, number, processes or 1, slowest_ms, load_ms)
        made.append(Trial(outcome, [one.row for one in readings], facts))
    return observed(experiment, made, ids(experiment))


def burst_ttl_doubled(bench: Bench, trials: int) -> list[Observations]:
    """A read, and again at once: with the time to live as it is, and many times as long. Only that is changed."""
    setting = ttl_setting(bench)
    if setting is None:
        return [lacking("burst-ttl-doubled", "ttl-setting")]
    before = [_hit_again(bench) for _ in range(trials)]
    settings, name = bench.stack.settings, setting[0]
    try:
        bench.stack.restart(with_variable(settings, name, multiplied(bench, name, _LONGER)))
        bench.empty()
        row = bench.calls.note("start", f"restarted with {name} {_LONGER} times as long")
        after = [_hit_again(bench) for _ in range(trials)]
    finally:
        bench.stack.restart(settings)
    made = []
    for (one, _), (other, rows) in zip(before, after, strict=True):
        if one is None or other is None:
            continue
        made.append(Trial("hits-now" if other and not one else "as-before", [row, *rows], {"setting": name}))
    return [observed("burst-ttl-doubled", made, ids("burst-ttl-doubled"))]


def _hit_again(bench: Bench) -> tuple[bool | None, list[int]]:
    key = bench.take()
    readings = [bench.read(key) for _ in range(3)]
    loads = [bench.loaded(reading) for reading in readings[1:]]
    known = [one for one in loads if one is not None]
    return (not any(known) if known else None), [reading.row for reading in readings]

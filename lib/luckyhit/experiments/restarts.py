"""Another setting, a restart, an outage, a lost message: what takes more than requests."""

from __future__ import annotations

import time

from luckyhit.experiments.after_writes import settled_at
from luckyhit.experiments.means.bench import Bench, Trial, Written, every_key, lacking, observed, wait_until
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import Key
from luckyhit.experiments.means.settings_in_force import with_variable, worker_setting
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations

_RECONNECTS_WITHIN_S = 1.2
_READERS = 12
_FILL = 300


def _old_keys(bench: Bench, trials: int) -> list[tuple[Key, Written, list[Reading]]]:
    """Warm keys that were written; answers over several connections, once the bound is over. A key whose write was
    refused is left out: its old value is the right one."""
    keys = [bench.take() for _ in range(trials)]
    for key in keys:
        for _ in range(_READERS // 2):
            bench.read(key, fresh=True)
        bench.warm(key)
    made = []
    for key, written in _accepted(bench, keys).items():
        wait_until(settled_at(bench, written))
        made.append((key, written, [bench.read(key, fresh=True) for _ in range(_READERS)]))
    return made


def _accepted(bench: Bench, keys: list[Key]) -> dict[Key, Written]:
    """Write each key; the writes that were not refused."""
    writes = {key: bench.write(key) for key in keys}
    return {key: written for key, written in writes.items() if written.accepted}


def _any_old(written: Written, readings: list[Reading]) -> bool:
    return any(one.version is not None and one.version < written.version for one in readings)


def restart(bench: Bench, trials: int) -> list[Observations]:
    """Written keys, then only the service is restarted: the cache stays as it is."""
    before = _old_keys(bench, trials)
    if not any(_any_old(written, readings) for _, written, readings in before):
        made = [Trial("never-stale", [written.row, readings[-1].row]) for _, written, readings in before]
        return [observed("restart", made, ids("restart"))]
    bench.stack.restart(bench.stack.settings)
    row = bench.calls.note("start", "the service restarted, its cache kept")
    made = []
    for key, written, readings in before:
        if not _any_old(written, readings):
            continue
        after = [bench.read(key, fresh=True) for _ in range(_READERS)]
        outcome = "stale-after-restart" if _any_old(written, after) else "fresh-after-restart"
        made.append(Trial(outcome, [written.row, readings[-1].row, row, after[-1].row]))
    return [observed("restart", made, ids("restart"))]


def one_worker(bench: Bench, trials: int) -> list[Observations]:
    """The same with a single process."""
    name = worker_setting(bench)
    if name is None:
        return [lacking("one-worker", "worker-setting")]
    before = _old_keys(bench, trials)
    stale_before = any(_any_old(written, readings) for _, written, readings in before)
    settings = bench.stack.settings
    try:
        bench.stack.restart(with_variable(settings, name, "1"))
        row = bench.calls.note("start", f"restarted with {name}=1")
        after = _old_keys(bench, trials)
    finally:
        bench.stack.restart(settings)
    made = []
    for _, written, readings in after:
        old = _any_old(written, readings)
        outcome = "stale-with-one" if old else "fresh-with-one" if stale_before else "never-stale"
        made.append(Trial(outcome, [row, written.row, readings[-1].row], {"setting": name}))
    return [observed("one-worker", made, ids("one-worker"))]


def cut_the_signal(bench: Bench, trials: int) -> list[Observations]:
    """The connections that wait for messages are cut, a key is written, and they may connect again."""
    if bench.relay is None:
        return [lacking("cut-the-signal", "cache-relay")]
    if any(_any_old(written, readings) for _, written, readings in _old_keys(bench, 2)):
        before = _old_keys(bench, trials)
        made = [
            Trial("stale-as-before" if _any_old(written, readings) else None, [written.row, readings[-1].row])
            for _, written, readings in before
        ]
        return [observed("cut-the-signal", made, ids("cut-the-signal"))]
    made = []
    keys = [bench.take() for _ in range(trials)]
    for key in keys:
        for _ in range(_READERS // 2):
            bench.read(key, fresh=True)
    cut = bench.relay.cut_subscribers()
    row = bench.calls.note("cut", f"{cut} subscribed connections cut")
    if not cut:
        return [lacking("cut-the-signal", "cache-relay")]
    try:
        writes = _accepted(bench, keys)
        time.sleep(_RECONNECTS_WITHIN_S)
        for key, written in writes.items():
            wait_until(settled_at(bench, written))
            after = [bench.read(key, fresh=True) for _ in range(_READERS)]
            outcome = "stale-since-cut" if _any_old(written, after) else "fresh-after-cut"
            made.append(Trial(outcome, [row, written.row, after[-1].row], {"connections_cut": cut}))
    finally:
        bench.stack.restart(bench.stack.settings)  # or it stays without messages
    return [observed("cut-the-signal", made, ids("cut-the-signal"))]


def stop_cache_during_write(bench: Bench, trials: int) -> list[Observations]:
    """The cache can't be reached during one write, and is back with all its entries after it. A service that answers no
    read without its cache has never promised more of its writes."""
    if bench.relay is None:
        return [lacking("stop-cache-during-write", "cache-relay")]
    made = []
    for _ in range(trials):
        before = _old_keys(bench, 1)
        if not before:
            continue
        ((_, plain, readings),) = before
        if _any_old(plain, readings):
            made.append(Trial("stale-as-before", [plain.row, readings[-1].row]))
            continue
        key = bench.take()
        warm = bench.warm(key)
        bench.relay.refuse(refusing=True)
        try:
            row = bench.calls.note("cut", "the cache can't be reached")
            read = bench.read(bench.take())
            written = bench.write(key)
        finally:
            bench.relay.refuse(refusing=False)
        rows = [warm.row, row, read.row, written.row]
        if not written.accepted:
            if not bench.write(key).accepted:
                continue  # it is refused with the cache, too
            made.append(Trial("write-fails" if read.ok else "refused-as-declared", rows, {"status": written.status}))
            continue
        wait_until(settled_at(bench, written) + _RECONNECTS_WITHIN_S)
        after = [bench.read(key) for _ in range(2)]
        old = _any_old(written, after[-1:])
        made.append(Trial("stale-after-outage" if old else "fresh-afterwards", [*rows, after[-1].row]))
    return [observed("stop-cache-during-write", made, ids("stop-cache-during-write"))]


def raise_the_memory_limit(bench: Bench, trials: int) -> list[Observations]:
    """Many keys are read twice: with the cache's memory limit as it is, then without one."""
    cache, name = bench.cache, "raise-the-memory-limit"
    control = cache.cache.settings if cache is not None else None
    if cache is None or control is None:
        return [lacking(name, "cache-settings")]
    bench.empty()
    before = _again(bench)
    evicted = cache.evicted()
    limit = control.read("maxmemory")
    bench.empty()
    if not evicted:
        return [
            observed(
                "raise-the-memory-limit", [Trial("never-evicted", before[1])] * trials, ids("raise-the-memory-limit")
            )
        ]
    try:
        control.set("maxmemory", "0")
        row = bench.calls.note("set", f"maxmemory from {limit} to 0")
        bench.empty()
        after = _again(bench)
        bench.empty()
    finally:
        control.set("maxmemory", limit)
    gone = after[0] <= 0.5 * before[0]
    facts = {"loaded_again_before": round(before[0], 3), "loaded_again_without_limit": round(after[0], 3)}
    trial = Trial("misses-gone" if gone else "misses-stay", [*before[1], row, *after[1]], facts)
    return [observed(name, [trial] * trials, ids(name))]


def _again(bench: Bench) -> tuple[float, list[int]]:
    """The proportion of keys that are loaded at their second reading, and rows of some."""
    keys = every_key(bench)[:_FILL]
    keys = keys[: bench.fill(keys)]
    readings = [bench.read(key) for key in keys]
    loads = [bench.loaded(reading) for reading in readings]
    again = [reading.row for reading, load in zip(readings, loads, strict=True) if load]
    return sum(map(bool, loads)) / max(1, len(keys)), again[:3]

"""What is not there, what is refused, and what is new."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

from luckyhit.case.values.placeholders import fill, fill_text
from luckyhit.experiments.after_writes import settled_at
from luckyhit.experiments.means.bench import Bench, Trial, every_key, lacking, observed, wait_until
from luckyhit.experiments.means.routes import Key
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import growth

_GONE = (404, 410)
_FAR = 1_000_003
_NEW_URLS = 420
_AGAIN, _SHRINKS = 12, 1.15
"""So many misses once the cache was emptied, and so many times as long as they the late ones took before."""


def absent_keys(bench: Bench) -> list[Key]:
    """Keys under which there is nothing: those that the case names, else far above all that it names, if the write
    creates what is not there. Empty where it does not."""
    probe = bench.case.freshness
    if probe is not None and probe.absent is not None:
        return [*probe.absent.keys.values[:40]]
    numbers = [key for key in (*bench.routes.keys[-1:], *bench.routes.workload_keys[-1:]) if isinstance(key, int)]
    keys: list[Key] = [max(numbers) + _FAR + number for number in range(40)] if numbers else []
    if not keys:
        return []
    if bench.read(keys[-1]).status not in _GONE:
        return []
    # Never read before, so that no absence of it can be stored.
    created = _create(bench, keys[-2])
    return keys[:-2] if created and bench.read(keys[-2]).status == 200 else []


def _create(bench: Bench, key: Key) -> bool:
    """By the case's own creation, or by the probe's write."""
    probe = bench.case.freshness
    if probe is None or probe.absent is None:
        return bench.write(key).accepted
    create = probe.absent.create
    values: dict[str, Any] = {"key": key, "version": probe.first_version}
    body = fill_text(create.body, values).encode() if isinstance(create.body, str) else fill(create.body, values)
    reading = bench.calls.send(create.method, fill_text(create.path or "", values), key=str(key), body=body)
    return reading.status in create.statuses


def create_after_absent(bench: Bench, trials: int) -> list[Observations]:
    """Read what is not there, create it, read again once the bound is over."""
    if bench.absent is None:
        bench.absent = absent_keys(bench)
    keys = bench.absent
    if not keys:
        return [lacking("create-after-absent", "probe-creates")]
    made = []
    bench.absent = keys[trials:]
    for key in keys[:trials]:
        absent = [bench.read(key), bench.read(key)]
        row = len(bench.calls.rows)
        if absent[0].status not in _GONE or not _create(bench, key):
            continue
        written = bench.calls.rows[row]
        wait_until(absent[-1].done_s + bench.bound_s * 1.1 + 0.4)
        after = bench.read(key)
        outcome = "still-absent" if after.status in _GONE else "appears" if after.ok else None
        facts = {"status_after": after.status, "created_by": written[3]}
        made.append(Trial(outcome, [absent[-1].row, row, after.row], facts))
    return [observed("create-after-absent", made, ids("create-after-absent"))]


def refused_write(bench: Bench, trials: int) -> list[Observations]:
    """A write that the service has to refuse: is its value shown all the same?"""
    probe = bench.case.freshness
    if probe is None or probe.refused is None or probe.refused.path is None:
        return [lacking("refused-write", "refused-write")]
    refused, made = probe.refused, []
    for _ in range(trials):
        key = bench.take()
        warm = bench.warm(key)
        accepted = bench.write(key)
        wait_until(settled_at(bench, accepted))
        before = bench.read(key)
        value = accepted.version + 1
        values: dict[str, Any] = {"key": key, "version": value}
        body = fill_text(refused.body, values).encode() if isinstance(refused.body, str) else fill(refused.body, values)
        reading = bench.calls.send(refused.method, fill_text(refused.path or "", values), key=str(key), body=body)
        if reading.status not in refused.statuses:
            continue
        after = [bench.read(key), bench.read(key, fresh=True)]
        shown = any(one.version == value for one in after)
        rows = [warm.row, before.row, reading.row, after[-1].row]
        made.append(Trial("refused-value-shown" if shown else "unchanged", rows, {"refused": value}))
    return [observed("refused-write", made, ids("refused-write"))]


def many_new_urls(bench: Bench, trials: int) -> list[Observations]:
    """Misses of a growing number of URLs, early ones beside late ones, each pair by itself; and some early ones again
    with the cache emptied behind them: an index of keys is small again then, and a busy machine as busy as before."""
    if bench.cache is None:
        return [lacking("many-new-urls", "cache-writes")]
    keys = every_key(bench)[: _NEW_URLS + 2 * trials]
    random.Random(0).shuffle(keys)
    if len(keys) < 4 * trials:
        return [lacking("many-new-urls", "variants")]
    made, facts = _new_urls(bench, keys, trials)
    if sum(trial.outcome == "grows" for trial in made) * 2 > trials:
        # A machine that has just become busy looks the same: it has to grow once more.
        second, facts = _new_urls(bench, keys, trials)
        made = [one if one.outcome == "flat" else other for one, other in zip(made, second, strict=True)]
    return [observed("many-new-urls", made, ids("many-new-urls"), **facts)]


def _new_urls(bench: Bench, keys: list[Key], trials: int) -> tuple[list[Trial], dict[str, float]]:
    def miss_ms(key: Key) -> tuple[float, int]:
        reading = bench.read(key)
        return reading.ms, reading.row

    bench.empty()
    early = [miss_ms(key) for key in keys[:trials]]
    hits = [bench.read(keys[0]).ms for _ in range(10)]
    bench.fill(keys[trials:-trials])
    late = [miss_ms(key) for key in keys[-trials:]]
    hits_after = median(bench.read(keys[0]).ms for _ in range(10))
    bench.empty()
    again_ms = median(miss_ms(key)[0] for key in keys[:_AGAIN])
    bench.empty()
    # What slows the whole service down has slowed its hits as well.
    slower = max(1.0, hits_after / median(hits))
    shrinks = median(ms for ms, _ in late) > _SHRINKS * again_ms
    made = [
        Trial(growth(one * slower, other) if shrinks else "flat", [row, other_row])
        for (one, row), (other, other_row) in zip(early, late, strict=True)
    ]
    facts = {"miss_early_ms": median(ms for ms, _ in early), "miss_late_ms": median(ms for ms, _ in late)}
    return made, {name: round(ms, 2) for name, ms in facts.items()}

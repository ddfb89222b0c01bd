"""A write, then reads: plain, conditional, of each process and variant, with the cache emptied, with a key deleted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from luckyhit.experiments.means.bench import SETTLED_S, Bench, Trial, Written, lacking, observed, wait_until
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import DiagnosedRead, Key
from luckyhit.experiments.means.traced import AFTERWARDS_S, TouchedKeys
from luckyhit.experiments.repeats import ids
from luckyhit.experiments.surroundings import serving_processes
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import MANY_KEYS, ReadAfterWrite, after_write, touched_keys
from luckyhit.probe.probe_reads import variants_of

_WATCHED_S = 1.5
"""So long beyond the declared bound reads are watched for one that is late, but comes."""
_CLOSE_S = 0.12
"""Reads follow each other at once for so long: an acknowledgement before its commit is some ten milliseconds early."""
_NEARLY = 0.8
"""Of its life, from when on an entry may be over: it was loaded a little before the last read that warmed it."""
_AT_ONCE = 4
_CONDITIONAL_FIRST = 8
_LONG_S = 0.5
_SPREAD = 24
"""New connections at once, to reach each process."""


def settled_at(bench: Bench, written: Written) -> float:
    """When the declared staleness is over, on the monotonic clock."""
    return written.acked_s + bench.bound_s * 1.1 + bench.late_s


def write_then_read(bench: Bench, trials: int) -> list[Observations]:
    conditional: list[Trial] = []
    processes = serving_processes(bench.stack)

    def one() -> Trial:
        key = bench.take()
        warm = bench.warm(key)
        for _ in range(2 * processes if processes > 1 else 0):  # so that each of them has its copy, if it keeps one
            bench.read(key, fresh=True)
        written = bench.write(key)
        if not written.accepted or warm.version is None:
            return Trial(None)
        readings = polled(bench, key, written)
        conditional.append(_conditional(bench, key, warm, written, readings))
        return freshness_of(bench, written, warm, readings)

    bench.late_s = max(bench.late_s, _WATCHED_S)
    made = bench.each(trials, one, at_once=_AT_ONCE if bench.bound_s < _LONG_S else 3 * _AT_ONCE)
    if any(trial.outcome for trial in conditional) and not any(_old(trial) for trial in made):
        conditional += bench.each(_CONDITIONAL_FIRST, lambda: _conditional_first(bench), at_once=_AT_ONCE)
    late = [float(trial.facts.get("old_until_ms") or 0) for trial in made if trial.outcome == "first-read-stale"]
    bench.late_s = max(SETTLED_S, 1.5 * max(late, default=0.0) / 1000 + 0.2)
    results = [observed("write-then-read", made, ids("write-then-read"))]
    if any(trial.outcome for trial in conditional):
        results.append(observed("write-then-conditional-read", conditional, ids("write-then-conditional-read")))
    return results


def polled(
    bench: Bench,
    key: Key,
    written: Written,
    before: Callable[[], object] = lambda: None,
    route: DiagnosedRead | None = None,
) -> list[Reading]:
    """Reads at once for a moment, then at growing intervals until old data has no excuse left; fresh ones end it early.
    `before`: done before each. Every third one takes a new connection."""
    readings: list[Reading] = []
    end_s, pause_s, fresh = settled_at(bench, written), 0.03, 0
    while True:
        before()
        readings.append(bench.read(key, fresh=len(readings) % 3 == 2))
        version = readings[-1].version
        fresh = fresh + 1 if version is not None and version >= written.version else 0
        now_s = time.monotonic()
        if now_s >= end_s or (fresh >= 6 and now_s - written.acked_s > _CLOSE_S) or len(readings) >= 80:
            return readings
        if now_s - written.acked_s > _CLOSE_S or len(readings) >= 40:
            wait_until(min(end_s, now_s + pause_s))
            pause_s *= 2


def freshness_of(bench: Bench, written: Written, warm: Reading, readings: Sequence[Reading]) -> Trial:
    """What reads of a written version amount to. A version that is newer than the written one counts as fresh."""
    reads = [ReadAfterWrite(max(0.0, one.sent_s - written.acked_s), one.version) for one in readings]
    outcome = after_write(reads, written.version, bench.bound_s)
    fresh = next((one for one in readings if one.version is not None and one.version >= written.version), None)
    life_s = bench.entry_life_s
    if outcome == "first-read-stale" and fresh is not None and life_s is not None:
        # It may have become fresh because the entry came to its end, and for no other reason.
        ended = fresh.sent_s >= warm.sent_s + life_s * _NEARLY
        outcome = "stays-stale" if ended else outcome
    old = [one for one in readings if one.version is not None and one.version < written.version]
    facts: dict[str, float | int | str | None] = {"written": written.version, "read_before": warm.version}
    if old:
        facts |= {
            "old_version": old[-1].version,
            "old_until_ms": round((old[-1].sent_s - written.acked_s) * 1000, 1),
            "status_said": old[-1].cache,
            "database_calls": old[-1].db_calls,
        }
    rows = [warm.row, written.row, *(one.row for one in (old[-1:] or readings[:1]))]
    return Trial(outcome, rows, facts)


def stale(readings: Sequence[Reading], written: Written) -> bool | None:
    """Whether the last of these reads is old; None where it shows no version."""
    version = readings[-1].version
    return None if version is None else version < written.version


def _conditional(bench: Bench, key: Key, warm: Reading, written: Written, readings: Sequence[Reading]) -> Trial:
    """The first answer's validator, sent once the plain answer is new."""
    if stale(readings, written) is not False:
        return Trial(None)
    headers = _validator(warm)
    if not headers:
        return Trial(None)
    reading = bench.read(key, headers=headers)
    if reading.status == 304:
        # Dates count seconds: a write within the same one can't be told by them.
        outcome = "conditional-stale" if "If-None-Match" in headers else None
    elif reading.version is None:
        outcome = None
    else:
        outcome = "conditional-stale" if reading.version < written.version else "as-plain"
    return Trial(outcome, [warm.row, written.row, reading.row], {"validator": next(iter(headers.values()))})


def _validator(warm: Reading) -> dict[str, str]:
    """What a client that holds this answer asks with; {} where it has no validator."""
    if etag := warm.headers.get("etag"):
        return {"If-None-Match": etag}
    modified = warm.headers.get("last-modified")
    return {"If-Modified-Since": modified} if modified else {}


def _old(trial: Trial) -> bool:
    return trial.outcome not in (None, "fresh", "within-bound")


def _conditional_first(bench: Bench) -> Trial:
    """The first answer's validator, sent before anybody asks plainly: a plain read may put right what is kept of it."""
    key = bench.take()
    warm = bench.warm(key)
    written = bench.write(key)
    headers = _validator(warm)
    if not written.accepted or "If-None-Match" not in headers:
        return Trial(None)
    wait_until(written.acked_s + bench.bound_s * 1.1 + SETTLED_S)
    reading, plain = bench.read(key, headers=headers), bench.read(key)
    if stale([plain], written) is not False or (reading.status != 304 and reading.version is None):
        return Trial(None)
    old = reading.status == 304 or stale([reading], written)
    rows = [warm.row, written.row, reading.row, plain.row]
    return Trial("conditional-stale" if old else "as-plain", rows, {"validator": headers["If-None-Match"]})


def keys_read_and_deleted(bench: Bench, trials: int) -> list[Observations]:
    """A read alone, then a write alone: the keys of each. Later touches count as the write's. An entry that nobody asks
    for any more, since its key has a version that the write counts up, is as good as deleted."""
    made = []
    for _ in range(trials):
        key = bench.take()
        read, reading = bench.traced_read(key)
        bench.read(key)
        write, written = bench.traced_write(key)
        if not written.accepted:
            continue
        entries = read.filled or read.read
        changed = _of_the_write(write, read, key)
        outcome = touched_keys(read.entries, changed, flushed=write.flushed) if entries else None
        left = set(entries) - set(changed)
        if outcome == "same-key" and left and left & set(bench.traced_read(key)[0].read):
            outcome = None  # one of several entries: a page beside the thing that it shows may stay
        facts = {
            "keys_read": ", ".join(entries[:3]),
            "keys_changed_by_the_write": "all" if write.flushed else ", ".join(changed[:3]),
        }
        made.append(Trial(outcome, [reading.row, written.row], facts))
    return [observed("keys-read-and-deleted", made, ids("keys-read-and-deleted"))]


def _of_the_write(write: TouchedKeys, read: TouchedKeys, key: Key) -> list[str]:
    """What the write changed of this thing: keys that the read uses, what it deletes, and what it stores under the
    thing's own number. A session or a counter that it stores beside is none of it; nor is the entry of another thing,
    which an earlier write may delete late."""
    own = [name for name in write.stored if name in read.entries or str(key) in name]
    alike = [re.compile(re.escape(name).replace(str(key), r"\d+")) for name in read.entries if str(key) in name]
    others = {name for name in write.deleted if name not in read.entries and any(one.fullmatch(name) for one in alike)}
    deleted = [name for name in write.deleted if name not in others or len(others) >= MANY_KEYS]
    return list(dict.fromkeys([*deleted, *own]))


def delete_the_read_key(bench: Bench, trials: int) -> list[Observations]:
    """An old answer: is it fresh once exactly its key is deleted?"""
    made, tried = [], []
    for _ in range(trials):
        key = bench.take()
        read, _ = bench.traced_read(key)
        tried.append((key, read, bench.read(key), bench.write(key)))
    for key, read, warm, written in tried:
        wait_until(settled_at(bench, written))
        before = bench.read(key)
        if not written.accepted or before.version is None:
            continue
        if before.version >= written.version:
            made.append(Trial("not-stale", [warm.row, written.row, before.row]))
            continue
        entries = read.filled
        if not entries or bench.cache is None:
            continue
        deleted = bench.cache.delete(entries)
        row = bench.calls.note("delete", f"{deleted} of {', '.join(entries[:3])} deleted", str(key))
        after = bench.read(key)
        fresh = after.version is not None and after.version >= written.version
        made.append(
            Trial(
                "fresh-after" if fresh else "still-stale",
                [warm.row, written.row, before.row, row, after.row],
                {"key": entries[0], "old_version": before.version, "written": written.version},
            )
        )
    return [observed("delete-the-read-key", made, ids("delete-the-read-key"))]


def read_with_cache_emptied(bench: Bench, trials: int) -> list[Observations]:
    """A write, and the cache is emptied before each read after it: what is old then is not the cache's."""
    order = ids("read-with-cache-emptied")

    def one() -> Trial:
        key = bench.take()
        warm = bench.warm(key)
        written = bench.write(key)
        if not written.accepted or bench.cache is None:
            return Trial(None)
        readings = polled(bench, key, written, before=bench.cache.empty)
        trial = freshness_of(bench, written, warm, readings)
        outcome = {"within-bound": "fresh", "flapping": "first-read-stale"}.get(trial.outcome or "", trial.outcome)
        return Trial(outcome, trial.rows, trial.facts)

    return [observed("read-with-cache-emptied", bench.each(trials, one), order)]


def unrelated_write(bench: Bench, trials: int) -> list[Observations]:
    """Three warm keys: are they loaded again after a pause, and after a write of another key? One of them alone may
    share a group with the written one; all of them is more than the write changed. Those that are loaded again after
    the pause alone tell nothing of the write."""
    made = []
    for _ in range(trials):
        others = [bench.take() for _ in range(3)]
        for other in others:
            bench.warm(other)
        time.sleep(AFTERWARDS_S)
        before = [_loads(bench, other) for other in others]
        written = bench.write(bench.take())
        if not written.accepted:
            continue
        time.sleep(AFTERWARDS_S)
        after = [_loads(bench, other) for other in others]
        unasked, loads = ([loaded for loaded, _ in reads] for reads in (before, after))
        if None in loads or None in unasked:
            continue
        outcome = "misses-anyway" if any(unasked) else "miss" if all(loads) else "still-hit"
        rows = [*(reading.row for _, reading in before), written.row, *(reading.row for _, reading in after)]
        made.append(Trial(outcome, rows, {"loaded_again": sum(map(bool, loads))}))
    return [observed("unrelated-write", made, ids("unrelated-write"))]


def _loads(bench: Bench, key: Key) -> tuple[bool | None, Reading]:
    """Whether a read loads: by what its answer tells, else by whether it stores what it looked up."""
    if bench.cache is None:
        reading = bench.read(key)
        return bench.loaded(reading), reading
    touched, reading = bench.traced_read(key)
    loaded = bench.loaded(reading)
    if loaded is None and touched.read:
        loaded = bool(set(touched.read) & set(touched.stored))
    return loaded, reading


def write_then_each_worker(bench: Bench, trials: int) -> list[Observations]:
    """Once the bound is over, many new connections at once: do all processes answer alike?"""

    def one() -> Trial:
        key = bench.take()
        for _ in range(2):
            bench.each(_SPREAD, lambda: Trial("alike", [bench.read(key, fresh=True).row]), at_once=_SPREAD // 2)
        written = bench.write(key)
        if not written.accepted:
            return Trial(None)
        wait_until(settled_at(bench, written))
        readings: list[Reading] = []
        bench.each(2 * _SPREAD, lambda: _into(readings, bench.read(key, fresh=True)), at_once=_SPREAD // 2)
        shown = [(one, one.version) for one in readings if one.version is not None]
        old = [one for one, version in shown if version < written.version]
        new = [one for one, version in shown if version >= written.version]
        if not shown or not new:
            return Trial(None)
        facts = {"old_answers": len(old), "new_answers": len(new), "old_from": old[0].worker if old else None}
        rows = [written.row, *(one.row for one in (*old[:2], *new[:2]))]
        return Trial("workers-differ" if old else "alike", rows, facts)

    return [observed("write-then-each-worker", [one() for _ in range(trials)], ids("write-then-each-worker"))]


def _into(readings: list[Reading], reading: Reading) -> Trial:
    readings.append(reading)
    return Trial(None)


def write_then_each_variant(bench: Bench, trials: int) -> list[Observations]:
    """Once the bound is over: does each variant show what was written?"""
    probe = bench.case.freshness
    sent = variants_of(probe, bench.case.workload.routes) if probe is not None else ()
    variants = sent if len(sent) > 1 else ()
    others = [
        route for route in bench.routes.diagnosable if route is not bench.route and _same_thing(route, bench.route)
    ]
    if not variants and not others:
        return [lacking("write-then-each-variant", "variants")]
    made = []
    for _ in range(trials):
        key = bench.take()
        asks: list[Callable[[], Reading]] = [
            *(
                lambda route=route, key=key: bench.read(key, route)
                for route in [replace(bench.route, headers=variant.headers) for variant in variants] or [bench.route]
            ),
            *(lambda route=route, key=key: bench.read(key, route) for route in others),
        ]
        for ask in (*asks, *asks):
            ask()
        written = bench.write(key)
        if not written.accepted:
            continue
        wait_until(settled_at(bench, written))
        readings = [ask() for ask in asks]
        old = [one for one in readings if one.version is not None and one.version < written.version]
        outcome = "some-variants-stale" if 0 < len(old) < len(readings) else "alike"
        made.append(Trial(outcome, [written.row, *(one.row for one in old[:2] or readings[:1])]))
    return [observed("write-then-each-variant", made, ids("write-then-each-variant"))]


def _same_thing(one: DiagnosedRead, other: DiagnosedRead) -> bool:
    """Whether two routes differ in their query alone."""
    return one.template.partition("?")[0] == other.template.partition("?")[0]

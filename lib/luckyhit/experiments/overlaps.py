"""Reads in flight while something is written; and the same with the store, or the delete, delayed from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from luckyhit.experiments.after_writes import settled_at
from luckyhit.experiments.means.bench import Bench, Trial, Written, lacking, observed, wait_until
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.command_relay import Command
from luckyhit.experiments.means.routes import Key
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import with_delay

_AT_ONCE = 2
_UNREACHED = 1
_WAITS_S = 0.6
"""So long what overtakes may take, before what is held goes on."""
_WINDOW_MS = 6.5
"""Any cache that is filled unconditionally has an instant between a load and its store, of the few milliseconds that a
load takes: a reader who is aimed at it meets it, and hardly any other one. From so much on it is a fault."""
_FEWEST_OLD = 3
_CAUGHT_UP_S = 1.6
"""Within so long a replica has what was committed."""
_CONFIRMED_BY = 3
_REACHES_WITHIN_S = 1.5
"""So long after its request a command that an experiment waits for should have come."""
_READS = frozenset(
    b"GET GETEX MGET HGET HMGET HGETALL EXISTS GETRANGE STRLEN JSON.GET LRANGE SMEMBERS ZRANGE TTL PTTL".split()
)
_STORES = frozenset(
    b"SET SETEX PSETEX GETSET MSET HSET HMSET APPEND JSON.SET RPUSH LPUSH SADD ZADD HSETEX SETRANGE".split()
)
_SCRIPTS = frozenset(b"EVAL EVALSHA FCALL".split())
_DELETES = frozenset(
    b"DEL UNLINK HDEL EXPIRE PEXPIRE EXPIREAT PEXPIREAT FLUSHDB FLUSHALL INCR INCRBY SPOP SREM".split()
)


def overlapping_reads(bench: Bench, trials: int) -> list[Observations]:
    """A cold read begins at a random instant between one load before the write and its end, and readers go on until it
    is acknowledged. Once the bound is over: is the key old?"""
    writes = [bench.write(bench.take()).ms for _ in range(3)]
    write_s, load_s = sorted(writes)[1] / 1000, bench.costs.load_ms / 1000

    def one() -> Trial:
        key = bench.take()
        offset_s = bench.random.uniform(-load_s, write_s * 0.95)
        acknowledged = threading.Event()
        readings: list[Reading] = []

        def reading() -> None:
            time.sleep(max(0.0, offset_s))
            while True:
                readings.append(bench.read(key, fresh=True))
                if acknowledged.is_set():
                    return

        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(reading)
            time.sleep(max(0.0, -offset_s))
            written = bench.write(key)
            acknowledged.set()
            reader.result()
        trial = _old_afterwards(bench, key, written, readings, "fresh", "stale-after-overlap")
        return replace(trial, facts={**trial.facts, "begun_ms": _begun_ms(written, readings[0])})

    made = bench.each(trials, one, at_once=_AT_ONCE)
    decided = [trial for trial in made if trial.outcome is not None]
    begun_ms = [float(trial.facts["begun_ms"]) for trial in decided if trial.outcome == "stale-after-overlap"]
    span_ms = (load_s + write_s * 0.95) * 1000
    window_ms = _window_ms(begun_ms, len(decided), span_ms)
    if begun_ms and window_ms < _WINDOW_MS:
        made = [Trial("raced", one.rows, one.facts) if one.outcome == "stale-after-overlap" else one for one in made]
    facts = {"write_ms": round(write_s * 1000, 1), "window_ms": round(window_ms, 1)}
    return [observed("overlapping-reads", made, ids("overlapping-reads"), **facts)]


def _begun_ms(written: Written, first: Reading) -> float:
    """When the first read was sent, counted from when the write was."""
    return round((first.sent_s - written.acked_s) * 1000 + written.ms, 2)


def _window_ms(begun_ms: Sequence[float], trials: int, span_ms: float) -> float:
    """How long a read may begin and be old afterwards: by when those began that were, as the range of a sample of a
    uniform distribution tells its length. 0 where they are too few, or fewer than such a window explains."""
    old = len(begun_ms)
    if old < _FEWEST_OLD or old / trials * span_ms < _WINDOW_MS / 2:
        return 0.0
    return (max(begun_ms) - min(begun_ms)) * (old + 1) / (old - 1)


def _old_afterwards(bench: Bench, key: Key, written: Written, readings: list[Reading], fresh: str, old: str) -> Trial:
    wait_until(settled_at(bench, written))
    after = [bench.read(key), bench.read(key)]
    if not written.accepted or after[-1].version is None:
        return Trial(None)
    during = next((one for one in readings if one.version is not None and one.version < written.version), None)
    rows = [one.row for one in (during, *after) if one is not None]
    facts = {"written": written.version, "read_afterwards": after[-1].version, "status_said": after[-1].cache}
    return Trial(old if after[-1].version < written.version else fresh, [written.row, *rows], facts)


def delay_the_store(bench: Bench, trials: int) -> list[Observations]:
    """The store of a load is held in front of the cache until a write is acknowledged."""
    return [_delayed(bench, "delay-the-store", trials, _store_held)]


def delay_the_delete_reply(bench: Bench, trials: int) -> list[Observations]:
    """The write's first change of the cache goes through, its answer is held; meanwhile a reader loads and stores."""
    observations = _delayed(bench, "delay-the-delete-reply", trials, _reply_held)
    if "stale-with-delay" not in observations.trials:
        return [observations]
    # As long as the transaction is held open, a load reads the old row. A replica has caught up meanwhile.
    later = _delayed(bench, "delay-the-delete-reply", _CONFIRMED_BY, _reply_held_longer)
    return [observations if "stale-with-delay" in later.trials else lacking("delay-the-delete-reply", "database-relay")]


def _delayed(
    bench: Bench, experiment: str, trials: int, delayed: Callable[[Bench, Key], tuple[Written, list[Reading], bool]]
) -> Observations:
    if bench.relay is None:
        return lacking(experiment, "cache-relay")
    plain = [bench.take() for _ in range(trials)]
    for key in plain:
        bench.warm(key)
    before = {key: bench.write(key) for key in plain}
    without = [_old_afterwards(bench, key, written, [], "no", "yes") for key, written in before.items()]
    made = [Trial("stale-as-before", one.rows, one.facts) for one in without if one.outcome == "yes"]
    if made:
        never = [Trial("never-stale", one.rows, one.facts) for one in without if one.outcome == "no"]
        return observed(experiment, [*made, *never], ids(experiment))
    writes: dict[Key, tuple[Written, list[Reading]]] = {}
    for number in range(trials):
        key = bench.take()
        written, readings, reached = delayed(bench, key)
        if reached:
            writes[key] = written, readings
        elif number >= _UNREACHED and not writes:  # no such command: there is nothing to delay
            return lacking(experiment, "cache-relay")
    for key, (written, readings) in writes.items():
        after = _old_afterwards(bench, key, written, readings, "no", "yes")
        if after.outcome is not None:
            made.append(Trial(with_delay(False, after.outcome == "yes"), after.rows, after.facts))
    return observed(experiment, made, ids(experiment))


def _store_held(bench: Bench, key: Key) -> tuple[Written, list[Reading], bool]:
    assert bench.relay is not None
    looked_up: set[bytes] = set()

    def stores(command: Command) -> bool:
        """A store of a key that was looked up before; a claim (NX) of a lock is none."""
        name, words = command[0], [word.upper() for word in command[2:]]
        if name in _READS:
            looked_up.update(command[1:])
        if name in _SCRIPTS:
            return bool(looked_up & set(command[3:]))
        return name in _STORES and b"NX" not in words and len(command) > 1 and command[1] in looked_up

    hold = bench.relay.hold(stores)
    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(bench.read, key, fresh=True)
        reached = hold.reached.wait(_REACHES_WITHIN_S)
        writer = pool.submit(bench.write, key)
        wait([writer], _WAITS_S)  # one that waits for the reader's lock gets it once the store is over
        hold.release()
        return writer.result(), [reader.result()], reached


def _reply_held_longer(bench: Bench, key: Key) -> tuple[Written, list[Reading], bool]:
    """The reader comes only once a replica that is behind would have caught up."""
    return _reply_held(bench, key, min(_CAUGHT_UP_S, max(_CAUGHT_UP_S / 2, bench.late_s)))


def _reply_held(bench: Bench, key: Key, read_after_s: float = 0.0) -> tuple[Written, list[Reading], bool]:
    assert bench.relay is not None
    bench.warm(key)

    def changes(command: Command) -> bool:
        return command[0] in _DELETES | _STORES | _SCRIPTS

    hold = bench.relay.hold(changes, reply=True)
    with ThreadPoolExecutor(2) as pool:
        writer = pool.submit(bench.write, key)
        reached = hold.reached.wait(_REACHES_WITHIN_S)
        time.sleep(read_after_s)
        reader = pool.submit(bench.read, key, fresh=True)
        wait([reader], _WAITS_S)
        hold.release()
        return writer.result(), [reader.result()], reached

"""From what was seen in one trial to its outcome id: exact rules, without chance. `outcome` counts them.

Each returns None where the trial can't tell: it is not counted then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

SLOWER = 1.3
"""A time that is so many times as long is longer; less is taken for noise of one request."""
HARM = 3.0
HARM_MS = 100.0
"""A burst does harm from so many times the duration of a single load on, and where readers notice the difference: a
dozen cheap loads wait for each other in any process."""
WASTED_MS = 1000.0
"""Or from so much work on that is done twice: a dear load done ten times costs the database, if not these readers."""
NEAR_HARM = 0.6
"""From so much of the harm on, a burst is not called harmless."""
MANY_KEYS = 20
"""A write that deletes so many keys removes far more than it changes."""
_TTL_SLACK = 0.15
"""Relative: how far an entry may outlive its time to live, for rounding to seconds and jitter."""
_TTL_SLACK_S = 1.5


@dataclass(frozen=True)
class ReadAfterWrite:
    """One read of what was written. `sent_s`: after the acknowledgement; `version`: None where it could not be read."""

    sent_s: float
    version: int | None
    connection: int = 0


def after_write(
    reads: Sequence[ReadAfterWrite], written: int, bound_s: float = 0.0, ttl_s: float | None = None
) -> str | None:
    """Of `write-then-read`. `bound_s`: declared staleness; `ttl_s`: an old value that goes as late as the entry expires
    was stale for all of it."""
    # Of two reads sent at the same instant the older one counts as the earlier: that is no flapping.
    readable = sorted((read.sent_s, read.version) for read in reads if read.version is not None)
    if not readable:
        return None
    stale = [version < written for _, version in readable]
    if not any(stale):
        return "fresh"
    first_fresh = stale.index(False) if False in stale else len(stale)
    last_stale = max(index for index, old in enumerate(stale) if old)
    if 0 < bound_s >= readable[last_stale][0] and last_stale < len(stale) - 1:
        return "within-bound"
    if first_fresh < last_stale:
        return "flapping"
    if first_fresh == len(stale):
        # Still old at the end of what was watched: the declared bound has to be over to blame it.
        return "stays-stale" if readable[-1][0] > bound_s else None
    late = ttl_s is not None and readable[first_fresh][0] >= ttl_s * (1 - _TTL_SLACK)
    return "stays-stale" if late else "first-read-stale"


def repeated(loaded: Sequence[bool]) -> str | None:
    """Of `repeat-request`: whether each request after the first one was loaded."""
    if not loaded:
        return None
    return "always-miss" if all(loaded) else "some-misses" if any(loaded) else "hit"


def stored_keys(stored: Sequence[Collection[str]]) -> str | None:
    """Of `keys-of-a-repeat`: the keys that each request stored, the first one's included."""
    if len(stored) < 2:
        return None
    later = [frozenset(keys) for keys in stored[1:] if keys]
    if not later:
        return "one-key" if stored[0] else "nothing-stored"
    if len(later) < len(stored) - 1:
        return "stored-again"
    return "new-key-each-time" if _all_differ([frozenset(stored[0]), *later]) else "stored-again"


def _all_differ(stored: Sequence[frozenset[str]]) -> bool:
    """Whether each request stored a key that no other one did."""
    return all(
        keys - frozenset().union(*(other for at, other in enumerate(stored) if at != index))
        for index, keys in enumerate(stored)
    )


def touched_keys(read: Collection[str], touched: Collection[str], *, flushed: bool = False) -> str | None:
    """Of `keys-read-and-deleted`: keys that the read used, and that the write deleted, replaced or let expire."""
    if flushed or len(touched) >= MANY_KEYS:
        return "many-keys"
    if not read:
        return None
    if not touched:
        return "nothing-touched"
    return "same-key" if set(touched) & set(read) else "other-key"


def burst(requests: int, loads: int, processes: int, slowest_ms: float, load_ms: float) -> str | None:
    """Of the bursts. `slowest_ms`: of the burst; `load_ms`: of a single load alone."""
    if requests < 2 or loads < 1 or load_ms <= 0:
        return None
    if loads == 1:
        return "one-load"
    if loads <= processes:
        return "one-per-worker"
    if loads * 2 <= requests:
        return "many-without-harm"

    def slow(part: float) -> bool:
        return slowest_ms >= part * HARM * load_ms and slowest_ms - load_ms >= part * HARM_MS

    if slow(1.0) or (loads - 1) * load_ms >= WASTED_MS:
        return "many-loads"
    # Near the border neither is shown.
    return None if slow(NEAR_HARM) else "many-without-harm"


def lifetime(left_s: float | None, declared_s: float, *, exists: bool = True) -> str:
    """Of `entry-lifetime`: the time that a new entry has left, None where it has no end."""
    if not exists:
        return "gone-at-once"
    if left_s is None:
        return "no-ttl"
    slack_s = max(_TTL_SLACK_S, declared_s * _TTL_SLACK)
    if left_s > declared_s + slack_s:
        return "longer"
    return "shorter" if left_s < declared_s - slack_s else "as-declared"


def stale_window(stale_until_s: float | None, watched_s: float, ttl_s: float, bound_s: float = 0.0) -> str | None:
    """Of `wait-out-the-ttl`: when the last old value was read after the acknowledgement, None for none, and until when
    reads were watched."""
    slack_s = max(_TTL_SLACK_S, ttl_s * _TTL_SLACK)
    if stale_until_s is None:
        return "not-stale"
    if stale_until_s > ttl_s + slack_s:
        return "outlives-ttl"
    if watched_s <= max(ttl_s + slack_s, stale_until_s):
        return None
    return "within-bound" if stale_until_s <= bound_s else "ends-at-ttl"


def with_delay(stale_without: bool, stale_with: bool) -> str:
    """Of the delays: whether reads were stale without the delay, and with it."""
    if stale_without:
        return "stale-as-before"
    return "stale-with-delay" if stale_with else "never-stale"


def growth(early_ms: float, late_ms: float) -> str | None:
    """Of `many-new-urls`: a miss before, and one after the new URLs."""
    if early_ms <= 0 or late_ms <= 0:
        return None
    return "grows" if late_ms >= SLOWER * early_ms else "flat"


def indicator(says_hit: bool | None, loads: int | None, *, body_is_new: bool = False) -> str | None:
    """Of `header-against-body`: what the status says, the database calls, and whether the body is newer than any
    answer before it."""
    if says_hit is None or (loads is None and not body_is_new):
        return None
    if says_hit:
        return "contradicts" if body_is_new or (loads or 0) > 0 else "agrees"
    return "contradicts" if loads == 0 and not body_is_new else "agrees"

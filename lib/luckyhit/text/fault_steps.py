"""Each fault class as a sequence of steps between a few parties, from which its diagram is drawn."""

from __future__ import annotations

from typing import NamedTuple


class FaultStep(NamedTuple):
    """A message from `sender` to `receiver`; something that one party does where both are the same."""

    sender: str
    receiver: str
    label: str


def _steps(*lines: str) -> tuple[FaultStep, ...]:
    """Each `sender > receiver: label`, or `party: label`."""
    steps = []
    for line in lines:
        parties, label = line.split(": ", 1)
        sender, _, receiver = parties.partition(" > ")
        steps.append(FaultStep(sender, receiver or sender, label))
    return tuple(steps)


FAULT_STEPS: dict[str, tuple[FaultStep, ...]] = {
    "missing-invalidation": _steps(
        "writer > service: PUT v2",
        "service > database: commit v2",
        "reader > service: GET",
        "service > cache: get k",
        "cache > service: v1",
        "service > reader: v1, until k expires",
    ),
    "key-mismatch": _steps(
        "writer > service: PUT v2",
        "service > database: commit v2",
        "service > cache: del item:1",
        "reader > service: GET",
        "service > cache: get v1:item:1",
        "cache > service: v1",
        "service > reader: v1, until it expires",
    ),
    "invalidate-before-commit": _steps(
        "writer > service: PUT v2",
        "service > cache: del k",
        "reader > service: GET, a miss",
        "database > service: v1",
        "service > cache: set k v1",
        "service > database: commit v2",
        "service > reader: v1, until k expires",
    ),
    "stale-set-race": _steps(
        "reader > service: GET, a miss",
        "database > service: v1, slowly",
        "writer > service: PUT v2",
        "service > database: commit v2",
        "service > cache: del k",
        "service > cache: set k v1",
        "service > reader: v1, until k expires",
    ),
    "ttl-wrong": _steps(
        "service > cache: set k v1, 60 s",
        "reader > service: GET of k, or of a sibling",
        "service > cache: get, and 60 s anew",
        "service > reader: v1, again and again",
    ),
    "stampede": _steps(
        "cache: k expires",
        "reader > service: GET k",
        "reader > service: GET k",
        "reader > service: GET k",
        "service > database: load k",
        "service > database: load k",
        "service > database: load k",
    ),
    "ttl-shorter-than-load": _steps(
        "reader > service: GET, a miss",
        "service > database: load, 3 s",
        "service > cache: set k, 2 s from the start",
        "cache: k is expired already",
        "reader > service: GET, a miss again",
    ),
    "over-invalidation": _steps(
        "writer > service: PUT x",
        "service > cache: flush",
        "reader > service: GET y",
        "service > cache: get y, a miss",
        "service > database: load y",
    ),
    "uncacheable-key": _steps(
        "reader > service: GET",
        "service > cache: get k:0x7f01, a miss",
        "service > cache: set k:0x7f01",
        "reader > service: the same GET",
        "service > cache: get k:0x7f9c, a miss",
        "service > cache: set k:0x7f9c",
    ),
    "underspecified-key": _steps(
        "reader > service: GET page 1",
        "service > cache: set list, page 1",
        "reader > service: GET page 2",
        "cache > service: list, page 1",
        "service > reader: page 1",
    ),
    "cached-error": _steps(
        "reader > service: GET",
        "database > service: an error, or nothing",
        "service > cache: set k, the error",
        "database: right again",
        "reader > service: GET",
        "cache > service: the error",
    ),
    "per-process-cache": _steps(
        "writer > worker 1: PUT v2",
        "worker 1 > database: commit v2",
        "worker 1: drops its copy",
        "reader > worker 1: GET: v2",
        "reader > worker 2: GET: v1, its own copy",
    ),
    "outer-layer": _steps(
        "writer > service: PUT v2",
        "service > cache: del k",
        "reader > front: GET",
        "front > reader: v1, or 304",
        "reader > service: GET round the front: v2",
    ),
    "restamped-stale": _steps(
        "cache: k is due",
        "service > front: refresh",
        "front > service: v1, from its cache",
        "service > cache: set k v1, new date",
        "service > reader: v1, age 0",
    ),
    "eviction": _steps(
        "service > cache: set new",
        "cache: full, removes k",
        "reader > service: GET k",
        "service > cache: get k, a miss",
        "service > database: load k",
    ),
    "foreign-cleaner": _steps(
        "another job > cache: delete, or flush",
        "reader > service: GET k",
        "service > cache: get k, a miss",
        "service > database: load k",
    ),
    "replica-lag": _steps(
        "writer > service: PUT v2",
        "service > database: commit v2",
        "service > cache: del k",
        "reader > service: GET, a miss",
        "replica > service: v1",
        "service > cache: set k v1",
        "database > replica: v2, too late",
    ),
    "ack-before-commit": _steps(
        "writer > service: PUT v2",
        "service > writer: 200",
        "reader > service: GET",
        "database > service: v1",
        "service > reader: v1",
        "service > database: commit v2",
    ),
    "deploy-mismatch": _steps(
        "old build > cache: set k, old shape",
        "new build: starts",
        "reader > new build: GET k",
        "cache > new build: old shape",
        "new build > reader: 500, or an odd answer",
    ),
    "lost-signal": _steps(
        "writer > worker 1: PUT v2",
        "worker 1 > channel: drop k",
        "channel: not delivered",
        "reader > worker 2: GET",
        "worker 2 > reader: v1, ever after",
    ),
    "lying-indicator": _steps(
        "reader > service: GET",
        "service > cache: get k, a miss",
        "service > database: load k",
        "service > reader: X-Cache: HIT",
    ),
    "replayed-headers": _steps(
        "reader A > service: GET",
        "service > cache: set k, with Set-Cookie of A",
        "reader B > service: GET",
        "service > reader B: Set-Cookie of A",
    ),
    "bookkeeping-growth": _steps(
        "reader > service: GET of a new URL",
        "cache > service: the list of all keys",
        "service > cache: set the list, one longer",
        "service > reader: later each time",
    ),
    "clock-content": _steps(
        "service > cache: set k, today's answer",
        "service: midnight, nobody writes",
        "reader > service: GET",
        "cache > service: yesterday's answer",
        "service > reader: yesterday's answer",
    ),
    "invalidation-breaks-write": _steps(
        "writer > service: PUT v2",
        "service > database: commit v2",
        "service > cache: del k",
        "cache: doesn't answer",
        "service > writer: 500, or k stays old",
    ),
    "none": _steps(
        "writer > service: PUT v2",
        "service > database: commit v2",
        "service > cache: del k",
        "service > writer: 200",
        "reader > service: GET, a miss",
        "database > service: v2",
        "service > cache: set k v2",
        "service > reader: v2",
    ),
    "outside": (),
}
"""By id of the class; v1 is the old value, v2 the new one, k the entry's key."""

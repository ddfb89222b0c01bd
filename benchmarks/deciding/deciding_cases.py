"""The 40 cases: a fault class, what the service does before and after the change, and which verdict is right.

The case is the template of the build that is tried (`luckyhit new`), with its goals and its plan. What the change is
about has to get better, all else may not get worse. `truth` holds by construction, and `truth.py` counts it out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from simulated_block import Noise
from simulated_service import Behaviour

from luckyhit.case import Case
from luckyhit.case.docs.template import new_case
from luckyhit.case.load import load_case
from luckyhit.records import METRICS

Truth = Literal["HELPED", "HURT", "EQUIVALENT"]
QUIET, USUAL, ROUGH = Noise(0.05, 0.8, 1, 15), Noise(), Noise(0.3, 0.95, 20, 60)


@dataclass(frozen=True)
class Scenario:
    """`about`: the metric that the change is about, with its margin (None: the template's). `others`: margins of goals
    that may not get worse, beside the template's; of `hit_ratio` too, where the change is about another one. `hidden`:
    goals that nobody would set here. `routes`: how many read routes there are; `tells`: whether the workload tells
    versions."""

    name: str
    fault: str
    truth: Truth
    before: Behaviour
    after: Behaviour
    about: str = "hit_ratio"
    margin: str | None = None
    others: dict[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    rate: float = 100.0
    keys: int = 500
    exponent: float = 1.0
    writes: float = 1.0
    routes: int = 1
    tells: bool = False
    noise: Noise = USUAL

    def case(self, seed: int) -> Case:
        """The template of this build, with the scenario in it."""
        data = template().model_dump(mode="json", by_alias=True, exclude_unset=True)
        load = data["workload"]
        load |= {"seed": seed, "rate": f"{self.rate:g}/s"}
        read, write = load["routes"]
        for route in (read, write):
            route["keys"]["last"] = self.keys
        read["keys"]["exponent"] = self.exponent
        write["weight"] = self.writes
        if self.tells:
            read["version"], write["version"] = "$.price", "{number}"
        reads = [read]
        if self.routes == 2:
            read["weight"] = read["weight"] / 2
            reads.append({**read, "name": "history", "path": "/items/{key}/history"})
        load["routes"] = [*reads, write]
        data["goals"] = self.goals(data["goals"])
        return Case.model_validate(data)

    def goals(self, usual: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        about = self.about if self.about in METRICS else "error_rate"
        goals = {name: {**goal, "want": "no-worse"} for name, goal in usual.items() if name not in self.hidden}
        if about != "hit_ratio" and "hit_ratio" in goals:
            goals["hit_ratio"]["margin"] = "5 %"
        for name, margin in self.others.items():
            goals[name] = {**goals.get(name, {}), "want": "no-worse", "margin": margin}
        wanted = {**goals.get(about, {}), "want": "better"}
        if self.margin is not None:
            wanted["margin"] = self.margin
        return {**goals, about: wanted}


def template() -> Case:
    """The case of `luckyhit new`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yml"
        path.write_text(new_case("bench"), encoding="utf-8")
        return load_case(path)


SOUND = Behaviour()
FAST = Behaviour(hit_ms=1.0, load_ms=6.0, write_ms=3.0, sigma=0.15)
SLOW = Behaviour(hit_ms=3.0, load_ms=55.0, write_ms=10.0, sigma=0.4)


def _mended(name: str, fault: str, sound: Behaviour, knobs: dict[str, Any], **more: Any) -> Scenario:
    return Scenario(name, fault, "HELPED", replace(sound, **knobs), sound, **more)


def _broken(name: str, fault: str, sound: Behaviour, knobs: dict[str, Any], **more: Any) -> Scenario:
    return Scenario(name, fault, "HURT", sound, replace(sound, **knobs), **more)


def _same(name: str, fault: str, before: Behaviour, after: Behaviour | None = None, **more: Any) -> Scenario:
    return Scenario(name, fault, "EQUIVALENT", before, before if after is None else after, **more)


def scenarios() -> Iterator[Scenario]:
    """In the order of their fault classes; then those in which nothing is wrong."""
    stale: dict[str, Any] = {"about": "stale_reads", "others": {"hit_ratio": "10 %"}}
    never = {"invalidates": "never"}
    yield _mended("no invalidation, one is added", "missing-invalidation", SOUND, never, **stale)
    yield _mended("the same, slow and rough", "missing-invalidation", SLOW, never, **stale, rate=60, noise=ROUGH)
    yield _broken("the invalidation is lost", "missing-invalidation", FAST, never, rate=200)
    yield _mended("3 keys in 10 are deleted wrongly", "key-mismatch", SOUND, {"missed": 0.3}, **stale)
    yield _mended("1 key in 7 is deleted wrongly", "key-mismatch", FAST, {"missed": 0.14}, **stale, rate=150)
    yield _broken("a new key scheme misses 1 in 5", "key-mismatch", SOUND, {"missed": 0.2}, rate=80)
    early = {"invalidates": "before-commit", "guarded": False, "commit_ms": 60.0}
    race = {**stale, "margin": "2 %"}
    slowly = replace(SOUND, commit_ms=60.0)
    yield _mended("deleted before the commit", "invalidate-before-commit", slowly, early, **race)
    yield _mended("a slow load stores an old row", "stale-set-race", replace(SOUND, load_ms=60.0), {"guarded": False},
                  **race)  # fmt: skip
    yield _same("a lock is added where nobody waits", "stampede", replace(FAST, single_flight=False), FAST, rate=150)
    yield _mended("entries live 0.4 s, now 60 s", "ttl-wrong", SOUND, {"ttl_s": 0.4})
    yield _mended("entries live 1.5 s, now 60 s", "ttl-wrong", SLOW, {"ttl_s": 1.5}, rate=50, keys=60, noise=ROUGH)
    kept = replace(SOUND, invalidates="never", ttl_s=0.1)
    yield Scenario("nothing is invalidated, and now lives long", "ttl-wrong", "HURT", kept, replace(kept, ttl_s=60.0))
    many = replace(SLOW, ttl_s=0.25, hit_ms=2.0)
    alone = {"single_flight": False, "contention": 0.04}
    calls: dict[str, Any] = {"about": "db_calls", "margin": "10 %"}
    yield _mended("many load one key", "stampede", many, alone, **calls, keys=20, rate=200)
    yield _broken("the lock is taken out", "stampede", many, alone, about="latency_p95_ms", keys=20, rate=150)
    yield _mended("dead before it is stored", "ttl-shorter-than-load", SOUND, {"ttl_s": 0.02}, rate=60)
    yield _mended("a write flushes all", "over-invalidation", SOUND, {"flushes": True})
    yield _broken("a flush is added", "over-invalidation", FAST, {"flushes": True}, about="stale_reads", rate=120)
    yield _mended("every key is new", "uncacheable-key", SOUND, {"unique": 1.0}, rate=40)
    yield _mended("1 key in 6 is new", "uncacheable-key", FAST, {"unique": 0.17}, keys=100, rate=200, noise=ROUGH)
    wrong: dict[str, Any] = {"about": "wrong_answers", "margin": "2 %", "routes": 2, "others": {"hit_ratio": "20 %"}}
    wrong["others"]["latency_p95_ms"] = "20 %"
    yield _mended("the key leaves the route out", "underspecified-key", SOUND, {"confuses": True}, **wrong, keys=100)
    yield _broken("a shorter key confuses two pages", "underspecified-key", SOUND, {"confuses": True}, margin="2 %",
                  routes=2, others={"error_rate": "2 %"}, rate=60)  # fmt: skip
    failing = replace(SOUND, load_errors=0.1)
    yield _mended("errors are kept", "cached-error", failing, {"errors_live_s": 20.0}, about="error_rate", margin="2 %",
                  rate=150)  # fmt: skip
    yield _broken("errors are kept now", "cached-error", replace(failing, load_errors=0.12), {"errors_live_s": 30.0},
                  others={"error_rate": "2 %"}, rate=120)  # fmt: skip
    yield _mended("4 processes, each with its own", "per-process-cache", SOUND, {"copies": 4},
                  **{**stale, "others": {"hit_ratio": "5 %"}})  # fmt: skip
    yield _broken("the cache moves into 3 processes", "per-process-cache", FAST, {"copies": 3}, about="latency_p95_ms",
                  rate=100)  # fmt: skip
    yield _mended("304 for too long", "outer-layer", SOUND, {"validator_s": 30.0}, **stale)
    yield _broken("a cache in front keeps it 2 s", "outer-layer", SLOW, {"outer_s": 2.0}, rate=60)
    yield _mended("room for 40 entries", "eviction", SOUND, {"capacity": 40}, rate=120)
    yield _same("room for 190 of 200 entries", "eviction", FAST, replace(FAST, capacity=190), rate=200, keys=200)
    yield _mended("all is deleted each 2 s", "foreign-cleaner", SOUND, {"cleaned_every_s": 2.0}, keys=100)
    yield _mended("a replica 600 ms behind", "replica-lag", SOUND, {"lag_ms": 600.0}, **stale)
    yield _mended("acknowledged 500 ms too early", "ack-before-commit", SOUND, {"early_ms": 500.0}, **stale, rate=120)
    yield _mended("1 message in 6 is lost", "lost-signal", SOUND, {"lost": 0.17}, **stale, tells=True, rate=150)
    yield _mended("the header lies, keys are mended", "lying-indicator", replace(SOUND, status="hit"), {"unique": 0.9},
                  **calls, hidden=("hit_ratio",))  # fmt: skip
    yield _same("a header is added, no cache", "lying-indicator", replace(SOUND, unique=1.0),
                replace(SOUND, unique=1.0, status="hit"), **calls, hidden=("hit_ratio",))  # fmt: skip
    yield _mended("hits tell their fill's calls", "replayed-headers", replace(SOUND, replays=True), {"ttl_s": 0.5})
    yield _mended("an index of keys grows", "bookkeeping-growth", replace(SOUND, ttl_s=1.0), {"growth_ms": 0.05},
                  about="latency_p95_ms", margin="10 %")  # fmt: skip
    yield _same("nothing changed", "none", SOUND)
    yield _same("nothing changed, rough and slow", "none", SLOW, rate=50, noise=ROUGH)
    yield _same("loads cost 2 % more", "none", FAST, replace(FAST, load_ms=6.12), rate=200, noise=QUIET, tells=True)

"""A service with a cache, simulated request by request: what its answers say, and whether that is true.

The kinds that tell the truth are those that look like a lie: hits with a live query, hits that show a new body, writes
that say hit, hits that tell the calls of their fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from declared import a_case

from luckyhit.case import Case
from luckyhit.records import REQUESTS

RATE = 100


@dataclass
class Service:
    """`kind`: see `answer`. Lifetimes are in requests, `query_ms` is what each database call takes."""

    rng: np.random.Generator
    kind: str = "whole-answer"
    lifetime: int = 300
    calls: int = 2
    query_ms: float = 4.0
    counted: int = 0
    entries: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # key: since, body, calls of the fill
    parts: dict[int, int] = field(default_factory=dict)
    value: dict[int, int] = field(default_factory=dict)

    def body(self, key: int, now: int) -> int:
        """What an answer shows when it is made: the value, and on some services the instant."""
        return hash((key, self.value.get(key, 0), now if self.kind in ("live-query", "stamped") else 0)) >> 2

    def write(self, key: int, now: int) -> dict[str, Any]:
        self.value[key] = now + 1
        status, kept = "unknown", self.entries.get(key)
        if self.kind == "reads-through":
            status = "hit" if kept is not None and now - kept[0] < self.lifetime else "miss"
        if self.kind == "write-through":
            self.entries[key] = (now, self.body(key, now), self.calls)
        else:
            self.entries.pop(key, None)
        return self.row(status, 1, 1, self.body(key, now))

    def read(self, key: int, now: int) -> dict[str, Any]:
        kept = self.entries.get(key)
        if self.kind == "computed":  # what is cached is not what the database gives, which takes longest
            hit = kept is not None and now - kept[0] < self.lifetime
            if not hit:
                self.entries[key] = (now, self.body(key, now), self.calls)
            return self.row("hit" if hit else "miss", self.calls, self.calls, self.body(key, now), 0.0 if hit else 2.0)
        extra = 1 if self.kind == "live-query" else 0
        if self.kind == "two-entries" and now - self.parts.get(key, -self.lifetime) >= self.lifetime // 4:
            self.parts[key], extra = now, 1
        if kept is not None and now - kept[0] < self.lifetime:
            reported = kept[2] if self.kind == "replayed" else extra
            body = self.body(key, now) if self.kind == "live-query" else kept[1]
            return self.row("hit", reported, extra, body)
        if kept is not None and self.kind == "refreshed-behind":
            # The old answer, at once; who counts what runs in the background counts it here.
            self.entries[key] = (now, self.body(key, now), self.calls)
            return self.row("hit", self.calls, 0, kept[1])
        made = self.calls + extra
        self.entries[key] = (now, self.body(key, now), made)
        return self.row("miss", made, made, self.body(key, now))

    def row(self, status: str, reported: int, made: int, body: int, more_ms: float = 0.0) -> dict[str, Any]:
        if self.kind == "computed":
            more_ms *= self.query_ms * made / 4.0
        took = (1.0 + more_ms + self.query_ms * made) * np.exp(0.25 * self.rng.normal())
        return {"cache": status, "db_calls": reported, "body_hash": body, "took_ms": took}


TRUTHFUL = (
    "whole-answer", "stamped", "live-query", "refreshed-behind", "write-through", "reads-through", "two-entries",
    "replayed", "computed",
)  # fmt: skip


def serve(
    seed: int, arms: Mapping[str, Mapping[str, Any]], *, count: int = 1500, blocks: int = 2, keys: int = 60,
    writes: float = 0.05,
) -> pd.DataFrame:  # fmt: skip
    """The requests of some blocks, the same in each arm; caches are empty at the start of each. Knobs of an arm: those of
    `Service`, and `lie`: the status that it tells on `reads`, or on `all` answers, once it had its first hit."""
    rows: list[dict[str, Any]] = []
    for block in range(blocks):
        schedule = np.random.default_rng([seed, block])
        asked = np.minimum(schedule.zipf(1.3, count), keys)
        writing = schedule.random(count) < writes
        for number, (arm, knobs) in enumerate(arms.items()):
            lie = knobs.get("lie")
            service = Service(
                np.random.default_rng([seed, block, number]), **{k: v for k, v in knobs.items() if k != "lie"}
            )
            for slot in range(count):
                key = int(asked[slot])
                row = service.write(key, slot) if writing[slot] else service.read(key, slot)
                if lie == "all" or (lie == "reads" and not writing[slot]):
                    row["cache"] = "hit"
                due = int((block * count * 1.2 + slot) / RATE * 1e9)
                done = due + int((row.pop("took_ms") + 0.1) * 1e6)
                rows.append({
                    "arm": arm, "block": block, "slot": slot, "phase": "measure" if slot > count // 5 else "warmup",
                    "route": "update" if writing[slot] else "detail", "key": str(key), "due_ns": due,
                    "sent_ns": due + 50_000, "first_byte_ns": done - 10_000, "done_ns": done, "status": 200,
                    "error": None, **row,
                })  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=REQUESTS.names)


def writing_case(goals: Mapping[str, Mapping[str, Any]] | None = None, **more: Any) -> Case:
    """The case of such a service: it reads and writes the same things."""
    data = a_case(goals, freshness=False, **more).model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
    )
    read = data["workload"]["routes"][0]
    data["workload"]["routes"] = [read, {**read, "name": "update", "method": "PUT", "body": {"price": "{number}"}}]
    return Case.model_validate(data)

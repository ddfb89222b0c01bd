"""A bench whose service is a few lines in this process: for experiments on what a test wants to be exactly so."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from luckyhit.case.workload import Route
from luckyhit.experiments.means.bench import Bench, Costs, Written
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import Key
from luckyhit.experiments.means.traced import TouchedKeys

_ROUTE = Route.model_validate(
    {"name": "thing", "path": "/things/{key}", "keys": {"first": 1, "last": 9}, "response": {"fields": ["$.version"]}}
)


class Pretended(Bench):
    """Each thing has an entry `e:KEY` in the cache, which a load fills, a write deletes, and `lives_s` ends; the cache
    server knows of no end. Hits store what `beside` names. `writes_empty`: a write deletes all entries. `etag`: that of
    an answer; `etags_kept`: a validator is held against the last one that a plain answer stored, not against the
    thing."""

    def __init__(
        self,
        *,
        lives_s: float = 1e9,
        beside: tuple[str, ...] = (),
        writes_empty: bool = False,
        etags_kept: bool | None = None,
        env: Mapping[str, str] | None = None,
        bound_s: float = 0.0,
    ) -> None:
        self.lives_s, self.beside, self.writes_empty, self.etags_kept = lives_s, beside, writes_empty, etags_kept
        self.case = SimpleNamespace(  # type: ignore[assignment]
            freshness=None,
            target=SimpleNamespace(start=SimpleNamespace(env=dict(env or {}))),
            workload=SimpleNamespace(routes=[_ROUTE]),
            expected=SimpleNamespace(response=_ROUTE.response),
        )
        self.stack = SimpleNamespace(  # type: ignore[assignment]
            owned=True, settings=_Settings({}), restart=self._restart, service_pid=None, base_url="http://127.0.0.1:1"
        )
        self.cache = self  # type: ignore[assignment]
        self.routes = SimpleNamespace(write=object())  # type: ignore[assignment]
        self.relay, self.configured, self.costs = None, {}, Costs(calls=1, floor=0)
        self.random, self.spoils_hits = random.Random(7), False
        self.bound_s, self.late_s = bound_s, 0.02
        self.stored: dict[Key, tuple[float, int]] = {}
        self.versions: dict[Key, int] = {}
        self.etags: dict[Key, str] = {}
        self._keys_left, self._numbers, rows = itertools.count(1), itertools.count(100), itertools.count()
        self._rows = rows
        self.calls = SimpleNamespace(note=lambda *_: next(rows))  # type: ignore[assignment]
        self._in_place = threading.Lock()
        self.on_restart: Callable[[Mapping[str, str]], None] = lambda env: None

    def _restart(self, settings: Any) -> None:
        self.stack.settings = settings
        self.on_restart(settings.env)

    def take(self) -> Key:
        return next(self._keys_left)

    def empty(self) -> None:
        self.stored.clear()

    def is_empty(self) -> bool:
        return not self.stored

    def lifetimes_s(self, keys: tuple[str, ...]) -> dict[str, float | None]:
        return {name: None for name in keys if int(name.partition(":")[2]) in self.stored}

    def read(self, key: Key, route: object = None, *, fresh: bool = False, **options: Any) -> Reading:
        return self._answer(key, options.get("headers", {}))[0]

    def _answer(self, key: Key, headers: Mapping[str, str]) -> tuple[Reading, TouchedKeys]:
        with self._in_place:
            sent_s, name = time.monotonic(), f"e:{key}"
            if self.etags_kept and headers.get("If-None-Match", "none") == self.etags.get(key):
                return Reading(next(self._rows), sent_s, sent_s, 304), TouchedKeys()
            end_s, version = self.stored.get(key, (0.0, 0))
            hit = end_s > sent_s
            if not hit:
                version = self.versions.get(key, 1)
                self.stored[key] = (sent_s + self.lives_s, version)
            etag = self.etags[key] = f'"{key}-{version}"'
            touched = TouchedKeys((name,), (*(() if hit else (name,)), *self.beside))
            sent = {"etag": etag} if self.etags_kept is not None else {}
            if etag == headers.get("If-None-Match"):
                return Reading(next(self._rows), sent_s, sent_s, 304, headers=sent), touched
            shown = str(version) if hit and self.spoils_hits else version
            body = json.dumps({"version": shown}).encode()
            done_s, calls = time.monotonic(), int(not hit)
            return Reading(
                next(self._rows), sent_s, done_s, 200, version, db_calls=calls, headers=sent, body=body
            ), touched

    def write(self, key: Key, version: int | None = None) -> Written:
        with self._in_place:
            number = next(self._numbers)
            self.versions[key] = number
            if self.writes_empty:
                self.stored.clear()
            self.stored.pop(key, None)
            return Written(number, time.monotonic(), True, next(self._rows), 200, 1.0)

    def traced_read(self, key: Key, *, fresh: bool = False) -> tuple[TouchedKeys, Reading]:
        reading, touched = self._answer(key, {})
        return touched, reading

    def traced_write(self, key: Key) -> tuple[TouchedKeys, Written]:
        return TouchedKeys(deleted=(f"e:{key}",)), self.write(key)


@dataclass(frozen=True)
class _Settings:
    """Of a stack: only its variables."""

    env: Mapping[str, str]

"""A cache in memory, for tests: what `luckyhit.caches.base.AnyCache` promises, without a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.caches.base import Capability, CheckFindings, ServerFacts
from luckyhit.caches.clear_pace import ClearPace
from luckyhit.caches.scope import Listing, Progress, RemovalCounts, Scope
from luckyhit.case import Case
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.changes import SettingChange


@dataclass
class MemoryCache:
    """`values`: by key, its value and when it expires (ms, 0: never). `before_removal` is called between the look at a
    key and its removal."""

    values: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    owned: bool = False
    url: str = "memory://here"
    url_env: str | None = "SHOP_CACHE"
    kind: str = "memory"
    identity: str = "memory"
    can: frozenset[Capability] = frozenset({Capability.LIST_KEYS})
    settings: None = None
    events: None = None
    hits: int = 0
    before_removal: Callable[[bytes], None] = lambda key: None
    servers: int = 1

    @property
    def secrets(self) -> list[str]:
        return []

    @property
    def checks(self) -> MemoryCache:
        return self

    def check(self, *, within_s: float = 5.0) -> None:
        pass

    def answering_pid(self) -> int:
        return 0

    def stop(self) -> None:
        pass

    def explained(self, doing: str) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def keys(self) -> Iterator[MemoryCache]:
        yield self

    @contextmanager
    def sampler(self) -> Iterator[Callable[[], dict[str, float]]]:
        yield lambda: {"keyspace_hits": float(self.hits), "dbsize": float(len(self.values))}

    def facts(self, changing: str | None) -> list[ServerFacts]:
        return [ServerFacts({"cache.version": "memory 1"}, "1")]

    def version(self) -> dict[str, str]:
        return {"memory": "1"}

    def permissions(self, case: Case, findings: CheckFindings, *, changeable: bool) -> None:
        findings.note("Everything is allowed.")

    def scope(self, spec: CacheSpec, findings: CheckFindings) -> float:
        return 0.0

    def setting(self, change: SettingChange, findings: CheckFindings) -> None:
        findings.problem("there are no settings", "Change something else.")

    def batches(self) -> Iterator[list[bytes]]:
        yield list(self.values)

    def listing(self, scope: Scope, *, every: bool = False) -> Listing:
        return Listing([key for key in self.values if key in scope], len(self.values), alive=every)

    def dropped(self) -> int:
        return 0

    def lifetimes_ms(self, keys: Sequence[bytes]) -> list[int]:
        self.hits += len(keys)
        return [self._lifetime_ms(key) for key in keys]

    def clock_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def put_back(self, entries: list[BackupEntry]) -> int:
        present = [entry for entry in entries if entry.key in self.values]
        for entry in entries:
            self.values.setdefault(entry.key, (entry.payload, entry.expires_at_ms))
        return len(present)

    def remover(
        self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> MemoryRemover:
        return MemoryRemover(self, scope, writer, rebuildable)

    def _lifetime_ms(self, key: bytes) -> int:
        if key not in self.values:
            return -2
        expires_at_ms = self.values[key][1]
        return -1 if expires_at_ms == 0 else expires_at_ms - self.clock_ms()


class MemoryRemover:
    """Looks at each key, backs it up, and removes it where it is as it was looked at."""

    def __init__(self, cache: MemoryCache, scope: Scope, writer: BackupWriter | None, rebuildable: bool) -> None:
        self.done = RemovalCounts()
        self._cache, self._scope, self._writer, self._rebuildable = cache, scope, writer, rebuildable

    def run(self, keys: list[bytes], on_progress: Progress | None) -> None:
        for number, key in enumerate(keys, 1):
            self._remove(key)
            if on_progress is not None:
                on_progress(number, len(keys))

    def _remove(self, key: bytes) -> None:
        assert key in self._scope
        backed_up = None
        while key in self._cache.values:
            value, expires_at_ms = self._cache.values[key]
            if expires_at_ms == 0 and not self._rebuildable:
                self.done.kept.add(key)
                return
            if self._writer is not None:
                entry = BackupEntry(key, value, expires_at_ms)
                (self._writer.add if backed_up is None else self._writer.replace)([entry])
                self._writer.sync()
            self.done.rewritten += backed_up is not None
            backed_up = value
            self._cache.before_removal(key)
            if self._cache.values.get(key) == (value, expires_at_ms):
                self.done.named += 1
                self.done.removed_any = True
                del self._cache.values[key]
                self.done.cleared += 1
                return
        self.done.gone += 1
        if self._writer is not None and backed_up is not None:
            self._writer.replace([BackupEntry(key, b"", 0)])

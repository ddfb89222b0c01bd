"""The scoped clear: the keys that the case declares, and nothing else.

1. A dry run scans the keyspace in batches and lists the keys that match a declared template exactly, by our own
   matching of bytes: the server's globs never decide what is touched.
2. Too large a share of the keyspace is refused. Keys without a time to live may be the data itself: they stay,
   unless the case says that they can be rebuilt.
3. A cache that is not the run's own is backed up key by key, with the times to live, before anything is removed.
4. The journal records what was listed; then UNLINK, in batches, of exactly those keys.
5. A second scan shows that what is outside the scope is still there.

KEYS, FLUSHDB and FLUSHALL are never sent. SCAN, DBSIZE and UNLINK leave the cache's hit and miss counters alone;
PTTL and DUMP move them, so they are asked only where they are needed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import redis

from luckyhit.case.cache import Cache as CacheSpec
from luckyhit.case.placeholders import fill_text, key_pattern, placeholder_names
from luckyhit.change.backup import BackupWriter, dump, server_time_ms
from luckyhit.change.identity import cache_identity
from luckyhit.change.journal import Journal
from luckyhit.change.refusals import explained
from luckyhit.errors import ScopeRefused

if TYPE_CHECKING:
    from luckyhit.target import Cache

_SCAN_COUNT = 1000
_BATCH = 500
Progress = Callable[[int, int], None]
"""Called with the keys dealt with so far, and the keys there are."""


@dataclass(frozen=True)
class ClearReport:
    """What a clear saw and did. All are numbers of keys; `detail` says it in one sentence.

    scanned: there before. matched: of those, in scope. cleared: removed by us. gone: listed, but no longer there
    when we came. appeared: in scope, and there (again) afterwards. without_ttl_kept: in scope, left alone since
    they never expire. outside: outside the scope, left alone. outside_gone: of those, no longer there afterwards:
    they expired, were evicted, or somebody else removed them (we never name them in a command).
    """

    scanned: int
    matched: int
    cleared: int
    gone: int
    appeared: int
    without_ttl_kept: int
    outside: int
    detail: str
    outside_gone: int = 0
    expired_meanwhile: int = 0
    backup: str | None = None
    seconds: float = 0.0

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


class Scope:
    """The declared keys: the templates of a case, matched byte by byte."""

    def __init__(self, templates: Iterable[str]) -> None:
        self.templates = tuple(templates)
        self._patterns = [key_pattern(template) for template in self.templates]

    def __contains__(self, key: bytes) -> bool:
        return any(pattern.fullmatch(key) is not None for pattern in self._patterns)


def scan(client: redis.Redis) -> Iterator[list[bytes]]:
    """All keys in batches, as the server gives them: a key that comes and goes may be missing, or come twice."""
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, count=_SCAN_COUNT)
        yield cast(list[bytes], keys)
        if cursor == 0:
            return


def clear(
    cache: Cache,
    spec: CacheSpec,
    journal: Journal,
    *,
    backup: bool | None = None,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ClearReport:
    """Clear the keys that `spec` declares from `cache`.

    `backup` defaults to whether the cache is somebody else's. Raises ScopeRefused before anything is touched,
    GuardError where journal or backup can't be written (nothing was touched either), CacheUnreachable or
    TargetError from the cache; after such an error the journal's step stays open, and can be reverted.
    """
    started = clock()
    scope = Scope(spec.clear)
    backup = not cache.owned if backup is None else backup
    with cache.client() as client:
        with explained("listing the keys"):
            inside, outside = _listing(client, scope)
            _refuse_too_much(cache, spec, len(inside), len(inside) + len(outside))
            listed, kept = _without_immortal(client, inside, spec.rebuildable)
            expired_before = _expired(client)
        step = _Step(cache, spec, journal, listed, backup=backup)
        with explained("backing up the keys"):
            step.prepare(client)
        with explained("clearing the keys"):
            cleared = _unlink(client, listed, on_progress)
        with explained("looking at what is left"):
            inside_after, outside_after = _listing(client, scope)
            expired = max(0, _expired(client) - expired_before)
    report = ClearReport(
        scanned=len(inside) + len(outside),
        matched=len(inside),
        cleared=cleared,
        gone=len(listed) - cleared,
        appeared=len(set(inside_after) - kept),
        without_ttl_kept=len(kept),
        outside=len(outside),
        outside_gone=len(outside - outside_after),
        expired_meanwhile=expired,
        backup=step.backup_name,
        seconds=round(clock() - started, 3),
        detail="",
    )
    report = ClearReport(**{**asdict(report), "detail": _sentence(report)})
    journal.confirm(step.id, report.as_facts())
    return report


class _Step:
    """The journal's step of one clear, with its backup."""

    def __init__(self, cache: Cache, spec: CacheSpec, journal: Journal, listed: list[bytes], *, backup: bool) -> None:
        self._cache, self._spec, self._journal, self._listed = cache, spec, journal, listed
        self._backup = backup and bool(listed)
        self.backup_name: str | None = None
        self.id = 0

    def prepare(self, client: redis.Redis) -> None:
        """Write the backup, then the intent. Whatever fails here, no key was touched."""
        writer = self._write_backup(client) if self._backup else None
        inverse: dict[str, Any] = {}
        if writer is not None:
            self.backup_name = writer.path.name
            inverse = {
                "kind": "restore",
                "backup": writer.path.name,
                "keys": writer.count,
                "cache": cache_identity(self._cache.url),
                "url_env": self._spec.url_env,
            }
        digest = hashlib.sha256()
        for key in sorted(self._listed):
            digest.update(len(key).to_bytes(4) + key)
        detail = {
            "templates": list(self._spec.clear),
            "listed": len(self._listed),
            "listed_sha256": digest.hexdigest(),
            "examples": [repr(key[:200]) for key in sorted(self._listed)[:3]],
        }
        try:
            self.id = self._journal.intend("clear", detail, inverse)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise

    def _write_backup(self, client: redis.Redis) -> BackupWriter:
        directory = self._journal.path.parent
        number = sum(1 for _ in directory.glob("cleared-*.backup")) + 1
        while (directory / f"cleared-{number}.backup").exists():
            number += 1
        writer = BackupWriter(directory / f"cleared-{number}.backup")
        try:
            for batch in _batches(self._listed):
                now_ms = server_time_ms(client)
                writer.add(dump(client, batch, _ttls_ms(client, batch), now_ms))
            writer.close()
        except BaseException:
            writer.discard()
            raise
        return writer


def _listing(client: redis.Redis, scope: Scope) -> tuple[list[bytes], set[int]]:
    """The keys in scope, and hashes of those outside (a large keyspace must fit into memory)."""
    inside: dict[bytes, None] = {}
    outside: set[int] = set()
    for keys in scan(client):
        for key in keys:
            if key in scope:
                inside[key] = None
            else:
                outside.add(hash(key))
    return list(inside), outside


def _refuse_too_much(cache: Cache, spec: CacheSpec, matched: int, scanned: int) -> None:
    if spec.dedicated or cache.owned or not matched:
        return
    share = matched / scanned
    if share > spec.largest_share:
        raise ScopeRefused(
            f"cache.clear covers {matched} of {scanned} keys ({share:.0%}); "
            f"at most {spec.largest_share:.0%} are allowed (cache.largest_share)",
            hint="Make the templates narrower. If the cache serves this service alone, say so: `dedicated: true`.",
        )


def _without_immortal(client: redis.Redis, inside: list[bytes], rebuildable: bool) -> tuple[list[bytes], set[bytes]]:
    """The keys that may be cleared, and those that stay because they never expire."""
    if rebuildable:
        return inside, set()
    listed: list[bytes] = []
    kept: set[bytes] = set()
    for batch in _batches(inside):
        for key, ttl_ms in zip(batch, _ttls_ms(client, batch), strict=True):
            if ttl_ms == -1:
                kept.add(key)
            else:
                listed.append(key)
    return listed, kept


def _ttls_ms(client: redis.Redis, keys: list[bytes]) -> list[int]:
    """PTTL of each key: -1 for one that never expires, -2 for one that is gone."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    return [int(ttl_ms) for ttl_ms in pipeline.execute()]


def _unlink(client: redis.Redis, keys: list[bytes], on_progress: Progress | None) -> int:
    """UNLINK exactly `keys`, one command for each, in batches. Returns how many were there."""
    cleared = done = 0
    for batch in _batches(keys):
        pipeline = client.pipeline(transaction=False)
        for key in batch:
            pipeline.unlink(key)
        cleared += sum(int(answer) for answer in pipeline.execute())
        done += len(batch)
        if on_progress is not None:
            on_progress(done, len(keys))
    return cleared


def _expired(client: redis.Redis) -> int:
    """Keys that the server has expired or evicted since its start; 0 where INFO is not allowed."""
    try:
        stats = client.info("stats")
    except redis.exceptions.NoPermissionError:
        return 0
    return int(stats.get("expired_keys", 0)) + int(stats.get("evicted_keys", 0))


def _batches(keys: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _BATCH):
        yield keys[start : start + _BATCH]


def _sentence(report: ClearReport) -> str:
    parts = [f"{report.cleared} of {report.scanned} keys cleared"]
    if report.without_ttl_kept:
        parts.append(f"{report.without_ttl_kept} in scope kept, since they never expire")
    if report.gone:
        parts.append(f"{report.gone} were gone already")
    if report.appeared:
        parts.append(f"{report.appeared} in scope appeared meanwhile")
    outside = f"{report.outside} outside the scope left alone"
    if report.outside_gone:
        outside += f" ({report.outside_gone} of them expired or were removed by others meanwhile)"
    return "; ".join([*parts, outside]) + "."


def example_key(template: str, filling: str) -> bytes:
    """A key that fits `template`, with `filling` for each placeholder."""
    return fill_text(template, dict.fromkeys(placeholder_names(template), filling)).encode()

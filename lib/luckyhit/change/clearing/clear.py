"""The scoped clear: the keys that the case declares, and nothing else.

1. A dry run scans the keyspace and lists the keys that match a declared template, by our own matching of bytes: the
   server's globs never decide what is removed.
2. Too large a share of the keyspace is refused. Keys without a time to live may be the data itself: they stay, unless
   the case says that they can be rebuilt.
3. The journal records what was listed, and where the backup is.
4. Batch by batch: back up the keys and times to live of a cache that is not the run's own; then UNLINK just these keys,
   unless somebody rewrote them meanwhile (Redis: `caches/redis/removal.py`).
5. Another scan counts what is in scope again, and the keys outside.

UNLINK is the only command that removes anything, and each key it names is matched once more; KEYS, FLUSHDB and FLUSHALL
are never sent. SCAN, DBSIZE and UNLINK leave the cache's counters of hits alone; PTTL and DUMP move them, so they are
sent only where they are needed. In a cluster all of this is done on every primary, and counted together.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from luckyhit.caches import AnyCache
from luckyhit.caches.backup import BackupWriter
from luckyhit.caches.scope import ClearPace, Listing, Progress, RemovalCounts, Scope, refuse_too_much
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.coverage import shown_key
from luckyhit.change.journal import Journal
from luckyhit.errors import LuckyHitError

__all__ = ["ClearReport", "clear"]


@dataclass(frozen=True)
class ClearReport:
    """What a clear found and did, in numbers of keys; `detail` is one sentence.

    scanned: before the clear. matched: of those, in scope: the sum of cleared, gone, without_ttl_kept and contended.
    cleared: removed. gone: listed, but absent at their turn. without_ttl_kept: kept since they never expire. contended:
    kept since somebody wrote them at every attempt. appeared: in scope, and present afterwards. outside: outside the
    scope, left alone. outside_gone: how many fewer of those there were afterwards (expired, evicted, or removed by
    others). named: keys named in a command that removes. outside_left: unexpired keys outside the scope afterwards, and
    outside_keys some of them; None in a cache of others, whose count includes expired keys.

    rewritten: of the cleared, those that somebody rewrote between backup and removal; the backup has the newer value.
    unguarded: of the cleared, those where that is unknown: no permission for WATCH, or the key was moving to another
    server. servers: the primaries that were cleared.
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
    rewritten: int = 0
    contended: int = 0
    unguarded: int = 0
    named: int = 0
    servers: int = 1
    outside_left: int | None = None
    outside_keys: tuple[str, ...] = ()
    backup: str | None = None
    seconds: float = 0.0

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def clear(
    cache: AnyCache,
    spec: CacheSpec,
    journal: Journal,
    *,
    backup: bool | None = None,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ClearReport:
    """Clear the keys that `spec` declares from `cache`. A cache of others is backed up (or as `backup` says), and
    cleared at `spec.clear_rate` at most.

    Raises ScopeRefused before any removal, GuardError where journal or backup can't be written, CacheUnreachable or
    TargetError from the cache. The journal's step stays open, for a revert, where anything may have been removed.
    """
    started = clock()
    scope = Scope.of(spec)
    with contextlib.ExitStack() as opened:
        with cache.explained("listing the keys"):
            keys = opened.enter_context(cache.keys())
            before = keys.listing(scope, every=cache.owned)
            refuse_too_much(spec, before, owned=cache.owned)
            dropped_before = keys.dropped()
            servers = keys.servers
        step = _ClearStep(cache, spec, journal, before.inside, backup=not cache.owned if backup is None else backup)
        pace = ClearPace(None if cache.owned else spec.clear_rate, resting=not cache.owned, clock=clock, sleep=sleep)
        removal = keys.remover(scope, pace, writer=step.writer, rebuildable=spec.rebuildable)
        try:
            removal.run(before.inside, on_progress)
            step.close_backup()
        except BaseException:
            step.break_off(removal.done)
            raise
        with cache.explained("listing what is left"):
            after = keys.listing(scope, every=cache.owned)
            expired = max(0, keys.dropped() - dropped_before)
    report = _report(before, after, removal.done, backup=step.backup_name, servers=servers, expired_meanwhile=expired)
    report = replace(report, seconds=round(clock() - started, 3), detail=_sentence(report))
    journal.confirm(step.id, report.as_facts())
    return report


class _ClearStep:
    """The journal's step of one clear, with its backup. Where its creation fails, no key was touched."""

    def __init__(
        self, cache: AnyCache, spec: CacheSpec, journal: Journal, listed: list[bytes], *, backup: bool
    ) -> None:
        self._journal = journal
        self.writer = BackupWriter(_free_name(journal.path.parent)) if listed and backup else None
        self.backup_name = self.writer.path.name if self.writer is not None else None
        inverse: dict[str, Any] = {}
        if self.writer is not None:
            inverse = {
                "kind": "restore",
                "backup": self.backup_name,
                "keys": len(listed),
                "cache": cache.identity,
                "url_env": spec.url_env,
            }
        in_order = sorted(listed)
        digest = hashlib.sha256(b"".join([len(key).to_bytes(4) + key for key in in_order]))
        detail = {
            "templates": list(spec.clear),
            "listed": len(listed),
            "listed_sha256": digest.hexdigest(),
            "examples": [repr(key[:200]) for key in in_order[:3]],
        }
        try:
            if self.writer is not None:
                self.writer.sync()  # fails now if the disk is full
            self.id = journal.intend("clear", detail, inverse)
        except BaseException:
            if self.writer is not None:
                self.writer.discard()
            raise

    def close_backup(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def break_off(self, done: RemovalCounts) -> None:
        """After a failure: where nothing was removed, close the step; otherwise it stays open, with its backup."""
        if done.removed_any:
            with contextlib.suppress(LuckyHitError):
                self.close_backup()
            return
        with contextlib.suppress(LuckyHitError):  # otherwise it stays open, with nothing to put back
            self._journal.undo(
                self.id, {"outcome": "nothing-done", "how": "the clear failed before any key was removed"}
            )
            if self.writer is not None:
                self.writer.discard()


def _free_name(directory: Path) -> Path:
    number = 1
    while (directory / f"cleared-{number}.backup").exists():
        number += 1
    return directory / f"cleared-{number}.backup"


def _report(before: Listing, after: Listing, done: RemovalCounts, **fields: Any) -> ClearReport:
    return ClearReport(
        scanned=before.total,
        matched=len(before.inside),
        cleared=done.cleared,
        gone=done.gone,
        appeared=len(set(after.inside) - done.kept),
        without_ttl_kept=len(done.kept),
        outside=before.outside,
        outside_gone=max(0, before.outside - after.outside),
        rewritten=done.rewritten,
        contended=done.contended,
        unguarded=done.unguarded,
        named=done.named,
        outside_left=after.outside if after.alive else None,
        outside_keys=tuple(shown_key(key) for key in after.examples),
        detail="",
        **fields,
    )


def _sentence(report: ClearReport) -> str:
    parts = [f"{report.cleared} of {report.scanned} keys cleared"]
    if report.without_ttl_kept:
        parts.append(f"{report.without_ttl_kept} in scope kept, which never expire")
    if report.gone:
        parts.append(f"{report.gone} were gone already")
    if report.rewritten:
        parts.append(f"{report.rewritten} rewritten just before, the newer value backed up")
    if report.contended:
        parts.append(f"{report.contended} kept, which somebody wrote at every attempt")
    if report.unguarded and report.backup:
        parts.append(f"{report.unguarded} of unknown last value (no permission for WATCH)")
    if report.appeared:
        parts.append(f"{report.appeared} in scope present afterwards")
    outside = f"{report.outside} outside the scope left alone"
    if report.outside_gone:
        outside += f" ({report.outside_gone} of them expired or were removed by others meanwhile)"
    return "; ".join([*parts, outside]) + "."

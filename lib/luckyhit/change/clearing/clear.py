"""The scoped clear: the keys that the case declares, and nothing else.

1. A dry run scans the keyspace in batches and lists the keys that match a declared template exactly, by our own
   matching of bytes: the server's globs never decide what is touched.
2. Too large a share of the keyspace is refused. Keys without a time to live may be the data itself: they stay,
   unless the case says that they can be rebuilt.
3. The journal records what was listed, and where the backup is.
4. Batch by batch: a cache that is not the run's own is backed up, key by key, with the times to live; then UNLINK of
   just these keys, where nobody rewrote them meanwhile (Redis: `caches/redis/removal.py`).
5. Another look shows what is in scope again, and how many keys outside there are now.

KEYS, FLUSHDB and FLUSHALL are never sent; UNLINK is the only command that removes anything, and each key that it names
is matched once more. SCAN, DBSIZE and UNLINK leave the cache's hit and miss counters alone; PTTL and DUMP move them, so
they are asked only where they are needed. In a cluster all of this is done on every primary, and counted together.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luckyhit.caches import AnyCache
from luckyhit.caches.backup import BackupWriter
from luckyhit.caches.clear_pace import ClearPace
from luckyhit.caches.scope import Listing, Progress, Removed, Scope, refuse_too_much
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.coverage import shown_key
from luckyhit.change.journal import Journal
from luckyhit.errors import LuckyHitError

__all__ = ["ClearReport", "clear"]


@dataclass(frozen=True)
class ClearReport:
    """What a clear saw and did. All are numbers of keys; `detail` says it in one sentence.

    scanned: there before. matched: of those, in scope; each of them is counted in one of cleared, gone,
    without_ttl_kept and contended. cleared: removed by us. gone: listed, but no longer there when we came.
    without_ttl_kept: in scope, left alone since they never expire. contended: left alone since somebody wrote them
    whenever we came. appeared: in scope, and there (again) afterwards. outside: outside the scope, left alone.
    outside_gone: how many fewer of those there were afterwards: they expired, were evicted, or somebody else removed
    them (we never name them in a command). named: keys named in a command that removes; all were matched.
    outside_left: keys outside the scope afterwards, none of them expired, and outside_keys some of them; None in a
    cache that is not the run's own: there the server's number counts, which has keys that expired and are not removed.

    rewritten: of the cleared, those that somebody rewrote between their backup and their removal; the newer value is
    in the backup. unguarded: of the cleared, those where that could not be told, since the user may not use WATCH, or
    the key was moving to another server. servers: the primaries that were cleared.
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
    """Clear the keys that `spec` declares from `cache`.

    `backup` defaults to whether the cache is somebody else's; there, `spec.clear_rate` is kept too. Raises ScopeRefused
    before anything is touched, GuardError where journal or backup can't be written, CacheUnreachable or TargetError
    from the cache. The journal's step stays open where anything may have been removed, and can be reverted.
    """
    started = clock()
    scope = Scope.of(spec)
    backup = not cache.owned if backup is None else backup
    with contextlib.ExitStack() as opened:
        with cache.explained("listing the keys"):
            keys = opened.enter_context(cache.keys())
            before = keys.listing(scope, every=cache.owned)
            refuse_too_much(spec, before, owned=cache.owned)
            dropped_before = keys.dropped()
            servers = keys.servers
        step = _Step(cache, spec, journal, before.inside, backup=backup)
        pace = ClearPace(None if cache.owned else spec.clear_rate, resting=not cache.owned, clock=clock, sleep=sleep)
        removal = keys.remover(scope, pace, writer=step.writer, rebuildable=spec.rebuildable)
        try:
            removal.run(before.inside, on_progress)
            step.close_backup()
        except BaseException:
            step.break_off(removal.done)
            raise
        with cache.explained("looking at what is left"):
            after = keys.listing(scope, every=cache.owned)
            expired = max(0, keys.dropped() - dropped_before)
    report = _report(before, after, removal.done, step.backup_name)
    report = ClearReport(
        **{
            **asdict(report),
            "servers": servers,
            "expired_meanwhile": expired,
            "seconds": round(clock() - started, 3),
            "detail": _sentence(report),
        }
    )
    journal.confirm(step.id, report.as_facts())
    return report


class _Step:
    """The journal's step of one clear, with its backup. Whatever fails while it is made, no key was touched."""

    def __init__(
        self, cache: AnyCache, spec: CacheSpec, journal: Journal, listed: list[bytes], *, backup: bool
    ) -> None:
        self._journal = journal
        self.writer = BackupWriter(_free_name(journal.path.parent)) if backup and listed else None
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
        digest = hashlib.sha256()
        for key in in_order:
            digest.update(len(key).to_bytes(4) + key)
        detail = {
            "templates": list(spec.clear),
            "listed": len(listed),
            "listed_sha256": digest.hexdigest(),
            "examples": [repr(key[:200]) for key in in_order[:3]],
        }
        try:
            if self.writer is not None:
                self.writer.sync()  # a disk that is full is found out now
            self.id = journal.intend("clear", detail, inverse)
        except BaseException:
            if self.writer is not None:
                self.writer.discard()
            raise

    def close_backup(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def break_off(self, done: Removed) -> None:
        """The clear has failed. Where nothing was removed, the step is over; else it stays open, with its backup."""
        if done.removed_any:
            with contextlib.suppress(LuckyHitError):
                self.close_backup()
            return
        with contextlib.suppress(LuckyHitError):  # then it stays open, and reverting it finds nothing to put back
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


def _report(before: Listing, after: Listing, done: Removed, backup: str | None) -> ClearReport:
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
        backup=backup,
        detail="",
    )


def _sentence(report: ClearReport) -> str:
    parts = [f"{report.cleared} of {report.scanned} keys cleared"]
    if report.without_ttl_kept:
        parts.append(f"{report.without_ttl_kept} in scope kept, since they never expire")
    if report.gone:
        parts.append(f"{report.gone} were gone already")
    if report.rewritten:
        parts.append(f"{report.rewritten} rewritten just before, and backed up as they were last")
    if report.contended:
        parts.append(f"{report.contended} left alone, since somebody wrote them whenever we came")
    if report.unguarded and report.backup:
        parts.append(f"for {report.unguarded} a value written just before can't be ruled out (no right to WATCH)")
    if report.appeared:
        parts.append(f"{report.appeared} in scope appeared meanwhile")
    outside = f"{report.outside} outside the scope left alone"
    if report.outside_gone:
        outside += f" ({report.outside_gone} of them expired or were removed by others meanwhile)"
    return "; ".join([*parts, outside]) + "."

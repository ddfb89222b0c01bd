"""What a cache says when it can't or won't, in the words of the error tree, with what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as redis_errors

from luckyhit.errors import CacheUnreachable, TargetError


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Raise what redis-py raises inside as CacheUnreachable or TargetError. `doing` completes "while ..."."""
    try:
        yield
    except redis_errors.RedisError as error:
        raise explanation(error, doing) from error


def explanation(error: redis_errors.RedisError, doing: str) -> TargetError:
    """The error of our tree for one of redis-py's."""
    said = f"{type(error).__name__}: {error}"
    text = str(error)
    if isinstance(error, redis_errors.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
        return CacheUnreachable(
            f"the cache refuses the credentials while {doing} ({said})",
            hint="Check the user and password in the URL that cache.url_env names.",
        )
    if isinstance(error, redis_errors.NoPermissionError) or "NOPERM" in text:
        return TargetError(
            f"the cache user lacks a right while {doing} ({said})",
            hint="`luckyhit check` lists the missing rights and the command that grants them.",
        )
    if isinstance(error, redis_errors.ReadOnlyError) or "READONLY" in text:
        return TargetError(
            f"the cache is a read-only replica, found while {doing} ({said})",
            hint="Point the variable that cache.url_env names at the primary.",
        )
    if isinstance(error, redis_errors.BusyLoadingError) or "LOADING" in text:
        return CacheUnreachable(
            f"the cache is still loading its data while {doing} ({said})",
            hint="Wait until `INFO persistence` says loading:0, then start again.",
        )
    if isinstance(error, redis_errors.OutOfMemoryError) or "OOM" in text:
        return TargetError(
            f"the cache is out of memory while {doing} ({said})",
            hint="Raise maxmemory, or free some of it; nothing is evicted to make room for this run.",
        )
    if isinstance(error, (redis_errors.ClusterDownError, redis_errors.MasterDownError)) or "MISCONF" in text:
        return CacheUnreachable(
            f"the cache takes no writes now, found while {doing} ({said})",
            hint="Bring it back to health first (`CLUSTER INFO`, `INFO replication`, `INFO persistence`).",
        )
    if isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError)):
        return CacheUnreachable(
            f"the cache does not answer while {doing} ({said})",
            hint="Check that it runs, and that the address is right.",
        )
    return TargetError(
        f"the cache refused something while {doing} ({said})",
        hint="Look at the cache's own log; nothing further was done.",
    )

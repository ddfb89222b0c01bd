"""What a cache says when it can't or won't, in the words of the error tree, with what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from redis import exceptions as redis_errors
from redis.sentinel import MasterNotFoundError

from luckyhit.errors import CacheUnreachable, RefusalId, TargetError

_NOT_GRANTED = re.compile(r"User (\S+) has no permissions to run the '([^']+)' command")
_Kind = type[CacheUnreachable] | type[TargetError]


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Raise what redis-py raises inside as CacheUnreachable or TargetError. `doing` completes "while ..."."""
    try:
        yield
    except (redis_errors.RedisError, redis_errors.RedisClusterException) as error:
        raise explanation(error, doing) from error


def explanation(error: Exception, doing: str) -> TargetError:
    """The error of our tree for one of redis-py's."""
    if isinstance(error, redis_errors.RedisClusterException) and isinstance(error.__cause__, redis_errors.RedisError):
        error = error.__cause__  # it only says that no node could be asked
    kind, fault, hint = _refused_by_the_server(error) or _away(error) or _unknown()
    text = f"the cache {fault} while {doing} ({type(error).__name__}: {error})"
    return kind(text, hint=hint, refusal=refusal_by(error))


def refusal_by(error: Exception) -> RefusalId | None:
    """What the server refused, by the kind of redis-py's error or the word that its own begins with."""
    if _says(error, "NOPERM", redis_errors.NoPermissionError):
        return "permission"
    refused = _says(error, "NOAUTH", redis_errors.AuthenticationError) or _says(error, "WRONGPASS")
    return "credentials" if refused else None


def _says(error: Exception, word: str, *kinds: type[Exception]) -> bool:
    # Inside a transaction or a pipeline the server's word stands behind words of redis-py's own.
    text = str(error)
    return isinstance(error, kinds) or text.startswith(f"{word} ") or f": {word} " in text or f" -{word} " in text


def _refused_by_the_server(error: Exception) -> tuple[_Kind, str, str] | None:
    """What the server answered, by the word that its error begins with (redis-py has no class for some of them)."""
    text = str(error)

    says = partial(_says, error)
    if says("NOAUTH", redis_errors.AuthenticationError) or says("WRONGPASS"):
        hint = "Check the user and password in the URL that cache.url_env names."
        return CacheUnreachable, "refuses the credentials", hint
    if says("NOPERM", redis_errors.NoPermissionError):
        hint = "`luckyhit check` lists the missing rights and the command that grants them."
        if named := _NOT_GRANTED.search(text):
            hint = f"Grant it with: ACL SETUSER {named[1]} +{named[2]}. {hint}"
        return TargetError, "user lacks a right", hint
    if says("READONLY", redis_errors.ReadOnlyError):
        hint = (
            "Point the variable that cache.url_env names at the primary; where Sentinels watch over it, name them "
            "(redis+sentinel://HOST:26379/SERVICE/0), and the primary is found by itself."
        )
        return TargetError, "is a read-only replica, found", hint
    if says("LOADING", redis_errors.BusyLoadingError):
        hint = "Wait until `INFO persistence` says loading:0, then start again."
        return CacheUnreachable, "is still loading its data", hint
    if says("OOM", redis_errors.OutOfMemoryError):
        hint = "Raise maxmemory, or free some of it; nothing is evicted to make room for this run."
        return TargetError, "is out of memory", hint
    if says("MISCONF"):
        hint = (
            "It can't save its data to disk, and stops writes until it can: look at `INFO persistence` and its log (is "
            "the disk full?)."
        )
        return CacheUnreachable, "takes no writes now, found", hint
    if says("NOREPLICAS"):
        hint = "Too few of its replicas are connected (min-replicas-to-write): look at `INFO replication`."
        return CacheUnreachable, "takes no writes now, found", hint
    if says("MASTERDOWN", redis_errors.MasterDownError):
        hint = "Bring it back to health first (`INFO replication`)."
        return CacheUnreachable, "has lost its primary, found", hint
    if says("CLUSTERDOWN", redis_errors.ClusterDownError) or "slots are not covered" in text:
        hint = "Some of its slots have no server: bring it to health first (`CLUSTER INFO`, `CLUSTER NODES`)."
        return CacheUnreachable, "is a cluster that is down, found", hint
    if isinstance(error, redis_errors.AskError | redis_errors.TryAgainError | redis_errors.ClusterError):
        hint = "Wait until its slots have stopped moving (`CLUSTER NODES` shows no `->-`), then again."
        return TargetError, "is a cluster whose slots are on the move, found", hint
    if says("BUSY"):
        hint = "Wait until the script that it runs has ended (or `SCRIPT KILL`), then again."
        return CacheUnreachable, "is busy with a script", hint
    return None


def _away(error: Exception) -> tuple[_Kind, str, str] | None:
    text = str(error)
    if isinstance(error, MasterNotFoundError):
        hint = "Ask a Sentinel by SENTINEL MASTERS which services it knows, and whether their primary is down."
        return CacheUnreachable, "has no primary that its Sentinels name, found", hint
    if "previous master is now a slave" in text:
        hint = "It failed over to another primary. Look at it (`INFO replication`), then again."
        return CacheUnreachable, "changed its primary", hint
    if isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError):
        hint = "Check that it runs, that the address is right, and whether another server took over as the primary."
        return CacheUnreachable, "does not answer", hint
    return None


def _unknown() -> tuple[_Kind, str, str]:
    return TargetError, "refused something", "Look at the cache's own log; nothing further was done."

"""Errors of redis-py and of the server, in the words of the error tree, with what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import exceptions as redis_errors
from redis.sentinel import MasterNotFoundError

from luckyhit.errors import CacheUnreachable, RefusalId, TargetError

_NOT_GRANTED = re.compile(r"User (\S+) has no permissions to run the '([^']+)' command")


@dataclass(frozen=True)
class _Fault:
    """`words`: what the server's error begins with; `kinds`: redis-py's classes (it has none for some words).
    `unreachable`: a CacheUnreachable, else a TargetError. `state`: a state of the cache, not something it did."""

    text: str
    hint: str
    words: tuple[str, ...] = ()
    kinds: tuple[type[Exception], ...] = ()
    unreachable: bool = True
    state: bool = False
    refusal: RefusalId | None = None

    def fits(self, error: Exception) -> bool:
        # Inside a transaction or a pipeline the server's word stands after words of redis-py's own.
        text = str(error)
        return isinstance(error, self.kinds) or any(
            word in text if " " in word else text.startswith(f"{word} ") or f": {word} " in text or f" -{word} " in text
            for word in self.words
        )


_FAULTS = (
    _Fault(
        "refuses the credentials",
        "Put the right user and password into {url}: redis://USER:PASSWORD@HOST:6379/0",
        ("NOAUTH", "WRONGPASS"),
        (redis_errors.AuthenticationError, redis_errors.AuthenticationWrongNumberOfArgsError),
        refusal="credentials",
    ),
    _Fault(
        "lacks a right",
        "`luckyhit check` lists the missing rights and the command that grants them.",
        ("NOPERM",),
        (redis_errors.NoPermissionError,),
        unreachable=False,
        refusal="permission",
    ),
    _Fault(
        "is a read-only replica",
        "Point {url} at the primary; where Sentinels watch over it, name them "
        "(redis+sentinel://HOST:26379/SERVICE/0), and they are asked for the primary.",
        ("READONLY",),
        (redis_errors.ReadOnlyError,),
        unreachable=False,
        state=True,
    ),
    _Fault(
        "is still loading its data",
        "Wait until `INFO persistence` shows loading:0, then start again.",
        ("LOADING",),
        (redis_errors.BusyLoadingError,),
    ),
    _Fault(
        "is out of memory",
        "Raise maxmemory, or free some of it; nothing is evicted to make room for this run.",
        ("OOM",),
        (redis_errors.OutOfMemoryError,),
        unreachable=False,
    ),
    _Fault(
        "takes no writes now",
        "It can't save its data to disk and stops writes until it can: look at `INFO persistence` and its log (is the "
        "disk full?).",
        ("MISCONF",),
        state=True,
    ),
    _Fault(
        "takes no writes now",
        "Too few of its replicas are connected (min-replicas-to-write): look at `INFO replication`.",
        ("NOREPLICAS",),
        state=True,
    ),
    _Fault(
        "has lost its primary",
        "Bring it back to health first (`INFO replication`).",
        ("MASTERDOWN",),
        (redis_errors.MasterDownError,),
        state=True,
    ),
    _Fault(
        "is a cluster that is down",
        "Some of its slots have no server: bring it back to health first (`CLUSTER INFO`, `CLUSTER NODES`).",
        ("CLUSTERDOWN", "slots are not covered"),
        (redis_errors.ClusterDownError,),
        state=True,
    ),
    _Fault(
        "is a cluster whose slots are on the move",
        "Wait until its slots have stopped moving (`CLUSTER NODES` shows no `->-`), then start again.",
        (),
        (redis_errors.AskError, redis_errors.TryAgainError, redis_errors.ClusterError),
        unreachable=False,
        state=True,
    ),
    _Fault(
        "is busy with a script",
        "Wait until the script that it runs has ended (or `SCRIPT KILL`), then start again.",
        ("BUSY",),
    ),
    _Fault(
        "has no primary that its Sentinels name",
        "Check the Sentinels and the service's name in {url}: SENTINEL MASTERS lists the services that one knows, and "
        "whether their primary is down.",
        (),
        (MasterNotFoundError,),
        state=True,
    ),
    _Fault(
        "changed its primary",
        "It failed over to another primary. Look at it (`INFO replication`), then start again.",
        ("previous master is now a slave",),
    ),
    _Fault(
        "can't be reached over TLS",
        "Check {url}: rediss:// needs a server with TLS, and a certificate that this machine trusts.",
        ("SSL: ", "certificate verify"),
    ),
    _Fault(
        "does not answer",
        "Check that it runs, that host and port in {url} are right, that no firewall is in between, and whether "
        "another server took over as the primary.",
        (),
        (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError),
    ),
)
_OTHER = _Fault(
    "answered with an error",
    "Does {url} name a Redis or Valkey server, and a database that it has? Look at the cache's own log.",
    unreachable=False,
)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Raise what redis-py raises inside as CacheUnreachable or TargetError. `doing` completes "while ..."."""
    try:
        yield
    except (redis_errors.RedisError, redis_errors.RedisClusterException) as error:
        raise explanation(error, doing) from error


def explanation(
    error: Exception,
    doing: str = "",
    *,
    cache: str = "the cache",
    url: str = "the URL that cache.url_env names",
    text: str = "",
) -> TargetError:
    """The error of our tree for one of redis-py's: without `doing`, a CacheUnreachable. `text`: in place of the error's
    own, which may hold a secret."""
    if isinstance(error, redis_errors.RedisClusterException) and isinstance(error.__cause__, redis_errors.RedisError):
        error = error.__cause__  # it only says that no node could be asked
    fault = next((fault for fault in _FAULTS if fault.fits(error)), _OTHER)
    hint = fault.hint.format(url=url)
    if not_granted := _NOT_GRANTED.search(str(error)):
        hint = f"Grant it with: ACL SETUSER {not_granted[1]} +{not_granted[2]}. {hint}"
    subject = f"the user of {cache}" if fault.refusal == "permission" else cache
    when = f"{', found' if fault.state else ''} while {doing}" if doing else ""
    kind = CacheUnreachable if fault.unreachable or not doing else TargetError
    return kind(
        f"{subject} {fault.text}{when} ({type(error).__name__}: {text or error})",
        hint=hint,
        refusal=fault.refusal,
    )

"""Settings of a cache server (CONFIG): read, and put back as they were unless somebody else changed them since.

The server reads some of them back in its own words, so that each kind brings its own idea of what is the `same`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import redis

from luckyhit.change.identity import cache_identity
from luckyhit.change.refusals import explained
from luckyhit.errors import CacheUnreachable, GuardError, TargetError
from luckyhit.records import StepOutcome
from luckyhit.records.journal import Step
from luckyhit.target.cache import Cache

Same = Callable[[str, str], bool]
"""Whether two spellings of a setting mean the same to the server."""
_ATTEMPTS, _PAUSE_S = 3, 0.3
_Answer = TypeVar("_Answer")
_SIZE = re.compile(r"(\d+)\s*(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_BYTES = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


def same_value(one: str, other: str) -> bool:
    """Whether two spellings mean the same to the server."""
    first, second = one.strip().lower(), other.strip().lower()
    if first == second:
        return True
    sizes = [_SIZE.fullmatch(text) for text in (first, second)]
    numbers = [int(size[1]) * _BYTES[(size[2] or "").lower()] for size in sizes if size is not None]
    return len(numbers) == 2 and numbers[0] == numbers[1]


def config_get(client: redis.Redis, name: str) -> str | None:
    """A setting in the server's words; None where it has none of that name. Raises redis.RedisError."""
    answer: Any = client.execute_command("CONFIG", "GET", name)
    found = answer if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))
    value = found.get(name.encode(), found.get(name))
    return value.decode() if isinstance(value, bytes) else value


def read_setting(client: redis.Redis, name: str) -> str:
    """The same; raises TargetError where the server has no such setting."""
    value = config_get(client, name)
    if value is None:
        raise TargetError(f"the cache has no setting {name}", hint="Look at what this server version has: CONFIG GET *")
    return value


class Undone(NamedTuple):
    """How a step was closed; `how` says what was done."""

    outcome: StepOutcome
    how: str


def put_back(client: redis.Redis, name: str, old: str, ours: Iterable[str], same: Same) -> Undone:
    """Put a setting back. `ours`: the settings that may be of this run's making; any other is left as it is.

    Raises TargetError where the server does not read `old` back.
    """
    now = read_setting(client, name)
    if same(now, old):
        return Undone("was-back", f"{name} was {shown(old)} again already")
    if not any(same(now, value) for value in ours):
        how = f"somebody changed {name} to {shown(now)} meanwhile; it was left so (before: {shown(old)})"
        return Undone("left-to-others", how)
    client.execute_command("CONFIG", "SET", name, old)
    again = read_setting(client, name)
    if not same(again, old):
        raise TargetError(f"{name} was put back to {shown(old)}, but the cache says {shown(again)}")
    return Undone("put-back", f"{name} put back to {shown(old)}")


def by_hand(name: str, old: str) -> str:
    """The command that puts a setting back."""
    return f"redis-cli CONFIG SET {name} '{old}'"


def surely(do: Callable[[], _Answer], name: str, old: str, sleep: Callable[[float], None]) -> _Answer:
    """Put it back by `do`, again where the cache does not answer. Raises CacheUnreachable or TargetError with what to
    do by hand."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with explained(f"putting its {name} back"):
                return do()
        except TargetError as error:
            if isinstance(error, CacheUnreachable) and attempt < _ATTEMPTS:
                sleep(_PAUSE_S * attempt)
                continue
            raise error.with_hint(f"{error.hint} By hand: {by_hand(name, old)}".strip()) from None
    raise AssertionError("unreachable")


def undo(
    step: Step,
    name: str,
    same: Same,
    environ: Mapping[str, str],
    sleep: Callable[[float], None],
    *,
    cache: Cache | None = None,
) -> Undone:
    """Put back what a journalled step holds. Safe to repeat. `cache`: the one that was changed, where this process
    still has it.

    Raises GuardError where the variable with the cache's URL is not set, or names another cache; CacheUnreachable or
    TargetError where the cache does not do it, with the command to give by hand.
    """
    old = str(step.inverse["value"])
    changed = _cache_of(step, name, environ) if cache is None else cache

    def do() -> Undone:
        with changed.client() as client:
            return put_back(client, name, old, made_by(step), same)

    return surely(do, name, old, sleep)


def _cache_of(step: Step, name: str, environ: Mapping[str, str]) -> Cache:
    inverse = step.inverse
    old, known, url_env = str(inverse["value"]), str(inverse["cache"]), str(inverse.get("url_env"))
    url = environ.get(url_env)
    if not url or cache_identity(url) != known:
        named = cache_identity(url) if url else "no cache: it is not set"
        raise GuardError(
            f"{url_env} names {named}; {name} was changed on {known}",
            hint=f"Export {url_env} for the cache {known}, or set it there by hand: {by_hand(name, old)}",
        )
    return Cache(url, url_env=url_env)


def made_by(step: Step) -> list[str]:
    """The settings that may be of a step's making: what it asked for, and how the server read that back."""
    return [*map(str, step.inverse.get("ours", ())), *([str(step.outcome["is"])] if "is" in step.outcome else [])]


def shown(value: str) -> str:
    return repr(value) if value else "empty"

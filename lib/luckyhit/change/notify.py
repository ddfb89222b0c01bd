"""Making a cache tell its keyspace events for the length of a block, and putting its setting back.

The setting (`notify-keyspace-events`) holds for the whole server: what it tells already is left alone, and where it
can't be read or set (no permission, CONFIG disabled, a managed server), nothing is changed and the run goes on without.

The server reads a setting back in its own words: letters in another order, and `A` for all classes together. So
settings are compared as sets of letters. Where `A` is set, it keeps quiet about the class `n` (new keys), which could
then not be put back: such a setting of somebody else's is not changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis
from redis import exceptions as redis_errors

from luckyhit.change.config import Undone, config_get, put_back, shown, surely
from luckyhit.change.identity import cache_identity
from luckyhit.change.journal import Journal
from luckyhit.errors import LuckyHitError
from luckyhit.records import StepOutcome
from luckyhit.target.listener import server_facts, unsuited

if TYPE_CHECKING:
    from luckyhit.target import Cache, Stack

INSIDE = "not visible: the cache is inside the service's own processes"
OPTION = "notify-keyspace-events"
NOTIFY = "notify"
NEEDED = "KA"
"""Keyspace events of every class: a cache's entry may be a text, a hash, or what a module makes of it."""
_EVERY_CLASS = frozenset("g$lshzxetd")


@dataclass
class Notifications:
    """Whether the events of one block can be seen. `sentences` say what could not be, and what somebody else did to the
    setting; `disturbed`: the server may have stopped telling in the middle, so that its silence means nothing.
    `refused`: whether it was a right that was missing."""

    visible: bool = False
    disturbed: bool = False
    refused: bool = False
    sentences: list[str] = field(default_factory=list)


@contextmanager
def watching_events(
    stack: Stack, journal: Journal, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Notifications]:
    """Make the cache of `stack` tell its keyspace events until the block ends. What is yielded is complete afterwards.

    Journalled before it is done; put back exactly, unless somebody else changed the setting meanwhile. Raises
    GuardError where the intent can't be journalled (nothing was changed then); CacheUnreachable or TargetError where
    the setting can't be put back: the step stays open then, and `luckyhit revert` finishes it.
    """
    told = Notifications()
    probe, cache = stack.case.freshness, stack.cache
    if probe is None or not probe.watch_cache:
        yield told
        return
    if cache is None:
        inside = stack.case.caches_inside
        told.sentences.append(
            INSIDE if inside else "not visible: the service is not the run's own, so its cache is not known"
        )
        yield told
        return
    switch = _Switch(stack, cache, journal, told, sleep)
    switch.on()
    try:
        yield told
    except BaseException:
        with suppress(LuckyHitError):  # the first error tells more, and the journal has the step
            switch.off()
        raise
    switch.off()


def flags(value: str) -> frozenset[str]:
    """A setting as a set of letters, with `A` written out."""
    return frozenset(value) - {"A"} | (_EVERY_CLASS if "A" in value else frozenset())


def covers(value: str) -> bool:
    """Whether a server with this setting tells what is needed."""
    return flags(value) >= flags(NEEDED)


def read_setting(client: redis.Redis) -> str:
    """The setting, in the server's words. Raises redis.RedisError; ResponseError also where it has no such setting."""
    value = config_get(client, OPTION)
    if value is None:
        raise redis_errors.ResponseError(f"the server has no setting {OPTION}")
    return value


def same(one: str, other: str) -> bool:
    """Whether two settings mean the same."""
    return flags(one) == flags(other)


class _Switch:
    """The setting of one cache, on and off again."""

    def __init__(
        self, stack: Stack, cache: Cache, journal: Journal, told: Notifications, sleep: Callable[[float], None]
    ) -> None:
        self._stack, self._cache, self._journal, self._told, self._sleep = stack, cache, journal, told, sleep
        self._step: int | None = None
        self._old = ""
        self._ours: list[str] = []

    def on(self) -> None:
        try:
            with self._cache.client() as client:
                if why := unsuited(server_facts(client)[0]):
                    self._hidden(why)
                    return
                self._turn_on(client)
        except redis_errors.RedisError as error:
            self._told.refused = True
            self._hidden(f"the cache does not let its {OPTION} be read ({_said(error)})")

    def _turn_on(self, client: redis.Redis) -> None:
        self._old = read_setting(client)
        if covers(self._old):
            self._told.visible = True
            return
        if "A" in self._old and not self._cache.owned:
            self._hidden(
                f"its {OPTION} is {shown(self._old)}, behind which the class n may be hidden, so that it could not be "
                "put back exactly; add a K to it for good"
            )
            return
        others = "".join(sorted(flags(self._old) - flags(NEEDED)))
        new = NEEDED + others
        self._ours = [new, NEEDED + others.replace("n", "")]  # read back without the n, see above
        detail = {"stack": self._stack.name, "from": self._old, "to": new, "cache": cache_identity(self._cache.url)}
        self._step = self._journal.intend(NOTIFY, detail, self._inverse())
        try:
            client.execute_command("CONFIG", "SET", OPTION, new)
        except redis_errors.ResponseError as error:
            self._told.refused = True
            self._close("nothing-done", "the cache refused it")
            self._hidden(f"the cache does not let its {OPTION} be set ({_said(error)})")
            return
        except redis_errors.RedisError as error:  # it may have been set: `off` looks
            self._hidden(f"the cache did not answer ({_said(error)})")
            return
        is_now = read_setting(client)
        self._ours.append(is_now)
        self._journal.confirm(self._step, {"is": is_now})
        self._told.visible = flags(is_now) >= flags("Kg$xe")
        if not self._told.visible:
            self._hidden(f"the cache took {new} for its {OPTION}, and says {shown(is_now)}")

    def _inverse(self) -> dict[str, Any]:
        """Nothing is left of the setting of the run's own cache once that is stopped."""
        if self._cache.owned:
            return {}
        return {
            "kind": NOTIFY,
            "value": self._old,
            "ours": self._ours,
            "cache": cache_identity(self._cache.url),
            "url_env": self._stack.case.cache.url_env,
        }

    def off(self) -> None:
        if self._step is None:
            return

        def do() -> Undone:
            with self._cache.client() as client:
                return put_back(client, OPTION, self._old, self._ours, same)

        try:
            undone = surely(do, OPTION, self._old, self._sleep)
        except LuckyHitError:
            self._told.disturbed = True
            if not self._cache.owned:
                raise
            undone = Undone("gone", "the run's own cache does not answer: nothing of it will be left")
        if undone.outcome in ("was-back", "left-to-others"):
            self._told.disturbed = True
            self._told.sentences.append(f"the cache's events of this block can't be relied on: {undone.how}")
        self._close(undone.outcome, undone.how)

    def _close(self, outcome: StepOutcome, how: str) -> None:
        if self._step is not None:
            self._journal.undo(self._step, {"outcome": outcome, "how": how})
        self._step = None

    def _hidden(self, why: str) -> None:
        self._told.visible = False
        self._told.sentences.append(f"not visible: {why}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

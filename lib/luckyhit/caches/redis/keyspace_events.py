"""Making a Redis or Valkey server tell its keyspace events, and putting its setting back.

The server reads the setting back in its own words: letters in another order, and `A` for all classes together. So
settings are compared as sets of letters. Where `A` is set, it keeps quiet about the class `n` (new keys), which could
then not be put back: such a setting of somebody else's is not changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.base import NOTIFY, Notifications, StepJournal, UndoResult
from luckyhit.caches.redis.key_learning import learn
from luckyhit.caches.redis.listener import Listener, server_mode_and_run, why_not_watchable
from luckyhit.caches.redis.redis_settings import (
    OPTION,
    by_hand,
    config_get,
    flags,
    put_back,
    same_meaning,
    shown,
    with_retries,
)
from luckyhit.caches.redis.topology import RedisEndpoint
from luckyhit.caches.shapes import LearnedShapes, Shape
from luckyhit.errors import LuckyHitError
from luckyhit.records import Arm, StepOutcome

NEEDED = "KA"
"""Keyspace events of every class: a cache's entry may be a text, a hash, or what a module makes of it."""


def covers(value: str) -> bool:
    """Whether a server with this setting tells what is needed."""
    return flags(value) >= flags(NEEDED)


def read_setting(client: redis.Redis) -> str:
    """The setting, in the server's words. Raises redis.RedisError; ResponseError also where it has no such setting."""
    value = config_get(client, OPTION)
    if value is None:
        raise redis_errors.ResponseError(f"the server has no setting {OPTION}")
    return value


class _Switch:
    """The setting of one cache, on and off again."""

    def __init__(
        self,
        cache: RedisEndpoint,
        journal: StepJournal,
        notifications: Notifications,
        stack: str,
        sleep: Callable[[float], None],
    ) -> None:
        self._cache, self._journal, self._notifications, self._sleep = cache, journal, notifications, sleep
        self._stack = stack
        self._step: int | None = None
        self._old = ""
        self._ours: list[str] = []

    def on(self) -> None:
        try:
            with self._cache.client() as client:
                if why := why_not_watchable(server_mode_and_run(client)[0]):
                    self._hidden(why)
                    return
                self._turn_on(client)
        except redis_errors.RedisError as error:
            self._notifications.refused = True
            self._hidden(f"the cache does not let its {OPTION} be read ({_said(error)})")

    def _turn_on(self, client: redis.Redis) -> None:
        self._old = read_setting(client)
        if covers(self._old):
            self._notifications.visible = True
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
        detail = {"stack": self._stack, "from": self._old, "to": new, "cache": self._cache.identity}
        self._step = self._journal.intend(NOTIFY, detail, self._inverse())
        try:
            client.execute_command("CONFIG", "SET", OPTION, new)
        except redis_errors.ResponseError as error:
            self._notifications.refused = True
            self._close("nothing-done", "the cache refused it")
            self._hidden(f"the cache does not let its {OPTION} be set ({_said(error)})")
            return
        except redis_errors.RedisError as error:  # it may have been set: `off` looks
            self._hidden(f"the cache did not answer ({_said(error)})")
            return
        is_now = read_setting(client)
        self._ours.append(is_now)
        self._journal.confirm(self._step, {"is": is_now})
        self._notifications.visible = flags(is_now) >= flags("Kg$xe")
        if not self._notifications.visible:
            self._hidden(f"the cache took {new} for its {OPTION}, and says {shown(is_now)}")

    def _inverse(self) -> dict[str, Any]:
        """Nothing is left of the setting of the run's own cache once that is stopped."""
        if self._cache.owned:
            return {}
        return {
            "kind": NOTIFY,
            "name": OPTION,
            "by_hand": by_hand(OPTION, self._old),
            "value": self._old,
            "ours": self._ours,
            "cache": self._cache.identity,
            "url_env": self._cache.url_env,
        }

    def off(self) -> None:
        if self._step is None:
            return

        def do() -> UndoResult:
            with self._cache.client() as client:
                return put_back(client, OPTION, self._old, self._ours, same_meaning(OPTION))

        try:
            undone = with_retries(do, OPTION, self._old, self._sleep)
        except LuckyHitError:
            self._notifications.disturbed = True
            if not self._cache.owned:
                raise
            undone = UndoResult("gone", "the run's own cache does not answer: nothing of it will be left")
        if undone.outcome in ("was-back", "left-to-others"):
            self._notifications.disturbed = True
            self._notifications.sentences.append(f"the cache's events of this block can't be relied on: {undone.how}")
        self._close(undone.outcome, undone.how)

    def _close(self, outcome: StepOutcome, how: str) -> None:
        if self._step is not None:
            self._journal.undo(self._step, {"outcome": outcome, "how": how})
        self._step = None

    def _hidden(self, why: str) -> None:
        self._notifications.visible = False
        self._notifications.sentences.append(f"not visible: {why}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class RedisEvents:
    """The keyspace events of one cache."""

    setting = OPTION

    def __init__(self, cache: RedisEndpoint) -> None:
        self._cache = cache

    def switch(
        self, journal: StepJournal, notifications: Notifications, stack: str, sleep: Callable[[float], None]
    ) -> _Switch:
        return _Switch(self._cache, journal, notifications, stack, sleep)

    def listener(
        self,
        arm: Arm,
        channels: Mapping[str, str],
        stopping: threading.Event,
        now_ns: Callable[[], int],
        problem: Callable[[str], None],
        most_rows: int,
        patterns: Sequence[Shape],
        reserved: Callable[[str], bool],
    ) -> Listener:
        return Listener(arm, self._cache, channels, stopping, now_ns, problem, most_rows, patterns, reserved)

    def learn(
        self, keys: Sequence[str], read: Callable[[str], object], templates: Sequence[str]
    ) -> LearnedShapes | None:
        try:
            return learn(self._cache, keys, read, templates)
        except redis_errors.RedisError:
            return None

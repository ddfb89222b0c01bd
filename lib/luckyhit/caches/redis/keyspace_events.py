"""Making a Redis or Valkey server report its keyspace events, and putting its setting back.

The server reads the setting back with its letters in another order, and with `A` for all classes, so settings are
compared as sets of letters. With `A` it hides the class `n` (new keys), which could then not be put back: such a
setting of somebody else's is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.base import NOTIFY, ListenOptions, Notifications, StepJournal, UndoResult
from luckyhit.caches.key_shapes import LearnedShapes, learned_shapes
from luckyhit.caches.redis.listener import SETS_NOTHING, Listener, why_not_watchable
from luckyhit.caches.redis.redis_settings import OPTION, RedisSettings, config_get, flags, shown
from luckyhit.caches.redis.topology import RedisEndpoint, server_mode
from luckyhit.errors import LuckyHitError
from luckyhit.records import StepOutcome

NEEDED = "KA"
"""Keyspace events of every class: an entry may be a string, a hash, or of a module's type."""


def covers(value: str) -> bool:
    """Whether a server with this setting reports all that is needed."""
    return flags(value) >= flags(NEEDED)


def read_setting(client: redis.Redis) -> str:
    """The setting as the server reads it back. Raises redis.RedisError; ResponseError also where it has no such
    setting."""
    value = config_get(client, OPTION)
    if value is None:
        raise redis_errors.ResponseError(f"the server has no setting {OPTION}")
    return value


class _Switch:
    """Turns the setting of one cache on, and off again."""

    def __init__(
        self,
        cache: RedisEndpoint,
        journal: StepJournal,
        notifications: Notifications,
        stack: str,
        sleep: Callable[[float], None],
    ) -> None:
        self._cache, self._journal, self._notifications, self._sleep = cache, journal, notifications, sleep
        self._stack, self._settings = stack, RedisSettings(cache)
        self._step: int | None = None
        self._old = ""
        self._ours: list[str] = []

    def on(self) -> None:
        try:
            with self._cache.client() as client:
                if why := why_not_watchable(server_mode(client)):
                    self._hidden(why)
                    return
                self._turn_on(client)
        except redis_errors.RedisError as error:
            self._notifications.refused = True
            self._hidden(f"the cache does not let its {OPTION} be read ({_text(error)})")

    def _turn_on(self, client: redis.Redis) -> None:
        self._old = read_setting(client)
        if covers(self._old):
            self._notifications.visible = True
            return
        if "A" in self._old and not self._cache.owned:
            self._hidden(
                f"its {OPTION} is {shown(self._old)}, which may hide the class n, so it could not be put back exactly; "
                "add a K to it permanently"
            )
            return
        others = "".join(sorted(flags(self._old) - flags(NEEDED)))
        new = NEEDED + others
        self._ours = [new, NEEDED + others.replace("n", "")]  # the server reads it back without the n, see above
        detail = {"stack": self._stack, "from": self._old, "to": new, "cache": self._cache.identity}
        self._step = self._journal.intend(NOTIFY, detail, self._inverse())
        try:
            client.execute_command("CONFIG", "SET", OPTION, new)
        except redis_errors.ResponseError as error:
            self._notifications.refused = True
            self._close("nothing-done", "the cache refused it")
            self._hidden(f"the cache does not let its {OPTION} be set ({_text(error)})")
            return
        except redis_errors.RedisError as error:  # it may have been set; `off` finds out
            self._hidden(f"the cache did not answer ({_text(error)})")
            return
        is_now = read_setting(client)
        self._ours.append(is_now)
        self._journal.confirm(self._step, {"is": is_now})
        self._notifications.visible = flags(is_now) >= flags("Kg$xe")
        if not self._notifications.visible:
            self._hidden(f"the cache accepted {new} for its {OPTION} and reads back {shown(is_now)}")

    def _inverse(self) -> dict[str, Any]:
        """Empty for the run's own cache: stopping it undoes the setting."""
        if self._cache.owned:
            return {}
        return {
            "kind": NOTIFY,
            "name": OPTION,
            "by_hand": self._settings.by_hand(OPTION, self._old),
            "value": self._old,
            "ours": self._ours,
            "cache": self._cache.identity,
            "url_env": self._cache.url_env,
        }

    def off(self) -> None:
        if self._step is None:
            return

        try:
            undone = self._settings.put_back(OPTION, self._old, self._ours, self._sleep)
        except LuckyHitError:
            self._notifications.disturbed = True
            if not self._cache.owned:
                raise
            undone = UndoResult("gone", "the run's own cache does not answer, and will be stopped")
        if undone.outcome in ("was-back", "left-to-others"):
            self._notifications.disturbed = True
            self._notifications.sentences.append(f"the cache's events of this block are not reliable: {undone.how}")
        self._close(undone.outcome, undone.how)

    def _close(self, outcome: StepOutcome, how: str) -> None:
        if self._step is not None:
            self._journal.undo(self._step, {"outcome": outcome, "how": how})
        self._step = None

    def _hidden(self, why: str) -> None:
        self._notifications.visible = False
        self._notifications.sentences.append(f"not visible: {why}")


def _text(error: Exception) -> str:
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

    def listener(self, options: ListenOptions) -> Listener:
        return Listener(self._cache, options)

    def learn(
        self, keys: Sequence[str], read: Callable[[str], object], templates: Sequence[str]
    ) -> LearnedShapes | None:
        try:
            return learn(self._cache, keys, read, templates)
        except redis_errors.RedisError:
            return None


def learn(
    cache: RedisEndpoint, keys: Sequence[str], read: Callable[[str], object], templates: Sequence[str] = ()
) -> LearnedShapes:
    """Read each key, with nothing else sent meanwhile, and see what that stores. Raises redis.RedisError where the
    cache can't be listened to."""
    stored: dict[str, dict[str, str]] = {}
    with cache.client(protocol=2) as client:
        database = int(client.connection_pool.connection_kwargs.get("db") or 0)
        prefix = f"__keyspace@{database}__:"
        connection = client.connection_pool.get_connection()
        try:
            connection.send_command("PSUBSCRIBE", f"{prefix}*")
            connection.read_response(push_request=True)
            for key in keys:
                _events_until_now(connection)  # from before this read
                read(key)
                stored[key] = {
                    name.removeprefix(prefix): event
                    for name, event in _events_until_now(connection)
                    if event not in SETS_NOTHING
                }
        finally:
            connection.disconnect()
    return learned_shapes(stored, templates)


def _events_until_now(connection: redis.Connection) -> list[tuple[str, str]]:
    connection.send_command("PING", "luckyhit", check_health=False)
    events: list[tuple[str, str]] = []
    while True:
        message = connection.read_response(push_request=True)
        if not isinstance(message, list) or message[0] == b"pong":
            return events
        if message[0] == b"pmessage":
            events.append((message[2].decode(errors="surrogateescape"), message[3].decode(errors="replace")))

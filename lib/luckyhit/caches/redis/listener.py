"""Listening to one cache: a connection for its events, and one that asks for times to live."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import redis
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from luckyhit.caches.base import ListenOptions
from luckyhit.caches.key_shapes import Shape
from luckyhit.caches.redis.flushes import CHANNEL, FlushWatch
from luckyhit.caches.redis.topology import RedisEndpoint, server_mode, server_run_id
from luckyhit.caches.watch_events import FLUSHED, FLUSHES_NOT_TOLD, LOST, WATCHED, WATCHING
from luckyhit.errors import LuckyHitError

SETS_NOTHING = frozenset({"del", "expired", "evicted", "rename_from", "move_from", "expire", "persist", "keymiss"})
_CHUNK = 500
_POLL_S, _AGAIN_S = 0.05, 0.2
_PING_EVERY_S, _SILENT_S = 1.0, 5.0
_TTL_GAP_S = 0.25
"""At most four PTTL a second, since they move the server's hit counter."""
_Row = list[Any]


def why_not_watchable(mode: str) -> str:
    """Why the events of a server in this mode can't be watched; empty where they can."""
    if mode == "cluster":
        return "a cluster reports each event only on the node that has the key"
    if mode == "sentinel":
        return "the URL names a Sentinel, which holds no keys; name the primary"
    return ""


class _NotVisible(Exception):
    """Reconnecting would not help."""


class Listener:
    """Listens to one cache until stopped, and again after its connection broke."""

    def __init__(self, cache: RedisEndpoint, options: ListenOptions) -> None:
        self.arm, self.ready, self.rows = options.arm, threading.Event(), list[_Row]()
        self._cache, self._stopping = cache, options.stopping
        self._now_ns, self._problem = options.now_ns, options.problem
        self._by_key = {name.encode(errors="surrogateescape"): key for name, key in options.channels.items()}
        self._names: dict[bytes, tuple[bytes, str, str]] = {}  # by channel: the cache's key, as shown, the probed key
        self._patterns = {shape.glob.encode(errors="surrogateescape"): shape for shape in options.patterns}
        self._by_pattern: dict[bytes, Shape] = {}
        self._reserved = options.reserved
        self._most_rows, self._full = options.most_rows, False
        self._run_id: str | None = None
        self._heard_ns = options.now_ns()
        self._lifetimes = _Lifetimes()
        self._flushes: FlushWatch | None = None

    def run(self) -> None:
        try:
            while True:
                try:
                    self._listen()
                    return
                except (redis_errors.RedisError, OSError) as error:
                    self._lose(error)
                if self._stopping.wait(_AGAIN_S):
                    return
        except (_NotVisible, LuckyHitError) as error:
            self._problem(f"the cache's events of {self.arm} are not visible: {error}")
        finally:
            self.ready.set()
            self._lifetimes.drop()

    @property
    def asked(self) -> int:
        return self._lifetimes.asked

    def _lose(self, error: Exception) -> None:
        """Mark that nothing is seen from the last sign of life on."""
        if self.rows and self.rows[-1][3] != LOST:
            self._mark(self._heard_ns, LOST)
        self._problem(
            f"the cache's events of {self.arm} were lost for a while: the connection broke ({type(error).__name__})"
        )
        self._lifetimes.drop()
        self.ready.set()

    def _listen(self) -> None:
        client = self._cache.client(protocol=2, retry=Retry(NoBackoff(), 0))
        try:
            self._same_server(client)
            connection = client.connection_pool.get_connection()
            try:
                database = int(client.connection_pool.connection_kwargs.get("db") or 0)
                no_flushes = self._track_flushes(connection, client, database)
                self._subscribe(connection, database)
                self._heard_ns = self._now_ns()
                self._mark(self._heard_ns, WATCHING)
                if no_flushes:
                    self._mark(self._heard_ns, FLUSHES_NOT_TOLD)
                    self._problem(f"a flush of the cache of {self.arm} would not be seen: {no_flushes}")
                self.ready.set()
                self._hear(connection, client)
            finally:
                connection.disconnect()
                if self._flushes is not None:
                    self._flushes.close()
                    self._flushes = None
        finally:
            client.close()

    def _track_flushes(self, connection: redis.Connection, client: redis.Redis, database: int) -> str:
        """Why flushes can't be seen; empty where they can. Has to come before any other subscription."""
        try:
            connection.send_command("CLIENT", "ID")
            listener_id = int(connection.read_response())
            self._flushes = FlushWatch(client, listener_id, database)
            connection.send_command("SUBSCRIBE", CHANNEL)
            connection.read_response(push_request=True)
        except redis_errors.ResponseError as error:
            if self._flushes is not None:
                self._flushes.close()
                self._flushes = None
            return str(error)
        return ""

    def _same_server(self, client: redis.Redis) -> None:
        """A restarted server no longer reports events, so its silence would prove nothing."""
        if why := why_not_watchable(server_mode(client)):
            raise _NotVisible(why)
        run_id = server_run_id(client)
        if self.ready.is_set() and self._run_id is not None and run_id != self._run_id:
            raise _NotVisible("the server was restarted meanwhile and reports no events since")
        self._run_id = run_id

    def _subscribe(self, connection: redis.Connection, database: int) -> None:
        self._names = {
            b"__keyspace@%d__:%b" % (database, name): (name, name.decode(errors="backslashreplace"), key)
            for name, key in self._by_key.items()
        }
        channels = list(self._names)
        for start in range(0, len(channels), _CHUNK):
            chunk = channels[start : start + _CHUNK]
            connection.send_command("SUBSCRIBE", *chunk)
            confirmed = 0
            while confirmed < len(chunk):
                try:
                    message = connection.read_response(push_request=True)
                except redis_errors.ResponseError as error:
                    raise _NotVisible(f"the cache refuses SUBSCRIBE ({error})") from None
                if message[0] == b"subscribe":
                    confirmed += 1
                else:
                    self._take(message, None)

        prefix = b"__keyspace@%d__:" % database
        self._by_pattern = {prefix + glob: shape for glob, shape in self._patterns.items()}
        for pattern in self._by_pattern:
            connection.send_command("PSUBSCRIBE", pattern)
            while (message := connection.read_response(push_request=True))[0] != b"psubscribe":
                self._take(message, None)

    def _hear(self, connection: redis.Connection, client: redis.Redis) -> None:
        """Take what comes until stopped; then until the answer to a last PING shows that nothing is under way."""
        pings = deque[int]()  # send times of those without an answer yet
        pinged_s, heard_s, ending = time.monotonic(), time.monotonic(), False
        while pings or not ending:
            now_s, last = time.monotonic(), self._stopping.is_set() and not ending
            if last or now_s - pinged_s > _PING_EVERY_S:
                pings.append(self._now_ns())
                connection.send_command("PING", "luckyhit", check_health=False)
                if self._flushes is not None:
                    self._flushes.ask_size()
                pinged_s, ending = now_s, ending or last
            if connection.can_read(timeout=_POLL_S):
                heard_s = time.monotonic()
                if self._take(connection.read_response(push_request=True), client):
                    # Answers come in order: all events from before this PING have arrived.
                    self._heard_ns = pings.popleft() if pings else self._heard_ns
            elif pings and now_s - heard_s > _SILENT_S:
                raise redis_errors.ConnectionError("the cache stopped answering")
            self._about_lifetimes(self._lifetimes.take)
            self._note_flushes()
        self._await_flushes()
        self._mark(self._heard_ns, WATCHED)

    def _note_flushes(self) -> None:
        for at_ns in self._flushes.take() if self._flushes is not None else ():
            self._mark(at_ns, FLUSHED)

    def _await_flushes(self) -> None:
        """Wait for the answers about flushes at the very end."""
        until_s = time.monotonic() + _SILENT_S
        while self._flushes is not None and self._flushes.waiting and time.monotonic() < until_s:
            self._flushes.wait(_POLL_S)
            self._note_flushes()

    def _take(self, message: Any, client: redis.Redis | None) -> bool:
        """Turn an event into a row. Returns whether the message is the answer to a PING."""
        if not isinstance(message, list) or message[0] == b"pong":
            return True
        if message[1] == CHANNEL:
            if message[0] == b"message" and message[2] is None and self._flushes is not None:
                self._flushes.note_flush(self._now_ns())
            return False
        at_ns = self._now_ns()
        known = self._names.get(message[1]) if message[0] == b"message" else self._of_pattern(message)
        if known is None:
            return False
        name, shown, key = known
        event = bytes(message[-1]).decode(errors="backslashreplace")
        row = self._row(at_ns, key, shown, event)
        if row is not None and client is not None:
            self._about_lifetimes(lambda: self._lifetimes.ask(client, name, event, row))
        return False

    def _of_pattern(self, message: list[Any]) -> tuple[bytes, str, str] | None:
        """The cache's key, as shown, and the probed key of an event that came by a pattern; None where it belongs to no
        reserved key, or also comes by another subscription."""
        if message[0] != b"pmessage" or message[2] in self._names:
            return None
        name = bytes(message[2]).partition(b":")[2]
        text = name.decode(errors="surrogateescape")
        for pattern, shape in self._by_pattern.items():
            key = shape.key_of(text)
            if key is not None:
                ours = pattern == message[1] and (shape.group or self._reserved(key))
                return (name, name.decode(errors="backslashreplace"), key) if ours else None
        return None

    def _about_lifetimes(self, do: Callable[[], None]) -> None:
        try:
            do()
        except (redis_errors.RedisError, OSError) as error:
            warning = f"the cache's events of {self.arm} come without times to live: {type(error).__name__}"
            self._problem(warning)
            self._lifetimes.drop(for_good=isinstance(error, redis_errors.ResponseError))

    def _mark(self, at_ns: int, event: str) -> None:
        if not self._full:
            self.rows.append([at_ns, "", "", event, None])

    def _row(self, at_ns: int, key: str, shown: str, event: str) -> _Row | None:
        if self._full:
            return None
        if len(self.rows) >= self._most_rows:
            self._mark(at_ns, LOST)
            self._full = True
            self._problem(f"the cache's events of {self.arm}: more than {self._most_rows}; the later ones are not kept")
            return None
        row: _Row = [at_ns, key, shown, event, None]
        self.rows.append(row)
        return row


class _Lifetimes:
    """Asks for times to live without waiting for the answers, which would delay the timestamp of the next event."""

    def __init__(self) -> None:
        self.asked = 0
        self._connection: redis.Connection | None = None
        self._waiting: deque[tuple[bytes, _Row]] = deque()
        self._asked_s = float("-inf")
        self._for_ever: set[bytes] = set()
        self._refused = False

    def ask(self, client: redis.Redis, name: bytes, event: str, row: _Row) -> None:
        """Ask after an event that set a new value; the answer goes into its row."""
        # EXPIRE counts as new only where an earlier answer said that the key has no end.
        new = event not in SETS_NOTHING or (event == "expire" and name in self._for_ever)
        now_s = time.monotonic()
        if not new or self._refused or now_s - self._asked_s < _TTL_GAP_S:
            return
        self._asked_s = now_s
        if self._connection is None:
            self._connection = client.connection_pool.get_connection()
        self._connection.send_command("PTTL", name, check_health=False)
        self._waiting.append((name, row))
        self.asked += 1

    def take(self) -> None:
        while self._waiting and self._connection is not None and self._connection.can_read(timeout=0):
            left_ms = int(self._connection.read_response())
            name, row = self._waiting.popleft()
            row[-1] = left_ms if left_ms != -2 else None
            (self._for_ever.add if left_ms == -1 else self._for_ever.discard)(name)

    def drop(self, *, for_good: bool = False) -> None:
        if self._connection is not None:
            self._connection.disconnect()
        self._connection, self._refused = None, self._refused or for_good
        self._waiting.clear()

"""A relay between the service and its cache that knows commands: it can hold one, hold the answer to one, or cut."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from luckyhit.system.relay import Relay

MOST_HELD_S = 3.0
"""No delay lasts longer, whatever happens to the experiment."""
_SUBSCRIBING = (b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE")
Command = Sequence[bytes]
"""A command's name in capital letters, and its arguments."""


@dataclass
class Hold:
    """The first command that `matches` is held, or its answer (`reply`), until `release()`. `reached`: it came."""

    matches: Callable[[Command], bool]
    reply: bool
    reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self._released.set()

    def wait(self) -> None:
        self._released.wait(MOST_HELD_S)


class CommandRelay:
    """In front of one cache server that speaks RESP. `seen`: the commands of all connections since `forget()`."""

    def __init__(self, cache_url: str) -> None:
        parts = urlsplit(cache_url)
        self._parts = parts
        self._relay = Relay((parts.hostname or "127.0.0.1", parts.port or 6379), self._passing)
        self._buffers: dict[int, bytes] = defaultdict(bytes)
        self._answers: dict[int, Hold] = {}
        self._subscribed: set[int] = set()
        self._hold: Hold | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The cache's URL by way of the relay."""
        address = f"127.0.0.1:{self._relay.port}"
        user, at, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(self._parts._replace(netloc=f"{user}{at}{address}"))

    @property
    def used(self) -> bool:
        """Whether the service connected to its cache by this way."""
        return self._relay.connections > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hold is not None:
            self._hold.release()
        self._relay.stop()

    def hold(self, matches: Callable[[Command], bool], *, reply: bool = False) -> Hold:
        """Hold the next command that matches; one at a time."""
        with self._lock:
            self._hold = Hold(matches, reply)
            return self._hold

    def refuse(self, *, refusing: bool) -> None:
        """An outage: all connections are closed, and new ones at once. Or its end."""
        self._relay.refusing = refusing
        if refusing:
            self._relay.cut()

    def cut_subscribers(self) -> int:
        """Close the connections that wait for messages; how many there were."""
        return self._relay.cut(lambda number: number in self._subscribed)

    def _passing(self, number: int, from_client: bool, data: bytes) -> None:
        if not from_client:
            with self._lock:
                hold = self._answers.pop(number, None)
            if hold is not None:
                hold.wait()
            return
        commands, self._buffers[number] = commands_in(self._buffers[number] + data)
        for command in commands:
            if command[0] in _SUBSCRIBING or (command[0] == b"CLIENT" and b"TRACKING" in _capital(command[1:2])):
                self._subscribed.add(number)
            with self._lock:
                hold = self._hold
                if hold is None or hold.reached.is_set() or not hold.matches(command):
                    continue
                hold.reached.set()
                if hold.reply:
                    self._answers[number] = hold
                    continue
            hold.wait()


def commands_in(data: bytes) -> tuple[list[Command], bytes]:
    """The whole commands at the start of what a client sent (RESP arrays of bulk strings), and the rest.

    What is no such array ends it: nothing of it is understood, and nothing is kept.
    """
    commands: list[Command] = []
    at = 0
    while at < len(data):
        words, end = _command(data, at)
        if end < 0:
            return commands, b""
        if end == 0:
            break
        commands.append([words[0].upper(), *words[1:]] if words else [b""])
        at = end
    return commands, data[at:]


def _command(data: bytes, at: int) -> tuple[list[bytes], int]:
    """One command from `at` on, and where it ends: 0 where it is not whole yet, -1 where it is none."""
    count, at = _number(data, at, b"*")
    if at <= 0:
        return [], at
    words = []
    for _ in range(count):
        length, at = _number(data, at, b"$")
        if at <= 0:
            return [], at
        if len(data) < at + length + 2:
            return [], 0
        words.append(data[at : at + length])
        at += length + 2
    return words, at


def _number(data: bytes, at: int, mark: bytes) -> tuple[int, int]:
    """The number of a line that begins with `mark`, and where the next line begins: 0 where the line is not whole yet,
    -1 where it is another one."""
    if at >= len(data):
        return 0, 0
    if data[at : at + 1] != mark:
        return 0, -1
    end = data.find(b"\r\n", at)
    if end < 0:
        return 0, 0 if len(data) - at < 32 else -1
    try:
        number = int(data[at + 1 : end])
    except ValueError:
        return 0, -1
    return (number, end + 2) if 0 <= number <= 1 << 29 else (0, -1)


def _capital(words: Sequence[bytes]) -> list[bytes]:
    return [word.upper() for word in words]

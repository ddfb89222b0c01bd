"""Memcached's meta commands over one connection: they tell flags, CAS numbers and times to live, and delete a value
only as it was seen. Source: doc/protocol.txt of memcached 1.6.18, tried with that version."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_KEY = 250


@dataclass(frozen=True, slots=True)
class Reply:
    """`code`: HD, VA, EN, NF, NS, EX, ME ...; `flags` by their letter; `value` of VA alone."""

    code: str
    flags: dict[str, str]
    value: bytes = b""


class MetaClient:
    """One connection. Raises OSError where it breaks, or no answer comes within `timeout_s`."""

    def __init__(self, address: tuple[str, int], timeout_s: float) -> None:
        self._socket = socket.create_connection(address, timeout=timeout_s)
        self._file = self._socket.makefile("rb")

    def ask(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send all, then take all replies."""
        self._socket.sendall(b"".join(commands))
        return [self._reply() for _ in commands]

    def stats(self, section: str = "") -> dict[str, str]:
        self._socket.sendall(f"stats {section}".strip().encode() + b"\r\n")
        statistics: dict[str, str] = {}
        while (line := self._line()) != "END":
            _, name, value = line.split(" ", 2)
            statistics[name] = value
        return statistics

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _reply(self) -> Reply:
        code, *words = self._line().split(" ")
        if code in ("ERROR", "CLIENT_ERROR", "SERVER_ERROR"):
            raise ConnectionError(f"memcached refused a command: {' '.join([code, *words])}")
        value = b""
        if code == "VA":
            size = int(words.pop(0))
            value = self._file.read(size + 2)[:-2]
        if code == "ME":
            return Reply(code, dict(word.split("=", 1) for word in words[1:]))
        return Reply(code, {word[0]: word[1:] for word in words if word}, value)

    def _line(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("memcached closed the connection")
        return line[:-2].decode("utf-8", "backslashreplace")


def possible(key: bytes) -> bool:
    """Whether memcached can have a key of this name at all."""
    return 0 < len(key) <= _LONGEST_KEY and not any(byte <= 32 or byte == 127 for byte in key)

"""Keyspaces that are out to make a clear touch what it should not. What our client names is taken from the server's own
record of every command (MONITOR)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from served import ReachedBy

from luckyhit.caches.redis import redis_keys
from luckyhit.caches.restore import restore
from luckyhit.caches.scope import Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from tier import ALL

TEMPLATES = [
    "product:{id}:v1", "p*[a-z]?:{id}", "{a}:x", "k{id}", "\\{{{id}}}", "a\n{b}", "ü:{x}:{y}", "only", "{a}{b}",
    "^(.*)${id}|[0-9]+", "-]{id}[^",
]  # fmt: skip
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}
_WITH_KEYS = {*b"UNLINK DEL WATCH PTTL DUMP RESTORE EXPIRE PEXPIRE RENAME GETDEL".split()}
_NO_KEYS = {*b"SCAN DBSIZE INFO TIME MULTI EXEC UNWATCH HELLO CLIENT SELECT PING".split()}


@dataclass(frozen=True)
class Meddling:
    """What somebody else does meanwhile: keys that they remove and keys that they make, at two moments."""

    removed: frozenset[bytes] = field(default_factory=frozenset)
    made: frozenset[bytes] = field(default_factory=frozenset)


class Recorded:
    """Every command of the server since the last look, by MONITOR."""

    def __init__(self, port: int, client: redis.Redis) -> None:
        self._client, self._socket = client, socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self._file = self._socket.makefile("rb")
        assert self._file.readline() == b"+OK\r\n"
        self._ours = str(client.client_info()["addr"]).encode()
        self.take()

    def take(self) -> list[list[bytes]]:
        """The commands of all connections but the test's own."""
        self._client.echo("until here")
        commands = []
        while True:
            line = self._file.readline()
            address = line.partition(b"[")[2].partition(b"]")[0].split()[-1]
            words = [_ESCAPE.sub(_unescaped, word) for word in _WORD.findall(line.partition(b"]")[2])]
            if address != self._ours:
                commands.append(words)
            elif words == [b"ECHO", b"until here"]:
                return commands

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes.fromhex(code[1:].decode()) if len(code) == 3 else _NAMED.get(code, code)


@pytest.fixture
def tester(server: Any) -> Iterator[redis.Redis]:
    """The test's own one connection: what comes by others is the clear's."""
    # No timeout: a client that connects anew has another address, and its commands would not be known as its own.
    with redis.Redis(port=server.port, single_connection_client=True, socket_timeout=None) as client:
        yield client


@pytest.fixture
def recorded(cache: Any, server: Any, tester: redis.Redis) -> Iterator[Recorded]:
    recorded = Recorded(server.port, tester)
    yield recorded
    recorded.close()


def matches(template: str, key: bytes) -> bool:
    """What a template means, said once more in the plainest way: try every split."""
    parts = [
        None if part.startswith("{") and part not in ("{{",) else {"{{": "{", "}}": "}"}.get(part, part).encode()
        for part in re.findall(r"\{\{|\}\}|\{\w+\}|[^{}]", template)
    ]

    def fits(index: int, rest: bytes) -> bool:
        if index == len(parts):
            return rest == b""
        part = parts[index]
        if part is not None:
            return rest.startswith(part) and fits(index + 1, rest[len(part) :])
        if index == len(parts) - 1:  # nothing follows: no need to try (it takes long on a long key)
            return rest != b"" and b":" not in rest
        ends = next((end for end, byte in enumerate(rest) if byte == ord(":")), len(rest))
        return any(fits(index + 1, rest[end:]) for end in range(1, ends + 1))

    return fits(0, key)


hostile_bytes = st.one_of(
    st.binary(max_size=12),
    st.text("*?[]^\\-:{}\n\0 kpvxü1$|+.()", max_size=10).map(str.encode),
    st.sampled_from([b"", b"\xff\xfe", b"\n", b"\0", b"\r\n", b"*", b"1", b":", b"x" * 3000, b'"', b"\\x41"]),
)


@st.composite
def hostile_keys(draw: st.DrawFn) -> bytes:
    """A key that fits a template, nearly fits one, or has nothing to do with any."""
    key = draw(hostile_bytes)
    template = draw(st.sampled_from([*TEMPLATES, ""]))
    if template:
        filled = re.sub(rb"(?<!\{)\{\w+\}", lambda _: key, template.encode())
        key = filled.replace(b"{{", b"{").replace(b"}}", b"}")
    if key and draw(st.booleans()):
        place = draw(st.integers(0, len(key) - 1))
        change = draw(st.sampled_from(["replace", "remove", "insert"]))
        byte = bytes([draw(st.integers(0, 255))])
        key = key[:place] + (b"" if change == "remove" else byte) + key[place + (change != "insert") :]
    return key


@st.composite
def keyspaces(draw: st.DrawFn) -> tuple[set[bytes], list[Meddling]]:
    keys = draw(st.sets(hostile_keys(), max_size=30))
    some = st.frozensets(st.sampled_from(sorted(keys)) if keys else hostile_keys(), max_size=4)
    meddling = st.builds(Meddling, removed=some, made=some | st.frozensets(hostile_keys(), max_size=4))
    return keys, draw(st.lists(meddling, max_size=4))


def contents(client: redis.Redis) -> dict[bytes, tuple[Any, bool]]:
    """Everything there: the value, and whether the time to live is what it was given (an hour)."""
    keys = list(client.scan_iter(count=1000))
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
        pipeline.pttl(key)
    values = pipeline.execute()
    return {key: (values[2 * at], 3_500_000 < values[2 * at + 1] <= 3_600_000) for at, key in enumerate(keys)}


def check(
    cache: Any, tester: redis.Redis, recorded: Recorded, journal: Journal, keyspace: Any, templates: list[str]
) -> None:
    keys, meddling = keyspace
    tester.flushdb()
    for key in keys:
        tester.set(key, key[:50] + b"!", ex=3600)
    in_scope = {key for key in keys if any(matches(template, key) for template in templates)}
    outside = {key: (key[:50] + b"!", True) for key in keys - in_scope}
    todo = iter(meddling)

    def meddle(*_: object) -> None:
        step = next(todo, Meddling())
        for key in step.removed - step.made:
            tester.unlink(key)
            outside.pop(key, None)
        for key in step.made:
            tester.set(key, b"made", ex=3600)
            if not any(matches(template, key) for template in templates):
                outside[key] = (b"made", True)

    scan = redis_keys.scan

    def scan_and_meddle(*arguments: Any) -> Iterator[list[bytes]]:
        for batch in scan(*arguments):
            yield batch
            meddle()

    recorded.take()
    spec = CacheSpec.model_validate({"clear": templates, "url_env": "SHOP_CACHE", "dedicated": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_keys, "_SCAN_COUNT", 8)
        patch.setattr(redis_keys, "scan", scan_and_meddle)
        report = clear(cache, spec, journal, on_progress=meddle)
    named = set()
    for name, *words in recorded.take():
        assert name.upper() in _WITH_KEYS | _NO_KEYS, f"{name!r} was sent"
        if name.upper() in _WITH_KEYS:
            named |= set(words)
    assert all(any(matches(template, key) for template in templates) for key in named)
    after = contents(tester)
    assert {key: value for key, value in after.items() if not any(matches(t, key) for t in templates)} == outside
    assert report.matched == report.cleared + report.gone + report.without_ttl_kept + report.contended
    if not meddling:
        assert (report.scanned, report.matched, report.cleared) == (len(keys), len(in_scope), len(in_scope))
        assert report.outside == len(keys) - len(in_scope) and report.outside_gone == report.appeared == 0
        assert named == in_scope and report.named == len(in_scope)
        if report.backup:
            restore(ReachedBy(tester), journal.path.parent / report.backup)
            assert contents(tester) == {key: (key[:50] + b"!", True) for key in keys}


hostile = given(
    keyspace=keyspaces(),
    templates=st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=3, unique=True),
)
LONG = b"k" + b"*?[" * 174_763  # more than half a megabyte


_SHARED = [HealthCheck.function_scoped_fixture]


@settings(max_examples=2000 if ALL else 20, derandomize=not ALL, deadline=None, suppress_health_check=_SHARED)
@hostile
@example(keyspace=({LONG, LONG[1:], LONG + b":", b"only", b""}, []), templates=["k{id}", "only"])
def test_hostile_keyspaces_lose_exactly_the_declared_keys(
    cache: Any, tester: redis.Redis, recorded: Recorded, tmp_path_factory: Any, keyspace: Any, templates: list[str]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("run") / "journal.jsonl")
    check(cache, tester, recorded, journal, keyspace, templates)


@given(st.lists(st.sampled_from(TEMPLATES), min_size=1, unique=True), st.data())
def test_glob_of_the_server_hides_no_declared_key(templates: list[str], data: st.DataObject) -> None:
    """By the rules of the server's own globs, for those that we use: literals, one of several, and a star at the end."""
    glob = Scope(templates).glob
    key = data.draw(hostile_keys())
    if glob is not None and any(matches(template, key) for template in templates):
        classes = re.sub(rb"\\(.)", lambda match: re.escape(match[1]), glob.removesuffix(b"*"), flags=re.DOTALL)
        assert re.match(classes, key, re.DOTALL)

"""The world around a run: somebody else's cache and shop, a switch in a file, a Git repository. It outlives the run.

What has to be as it was, once a killed run was reverted:

- the shop's flag, the prices that the probe wrote to, the switch in the file, the repository's worktrees, and every
  setting of the cache: exactly (what the load itself repriced is what a load does, and stays);
- every key outside the scope: its value exactly, its time to live to within a second, less the time that has passed;
- every key in scope, by what the shop itself did with it meanwhile (it keeps a diary, see live_service.py):
  - it never wrote it: as outside the scope; where its time was over meanwhile, it must be gone;
  - it stored it anew (a miss, after the key was cleared): the old entry, or one of the shop's. Not absent, unless the
    old entry's time was over: then it may stay away;
  - it deleted it (the price was changed by the load or by the probe): the same, or absent. An entry that the shop
    threw away is not missed;
- no key that was not there before, but for such as the shop stored.

Once a run has ended well, what it cleared was meant to be cleared: a key in scope may stay away then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import redis

from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.system import ports
from luckyhit.system.process import SupervisedProcess

URL_ENV, LOCKS_ENV = "CRASH_CACHE", "LUCKYHIT_LOCKS"
SETTINGS = {
    "notify-keyspace-events": "Ex",
    "set-max-intset-entries": "100",
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
}
"""None of them has the value that the server starts with by itself."""
TEMPLATE, IN_SCOPE = "product:{id}:v1", re.compile(rb"product:[^:]+:v1", re.DOTALL)
ASKED, PROBED = (1, 40), (1001, 1040)
"""Products that the load asks for, and those of the probe; the others are never read by anybody."""
EXACT_MS = 1000
SHOP_TTL_MS = 1_200_000
WITHIN_S = 20.0


@dataclass(frozen=True)
class Kept:
    """What the cache holds under one key; `expires_at_ms` is on the cache's clock, None where it never does."""

    kind: str
    value: Any
    expires_at_ms: int | None

    @property
    def by_shop(self) -> bool:
        return isinstance(self.value, bytes) and b'"by": "shop"' in self.value


@dataclass(frozen=True)
class Look:
    """All that a run may alter, at one moment."""

    flags: Mapping[str, Any]
    probed: Mapping[str, int]
    switch: str
    worktrees: str
    settings: Mapping[str, str]
    keys: Mapping[bytes, Kept]
    now_ms: int


class World:
    """Started on entry, stopped on exit. `folder/project` is the project, with the shop's repository in `shop`."""

    def __init__(self, folder: Path, locks: Path) -> None:
        self.project, self._own = folder / "project", folder / "world"
        self.locks, self.diary, self.switch = locks, self._own / "diary", self._own / "switch"
        self.repository = self.project / "shop"
        self.port, self._shop_port = ports.free_port(), ports.free_port()
        self._server: SupervisedProcess | None = None
        self._shop: SupervisedProcess | None = None
        self._own.mkdir(parents=True)
        self.diary.touch()
        self.switch.write_text("off")
        _make_project(self.project, self.repository)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._shop_port}"

    @property
    def cache_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def environ(self) -> dict[str, str]:
        """What a run needs to know of it. Its own temporary files are here, too."""
        temporary = self._own.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        return {**os.environ, URL_ENV: self.cache_url, LOCKS_ENV: str(self.locks), "TMPDIR": str(temporary)}

    def __enter__(self) -> Self:
        try:
            self.start_cache()
            with self.cache() as cache:
                _fill(cache)
            program = self.repository / "service.py"
            command = [sys.executable, str(program), "--port", str(self._shop_port), "--cache", self.cache_url]
            env = {**os.environ, "SHOP_DIARY": str(self.diary)}
            log = self._own / "shop.log"
            self._shop = SupervisedProcess(command, cwd=self._own, env=env, log=log, grace_s=0.2)
            until(lambda: httpx.get(f"{self.url}/health", trust_env=False).status_code == 200, "the shop answers")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_cache(self) -> None:
        """Start the cache server, with the keys that it had when it was stopped."""
        settings = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
        address = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._own)]
        command = [find_server(), *address, "--save", "", *settings]
        log = self._own / "cache.log"
        self._server = SupervisedProcess(command, cwd=self._own, env={**os.environ}, log=log, grace_s=0.5)
        with self.cache() as cache:
            until(cache.ping, "the cache answers")

    def stop_cache(self) -> None:
        """Stop the cache server; it keeps its keys on the disk."""
        assert self._server is not None
        with self.cache() as cache:
            cache.save()
        self._server.stop()

    @contextmanager
    def shop_closed(self) -> Iterator[None]:
        """The shop takes no switching of flags for a while."""
        httpx.put(f"{self.url}/closed", json={"on": True}, trust_env=False).raise_for_status()
        yield
        httpx.put(f"{self.url}/closed", json={"on": False}, trust_env=False).raise_for_status()

    def stop(self) -> None:
        for process in (self._shop, self._server):
            if process is not None:
                process.stop()
        for port in (self.port, self._shop_port):
            ports.release(port)

    def pids(self) -> set[int]:
        """Of everything that belongs to it."""
        roots = [process.pid for process in (self._shop, self._server) if process is not None]
        return {pid for root in roots for pid in (root, *(child.pid for child in _children(root)))}

    def cache(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=10)

    def look(self) -> Look:
        with self.cache() as cache:
            seconds, microseconds = cache.time()
            return Look(
                flags=self._ask("/flags"),
                probed={
                    number: price
                    for number, price in self._ask("/prices").items()
                    if PROBED[0] <= int(number) <= PROBED[1] and price != 1
                },
                switch=self.switch.read_text(),
                worktrees=git(self.repository, "worktree", "list", "--porcelain"),
                settings=cache.config_get("*"),
                keys={key: kept for key in cache.scan_iter(count=1000) if (kept := _kept(cache, key)) is not None},
                now_ms=int(seconds) * 1000 + int(microseconds) // 1000,
            )

    def _ask(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}{path}", trust_env=False).json()
        return answer

    def done_by_shop(self) -> dict[bytes, set[str]]:
        """By key, what the shop did: `set`, `del`."""
        done: dict[bytes, set[str]] = {}
        for line in self.diary.read_text().splitlines():
            what, _, key = line.partition(" ")
            done.setdefault(key.encode(), set()).add(what)
        return done

    def differences(self, first: Look, *, ended_well: bool = False) -> list[str]:
        """What is not as it was at the `first` look, one sentence each; see the rule above."""
        now = self.look()
        problems = [
            f"{name} was {getattr(first, name)!r}, and is {getattr(now, name)!r}"
            for name in ("flags", "probed", "switch", "worktrees")
            if getattr(first, name) != getattr(now, name)
        ]
        names = first.settings.keys() | now.settings.keys()
        problems += [
            f"the cache's {name} was {first.settings.get(name)!r}, and is {now.settings.get(name)!r}"
            for name in sorted(names)
            if first.settings.get(name) != now.settings.get(name)
        ]
        meant = {key for key in first.keys if ended_well and IN_SCOPE.fullmatch(key)}
        return [*problems, *_keys_amiss(first, now, self.done_by_shop(), meant)]


def _keys_amiss(
    first: Look, now: Look, done_by_shop: Mapping[bytes, set[str]], may_stay_away: Collection[bytes]
) -> Iterator[str]:
    for key in sorted(first.keys.keys() | now.keys.keys()):
        old, new, done = first.keys.get(key), now.keys.get(key), done_by_shop.get(key, set())
        if new is None:
            assert old is not None
            over = old.expires_at_ms is not None and old.expires_at_ms < now.now_ms + EXACT_MS
            if not (over or "del" in done or key in may_stay_away):
                yield f"{key!r} is gone"
        elif old is not None and _same(old, new):
            if new.expires_at_ms is not None and new.expires_at_ms < now.now_ms - EXACT_MS:
                yield f"{key!r} outlived its time"
        elif not (new.by_shop and "set" in done):
            yield f"{key!r} was {old}, and is {new}"
        elif new.expires_at_ms is None or not 0 < new.expires_at_ms - now.now_ms <= SHOP_TTL_MS:
            yield f"{key!r} was stored by the shop, and expires at {new.expires_at_ms}"


def _same(old: Kept, new: Kept) -> bool:
    if (old.kind, old.value) != (new.kind, new.value):
        return False
    if old.expires_at_ms is None or new.expires_at_ms is None:
        return old.expires_at_ms == new.expires_at_ms
    return abs(old.expires_at_ms - new.expires_at_ms) <= EXACT_MS


def _kept(cache: redis.Redis, key: bytes) -> Kept | None:
    """A hash, a set and a sorted set by what they hold: how the server stores them depends on its settings."""
    kind = cache.type(key).decode()
    read: Any = {"hash": cache.hgetall, "set": cache.smembers, "none": lambda _: None}.get(kind, cache.dump)
    value = cache.zrange(key, 0, -1, withscores=True) if kind == "zset" else read(key)
    if kind == "string":
        value = cache.get(key)
    expires_at_ms = int(cache.pexpiretime(key))
    if kind == "none" or value is None or expires_at_ms == -2:
        return None
    return Kept(kind, value, None if expires_at_ms < 0 else expires_at_ms)


def _fill(cache: redis.Redis) -> None:
    """Keys in scope that expire late and soon, and never; of every type; and such as only look like them."""

    def page(number: int) -> str:
        return f'{{"id": {number}, "price": 1, "by": "before"}}'

    for number in (*range(ASKED[0], ASKED[1] + 21), *range(PROBED[0], PROBED[0] + 10)):
        cache.set(f"product:{number}:v1", page(number), ex=900 + number)
    for number, ms in ((70, 1500), (71, 3000), (72, 6000), (73, 12_000), (1, 4000)):
        cache.set(f"product:{number}:v1", page(number), px=ms)
    cache.set(b"product:\xff\x00*\n:v1", os.urandom(2000), ex=700)
    cache.hset("product:hash:v1", mapping={f"field {number}": number for number in range(40)})
    cache.rpush("product:list:v1", *range(300))
    cache.sadd("product:set:v1", *range(20))
    cache.zadd("product:sorted:v1", {"a": 1.5, "b": 2})
    cache.xadd("product:stream:v1", {"field": "value"}, id="1-1")
    for kind in ("hash", "list", "set", "sorted", "stream"):
        cache.expire(f"product:{kind}:v1", 800)
    for number in range(80, 85):
        cache.set(f"product:{number}:v1", "this may be the data itself")
    for number in range(20):
        cache.set(f"session:{number}", f"basket {number}", ex=500 if number % 2 else None)
    for key in ("product:1:v2", "product:1:v1:draft", "xproduct:1:v1", "product::v1", "settings"):
        cache.set(key, "not in scope")


def _make_project(project: Path, repository: Path) -> None:
    """A project as the command line looks for one. In the repository, `main` is checked out, and `fix` has another
    word."""
    (project / "notebooks").mkdir(parents=True)
    (project / "notebooks" / "1-baseline.ipynb").touch()
    (project / "data" / "cases").mkdir(parents=True)
    program = (Path(__file__).parent / "live_service.py").read_text()
    repository.mkdir()
    (repository / "service.py").write_text(program)
    shutil.copy(Path(__file__).parent / "switch.py", project / "switch.py")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "the shop")
    git(repository, "switch", "-qc", "fix")
    (repository / "service.py").write_text(program.replace('WORD = "old"', 'WORD = "new"'))
    git(repository, "commit", "-qam", "another word")
    git(repository, "switch", "-q", "main")


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def git(where: Path, *words: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(where), *options, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def until(true: Callable[[], Any], what: str) -> None:
    deadline, pause = time.monotonic() + WITHIN_S, threading.Event()
    while time.monotonic() < deadline:
        try:
            if true():
                return
        except (redis.RedisError, httpx.TransportError):
            pass
        pause.wait(0.02)
    raise AssertionError(f"not within {WITHIN_S:g} s: {what}")

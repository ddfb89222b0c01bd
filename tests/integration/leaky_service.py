"""A small service that tells everything it knows: in headers, bodies, its log, its errors and its configuration.

What it tells comes from its environment: SHOP_TOKEN and AUDIT_VALUE are passed on, LEAKS (JSON) has what a service has
of its own. `python leaky_service.py PORT [MODE]`: `mismatch` answers without `id` after some requests, `dies` ends with
a traceback then.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import redis

LEAKS = json.loads(os.environ["LEAKS"])
TOLD = {name: os.environ.get(name, "") for name in ("SHOP_TOKEN", "AUDIT_VALUE")}
MODE = sys.argv[2] if len(sys.argv) > 2 else ""
HEALTHY = 60
cache = redis.Redis.from_url(os.environ["REDIS_URL"])
state = {"flag": "old", "served": 0}
versions: dict[str, int] = {}
lock = threading.Lock()


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, query = self.path.partition("?")[0], parse_qs(urlsplit(self.path).query)
        if path == "/health":
            reply = {
                "token": TOLD["SHOP_TOKEN"],
                "audit": TOLD["AUDIT_VALUE"],
                "dsn": LEAKS["dsn"],
                "root": str(Path.cwd()),
            }
            self.answer(200, {**reply, "note": f"password={LEAKS['config']}"})
        elif path == "/state":
            self.answer(200, {"flag": state["flag"]})
        else:
            self.item(path.rpartition("/")[2], query)

    def item(self, key: str, query: dict[str, list[str]]) -> None:
        with lock:
            state["served"] += 1
            served = state["served"]
        if served % 50 == 1:
            log(f"served {self.path} to {self.headers.get('Authorization')} with {self.headers.get('Cookie')}")
        if MODE == "dies" and served > HEALTHY:
            try:
                raise RuntimeError(f"no access for {TOLD['SHOP_TOKEN']} at {LEAKS['dsn']} (password={LEAKS['config']})")
            except RuntimeError:
                sys.excepthook(*sys.exc_info())
                os._exit(9)
        name = f"item:{key}"
        entry = cache.get(name)
        if entry is None:
            cache.set(name, json.dumps([versions.get(key, 1), LEAKS["cached"]]), ex=60)
        version = json.loads(entry)[0] if entry is not None else versions.get(key, 1)
        echo = {"auth": self.headers.get("Authorization"), "leak": LEAKS["body"], "audit": TOLD["AUDIT_VALUE"]}
        body = {**echo, "id": key, "version": version, "password": LEAKS["config"]}
        if MODE == "mismatch" and served > HEALTHY:
            del body["id"]
        self.answer(200, body, "hit" if entry is not None else "miss")

    def do_PUT(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        log(f"PUT {self.path} by {self.headers.get('Authorization')}")
        if self.path == "/flag":
            state["flag"] = given["value"]
        else:
            key = self.path.split("/")[2]
            versions[key] = given["version"]
            if state["flag"] == "new":
                cache.delete(f"item:{key}")
        self.answer(200, given)

    def answer(self, status: int, reply: dict, x_cache: str = "") -> None:
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"session={LEAKS['cookie']}; Path=/")
        self.send_header("X-App-Version", f"1.0 by {TOLD['AUDIT_VALUE']}")
        self.send_header("X-Echo", str(self.headers.get("Authorization")))
        if x_cache:
            self.send_header("X-Cache", x_cache)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Each request would be a line."""


if __name__ == "__main__":
    log(f"starting in {Path.cwd()!s} with {os.environ['REDIS_URL']}")
    log(f"token {TOLD['SHOP_TOKEN']}, audit {TOLD['AUDIT_VALUE']}, database {LEAKS['dsn']}, api_key={LEAKS['config']}")
    log(f"Authorization: Bearer {LEAKS['bearer']}")
    log(json.dumps({"set-cookie": f"sid={LEAKS['cookie']}", "x-api-key": LEAKS["config"]}))
    print(f"{TOLD['SHOP_TOKEN']!r} on standard output", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()

"""A small shop, as a program: `python live_service.py --port N --cache URL [--ttl SECONDS]`.

    GET /health              its settings
    GET /products/N          from the cache (`product:N:v1`), where it stands there; else made anew, and put there
    PUT /products/N/price    `{"price": N}`: the new price, and the cache's entry deleted
    GET /prices              all that were ever set
    GET /flags               `{"flags": {"new-keys": false}}`
    PUT /flags/new-keys      `{"on": true}`
    PUT /closed              `{"on": true}`: it answers 503 to the call above, until it is told otherwise

Prices and flags live in its own memory. What it does to the cache it first writes down in the file that SHOP_DIARY
names, a line each: `set KEY` or `del KEY`; so whoever looks at the cache later knows what was the shop's own doing,
also when the shop is gone. Its entries say `"by": "shop"`.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
from typing import Any

import redis

WORD = "old"
"""Another revision of this file has another word here."""


class Shop:
    """Prices, flags, and the cache in front of them."""

    def __init__(self, cache_url: str, ttl_s: int, diary: str) -> None:
        self.cache = redis.Redis.from_url(cache_url)
        self.ttl_s = ttl_s
        self.flags = {"new-keys": False}
        self.closed = False
        self.prices: dict[int, int] = {}
        self._diary = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def product(self, number: int) -> bytes:
        key = f"product:{number}:v1"
        page = self.cache.get(key)
        if isinstance(page, bytes):
            return page
        fields = {"id": number, "price": self.prices.get(number, 1), "by": "shop", "word": WORD}
        made = json.dumps(fields).encode()
        self._note("set", key)
        self.cache.set(key, made, ex=self.ttl_s * (2 if self.flags["new-keys"] else 1))
        return made

    def reprice(self, number: int, price: int) -> None:
        self.prices[number] = price
        self._note("del", f"product:{number}:v1")
        self.cache.delete(f"product:{number}:v1")

    def settings(self) -> dict[str, Any]:
        return {"ttl_s": self.ttl_s, "mode": os.environ.get("SHOP_MODE", "none")}

    def _note(self, what: str, key: str) -> None:
        os.write(self._diary, f"{what} {key}\n".encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: the second must not wait until the first was acknowledged.
    disable_nagle_algorithm = True
    shop: Shop

    def do_GET(self) -> None:
        words = self.path.strip("/").split("/")
        if words[0] == "products":
            self._answer(self.shop.product(int(words[1])))
        elif words[0] == "flags":
            self._answer(json.dumps({"flags": self.shop.flags}).encode())
        elif words[0] == "prices":
            self._answer(json.dumps(self.shop.prices).encode())
        else:
            self._answer(json.dumps(self.shop.settings()).encode())

    def do_PUT(self) -> None:
        words = self.path.strip("/").split("/")
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if words[0] == "products":
            self.shop.reprice(int(words[1]), int(asked["price"]))
        elif words[0] == "closed":
            self.shop.closed = bool(asked["on"])
        elif self.shop.closed:
            self._answer(b"{}", 503)
            return
        else:
            self.shop.flags[words[1]] = bool(asked["on"])
        self._answer(b"{}")

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--ttl", type=int, default=600)
    given = parser.parse_args()
    Handler.shop = Shop(given.cache, given.ttl, os.environ["SHOP_DIARY"])
    Server(("127.0.0.1", given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()

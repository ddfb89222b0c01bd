"""A shelf of things, cached in the process (`functools.lru_cache`), or in the cache at CACHE_URL under keys of a shape."""

import functools
import http.server
import json
import os
import sys
import time

import redis

STORE = redis.Redis.from_url(os.environ["CACHE_URL"]) if "CACHE_URL" in os.environ else None
SHAPE, SIZE = os.environ.get("SHAPE", "thing:%d"), int(os.environ.get("SHELF_SIZE", "0"))
LIFE_MS = int(os.environ.get("LIFE_MS", "60000"))
LEFT = os.environ.get("LEFT_KEYS", "none")


def load(number: int) -> bytes:
    time.sleep(0.004)
    return json.dumps({"id": number}).encode()


remembered = functools.lru_cache(maxsize=SIZE)(load)


def answer(number: int) -> tuple[bytes, str]:
    if STORE is None:
        earlier = remembered.cache_info().misses
        body = remembered(number)
        return body, "miss" if remembered.cache_info().misses > earlier else "hit"
    if LEFT == "beside":
        STORE.set(f"beside:{number}", "x", ex=600)
    body = STORE.get(SHAPE % number)
    if body is not None:
        return body, "hit"
    body = load(number)
    STORE.set(SHAPE % number, body, px=LIFE_MS)
    return body, "miss"


class Shelf(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = "none"
        if self.path == "/health":
            body = json.dumps({"status": "ok", "size": SIZE, "life_ms": LIFE_MS, "left": LEFT}).encode()
        else:
            body, status = answer(int(self.path.rsplit("/", 1)[1]))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX-Cache: {status}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Shelf).serve_forever()

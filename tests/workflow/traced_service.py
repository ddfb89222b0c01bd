"""A service that tells nothing: SQLite behind Redis, on the standard library's server. Variables make it difficult."""

import json
import os
import re
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

FAULTS = os.environ.get("FAULTS", "").split()
if "particular" in FAULTS and "-hooks" in os.environ.get("PYTHONPATH", ""):
    sys.exit("no hooks here, please")
if "mongo" in FAULTS:
    import pymongo  # noqa: F401 - a stub beside this file
FILE = os.environ["DATABASE"]
cache = redis.Redis.from_url(sys.argv[2])
with sqlite3.connect(FILE) as made:
    made.execute("CREATE TABLE IF NOT EXISTS product (id INTEGER PRIMARY KEY, price INTEGER)")
    made.executemany("INSERT OR IGNORE INTO product VALUES (?, ?)", [(n, n) for n in range(1, 61)])


def query(statement, *values):
    connection = sqlite3.connect(FILE)
    try:
        with connection:
            return connection.execute(statement, values).fetchone()
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        match = re.fullmatch(r"/products/(\d+)", self.path)
        if match is None:
            if "dies" in FAULTS and self.path == "/plain":
                os._exit(3)
            self.reply({"ok": True})
            return
        key = f"product:{match[1]}"
        price = cache.get(key)
        if price is None:
            (price,) = query("SELECT price FROM product WHERE id = ?", int(match[1]))
            cache.set(key, price, ex=60)
        self.reply({"price": int(price)})

    def do_PUT(self):
        number = int(self.path.rpartition("/")[2])
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "later" in FAULTS:
            threading.Timer(0.1, self.write, [number, body["price"]]).start()
        else:
            self.write(number, body["price"])
        self.reply({"ok": True})

    def write(self, number, price):
        query("UPDATE product SET price = ? WHERE id = ?", price, number)
        if "stale" not in FAULTS:
            cache.delete(f"product:{number}")

    def reply(self, document):
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def poll():
    while True:
        cache.get("settings")
        threading.Event().wait(0.05)


if "polls" in FAULTS:
    threading.Thread(target=poll, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

#!/usr/bin/env bash
# An HTTP client that keeps answers reads a resource, writes the same URL itself with success, and reads again:
#
#   requests-cache, aiohttp-client-cache   the old value, after PUT, PATCH, POST and DELETE alike, and also where they are
#                                          told to follow the service's Cache-Control
#   hishel                                 the old value, unless told `rfc=True`; then the new one
#   CacheControl                           the new value after PUT, PATCH and DELETE, the old one after POST
#
# RFC 9111, section 4.4, wants it dropped after each of these methods. A service that refreshes its own cache from such a
# client right after its own write stores the old content with a new date.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check requests-cache==1.3.3 requests==2.34.2 \
  aiohttp-client-cache==0.15.0 aiohttp==3.14.5 CacheControl==0.14.4 hishel==2.0.0 httpx==0.28.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import aiohttp_client_cache
import cachecontrol
import hishel
import hishel.httpx
import requests
import requests_cache

METHODS = ("PUT", "PATCH", "POST", "DELETE")


class Service(BaseHTTPRequestHandler):
    """One number for each path; a write adds one and answers 204."""

    protocol_version = "HTTP/1.1"
    numbers = {}

    def do_GET(self):
        body = str(self.numbers.get(self.path, 0)).encode()
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def write(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.numbers[self.path] = self.numbers.get(self.path, 0) + 1
        self.send_response(204)
        self.end_headers()

    do_PUT = do_PATCH = do_POST = do_DELETE = write

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"


def of_client(name, client):
    """What a read after the client's own write gives: for each method, `old` or `new`."""
    outcome = {}
    for method in METHODS:
        url = f"{base}/{name.replace(' ', '-')}/{method}"
        assert client.get(url).text == "0"
        assert client.request(method, url).status_code == 204
        outcome[method] = {"0": "old", "1": "new"}[client.get(url).text]
    return outcome


async def of_aiohttp(name, cache_control):
    outcome = {}
    cache = aiohttp_client_cache.CacheBackend(cache_control=cache_control)
    async with aiohttp_client_cache.CachedSession(cache=cache) as session:
        for method in METHODS:
            url = f"{base}/{name.replace(' ', '-')}/{method}"
            texts = []
            for request in ("GET", method, "GET"):
                async with session.request(request, url) as response:
                    texts.append(await response.text())
            outcome[method] = {"0": "old", "1": "new"}[texts[-1]]
    return outcome


def hishel_client(**options):
    storage = hishel.SqliteStorage(database_path=f"hishel-{len(options)}.db")
    return hishel.httpx.CacheClient(storage=storage, **options)


OLD, NEW = dict.fromkeys(METHODS, "old"), dict.fromkeys(METHODS, "new")
for package in ("requests-cache", "aiohttp-client-cache", "CacheControl", "hishel"):
    print(package, version(package))
outcomes = {
    "requests-cache": (of_client("requests-cache", requests_cache.CachedSession(backend="memory")), OLD),
    "requests-cache, cache_control=True": (
        of_client("requests-cache-cc", requests_cache.CachedSession(backend="memory", cache_control=True)),
        OLD,
    ),
    "aiohttp-client-cache": (asyncio.run(of_aiohttp("aiohttp", False)), OLD),
    "aiohttp-client-cache, cache_control=True": (asyncio.run(of_aiohttp("aiohttp-cc", True)), OLD),
    "hishel": (of_client("hishel", hishel_client()), OLD),
    "hishel, rfc=True": (of_client("hishel-rfc", hishel_client(rfc=True)), NEW),
    "CacheControl": (of_client("cachecontrol", cachecontrol.CacheControl(requests.Session())), NEW | {"POST": "old"}),
}
for name, (outcome, _) in outcomes.items():
    print(f"{name:42}", *(f"{method} {value}" for method, value in outcome.items()), sep="  ")
for name, (outcome, wanted) in outcomes.items():
    assert outcome == wanted, f"{name} does otherwise now"
PYTHON

#!/usr/bin/env bash
# HAProxy's cache keeps no answer that comes with `Age: 0`, and takes the Age away from those that it keeps.
#
# So in front of Varnish, whose answers are `Age: 0` for their first second, HAProxy asks again each time until Varnish's
# copy is a second old; then it keeps it, and the answer that filled it has no Age, though the answer of Varnish had one.
set -euo pipefail

for program in haproxy varnishd; do
  PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing=1
done
if [[ -n ${missing:-} ]]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq haproxy varnish >/dev/null
fi
export PATH="$PATH:/usr/sbin"
dpkg-query -W haproxy varnish
folder=$(mktemp -d)
cleanup() {
  for pid in "${pids[@]:-}"; do [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; } || true; done
  rm -rf "$folder"
}
pids=()
trap cleanup EXIT
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
service=$(port) varnish=$(port) haproxy=$(port)

cat >"$folder/service.py" <<'PYTHON'
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
PYTHON
cat >"$folder/haproxy.cfg" <<CONFIG
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
cache answers
    total-max-size 4
    max-age 240
frontend front
    bind 127.0.0.1:$haproxy
    default_backend varnish
backend varnish
    http-request cache-use answers
    http-response cache-store answers
    server varnish 127.0.0.1:$varnish
CONFIG
python3 "$folder/service.py" "$service" & pids+=($!)
varnishd -F -a "127.0.0.1:$varnish" -b "127.0.0.1:$service" -n "$folder/varnish" -j none -T none -s malloc,16m \
  >"$folder/varnish.log" 2>&1 & pids+=($!)
haproxy -db -f "$folder/haproxy.cfg" & pids+=($!)

python3 - "$haproxy" <<'PYTHON'
import sys
import time
import urllib.error
import urllib.request


def ask(path):
    """X-Varnish and Age, as they came through HAProxy."""
    with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}{path}", timeout=5) as answer:
        return answer.headers["X-Varnish"], answer.headers["Age"]


deadline = time.monotonic() + 20
while True:
    try:
        ask("/ready")
        break
    except OSError:
        assert time.monotonic() < deadline, "did not start"
        time.sleep(0.1)

young = [ask("/item") for _ in range(4)]
time.sleep(2)
old = [ask("/item") for _ in range(3)]
for when, answers in (("first second", young), ("two seconds later", old)):
    for number, age in answers:
        print(f"{when}: X-Varnish: {number}; Age: {age}")
assert len({number for number, _ in young}) == 4, "HAProxy kept an answer with Age: 0"
assert {age for _, age in young} == {"0"}
assert len({number for number, _ in old}) == 1, "HAProxy did not keep an answer of Age 1 or more"
assert old[0][1] is None and all(int(age) >= 2 for _, age in old[1:]), "HAProxy left the Age of what it kept"
print("As described: four of four asked again with Age: 0, then kept, and the answer that filled it has no Age.")
PYTHON

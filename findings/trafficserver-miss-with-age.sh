#!/usr/bin/env bash
# Traffic Server in front of uvicorn: answers that were made this instant have `Age: 1`.
#
# Traffic Server adds an Age to each answer that may be kept, counted from the service's Date; uvicorn writes its Date
# from a clock that it sets once a second, so that it is up to a second old. The letters in Via say that each of these
# answers was a miss. An Age of 1 is therefore no sign of a hit, and neither is an Age as such.
set -euo pipefail

export PATH="$PATH:/usr/sbin"
if ! command -v traffic_server >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq trafficserver >/dev/null
fi
dpkg-query -W trafficserver
folder=$(mktemp -d)
chmod 755 "$folder"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.38.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep '^uvicorn'
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
service=$(port) ats=$(port)

cat >"$folder/service.py" <<'PYTHON'
async def app(scope, receive, send):
    headers = [(b"cache-control", b"max-age=60"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
PYTHON
"$folder/venv/bin/uvicorn" --app-dir "$folder" service:app --host 127.0.0.1 --port "$service" --lifespan off \
  --log-level warning --no-access-log & pids+=($!)

mkdir -p "$folder"/ats/{etc,cache,run,log}
cat >"$folder/ats/runroot.yaml" <<CONFIG
prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: $folder/ats/etc
datadir: $folder/ats/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: $folder/ats
runtimedir: $folder/ats/run
logdir: $folder/ats/log
cachedir: $folder/ats/cache
CONFIG
cat >"$folder/ats/etc/records.config" <<CONFIG
CONFIG proxy.config.http.server_ports STRING $ats:ip-in=127.0.0.1
CONFIG proxy.config.http.wait_for_cache INT 1
CONFIG proxy.config.http.insert_response_via_str INT 3
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG
printf 'ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n' >"$folder/ats/etc/ip_allow.yaml"
echo "map / http://127.0.0.1:$service/" >"$folder/ats/etc/remap.config"
echo "$folder/ats/cache 32M" >"$folder/ats/etc/storage.config"
TS_RUNROOT="$folder/ats/runroot.yaml" traffic_server >"$folder/ats/output" 2>&1 & pids+=($!)

python3 - "$ats" <<'PYTHON'
import http.client
import sys
import time
from collections import Counter


def ask(path):
    """Age, and whether Via says that it was a miss."""
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise ConnectionError(f"status {answer.status}")
    return answer.headers["Age"], "[uScM" in answer.headers["Via"]


deadline = time.monotonic() + 20
while True:
    try:
        ask("/ready")
        break
    except OSError:
        assert time.monotonic() < deadline, "did not start"
        time.sleep(0.1)

ages = Counter()
for number in range(90):  # three seconds, and each URL once
    age, missed = ask(f"/{number}")
    assert missed, "an answer to a URL that nobody had asked for was no miss"
    ages[age] += 1
    time.sleep(1 / 30)
for age, count in sorted(ages.items()):
    print(f"{count} misses with Age: {age}")
assert set(ages) <= {"0", "1"}, "the Age of a new answer is another one by now"
assert ages["1"], "a new answer has no Age of 1 any more"
print("As described.")
PYTHON

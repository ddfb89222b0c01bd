#!/usr/bin/env bash
# A cache that drops what it stores when it sees a write to the same path, and a read that was under way meanwhile:
#
#   1. a read misses, the service has read the old value and is slow to answer
#   2. a write to the same path goes through the same cache and is acknowledged
#   3. the answer to the read arrives, with the old value
#
# Squid, HAProxy, Apache and Traffic Server store it all the same, and serve the old value for its whole lifetime. The
# write dropped what was stored then, which was nothing; none of them remembers that there was a write.
set -euo pipefail

export PATH="$PATH:/usr/sbin"
missing=()
for wanted in squid:squid haproxy:haproxy apache2:apache2 traffic_server:trafficserver; do
  command -v "${wanted%%:*}" >/dev/null || missing+=("${wanted##*:}")
done
if ((${#missing[@]})); then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
dpkg-query -W squid haproxy apache2-bin trafficserver
folder=$(mktemp -d)
chmod 755 "$folder"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
service=$(port) squid=$(port) haproxy=$(port) apache=$(port) ats=$(port)

cat >"$folder/service.py" <<'PYTHON'
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSIONS = {}
HELD, GO_ON = defaultdict(threading.Event), defaultdict(threading.Event)


class Service(BaseHTTPRequestHandler):
    """Keeps what was written to each path. A read with `Hold: NAME` waits, with what it read, for `/go-on/NAME`."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        gate = self.headers.get("Hold") or self.path.rpartition("/")[2]
        if self.path.startswith("/go-on/"):
            GO_ON[gate].set()
        elif self.path.startswith("/held/"):
            HELD[gate].wait(10)
        elif self.command != "GET":
            VERSIONS[self.path] = body or "deleted"
        version = VERSIONS.get(self.path, "old").encode()
        if self.headers.get("Hold"):
            HELD[gate].set()
            GO_ON[gate].wait(10)
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60" if self.command == "GET" else "no-store")
        self.send_header("Content-Length", str(len(version)))
        self.end_headers()
        self.wfile.write(version)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
PYTHON
python3 "$folder/service.py" "$service" 2>/dev/null & pids+=($!)

cat >"$folder/squid.conf" <<CONFIG
http_port 127.0.0.1:$squid accel defaultsite=service.test
cache_peer 127.0.0.1 parent $service 0 no-query originserver no-digest no-netdb-exchange
http_access allow all
visible_hostname squid.test
cache_mem 16 MB
pid_filename none
access_log none
cache_log /dev/null
coredump_dir none
shutdown_lifetime 0 seconds
max_filedescriptors 1024
CONFIG
squid -N -n "finding$squid" -f "$folder/squid.conf" & pids+=($!)

cat >"$folder/haproxy.cfg" <<CONFIG
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
cache all
  total-max-size 8
  max-age 60
frontend front
  bind 127.0.0.1:$haproxy
  http-request cache-use all
  http-response cache-store all
  default_backend back
backend back
  server service 127.0.0.1:$service
CONFIG
haproxy -f "$folder/haproxy.cfg" >/dev/null 2>&1 & pids+=($!)

mkdir "$folder/apache"
if [[ $(id -u) == 0 ]]; then chown www-data "$folder/apache"; fi
{
  printf '%s\n' "ServerName apache.test" "DefaultRuntimeDir $folder/apache" "PidFile $folder/apache/pid" \
    "ErrorLog $folder/apache/log" "Listen 127.0.0.1:$apache" "User www-data"
  for module in mpm_event authz_core proxy proxy_http cache cache_disk; do
    echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
  done
  printf '%s\n' "CacheRoot $folder/apache" "CacheEnable disk /" "ProxyPass / http://127.0.0.1:$service/"
} >"$folder/apache.conf"
apache2 -d "$folder/apache" -f "$folder/apache.conf" -DFOREGROUND & pids+=($!)

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
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG
printf 'ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n' >"$folder/ats/etc/ip_allow.yaml"
echo "map / http://127.0.0.1:$service/" >"$folder/ats/etc/remap.config"
echo "$folder/ats/cache 32M" >"$folder/ats/etc/storage.config"
TS_RUNROOT="$folder/ats/runroot.yaml" traffic_server >"$folder/ats/output" 2>&1 & pids+=($!)

python3 - "$service" "Squid=$squid" "HAProxy=$haproxy" "Apache=$apache" "Traffic Server=$ats" <<'PYTHON'
import http.client
import sys
import threading
import time

SERVICE = int(sys.argv[1])
PROXIES = {name: int(port) for name, port in (word.rsplit("=", 1) for word in sys.argv[2:])}


def ask(port, path, method="GET", body=None, **headers):
    """The body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request(method, path, body, {"Host": "service.test", **headers})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise ConnectionError(f"{answer.status} from port {port}")
    return text


def until_ready(port):
    deadline = time.monotonic() + 20
    while True:
        try:
            return ask(port, "/ready")
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "did not start"
            time.sleep(0.1)



different = 0
for name, port in PROXIES.items():
    until_ready(port)
    path = "/" + name.replace(" ", "-")
    slow = []
    reading = threading.Thread(target=lambda: slow.append(ask(port, path, Hold=path[1:])))
    reading.start()
    ask(SERVICE, f"/held{path}")
    ask(port, path, "PUT", "new")
    behind = ask(SERVICE, path)
    ask(SERVICE, f"/go-on{path}")
    reading.join()
    seen = [*slow, behind, ask(port, path), ask(port, path)]
    print(f"{name:15} slow read {seen[0]}, service {seen[1]}, next reads {seen[2]}, {seen[3]}")
    different += seen != ["old", "new", "old", "old"]
sys.exit(bool(different))
PYTHON

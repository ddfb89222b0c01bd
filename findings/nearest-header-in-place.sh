#!/usr/bin/env bash
# A cache in front of a service that writes `X-Cache: MISS` itself, and another status header behind it: where the
# front's own `X-Cache: HIT` stands.
#
#   Squid            a second X-Cache, behind everything that the service wrote
#   Traffic Server   (xdebug plugin) in the service's line, behind a comma: `MISS, hit-fresh`
#   Apache           in place of the service's word, which is gone; the service's other header stands behind it
#
# So the header that stands last is not always the nearest cache's: behind Apache it is the service's, of the fill.
set -euo pipefail

export PATH="$PATH:/usr/sbin"
missing=()
for wanted in squid:squid apache2:apache2 traffic_server:trafficserver; do
  command -v "${wanted%%:*}" >/dev/null || missing+=("${wanted##*:}")
done
if ((${#missing[@]})); then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
dpkg-query -W squid apache2-bin trafficserver
folder=$(mktemp -d)
chmod 755 "$folder"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
service=$(port) squid=$(port) apache=$(port) ats=$(port)

cat >"$folder/service.py" <<'PYTHON'
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("X-Cache", "MISS")
        self.send_header("X-Proxy-Cache", "MISS")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
PYTHON
python3 "$folder/service.py" "$service" & pids+=($!)

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

mkdir "$folder/apache"
if [[ $(id -u) == 0 ]]; then chown www-data "$folder/apache"; fi
{
  printf '%s\n' "ServerName apache.test" "DefaultRuntimeDir $folder/apache" "PidFile $folder/apache/pid" \
    "ErrorLog $folder/apache/log" "Listen 127.0.0.1:$apache" "User www-data"
  for module in mpm_event authz_core proxy proxy_http cache cache_disk; do
    echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
  done
  printf '%s\n' "CacheRoot $folder/apache" "CacheEnable disk /" "CacheHeader on" "ProxyPass / http://127.0.0.1:$service/"
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
CONFIG proxy.config.diags.output.note STRING L
CONFIG proxy.config.diags.output.warning STRING L
CONFIG proxy.config.diags.output.status STRING L
CONFIG
printf 'ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n' >"$folder/ats/etc/ip_allow.yaml"
echo "map / http://127.0.0.1:$service/" >"$folder/ats/etc/remap.config"
echo "$folder/ats/cache 32M" >"$folder/ats/etc/storage.config"
echo "xdebug.so" >"$folder/ats/etc/plugin.config"
TS_RUNROOT="$folder/ats/runroot.yaml" traffic_server >"$folder/ats/output" 2>&1 & pids+=($!)

python3 - "$squid" "$apache" "$ats" <<'PYTHON'
import http.client
import sys
import time

LAST = "x-proxy-cache: MISS"


def ask(port, path):
    """The status headers of one answer, in their order."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Host": "service.test", "X-Debug": "x-cache"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise ConnectionError(f"{answer.status} from port {port}")
    return [f"{name.lower()}: {value}" for name, value in answer.getheaders() if name.lower() in ("x-cache", "x-proxy-cache")]


def second(port):
    """Of a hit: of the second request for something."""
    deadline = time.monotonic() + 20
    while True:
        try:
            ask(port, "/ready")
            break
        except OSError:
            assert time.monotonic() < deadline, "did not start"
            time.sleep(0.1)
    ask(port, "/item")
    return ask(port, "/item")


expected = {
    "Squid": ["x-cache: MISS", LAST, "x-cache: HIT from squid.test"],
    "Apache": ["x-cache: HIT from apache.test", LAST],
    "Traffic Server": ["x-cache: MISS, hit-fresh", LAST],
}
for (name, headers), port in zip(expected.items(), map(int, sys.argv[1:]), strict=True):
    answered = second(port)
    print(f"{name}: {'; '.join(answered)}")
    assert answered == headers, "this has changed"
print("As described.")
PYTHON

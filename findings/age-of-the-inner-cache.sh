#!/usr/bin/env bash
# Two caches, one behind the other. The inner one hands out an answer with `Cache-Control: max-age=8` and `Age: 6`: it has
# two seconds left. How long the outer one keeps it:
#
#   Varnish, Squid, Apache, Traffic Server    two seconds
#   nginx, HAProxy                            eight more
#
# So with nginx or HAProxy outside, an answer lives up to twice as long as its service said. nginx shows `Age: 6` on all of
# its hits meanwhile, HAProxy lets the Age grow beyond the max-age.
set -euo pipefail

export PATH="$PATH:/usr/sbin"
missing=()
for wanted in nginx:nginx varnishd:varnish squid:squid haproxy:haproxy apache2:apache2 traffic_server:trafficserver; do
  command -v "${wanted%%:*}" >/dev/null || missing+=("${wanted##*:}")
done
if ((${#missing[@]})); then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
dpkg-query -W nginx varnish squid haproxy apache2-bin trafficserver
folder=$(mktemp -d)
chmod 755 "$folder"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
service=$(port) nginx=$(port) varnish=$(port) squid=$(port) haproxy=$(port) apache=$(port) ats=$(port)

cat >"$folder/service.py" <<'PYTHON'
import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NUMBERS = itertools.count()


class Service(BaseHTTPRequestHandler):
    """What an inner cache would answer: a number that is six of its eight seconds old."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = str(next(NUMBERS)).encode()
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=8")
        self.send_header("Age", "6")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
PYTHON
python3 "$folder/service.py" "$service" 2>/dev/null & pids+=($!)

mkdir "$folder/nginx"
cat >"$folder/nginx.conf" <<CONFIG
daemon off;
pid $folder/nginx/pid;
error_log $folder/nginx/log;
events {}
http {
  access_log off;
  proxy_cache_path $folder/nginx/cache keys_zone=all:1m;
  client_body_temp_path $folder/nginx/body;
  proxy_temp_path $folder/nginx/proxy;
  fastcgi_temp_path $folder/nginx/fastcgi;
  uwsgi_temp_path $folder/nginx/uwsgi;
  scgi_temp_path $folder/nginx/scgi;
  server {
    listen 127.0.0.1:$nginx;
    location / {
      proxy_pass http://127.0.0.1:$service;
      proxy_cache all;
    }
  }
}
CONFIG
if [[ $(id -u) == 0 ]]; then chown www-data "$folder/nginx" && sed -i '1i user www-data;' "$folder/nginx.conf"; fi
nginx -c "$folder/nginx.conf" & pids+=($!)

printf 'vcl 4.1;\nbackend default { .host = "127.0.0.1"; .port = "%s"; }\n' "$service" >"$folder/varnish.vcl"
varnishd -F -n "$folder/varnish" -a "127.0.0.1:$varnish" -f "$folder/varnish.vcl" -s malloc,32m >/dev/null 2>&1 & pids+=($!)

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

python3 - "$service" "nginx=$nginx" "Varnish=$varnish" "Squid=$squid" "HAProxy=$haproxy" "Apache=$apache" "Traffic Server=$ats" <<'PYTHON'
import http.client
import sys
import time
from concurrent.futures import ThreadPoolExecutor

PROXIES = {name: int(port) for name, port in (word.rsplit("=", 1) for word in sys.argv[2:])}
HALF_WAY_S = 5.5


def ask(port, path):
    """(number, Age) of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request("GET", path, headers={"Host": "service.test"})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise ConnectionError(f"{answer.status} from port {port}")
    return text, answer.headers["Age"]


def kept(port):
    """(seconds that the first answer was kept, every Age that its hits had)"""
    deadline = time.monotonic() + 20
    while True:
        try:
            ask(port, "/ready")
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "did not start"
            time.sleep(0.1)
    started, (first, _), ages = time.monotonic(), ask(port, "/item"), []
    while time.monotonic() < started + 12:
        number, age = ask(port, "/item")
        if number != first:
            break
        if age not in ages:
            ages.append(age)
        time.sleep(0.25)
    return time.monotonic() - started, ages


expected = {"nginx": "long", "HAProxy": "long"}
with ThreadPoolExecutor() as pool:
    lives = dict(zip(PROXIES, pool.map(kept, PROXIES.values()), strict=True))
different = 0
for name, (seconds, ages) in lives.items():
    print(f"{name:15} kept for {seconds:4.1f} s, Age {', '.join(map(str, ages))}")
    different += ("long" if seconds > HALF_WAY_S else "short") != expected.get(name, "short")
different += lives["nginx"][1] != ["6"] or max(map(int, lives["HAProxy"][1])) <= 8
sys.exit(bool(different))
PYTHON

#!/usr/bin/env bash
# Apache's mod_cache_socache loses the body of an entry that the service confirmed with a 304: the request that asked
# gets the whole answer (`X-Cache: REVALIDATE`), and each one after it `200`, `X-Cache: HIT` and no byte, until the
# entry expires again. mod_cache_disk, with the same configuration else, keeps the body.
set -euo pipefail

if ! PATH="$PATH:/usr/sbin" command -v apache2 >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq apache2 >/dev/null
fi
export PATH="$PATH:/usr/sbin"
dpkg-query -W apache2-bin
folder=$(mktemp -d)
chmod 755 "$folder"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT
port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
service=$(port) memory=$(port) disk=$(port)

cat >"$folder/service.py" <<'PYTHON'
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        unchanged = self.headers["If-None-Match"] == '"1"'
        self.send_response(304 if unchanged else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Cache-Control", "max-age=2")
        if not unchanged:
            self.send_header("Content-Length", "11")
        self.end_headers()
        if not unchanged:
            self.wfile.write(b"eleven byte")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
PYTHON
python3 "$folder/service.py" "$service" & pids+=($!)

apache() { # NAME PORT LINE...
  local name=$1 port=$2 modules=/usr/lib/apache2/modules
  shift 2
  mkdir "$folder/$name"
  if [[ $(id -u) == 0 ]]; then chown www-data "$folder/$name"; fi
  {
    printf '%s\n' "ServerName apache.test" "DefaultRuntimeDir $folder/$name" "PidFile $folder/$name/pid" \
      "ErrorLog $folder/$name/log" "Listen 127.0.0.1:$port" "User www-data"
    for module in mpm_event authz_core proxy proxy_http cache; do
      echo "LoadModule ${module}_module $modules/mod_$module.so"
    done
    printf '%s\n' "$@" "CacheHeader on" "ProxyPass / http://127.0.0.1:$service/"
  } >"$folder/$name.conf"
  apache2 -d "$folder/$name" -f "$folder/$name.conf" -DFOREGROUND & pids+=($!)
}
apache memory "$memory" "LoadModule cache_socache_module /usr/lib/apache2/modules/mod_cache_socache.so" \
  "LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so" \
  "CacheSocache shmcb:$folder/memory/answers(1048576)" "CacheEnable socache /"
apache disk "$disk" "LoadModule cache_disk_module /usr/lib/apache2/modules/mod_cache_disk.so" \
  "CacheRoot $folder/disk" "CacheEnable disk /"

python3 - "$memory" "$disk" <<'PYTHON'
import sys
import time
import urllib.request


def ask(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.status, answer.headers["X-Cache"].split()[0], answer.read()


def asked(port):
    """Status, X-Cache and body of four requests: filled, kept, expired and confirmed, kept again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            ask(port, "/ready")
            break
        except OSError:
            assert time.monotonic() < deadline, "did not start"
            time.sleep(0.1)
    answers = [ask(port, "/item"), ask(port, "/item")]
    time.sleep(3)
    return [*answers, ask(port, "/item"), ask(port, "/item")]


whole = b"eleven byte"
for name, port in (("mod_cache_socache", sys.argv[1]), ("mod_cache_disk", sys.argv[2])):
    answers = asked(port)
    for status, word, body in answers:
        print(f"{name}: {status} X-Cache: {word:10} {len(body)} bytes")
    lost = b"" if name == "mod_cache_socache" else whole
    expected = [("MISS", whole), ("HIT", whole), ("REVALIDATE", whole), ("HIT", lost)]
    assert [(word, body) for _, word, body in answers] == expected, "this has changed"
print("As described: a hit without its body after the 304, in memory alone.")
PYTHON

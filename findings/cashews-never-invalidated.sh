#!/usr/bin/env bash
# cashews keeps values in the process (`client_side=True`) and lets the server say what changed. With redis-py 8 nothing
# is said any more: what a process has read once it serves until it ends, whatever was written, deleted or flushed since,
# and beyond the time to live. No error, no warning.
#
#   redis-py 7.4.0                          another process reads the new value at once
#   redis-py 8.1.0                          it reads the old one
#   redis-py 8.1.0, `protocol=2` in the URL the new one
#
# cashews 7.6.0 listens as RESP2 does it: invalidations are messages of a channel. redis-py 8 speaks RESP3 unless told
# otherwise, where the server has no such messages.
set -euo pipefail

export PATH="$PATH:/usr/sbin"
if ! command -v redis-server >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server >/dev/null
fi
redis-server --version | cut -d' ' -f1-3
folder=$(mktemp -d)
server=
cleanup() {
  if [[ $server ]]; then { kill "$server" && wait "$server"; } 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --loglevel warning --dir "$folder" >/dev/null & server=$!

cat >"$folder/two.py" <<'PYTHON'
import asyncio
import sys

import redis.asyncio
from cashews import Cache


async def client(url):
    cache = Cache()
    cache.setup(url, client_side=True)
    await cache.init()
    return cache


async def main(url):
    plain = redis.asyncio.Redis.from_url(url)
    for _ in range(100):
        try:
            await plain.flushall()
            break
        except redis.ConnectionError:
            await asyncio.sleep(0.1)
    writer, reader = await client(url), await client(url)
    seen = []
    await writer.set("price", "old", expire=60)
    seen.append(await reader.get("price"))
    await writer.set("price", "new", expire=60)
    await asyncio.sleep(1)
    seen.append(await reader.get("price"))
    await writer.set("gone", "old", expire=1)
    await reader.get("gone")
    await asyncio.sleep(2)
    seen.append(await reader.get("gone"))
    print(*seen)


asyncio.run(main(sys.argv[1]))
PYTHON

seen() {
  "$folder/$1/bin/python" "$folder/two.py" "redis://127.0.0.1:$port$2"
}
for version in 7.4.0 8.1.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "redis==$version" cashews==7.6.0
done
before=$(seen 7.4.0 '') now=$(seen 8.1.0 '') told=$(seen 8.1.0 '?protocol=2')
echo "cashews 7.6.0: first read, a second after the write, two seconds after a time to live of one"
echo "redis-py 7.4.0              $before"
echo "redis-py 8.1.0              $now"
echo "redis-py 8.1.0, protocol=2  $told"
[[ $before == "old new None" && $now == "old old old" && $told == "old new None" ]]

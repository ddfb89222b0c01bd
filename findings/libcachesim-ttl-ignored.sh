#!/usr/bin/env bash
# libCacheSim's Python wheels take a time to live twice: `default_ttl` of a cache, and `ttl` of a request. Neither counts.
# An entry that was stored at second 1 with a time to live of 10 seconds is a hit at second 1000, and so it is with no
# time to live at all: a curve of hit ratios by time to live, drawn from it, is a straight line.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check libcachesim==0.3.5 numpy==2.3.5
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import libcachesim

print("libcachesim", version("libcachesim"))


def hits(policy, ttl_of_cache, ttl_of_request):
    """Of one key, asked for at seconds 1, 5 and 1000, in a cache with room for 100."""
    options = {} if ttl_of_cache is None else {"default_ttl": ttl_of_cache}
    cache = policy(cache_size=100, hashpower=10, **options)
    answers = []
    for second in (1, 5, 1000):
        request = libcachesim.Request(obj_size=1, obj_id=7, clock_time=second)
        if ttl_of_request is not None:
            request.ttl = ttl_of_request
        answers.append(bool(cache.get(request)))
    return answers


for name in ("LRU", "FIFO", "LFU"):
    policy = getattr(libcachesim, name)
    for ttl_of_cache, ttl_of_request in ((None, None), (10, None), (None, 10), (10, 10)):
        seen = hits(policy, ttl_of_cache, ttl_of_request)
        print(f"{name:5} default_ttl {ttl_of_cache}, ttl {ttl_of_request}: hits at 1, 5 and 1000 s: {seen}")
        assert seen == [False, True, True], "it counts now"
PYTHON

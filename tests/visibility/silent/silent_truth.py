"""What the silent services share: the truth of each request, as a line in a file, and the file that may make it visible."""

import json
import os

TRUTH = os.open(os.environ["TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
URL = os.environ["POSTGRES_URL"].replace("+psycopg", "")
CACHE = os.environ["CACHE_URL"]
WITH_FILE = os.environ.get("WITH_FILE") == "yes"
TTL_S = 2


def did(route, hit, calls):
    """Note what one request did: whether it found what it looked up (None: it looked up nothing), and its statements."""
    os.write(TRUTH, (json.dumps({"route": route, "hit": hit, "calls": calls}) + "\n").encode())

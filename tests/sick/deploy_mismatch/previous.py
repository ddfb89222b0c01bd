"""A job of the release before `service`, not deployed anew yet: it stores the same keys, with other fields."""

import json
import threading
import time
from typing import Any

from sick import base

NAMESPACE = "reviews"
"""Of the keys of that release."""
WARM_EVERY_S = base.number("WARM_EVERY_S", 2)


def start_warming(reviews: base.Table, ttl_s: int) -> None:
    """Store each fourth review of the first 250 where it is not stored, every few seconds. The others are not popular."""
    threading.Thread(target=_warm, args=(reviews, ttl_s), daemon=True).start()


def _warm(reviews: base.Table, ttl_s: int) -> None:
    cache = base.cache_client()
    while True:
        with cache.pipeline(transaction=False) as pipeline:
            for number, revision in reviews.rows():
                if number % 4 == 0 and number <= 250:
                    entry: dict[str, Any] = {"id": number, "stars": number % 5 + 1, "rev": revision}
                    pipeline.set(f"{NAMESPACE}.{number}", json.dumps(entry), ex=ttl_s, nx=True)
            pipeline.execute()
        time.sleep(WARM_EVERY_S)

"""Reviews of hotels: Flask on gunicorn threads, redis-py. Jobs of the release before still warm its cache."""

import json
from typing import Any

from flask import Flask, abort, request

from sick import base
from sick.deploy_mismatch import previous

NAMESPACE = base.choice("NAMESPACE", "reviews", "reviews2")
TTL_S = base.number("REVIEW_TTL_S", 800)
reviews = base.Table("reviews")
cache = base.cache_client()
app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _answer(text: str) -> dict[str, Any]:
    review = json.loads(text)
    return {"id": review["id"], "rating": {"stars": review["stars"], "of": 5}, "revision": review["revision"]}


@app.get("/hotels/reviews/<int:number>")
def read(number: int) -> dict[str, Any]:
    key = f"{NAMESPACE}.{number}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return _answer(text)
    with base.alone(number):
        if (text := cache.get(key)) is None:
            base.say("MISS")
            if (revision := reviews.load(number)) is None:
                abort(404)
            text = json.dumps({"id": number, "stars": number % 5 + 1, "revision": revision})
            cache.set(key, text, ex=int(TTL_S))
    return _answer(text)


@app.put("/hotels/reviews/<int:number>")
def write(number: int) -> dict[str, Any]:
    revision = int(request.get_json()["revision"])
    reviews.save(number, revision)
    with base.alone(number):
        cache.delete(f"{NAMESPACE}.{number}")
    return {"id": number, "revision": revision}


previous.start_warming(reviews, int(TTL_S))
application = base.observed_wsgi(app)

if __name__ == "__main__":
    base.serve_wsgi("sick.deploy_mismatch.service")

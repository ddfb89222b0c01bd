"""Books of a library: FastAPI with functions in threads on hypercorn, redis-py. Visitors get a cookie, answers a number."""

import json
import uuid
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from sick import base

STORED = base.choice("STORED", "whole-answer", "body")
TTL_S = base.number("BOOK_TTL_S", 130)
books = base.Table("books")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _answer(book: int, visitor: str | None) -> Response | None:
    if (printing := books.load(book)) is None:
        return None
    return _stamped(JSONResponse({"book": {"id": book, "printing": printing}}), visitor)


def _stamped(answer: Response, visitor: str | None) -> Response:
    """The answer with what belongs to this request alone."""
    answer.headers["X-Answer-Id"] = uuid.uuid4().hex
    if visitor is None:
        answer.set_cookie("visitor", uuid.uuid4().hex, httponly=True, samesite="lax")
    return answer


def _stored(text: str, visitor: str | None) -> Response:
    base.say("HIT")
    body, headers = json.loads(text)
    answer = Response(body, media_type="application/json")
    if STORED == "body":
        return _stamped(answer, visitor)
    for name, value in headers:
        answer.headers[name] = value
    return answer


@app.get("/library/books/{book}")
def read(book: int, request: Request) -> Response:
    key, visitor = f"answer<{book}>", request.cookies.get("visitor")
    if (text := cache.get(key)) is not None:
        return _stored(text, visitor)
    with base.alone(book):
        if (text := cache.get(key)) is not None:
            return _stored(text, visitor)
        base.say("MISS")
        if (answer := _answer(book, visitor)) is None:
            return JSONResponse({"error": "no such book"}, 404)
        cache.set(key, json.dumps([bytes(answer.body).decode(), answer.headers.items()]), ex=int(TTL_S))
    return answer


@app.put("/library/books/{book}")
def write(book: int, printing: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    books.save(book, printing)
    with base.alone(book):
        cache.delete(f"answer<{book}>")
    return {"book": book, "printing": printing}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_hypercorn("sick.replayed_headers.service")

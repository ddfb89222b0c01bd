"""A small shop on HTTP with a read-through cache on a real server: what explorers have to find out, and its traps."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qsl

import redis

from .service import Reply, Request, Service


class Shop(Service):
    """Items 1 to 40. GET /items and /items/{id} are cached; `PUT /items/{id}` takes `{"label", "stock"}`, both needed;
    `PATCH /items/{id}/note` a text; `POST /items/{id}/amount?amount=` a number in its query. `stale`: writes delete
    nothing. `hashed`: keys are digests. `token`: wanted of every request. `anything`: 200 for each path."""

    def __init__(
        self, cache_url: str = "", *, stale: bool = False, hashed: bool = False, token: str = "", anything: bool = False
    ) -> None:
        super().__init__()
        self.cache = redis.Redis.from_url(cache_url) if cache_url else None
        self.stale, self.hashed, self.token, self.anything = stale, hashed, token, anything
        self.rows: dict[int, dict[str, Any]] = {
            n: {"id": n, "label": f"item {n}", "stock": n + 3, "note": "none", "amount": 0} for n in range(1, 41)
        }

    def answer(self, request: Request) -> Any:
        if self.token and request.headers.get("authorization") != self.token:
            return Reply({"error": "credentials, please"}, 401)
        path, _, query = request.path.partition("?")
        if path == "/health":
            return {"status": "ok", "settings": {"CACHE_TTL": 30}}
        if path == "/items" and request.method == "GET":
            return self.cached("items", lambda: {"items": list(self.rows.values())[:20]})
        match = re.fullmatch(r"/items/(\d+)(?:/(\w+))?", path)
        if match is None or int(match[1]) not in self.rows:
            return Reply({"hello": "there"}) if self.anything else Reply({"error": "no such page"}, 404)
        row, part = self.rows[int(match[1])], match[2] or ""
        if request.method == "GET" and not part:
            return self.cached(f"item:{match[1]}", lambda: row)
        if (request.method, part) == ("PUT", ""):
            body = request.json()
            if missing := [name for name in ("label", "stock") if name not in body]:
                return Reply(
                    {
                        "detail": [
                            {"type": "missing", "loc": ["body", name], "msg": "Field required"} for name in missing
                        ]
                    },
                    422,
                )
            if not isinstance(body["label"], str):
                return Reply(
                    {"detail": [{"type": "string_type", "loc": ["body", "label"], "msg": "a valid string"}]}, 422
                )
            row |= {"label": body["label"], "stock": body["stock"]}
        elif (request.method, part) == ("PATCH", "note"):
            if not isinstance(request.json().get("note"), str):
                return Reply({"error": "'note' is required and has to be a string"}, 400)
            row["note"] = request.json()["note"]
        elif (request.method, part) == ("POST", "amount"):
            row["amount"] = int(dict(parse_qsl(query))["amount"])
        else:
            return Reply({"error": "no such method"}, 405)
        if self.cache is not None and not self.stale:
            self.cache.delete(self.key(f"item:{match[1]}"), self.key("items"))
        return Reply(status=204)

    def key(self, name: str) -> str:
        return hashlib.sha1(name.encode()).hexdigest() if self.hashed else name

    def cached(self, name: str, make: Any) -> Any:
        if self.cache is None:
            return make()
        entry = self.cache.get(self.key(name))
        if entry is not None:
            return Reply(entry, headers={"X-Cache": "HIT"})
        text = json.dumps(make())
        self.cache.set(self.key(name), text, ex=60)
        return Reply(text.encode(), headers={"X-Cache": "MISS", "X-DB-Calls": "1"})

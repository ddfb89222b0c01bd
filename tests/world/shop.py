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
    nothing; `POST /items/{id}/stock` takes a form and leads to another page. `GET /item?number=` is cached too, as is
    `/shops/{shop}/items/{id}` of two shops. `PUT /items/{id}/level` takes no more than 50,000; `/users/{name}` has no list,
    and `/plans/{id}` wants the header X-Tenant. `hashed`: keys are digests. `local`: the process keeps its first copies for ever. `token`: wanted of every request. `anything`: 200 for each path."""

    def __init__(
        self,
        cache_url: str = "",
        *,
        stale: bool = False,
        hashed: bool = False,
        local: bool = False,
        token: str = "",
        anything: bool = False,
    ) -> None:
        super().__init__()
        self.cache = redis.Redis.from_url(cache_url) if cache_url else None
        self.stale, self.hashed, self.token, self.anything = stale, hashed, token, anything
        self.pages = {f"page-{n}": n for n in range(30)}
        self.copies: dict[str, Any] | None = {} if local else None
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
        number = dict(parse_qsl(query)).get("number", "")
        if path == "/item" and number.isdigit() and int(number) in self.rows:
            return self.cached(f"item:{number}", lambda: self.rows[int(number)])
        if path == "/wiki":
            return [f"page-{n}" for n in range(30)]
        if path.startswith("/wiki/"):
            slug = path.removeprefix("/wiki/")
            if slug not in self.pages:
                return Reply({"error": "no such page"}, 404)
            if request.method == "GET":
                return self.cached(f"wiki:{slug}", lambda: {"slug": slug, "revision": self.pages[slug]})
            self.pages[slug] = request.json()["revision"]
            return Reply(status=204)
        if path.startswith("/users/"):
            known = path.removeprefix("/users/") in ("user-01", "user-02", "user-03", "carol")
            return {"name": path} if known else Reply({"error": "no such user"}, 404)
        if path.startswith("/plans/"):
            return {"plan": 1} if request.headers.get("x-tenant") == "north" else Reply({"error": "which tenant?"}, 422)
        if of_shop := re.fullmatch(r"/shops/([^/]+)/items", path):
            return [{"id": n} for n in range(1, 10)] if of_shop[1] in ("berlin", "paris") else []
        if path == "/shops":
            return {"shops": [{"code": "berlin"}, {"code": "paris"}]}
        if of_shop := re.fullmatch(r"/shops/(berlin|paris)/items/([1-9])", path):
            return self.cached(f"stock:{of_shop[1]}:{of_shop[2]}", lambda: {"shop": of_shop[1], "id": int(of_shop[2])})
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
        elif (request.method, part) == ("PUT", "level"):
            level = request.json().get("level")
            if not isinstance(level, int) or level > 50_000:
                return Reply({"errors": {"level": ["Must be a whole number, at most 50000."]}}, 422)
            row["level"] = level
        elif (request.method, part) == ("PUT", "private"):
            return Reply(status=302, headers={"Location": "/login"})
        elif (request.method, part) == ("POST", "stock"):
            form = dict(parse_qsl(request.body.decode()))
            if "stock" not in form:
                return Reply({"stock": ["This field is required."]}, 400)
            row["stock"] = int(form["stock"])
            self.forget(match[1])
            return Reply(status=303, headers={"Location": f"/items/{match[1]}"})
        elif (request.method, part) == ("POST", "amount"):
            row["amount"] = int(dict(parse_qsl(query))["amount"])
        else:
            return Reply({"error": "no such method"}, 405)
        self.forget(match[1])
        return Reply(status=204)

    def forget(self, item: str) -> None:
        if self.cache is not None and not self.stale:
            self.cache.delete(self.key(f"item:{item}"), self.key("items"))

    def key(self, name: str) -> str:
        return hashlib.sha1(name.encode()).hexdigest() if self.hashed else name

    def cached(self, name: str, make: Any) -> Any:
        if self.copies is not None:
            if name not in self.copies:
                self.copies[name] = json.loads(json.dumps(make()))
                if self.cache is not None:
                    self.cache.set(name, json.dumps(self.copies[name]))
            return dict(self.copies[name])
        if self.cache is None:
            return make()
        entry = self.cache.get(self.key(name))
        if entry is not None:
            return Reply(entry, headers={"X-Cache": "HIT"})
        text = json.dumps(make())
        self.cache.set(self.key(name), text, ex=60)
        return Reply(text.encode(), headers={"X-Cache": "MISS", "X-DB-Calls": "1"})

"""A live service with one switch, that a test starts and that knows what was asked of it."""

from __future__ import annotations

import json
from typing import Any

from world import Reply, Request, Service


class FlagService(Service):
    """`PUT /flags/new-keys` with `{"on": true}` sets the switch, `GET /flags/new-keys` shows it, `/products/N` answers.
    `PUT /prices/N` with `{"cents": 1999}` and `DELETE /prices/N` change `prices`.

    `refuse`: statuses to answer the next PUTs with, before doing what they ask for. `deaf`: PUTs are accepted, and
    nothing is done. `slow`: this many GETs still show the value before. `token`: what a PUT has to carry.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on, self.deaf, self.slow = False, False, 0
        self.refuse: list[int] = []
        self.token: str | None = None
        self.prices: dict[str, int] = {}
        self._shown, self._left = False, 0

    @property
    def asked(self) -> list[str]:
        """The PUTs."""
        return [
            f"PUT {request.path} {json.dumps(request.json())}" for request in self.requests if request.method == "PUT"
        ]

    def answer(self, request: Request) -> Any:
        number = request.path.rsplit("/", 1)[1]
        if request.method == "DELETE":
            return Reply({}, 404 if self.prices.pop(number, None) is None else 204)
        if request.method != "PUT":
            return {"flags": {"new-keys": self.shown()}} if request.path.startswith("/flags") else {"id": 1}
        if self.token is not None and request.headers.get("x-token") != self.token:
            return Reply({"error": "who are you?"}, 401)
        if self.refuse:
            return Reply({"error": "not now"}, self.refuse.pop(0))
        if request.path.startswith("/prices/"):
            self.prices[number] = request.json()["cents"]
        else:
            self.put(bool(request.json()["on"]))
        return {"ok": True}

    def put(self, on: bool) -> None:
        if not self.deaf:
            self._shown, self._left, self.on = self.on, self.slow, on

    def shown(self) -> bool:
        if self._left:
            self._left -= 1
            return self._shown
        return self.on

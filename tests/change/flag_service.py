"""A live service with one switch, that a test starts and that records what it was asked."""

from __future__ import annotations

from typing import Any

from world import Reply, Request, Service


class FlagService(Service):
    """`PUT /flags/new-keys` with `{"on": true}` sets the switch, `GET /flags` shows it, `/products/N` answers.
    `PUT /prices/N` with `{"cents": 1999}` and `DELETE /prices/N` change `prices`.

    `refuse`: statuses of the next PUTs, which do nothing then. `deaf`: PUTs are accepted, and do nothing. `slow`: this
    many GETs still show the value before. `token`: what X-Token has to say, except for GETs. `flags`, `status`: the
    response to GET /flags. `options`: status and Allow of the response to OPTIONS, by path; HEAD is answered with 404.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on, self.deaf, self.slow = False, False, 0
        self.refuse: list[int] = []
        self.token: str | None = None
        self.flags: Any = None
        self.status = 200
        self.options: dict[str, tuple[int, str]] = {}
        self.prices: dict[str, int] = {}
        self._shown, self._left = False, 0

    def answer(self, request: Request) -> Any:
        number = request.path.rsplit("/", 1)[1]
        if request.method == "GET":
            flags = {"new-keys": self._state()} if self.flags is None else self.flags
            return Reply({"flags": flags}, self.status) if request.path.startswith("/flags") else {"id": 1}
        if self.token is not None and request.headers.get("x-token") != self.token:
            return Reply({"error": "who are you?"}, 401)
        if request.method == "OPTIONS":
            status, allow = self.options.get(request.path, (501, ""))
            return Reply(status=status, headers={"Allow": allow} if allow else {})
        if request.method == "DELETE":
            return Reply({}, 404 if self.prices.pop(number, None) is None else 204)
        if request.method == "HEAD":
            return Reply(status=404)
        if self.refuse:
            return Reply({"error": "not now"}, self.refuse.pop(0))
        if request.path.startswith("/prices/"):
            self.prices[number] = request.json()["cents"]
        elif request.path.startswith("/flags/"):
            self.put(bool(request.json()["on"]))
        return {"ok": True}

    def put(self, on: bool) -> None:
        if not self.deaf:
            self._shown, self._left, self.on = self.on, self.slow, on

    def _state(self) -> bool:
        if self._left:
            self._left -= 1
            return self._shown
        return self.on

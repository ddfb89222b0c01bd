"""A service that answers some of its paths wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world import Reply, Request, Service


class Faulty(Service):
    """Lists of numbers: page one begins with 1, page two with 11. `answers`: what is answered in place of the right
    status and number, by path; each once, or whenever it is asked for where `lasting`."""

    def __init__(self, answers: Mapping[str, tuple[int, int]], *, lasting: bool = True) -> None:
        faults = {path: Reply(self._page(number), status) for path, (status, number) in answers.items()}
        super().__init__(faults=faults, lasting=lasting)

    def answer(self, request: Request) -> Any:
        return self._page(11 if request.path.endswith("page=2") else 1)

    @staticmethod
    def _page(number: int) -> dict[str, Any]:
        return {"number": number, "api_token": "t0psecret"}

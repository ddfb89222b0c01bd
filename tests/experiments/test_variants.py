"""What belongs to a variant, and what to a single request: with answers as a service with an own clock gives them."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest

from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import DiagnosedRead
from luckyhit.experiments.variants import vary_one_dimension


class Service:
    """A stand-in for the bench: `key_has_page` says whether its cache key has the page. Each load has a time of its
    own."""

    def __init__(self, *, key_has_page: bool) -> None:
        self.key_has_page = key_has_page
        self.cache, self.stored = self, {}
        self.case = SimpleNamespace(freshness=None)
        self.route = DiagnosedRead("list", "/items/{key}?page=1")
        self.routes = SimpleNamespace(reads=[self.route], keys=range(1, 9))
        self.times = itertools.count()
        self.rows = itertools.count()

    def take(self) -> int:
        return 1

    def empty(self) -> None:
        self.stored.clear()

    def read(self, key: int, route: DiagnosedRead, *, path: str, headers: dict[str, str]) -> Reading:
        page = path.partition("page=")[2][:1]
        place = path if self.key_has_page else path.partition("?")[0]
        body = self.stored.setdefault(place, json.dumps({"page": page, "made_at": next(self.times)}))
        return Reading(next(self.rows), 0.0, 0.0, 200, body=body.encode())


@pytest.mark.parametrize(("key_has_page", "outcome"), [(True, "own-answer"), (False, "answer-of-another")])
def test_a_time_of_its_own_hides_no_page(key_has_page: bool, outcome: str) -> None:
    (observations,) = vary_one_dimension(Service(key_has_page=key_has_page), 6)  # type: ignore[arg-type]
    assert set(observations.trials) == {outcome} and observations.facts["dimension"] == "page"

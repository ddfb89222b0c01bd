"""What belongs to a variant, and what to a single request: with answers as a service with an own clock gives them."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest

import world
from luckyhit.case.load import parse_case
from luckyhit.experiments.means.bench import Bench
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import DiagnosedRead, routes_of
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


class Translated(Service):
    """Answers in the language of a header that no list of usual ones names; a workload's routes send it. `by_tongue`:
    the key of an entry has the language; `keyed`: it has the path."""

    def __init__(self, *, by_tongue: bool, keyed: bool) -> None:
        super().__init__(key_has_page=True)
        self.by_tongue, self.keyed = by_tongue, keyed
        self.numbers = itertools.count(1)
        routes = tuple(DiagnosedRead(name, "/items/{key}", None, {"X-Tongue": name}) for name in ("german", "welsh"))
        self.route = routes[0]
        self.routes = SimpleNamespace(reads=routes, keys=range(1, 9))

    def take(self) -> int:
        return next(self.numbers)

    def read(self, key: int, route: DiagnosedRead, *, path: str, headers: dict[str, str]) -> Reading:
        tongue = {**route.headers, **headers}["X-Tongue"]
        place = (path.partition("?")[0] if self.keyed else "item") + (tongue if self.by_tongue else "")
        body = self.stored.setdefault(place, json.dumps({"item": path.partition("?")[0], "tongue": tongue}))
        return Reading(next(self.rows), 0.0, 0.0, 200, body=body.encode())


@pytest.mark.parametrize(
    ("by_tongue", "keyed", "dimension"),
    [(False, True, "german or welsh"), (True, False, "key of german"), (True, True, "german or welsh")],
)
def test_headers_of_the_workload_and_the_key_are_varied(by_tongue: bool, keyed: bool, dimension: str) -> None:
    service = Translated(by_tongue=by_tongue, keyed=keyed)
    (observations,) = vary_one_dimension(service, 6)  # type: ignore[arg-type]
    right = by_tongue and keyed
    assert ("answer-of-another" in observations.trials) is not right
    assert right or observations.facts["dimension"] == dimension


def test_routes_that_differ_in_headers_alone_are_reads_of_their_own() -> None:
    document = world.case(
        workload={
            "seed": 1,
            "rate": "20/s",
            "routes": [
                {
                    "name": name,
                    "path": "/products/{key}",
                    "keys": {"first": 1, "last": 9},
                    "headers": {"X-Tongue": name},
                }
                for name in ("german", "welsh")
            ],
        }
    )
    routes = routes_of(parse_case(json.dumps(document)))
    assert [read.headers for read in routes.reads] == [{"X-Tongue": "german"}, {"X-Tongue": "welsh"}]


TONGUES = [
    {"name": name, "path": "/products/{key}", "keys": {"first": 1, "last": 9}, "headers": headers}
    for name, headers in (
        ("english", {"X-Tongue": "english"}),
        ("german", {"X-Tongue": "german", "Cookie": "uid=m{number}", "X-Shop": "{key}"}),
    )
]


def test_a_read_of_the_probe_is_that_of_its_first_variant() -> None:
    document = world.case(workload={"seed": 1, "rate": "20/s", "routes": TONGUES})
    document["freshness"] = {
        "write": {"method": "PUT", "path": "/products/{key}", "body": {"price": "{version}"}},
        "reads": [{"name": "read", "path": "/products/{key}", "version": "$.price"}],
        "variants": [
            {"name": "german", "headers": {"X-Tongue": "german"}},
            {"name": "welsh", "headers": {"X-Shop": "2"}},
        ],
        "keys": {"first": 20, "last": 29},
        "within": "1s",
    }
    declared, *others = routes_of(parse_case(json.dumps(document))).reads
    assert declared.headers == {"X-Tongue": "german"}
    assert [read.headers for read in others] == [{"X-Tongue": "english"}, {"X-Tongue": "german", "X-Shop": "{key}"}]
    del document["freshness"]["variants"]
    assert routes_of(parse_case(json.dumps(document))).reads[0].headers == {"X-Tongue": "english"}


def test_a_header_of_its_own_replaces_that_of_the_route_in_any_case() -> None:
    route = DiagnosedRead("german", "/items/{key}", None, {"x-tongue": "german", "X-Shop": "{key}"})
    calls = SimpleNamespace(read=lambda path, **options: options["headers"])
    bench = SimpleNamespace(route=route, calls=calls)
    assert Bench.read(bench, 7) == {"x-tongue": "german", "X-Shop": "7"}  # type: ignore[arg-type, comparison-overlap]
    sent = Bench.read(bench, 7, headers={"X-Tongue": "welsh"})  # type: ignore[arg-type]
    assert sent == {"X-Shop": "7", "X-Tongue": "welsh"}  # type: ignore[comparison-overlap]

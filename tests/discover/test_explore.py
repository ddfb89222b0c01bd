"""What a service does is found out by asking it, and never more than it may be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from luckyhit.caches import AnyCache
from luckyhit.case.freshness import VersionRead
from luckyhit.case.values.placeholders import fill_text
from luckyhit.discover.asking import Asker
from luckyhit.discover.discovering import SourceFiles
from luckyhit.discover.evidence import FORM, Body, Parameter, ServiceEvidence, ServiceRoute, Setting, WriteRoute
from luckyhit.discover.explore import Explored, explore
from luckyhit.errors import GuardError
from luckyhit.load.bodies.versions import VersionReader
from luckyhit.load.http1.response import HttpResponse
from luckyhit.system.embedded import start_embedded
from world import Reply, Request, Service
from world.shop import Shop

ID = Parameter("id", kind="integer")
READS = (ServiceRoute("GET", "/health"), ServiceRoute("GET", "/items"), ServiceRoute("GET", "/items/{id}", (ID,)))
PUT = ServiceRoute("PUT", "/items/{id}", (ID,))
EVIDENCE = ServiceEvidence(routes=(*READS, PUT), settings=(Setting("CACHE_TTL"),))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyCache]:
    cache = start_embedded(Path(tmp_path_factory.mktemp("cache")), with_password=False)
    yield cache
    cache.stop()


def asked(
    service: Service, evidence: ServiceEvidence, *, cache: AnyCache | None = None, may_write: bool = True, **more: Any
) -> Explored:
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        asker = Asker(client, may_write=may_write)
        return explore(evidence, asker, cache=cache, fields={}, may_write=may_write, **more)


def keys(uses: Sequence[Any]) -> set[tuple[str, str]]:
    return {(use.verb, use.template) for use in uses}


def by_path(writes: Sequence[WriteRoute]) -> dict[str, WriteRoute]:
    return {write.route.path: write for write in writes}


def test_reads_have_ids_fields_signals_and_keys(own: AnyCache) -> None:
    with Shop(own.url) as shop:
        explored = asked(shop, EVIDENCE, cache=own)
    read = next(read for read in explored.reads if read.path == "/items/{id}")
    assert read.ids == tuple(map(str, range(1, 41)))
    assert "$.stock" in read.fields
    assert (read.cache_header, read.hits, read.db_header) == ("x-cache: HIT", True, "x-db-calls: 1")
    assert keys(read.keys) == {("read", "item:{id}"), ("stored", "item:{id}")}
    assert (explored.config_path, explored.cache_kind, explored.partial) == ("/health", "redis", False)


def test_a_write_is_found_by_what_its_errors_say(own: AnyCache) -> None:
    with Shop(own.url) as shop:
        explored = asked(shop, EVIDENCE, cache=own)
    (write,) = explored.writes
    assert write.body["stock"] == "{version}"
    assert isinstance(write.body["label"], str)
    shown = {shows.read: (shows.json_path, shows.stale_s) for shows in write.shows}
    assert shown == {"/items/{id}": ("$.stock", None), "/items": ("$.items[?@.id == {key}].stock", None)}
    assert keys(write.keys) == {("deleted", "item:{id}"), ("deleted", "items")}


def test_an_old_value_is_told_from_one_never_shown(own: AnyCache) -> None:
    with Shop(own.url, stale=True) as shop:
        explored = asked(shop, EVIDENCE, cache=own)
    (write,) = explored.writes
    assert {shows.read for shows in write.shows} == {"/items/{id}", "/items"}
    assert all(shows.stale_s is not None and shows.stale_s > 0 for shows in write.shows)
    assert write.keys == ()


def test_a_copy_that_a_process_keeps_does_not_hide_the_write() -> None:
    with Shop(local=True) as shop:
        (write,) = asked(shop, ServiceEvidence(routes=(READS[2], PUT))).writes
    (shows,) = write.shows
    assert (shows.read, shows.json_path) == ("/items/{id}", "$.stock")
    assert shows.stale_s is not None


def test_copies_of_listed_texts_do_not_hide_it_either(own: AnyCache) -> None:
    wiki, page = ServiceRoute("GET", "/wiki"), ServiceRoute("GET", "/wiki/{slug}", (Parameter("slug"),))
    with Shop(own.url, local=True) as shop:
        explored = asked(shop, ServiceEvidence(routes=(wiki, page, replace(page, method="PUT"))), cache=own)
        read = next(read for read in explored.reads if read.ids)
        assert len(read.ids) == 30
    assert [shows.json_path for write in explored.writes for shows in write.shows] == ["$.revision"]
    assert ("stored", "wiki:{slug}") in keys(read.keys)


def test_digests_in_keys_are_named_as_such(own: AnyCache) -> None:
    with Shop(own.url, hashed=True) as shop:
        explored = asked(shop, ServiceEvidence(routes=(READS[2],)), cache=own)
    assert {(use.template, use.hashed) for use in explored.reads[0].keys} == {("*", True)}


def test_a_text_field_takes_a_number(own: AnyCache) -> None:
    body = Body(schema={"type": "object", "properties": {"note": {"type": "string"}}})
    with Shop(own.url) as shop:
        explored = asked(
            shop, ServiceEvidence(routes=(*READS, ServiceRoute("PATCH", "/items/{id}/note", (ID,), body))), cache=own
        )
    (write,) = explored.writes
    assert write.body == {"note": "0{version}"}
    assert ("/items/{id}", "$.note") in {(shows.read, shows.json_path) for shows in write.shows}


class Notes(Service):
    """GET and PUT /notes/{id}: a text each, `first(id)` before it is written; beside it a number that is written too if
    `numbered`. `takes`: what a text has to be like."""

    def __init__(self, first: Callable[[int], Any], *, takes: str = "(?s:.*)", numbered: bool = False) -> None:
        super().__init__()
        self.takes, self.numbered = takes, numbered
        self.rows = {number: {"id": number, "text": first(number), "seq": 0} for number in range(1, 31)}

    def answer(self, request: Request) -> Any:
        number = int(request.path.rpartition("/")[2])
        if number not in self.rows:
            return Reply({"error": "no such note"}, 404)
        row = self.rows[number]
        if request.method == "PUT":
            body = request.json()
            if not re.fullmatch(self.takes, str(body.get("text"))) or (self.numbered and "seq" not in body):
                return Reply({"error": "a text is wanted"}, 422)
            row |= {"text": str(body["text"]), "seq": body["seq"] if self.numbered else 0}
        return {"data": {name: value for name, value in row.items() if value != "absent"}}


def found_in_notes(notes: Notes) -> WriteRoute:
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "seq": {"type": "integer"}}}
    if not notes.numbered:
        del schema["properties"]["seq"]  # type: ignore[attr-defined]
    get = ServiceRoute("GET", "/notes/{id}", (ID,))
    with notes:
        (write,) = asked(
            notes, ServiceEvidence(routes=(get, replace(get, method="PUT", body=Body(schema=schema))))
        ).writes
    return write


class Zones(Service):
    """GET /zones/{zone}/price?kg=: needs its query; PATCH /zones/{zone} changes its edition."""

    def __init__(self) -> None:
        super().__init__()
        self.editions = {f"{country}{number}": 1 for country in ("DE", "AT") for number in range(1, 11)}

    def answer(self, request: Request) -> Any:
        match = re.fullmatch(r"/zones/(\w+)(?:(/price)\?kg=(\d+))?", request.path)
        if match is None or match[1] not in self.editions:
            return Reply({"error": "no such zone"}, 404)
        if request.method == "PATCH":
            body = request.json()
            if "edition" not in body or body.get("zone", match[1]) != match[1]:
                return Reply({"error": "nothing to change"}, 400)
            self.editions[match[1]] = body["edition"]
        return {"zone": match[1], "edition": self.editions[match[1]]}


PRICE = ServiceRoute("GET", "/zones/{zone}/price", (Parameter("zone"),))
ZONES = ServiceEvidence(routes=(PRICE, ServiceRoute("PATCH", "/zones/{zone}", (Parameter("zone"),))))


def test_ids_that_were_asked_in_vain_are_named() -> None:
    with Zones() as zones:
        explored = asked(zones, ZONES, id_texts=[("DE", "AT")])
    assert explored.reads == ()
    (unknown,) = (each for each in explored.unknown if PRICE.path in each)
    assert {"1", "DE"} <= set(re.findall(r"\w+", unknown)) and "--path" in unknown


def test_a_path_that_is_named_gives_ids_and_the_query() -> None:
    known = SourceFiles(paths=("/zones/DE4/price?kg=3",)).with_paths(ZONES)
    with Zones() as zones:
        explored = asked(zones, known)
    (read,), (write,) = explored.reads, explored.writes
    assert (read.path, set(read.ids)) == (f"{PRICE.path}?kg=3", {f"DE{number}" for number in range(1, 11)})
    assert write.body == {"zone": "{key}", "edition": "{version}"}
    assert [(shows.read, shows.json_path) for shows in write.shows] == [(read.path, "$.edition")]
    assert {route.weight for route in known.routes} == {None}


class Boards(Service):
    """GET /boards/{board}/cards: three texts; POST /boards/{board}/cards/{n} changes one."""

    def __init__(self) -> None:
        super().__init__()
        self.cards = {(board, n): f"card {board}.{n}" for board in range(1, 31) for n in (1, 2, 3)}

    def answer(self, request: Request) -> Any:
        match = re.fullmatch(r"/boards/(\d+)/cards(?:/(\d+))?", request.path)
        board, n = (int(match[1]), int(match[2] or 1)) if match is not None else (0, 0)
        if (board, n) not in self.cards:
            return Reply({"error": "no such board"}, 404)
        if request.method == "POST":
            self.cards[board, n] = str(request.json()["text"])
        return {"board": board, "cards": [{"text": self.cards[board, each]} for each in (1, 2, 3)]}


def test_the_parameter_of_the_read_varies_in_the_write() -> None:
    body = Body(schema={"type": "object", "properties": {"text": {"type": "string"}}})
    board, n = Parameter("board", kind="integer"), Parameter("n", kind="integer")
    cards = ServiceRoute("GET", "/boards/{board}/cards", (board,))
    with Boards() as boards:
        explored = asked(
            boards, ServiceEvidence(routes=(cards, ServiceRoute("POST", "/boards/{board}/cards/{n}", (board, n), body)))
        )
    (write,) = explored.writes
    assert write.path == "/boards/{board}/cards/1" and write.body == {"text": "card {version}.1"}
    assert [(shows.read, shows.json_path) for shows in write.shows] == [(cards.path, "$.cards[0].text")]


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (lambda number: f"Town {number}", "Town {version}"),
        (lambda number: f"card {number}.2 {{b}}", "card {version}.2 {{b}}"),
        (lambda number: "free", "0{version}"),
        (lambda number: None, "0{version}"),
        (lambda number: "absent", "0{version}"),
        (lambda number: "09:00-17:00", "0{version}"),
        (lambda number: f"{number} of\nthem" if number % 2 else "none", "0{version}"),
        (str, "0{version}"),
    ],
)
def test_the_text_before_the_first_write_is_a_version(first: Callable[[int], Any], text: str) -> None:
    notes = Notes(first)
    write = found_in_notes(notes)
    (shows,) = write.shows
    assert write.body["text"] == text
    read = VersionRead(path="/notes/{key}", version=shows.json_path, regex=shows.regex or None)
    for number, value in ((1, first(1)), (2, first(2)), (3, fill_text(text, {"version": 1_000_001}))):
        body = json.dumps({"data": {"text": value} if value != "absent" else {}}).encode()
        version = VersionReader(read).version(str(number), HttpResponse(body=body))
        assert version == 1_000_001 if number == 3 else 0 <= version < 1_000_000


def test_a_text_of_the_old_form_that_is_refused_is_not_written() -> None:
    write = found_in_notes(Notes(lambda number: f"Town {number}", takes=r"\d+|text"))
    assert write.body["text"] == "0{version}" and write.shows[0].regex


def test_a_number_beside_a_text_is_the_version() -> None:
    write = found_in_notes(Notes(lambda number: f"Town {number}", numbered=True))
    assert write.body["seq"] == "{version}" and "{" not in str(write.body["text"])
    assert [(shows.json_path, shows.regex) for shows in write.shows] == [("$.data.seq", "")]


def test_a_form_is_tried_where_json_is_refused(own: AnyCache) -> None:
    with Shop(own.url) as shop:
        explored = asked(
            shop, ServiceEvidence(routes=(*READS, ServiceRoute("POST", "/items/{id}/stock", (ID,)))), cache=own
        )
    (write,) = explored.writes
    assert (write.media_type, write.body["stock"], write.statuses) == (FORM, "{version}", (303,))
    assert ("/items/{id}", "$.stock") in {(shows.read, shows.json_path) for shows in write.shows}


def test_a_redirection_that_changes_nothing_is_no_write(own: AnyCache) -> None:
    with Shop(own.url) as shop:
        explored = asked(
            shop, ServiceEvidence(routes=(*READS, ServiceRoute("PUT", "/items/{id}/private", (ID,)))), cache=own
        )
    assert explored.writes == ()
    assert ("PUT /items/{id}/private", "it answered 302") in explored.skipped


def test_braces_of_a_constant_are_doubled(own: AnyCache) -> None:
    example = Body(example={"label": "{curly}", "stock": 1})
    with Shop(own.url) as shop:
        explored = asked(shop, ServiceEvidence(routes=(*READS, replace(PUT, body=example))), cache=own)
    assert explored.writes[0].body == {"label": "{{curly}}", "stock": "{version}"}


def test_a_key_in_the_query_is_found(own: AnyCache) -> None:
    by_query = ServiceRoute("GET", "/item", (Parameter("number", "query", required=False),))
    with Shop(own.url) as shop:
        explored = asked(shop, ServiceEvidence(routes=(by_query, PUT)), cache=own)
    (read,) = explored.reads
    assert (read.path, read.ids) == ("/item?number={number}", tuple(map(str, range(1, 41))))
    assert keys(read.keys) == {("read", "item:{number}"), ("stored", "item:{number}")}
    assert [shows.read for shows in explored.writes[0].shows] == [read.path]


def test_texts_of_the_code_are_ids_where_nothing_else_is() -> None:
    user = ServiceRoute("GET", "/users/{name}", (Parameter("name"),))
    texts = [("red-1", "red-2"), ("user-01", "user-02", "user-03", "user-04"), ("carol",), ("nobody",)]
    with Shop() as shop:
        (read,) = asked(shop, ServiceEvidence(routes=(user,)), id_texts=texts).reads
    assert read.ids == ("user-01", "user-02", "user-03", "carol")


def test_a_header_that_is_needed_is_sent() -> None:
    plan = ServiceRoute("GET", "/plans/{id}", (ID, Parameter("X-Tenant", "header", examples=("north",))))
    secret = Parameter("Authorization", "header")
    with Shop() as shop:
        explored = asked(shop, ServiceEvidence(routes=(replace(plan, parameters=(*plan.parameters, secret)),)))
    assert explored.headers == {"X-Tenant": "north"} and len(explored.reads) == 1


def test_numbers_stay_below_a_limit() -> None:
    level = ServiceRoute("PUT", "/items/{id}/level", (ID,))
    with Shop() as shop:
        (write,) = asked(shop, ServiceEvidence(routes=(*READS, level))).writes
    assert (write.body, write.first_version) == ({"level": "{version}"}, 25_000)
    assert {shows.json_path for shows in write.shows} >= {"$.level"}


def test_a_search_that_takes_any_text_has_no_key() -> None:
    search = ServiceRoute("GET", "/items", (Parameter("q", "query"),))
    with Shop() as shop:
        (read,) = asked(shop, ServiceEvidence(routes=(search,))).reads
    assert read.ids == ()


def test_both_parameters_are_in_the_template(own: AnyCache) -> None:
    shops = ServiceRoute("GET", "/shops")
    listed = ServiceRoute("GET", "/shops/{shop}/items", (Parameter("shop"),))
    stock = ServiceRoute("GET", "/shops/{shop}/items/{id}", (Parameter("shop"), ID))
    with Shop(own.url) as shop:
        explored = asked(shop, ServiceEvidence(routes=(shops, listed, stock)), cache=own)
    by_path = {read.route.path: read for read in explored.reads}
    assert by_path[listed.path].ids == ("berlin", "paris")
    read = by_path[stock.path]
    assert read.path == "/shops/berlin/items/{id}"
    assert keys(read.keys) == {("read", "stock:{shop}:{id}"), ("stored", "stock:{shop}:{id}")}


def test_a_number_in_the_query_is_tried() -> None:
    amount = Parameter("amount", "query", "integer")
    with Shop() as shop:
        explored = asked(
            shop, ServiceEvidence(routes=(*READS, ServiceRoute("POST", "/items/{id}/amount", (ID, amount))))
        )
    (write,) = explored.writes
    assert write.path == "/items/{id}/amount?amount={version}"
    assert {shows.json_path for shows in write.shows} >= {"$.amount"}


def test_nothing_is_written_where_it_may_not_be() -> None:
    with Shop() as shop:
        explored = asked(shop, EVIDENCE, may_write=False)
        assert set(shop.methods) == {"GET"}
        with httpx.Client(base_url=shop.url) as client, pytest.raises(GuardError):
            Asker(client, may_write=False).send("PUT", "/items/1", {})
    assert [route for route, _ in explored.skipped] == ["PUT /items/{id}"]
    assert explored.reads
    assert explored.cache_kind == "unknown"


def test_risky_routes_and_deletions_are_not_tried() -> None:
    risky = (
        ServiceRoute("POST", "/items/{id}/amount", (ID,), risk="moves money"),
        ServiceRoute("DELETE", "/items/{id}", (ID,)),
    )
    with Shop() as shop:
        explored = asked(shop, ServiceEvidence(routes=(*READS, *risky)))
        assert set(shop.methods) == {"GET"}
    assert {route for route, _ in explored.skipped} == {"POST /items/{id}/amount", "DELETE /items/{id}"}


def test_credentials_are_asked_for() -> None:
    with Shop(token="secret") as shop:
        explored = asked(shop, EVIDENCE)
    assert explored.reads == ()
    assert any("--header-env" in sentence for sentence in explored.unknown)


def test_a_service_that_answers_anything_is_told() -> None:
    routes = (*READS, ServiceRoute("GET", "/nothing"), ServiceRoute("GET", "/orders/{id}", (ID,)))
    with Shop(anything=True) as shop:
        explored = asked(shop, ServiceEvidence(routes=routes))
    assert {read.path for read in explored.reads} == {"/health", "/items", "/items/{id}"}
    assert any("cannot exist" in sentence for sentence in explored.unknown)


def test_without_cache_use_the_kind_is_none(own: AnyCache) -> None:
    with Shop() as shop:
        assert asked(shop, ServiceEvidence(routes=READS), cache=own).cache_kind == "none"


def test_ctrl_c_leaves_what_is_known() -> None:
    with Shop() as shop, httpx.Client(base_url=shop.url, trust_env=False) as client:

        def interrupt(sentence: str) -> None:
            if "{id}" in sentence:
                raise KeyboardInterrupt

        asker = Asker(client, may_write=True)
        explored = explore(EVIDENCE, asker, cache=None, fields={}, may_write=True, progress=interrupt)
    assert explored.partial
    assert {read.path for read in explored.reads} == {"/health", "/items"}
    assert explored.requests_sent == len(shop.requests)


def test_when_time_is_up_no_route_is_begun() -> None:
    with Shop() as shop, httpx.Client(base_url=shop.url, trust_env=False) as client:
        asker = Asker(client, may_write=True)
        explored = explore(EVIDENCE, asker, cache=None, fields={}, may_write=True, deadline_s=0)
    assert len(explored.skipped) == len(EVIDENCE.routes)

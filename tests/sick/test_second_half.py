"""Each service of the second half shows its fault by the experiment that decides it, and not once it is healed."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from luckyhit.case.load import load_case
from luckyhit.judge.diagnosis.table import FAULTS, NONE
from tier import one_of_many
from waiting import eventually

from . import SICK, truth
from .running import Running, running

ROW, OTHER = 7, 8
SLOW_MS = "1500"
SERVING_S = 2


def _warm(service: Running) -> None:
    service.read(ROW)
    assert service.read(ROW).cache == "HIT"


def _outer_layer(service: Running) -> bool:
    tag = service.answer(ROW).headers["etag"]
    assert service.answer(ROW, {"If-None-Match": tag}).status_code == 304
    service.write(ROW, 2)
    assert service.read(ROW).version == 2
    after = service.answer(ROW, {"If-None-Match": tag})
    assert after.status_code == 304 or after.headers["etag"] != tag
    return after.status_code == 304


def _lying_indicator(service: Running) -> bool:
    cold, warm = service.read(ROW), service.read(ROW)
    service.write(ROW, 2)
    written = service.read(ROW)
    assert [reading.version for reading in (cold, warm, written)] == [1, 1, 2]
    assert (cold.db_calls, warm.db_calls, written.db_calls) == (1, 0, 1)
    assert warm.cache == "HIT" and cold.cache == written.cache
    return cold.cache == "HIT"


def _ack_before_commit(service: Running) -> bool:
    _warm(service)
    service.write(ROW, 2)
    service.redis.delete(service.key(ROW))
    after = service.read(ROW)
    assert (after.cache, after.db_calls) == ("MISS", 1)
    eventually(lambda: service.read(ROW).version == 2)
    return after.version == 1


def _eviction(service: Running) -> bool:
    def misses() -> int:
        return [service.read(row).cache for row in range(1, 61)].count("MISS")

    misses()
    again, evicted = misses(), service.redis.info("stats")["evicted_keys"]
    assert (again > 0) is (evicted > 0)
    service.redis.config_set("maxmemory", "64mb")
    misses()
    assert misses() == 0
    return again > 0


def _foreign_cleaner(service: Running) -> bool:
    service.read(ROW)
    for basket in (1, 2):  # once the second is gone, a whole round has passed
        httpx.put(f"{service.url}/market/baskets/{basket}", json={"offers": [ROW]}).raise_for_status()
        eventually(lambda: service.redis.keys("market.basket.*") == [])
    assert service.redis.info("stats")["evicted_keys"] == 0
    gone = not service.redis.exists(service.key(ROW))
    assert service.read(ROW).version == 1
    return gone


def _replayed_headers(service: Running) -> bool:
    answers = [service.answer(ROW) for _ in range(3)]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT", "HIT"]
    assert service.answer(OTHER).headers["set-cookie"] != answers[0].headers["set-cookie"]
    cookies, numbers = ({answer.headers[name] for answer in answers} for name in ("set-cookie", "x-answer-id"))
    assert len(cookies) == len(numbers) and len(numbers) in (1, 3)
    return len(cookies) == 1


def _lost_signal(service: Running) -> bool:
    def subscribers() -> set[str]:
        return {client["id"] for client in service.redis.client_list(_type="pubsub")}

    _warm(service)
    service.write(ROW, 2)
    eventually(lambda: service.read(ROW).version == 2)
    before = subscribers()
    assert service.redis.client_kill_filter(_type="pubsub") == len(before) == 1
    joins_again = httpx.get(f"{service.url}/health").json()["AFTER_CUT"] == "join-again"
    eventually(lambda: len(subscribers() - before) == joins_again and not subscribers() & before)
    eventually(lambda: service.read(ROW).cache == "HIT")
    service.write(ROW, 3)
    if joins_again:
        eventually(lambda: service.read(ROW).version == 3)
        return False
    after = service.read(ROW)
    assert (after.version, after.cache, service.redis.exists(service.key(ROW))) == (2, "HIT", 0)
    return True


def _invalidation_breaks_write(service: Running) -> bool:
    _warm(service)
    service.write(ROW, 2)
    assert service.read(ROW).version == service.read(ROW).version == 2
    with service.cache_away():
        service.write(ROW, 3)
        assert service.read(ROW).version == 3
    after = service.read(ROW)
    assert after.cache == "HIT" or after.version == 3
    return after.version == 2


def _replica_lag(service: Running) -> bool:
    _warm(service)
    service.write(ROW, 2)
    first, second = service.read(ROW), service.read(ROW)
    assert (first.cache, first.db_calls, second.cache) == ("MISS", 1, "HIT")
    assert first.version == second.version

    def loaded_anew() -> bool:
        service.redis.delete(service.key(ROW))
        return service.read(ROW).version == 2

    eventually(loaded_anew)
    return first.version == 1


def _bookkeeping_growth(service: Running) -> bool:
    def lookups(row: int) -> int:
        with service.commands() as commands:
            service.read(row)
        return len(commands.of("EXISTS"))

    misses = [lookups(row) for row in range(1, 13)]
    assert {lookups(row) for row in range(1, 13)} == {0}
    assert misses in (list(range(12)), [0] * 12)
    service.write(ROW, 2)
    assert service.read(ROW).version == 2
    return misses[-1] > 0


def _restamped_stale(service: Running) -> bool:
    service.read(ROW)
    service.write(ROW, 2)
    after = service.answer(ROW)
    assert (after.headers["x-cache"], after.headers["age"]) == ("MISS", "0")
    assert service.read(ROW, fresh="1").version == 2
    eventually(lambda: not service.redis.exists(service.key(ROW)))
    refreshed = service.read(ROW)
    assert refreshed.cache == "MISS" and refreshed.body == after.json()
    return refreshed.version == 1


def _deploy_mismatch(service: Running) -> bool:
    eventually(lambda: service.redis.exists(service.key(OTHER)))
    assert service.read(ROW).status == 200
    first = service.answer(OTHER)
    failed = first.status_code == 500
    assert first.headers["x-cache"] == ("HIT" if failed else "MISS")
    assert service.redis.delete(service.key(OTHER))
    assert service.read(OTHER).version == 1
    return failed


def _clock_content(service: Running) -> bool:
    serving = service.read(ROW).body["serving"]
    eventually(lambda: time.time() // SERVING_S > serving)
    after = service.read(ROW)
    old = after.body["serving"] == serving
    assert (after.cache, after.db_calls) == (("HIT", 0) if old else ("MISS", 1))
    service.redis.delete(service.key(ROW))
    assert service.read(ROW).body["serving"] > serving
    return old


def _outside(service: Running) -> bool:
    wrong = "grams" not in service.read(6).body
    service.redis.flushall()
    assert ("grams" not in service.read(6).body) is wrong
    assert ("grams" not in httpx.get(f"{service.url}/cargos/6/label").json()) is wrong
    assert "grams" in service.read(ROW).body
    _warm(service)
    service.write(ROW, 2)
    assert service.read(ROW).version == 2
    return wrong


# The experiment of each class, and the settings that give it the time it needs.
EXPERIMENTS: dict[str, tuple[Callable[[Running], bool], dict[str, str]]] = {
    "outer-layer": (_outer_layer, {}),
    "lying-indicator": (_lying_indicator, {}),
    "ack-before-commit": (_ack_before_commit, {"JOURNAL_MS": SLOW_MS}),
    "eviction": (_eviction, {}),
    "foreign-cleaner": (_foreign_cleaner, {"CLEAR_EVERY_S": "0.2"}),
    "replayed-headers": (_replayed_headers, {}),
    "lost-signal": (_lost_signal, {}),
    "invalidation-breaks-write": (_invalidation_breaks_write, {}),
    "replica-lag": (_replica_lag, {"LAG_MS": SLOW_MS}),
    "bookkeeping-growth": (_bookkeeping_growth, {}),
    "restamped-stale": (_restamped_stale, {}),
    "deploy-mismatch": (_deploy_mismatch, {"WARM_EVERY_S": "3600"}),
    "clock-content": (_clock_content, {"SERVING_S": str(SERVING_S)}),
    "outside": (_outside, {}),
}
QUICK = ("outer-layer", "ack-before-commit", "outside")


def test_each_fault_class_has_a_service() -> None:
    assert set(SICK) == set(FAULTS) - {NONE}


@pytest.mark.parametrize("fault_class", EXPERIMENTS)
def test_the_case_changes_the_variable_that_heals(fault_class: str) -> None:
    change, variable = load_case(SICK[fault_class] / "case.yml").change, truth(fault_class)["variable"]
    assert (change.name, change.before, change.after) == (variable["name"], variable["sick"], variable["healthy"])


@pytest.mark.parametrize("value", ["sick", "healthy"])
@pytest.mark.parametrize("fault_class", [one_of_many(name, quick=name in QUICK) for name in EXPERIMENTS])
def test_the_fault_shows_with_its_value_only(fault_class: str, value: str) -> None:
    experiment, env = EXPERIMENTS[fault_class]
    with running(fault_class, value, **env) as service:
        assert experiment(service) is (value == "sick")

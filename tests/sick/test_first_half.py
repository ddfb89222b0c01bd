"""Each service of the first half shows its fault by the experiment that decides it, and not once it is healed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from luckyhit.case.load import load_case
from tier import one_of_many
from waiting import eventually

from . import SICK, truth
from .running import Reading, Running, running

ROW, OTHER, ABSENT = 7, 8, 900
READERS = 8
SLOW_MS = "1500"


def _stale_when_warm(service: Running) -> bool:
    """Warm, write, read. A stale entry has to be cured by the delete of exactly its key."""
    service.read(ROW)
    assert service.read(ROW).cache == "HIT"
    service.write(ROW, 2)
    after = service.read(ROW)
    if after.version == 2:
        return False
    assert (after.version, after.cache, after.db_calls) == (1, "HIT", 0)
    assert service.redis.delete(service.truth["keys"][0].format(id=ROW)) == 1
    assert service.read(ROW).version == service.read(ROW).version == 2
    return True


def _missing_invalidation(service: Running) -> bool:
    with service.commands() as commands:
        service.write(OTHER, 2)
    untouched = not commands.any("DEL", "UNLINK", "SET", "EXPIRE", "FLUSHDB", "EVALSHA")
    assert _stale_when_warm(service) is untouched
    return untouched


def _key_mismatch(service: Running) -> bool:
    with service.commands() as commands:
        service.write(OTHER, 2)
    (delete,) = commands.of("DEL")
    other_key = delete.split()[1] != service.truth["keys"][0].format(id=OTHER)
    assert _stale_when_warm(service) is other_key
    return other_key


def _stale_after_overlap(service: Running, first: Callable[[], object], then: Callable[[], object], at: str) -> bool:
    """`then` while `first` is under way, from its first command `at` on; is the row old when both are over?"""
    with service.commands() as commands, ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(first)
        eventually(lambda: commands.any(at))
        then()
        under_way.result()
    after = service.read(ROW)
    assert after.version in (1, 2)
    assert after.cache == "HIT" or after.version == 2
    return after.version == 1


def _invalidate_before_commit(service: Running) -> bool:
    assert not _stale_when_warm(service)
    service.write(ROW, 1)
    service.read(ROW)
    with service.commands() as commands, ThreadPoolExecutor(1) as pool:
        write = pool.submit(service.write, ROW, 2)
        eventually(lambda: commands.any("DEL"))
        service.read(ROW)
        write.result()
    return service.read(ROW).version == 1


def _stale_set_race(service: Running) -> bool:
    assert not _stale_when_warm(service)
    service.write(ROW, 1)
    return _stale_after_overlap(service, lambda: service.read(ROW), lambda: service.write(ROW, 2), "GET")


def _ttl_wrong(service: Running) -> bool:
    key = service.truth["keys"][0].format(id=ROW)
    service.read(ROW)
    too_long = service.redis.pttl(key) > 2000
    service.write(ROW, 2)
    if too_long:
        assert service.read(ROW).version == 1
        service.redis.pexpire(key, 100)
    eventually(lambda: not service.redis.exists(key))
    assert service.read(ROW).version == 2
    return too_long


def _at_once(service: Running, row: int, readers: int) -> list[Reading]:
    with ThreadPoolExecutor(readers) as pool:
        return list(pool.map(service.read, [row] * readers))


def _stampede(service: Running) -> bool:
    loads = sum(reading.db_calls for reading in _at_once(service, ROW, READERS))
    assert loads in (1, READERS)
    assert sum(reading.db_calls for reading in _at_once(service, ROW, READERS)) == 0
    return loads == READERS


def _ttl_shorter_than_load(service: Running) -> bool:
    readings = [service.read(ROW) for _ in range(3)]
    assert {reading.version for reading in readings} == {1}
    dead = [reading.cache for reading in readings] == ["MISS"] * 3
    assert service.redis.dbsize() == (0 if dead else 1)
    assert dead or [reading.cache for reading in readings] == ["MISS", "HIT", "HIT"]
    return dead


def _over_invalidation(service: Running) -> bool:
    for row in (ROW, OTHER):
        service.read(row)
    service.write(ROW, 2)
    assert service.redis.info("stats")["evicted_keys"] == 0
    unrelated = service.read(OTHER)
    assert service.read(ROW).version == 2
    return (unrelated.cache, unrelated.db_calls) == ("MISS", 1)


def _uncacheable_key(service: Running) -> bool:
    first, second = service.read(ROW), service.read(ROW)
    assert first.cache == "MISS" and first.body == second.body
    assert service.redis.dbsize() == (2 if second.cache == "MISS" else 1)
    return second.cache == "MISS"


def _underspecified_key(service: Running) -> bool:
    wrong = []
    for row, units in ((ROW, ("km", "mi")), (OTHER, ("mi", "km"))):
        service.read(row, unit=units[0])
        second = service.read(row, unit=units[1])
        wrong.append(second.body["unit"] == units[0] and second.db_calls == 0)
    assert len(set(wrong)) == 1
    return wrong[0]


def _cached_error(service: Running) -> bool:
    assert not _stale_when_warm(service)
    assert service.read(ABSENT).status == 404
    service.write(ABSENT, 2)
    service.write(ABSENT + 1, 2)
    assert service.read(ABSENT + 1).status == 200
    after = service.read(ABSENT)
    assert after.status == 200 or after.cache == "HIT"
    return after.status == 404


def _per_process_cache(service: Running) -> bool:
    def by_worker() -> dict[str | None, set[int | None]]:
        """Versions by worker, once both have answered: connections go where the kernel sends them."""
        versions: dict[str | None, set[int | None]] = {}

        def both() -> bool:
            for reading in _at_once(service, ROW, READERS):
                versions.setdefault(reading.worker, set()).add(reading.version)
            return len(versions) == 2

        eventually(both, within_s=120)
        return versions

    assert set(map(frozenset, by_worker().values())) == {frozenset({1})}
    service.write(ROW, 2)
    after = sorted(map(sorted, by_worker().values()))  # type: ignore[type-var]
    assert after in ([[1], [2]], [[2], [2]])
    assert '"version": 2' in service.redis.get(service.truth["keys"][0].format(id=ROW))
    return after == [[1], [2]]


# The experiment of each class, and the settings that give it the time it needs.
EXPERIMENTS: dict[str, tuple[Callable[[Running], bool], dict[str, str]]] = {
    "missing-invalidation": (_missing_invalidation, {}),
    "key-mismatch": (_key_mismatch, {}),
    "invalidate-before-commit": (_invalidate_before_commit, {"COMMIT_MS": SLOW_MS}),
    "stale-set-race": (_stale_set_race, {"COMMIT_MS": "100", "LOAD_MS": SLOW_MS}),
    "ttl-wrong": (_ttl_wrong, {}),
    "stampede": (_stampede, {"LOAD_MS": SLOW_MS}),
    "ttl-shorter-than-load": (_ttl_shorter_than_load, {}),
    "over-invalidation": (_over_invalidation, {}),
    "uncacheable-key": (_uncacheable_key, {}),
    "underspecified-key": (_underspecified_key, {}),
    "cached-error": (_cached_error, {}),
    "per-process-cache": (_per_process_cache, {}),
}
QUICK = ("missing-invalidation", "over-invalidation", "underspecified-key")


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

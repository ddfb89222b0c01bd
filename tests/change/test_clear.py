from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luckyhit.case.cache import Cache as CacheSpec
from luckyhit.change.backup import read_backup, restore
from luckyhit.change.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable, GuardError, ScopeRefused, TargetError


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def spec(*templates: str, **fields: Any) -> CacheSpec:
    return CacheSpec.model_validate({"clear": list(templates), "url_env": "SHOP_CACHE", **fields})


def contents(client: redis.Redis) -> dict[bytes, tuple[bytes, int]]:
    """Everything there: payload, and whether and how long it lives (rounded to 10 s)."""
    return {key: (client.dump(key), round(client.pttl(key) / 10_000)) for key in client.scan_iter()}


def commands_sent(client: redis.Redis) -> set[str]:
    return {name.removeprefix("cmdstat_") for name in client.info("commandstats")}


def test_only_the_declared_keys_go(cache: Any, client: redis.Redis, journal: Journal) -> None:
    for number in range(30):
        client.set(f"product:{number}:v1", "p", ex=60)
    for key in (b"product:1:v2", b"product::v1", b"product:1:v1:x", b"xproduct:1:v1", b"session:1", b"product:1:2:v1"):
        client.set(key, "s", ex=60)
    for number in range(40):
        client.set(f"session:{number}", "s")
    outside = {key: value for key, value in contents(client).items() if not re.fullmatch(rb"product:\d+:v1", key)}
    report = clear(cache, spec("product:{id}:v1"), journal)
    assert contents(client) == outside
    assert (report.scanned, report.matched, report.cleared, report.gone) == (30 + len(outside), 30, 30, 0)
    assert (report.outside, report.outside_gone, report.appeared, report.without_ttl_kept) == (len(outside), 0, 0, 0)
    assert "30 of" in report.detail and f"{len(outside)} outside the scope left alone" in report.detail


def test_several_templates_are_one_scope(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"{kind}:{number}": "x" for kind in ("a", "b", "c", "d", "e") for number in range(4)})
    report = clear(cache, spec("a:{id}", "b:{id}", rebuildable=True), journal)
    assert report.cleared == 8
    assert sorted({key[:1] for key in client.scan_iter()}) == [b"c", b"d", b"e"]


def test_an_empty_cache_is_cleared_without_ado(cache: Any, journal: Journal) -> None:
    report = clear(cache, spec("product:{id}:v1"), journal)
    assert (report.scanned, report.cleared, report.backup) == (0, 0, None)
    assert journal.open_steps() == []


def test_it_never_flushes_nor_lists_by_glob(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.set("product:1:v1", "x", ex=60)
    client.config_resetstat()
    clear(cache, spec("product:{id}:v1", dedicated=True), journal)
    assert not {"keys", "flushall", "flushdb", "del"} & commands_sent(client)


def test_the_hit_counters_of_an_own_cache_stay_as_they_are(cache: Any, client: redis.Redis, journal: Journal) -> None:
    cache.owned = True
    client.mset({f"product:{number}:v1": "x" for number in range(20)})
    before = client.info("stats")
    clear(cache, spec("product:{id}:v1", rebuildable=True), journal)
    after = client.info("stats")
    assert [after[name] - before[name] for name in ("keyspace_hits", "keyspace_misses")] == [0, 0]


def test_too_large_a_share_is_refused_and_nothing_is_touched(cache: Any, client: redis.Redis, journal: Journal) -> None:
    for number in range(6):
        client.set(f"product:{number}:v1", "x", ex=60)
    client.mset({f"session:{number}": "x" for number in range(4)})
    before = contents(client)
    with pytest.raises(ScopeRefused, match=r"6 of 10 keys \(60%\); at most 50%") as raised:
        clear(cache, spec("product:{id}:v1"), journal)
    assert "dedicated: true" in raised.value.hint
    assert contents(client) == before and journal.steps() == []
    assert clear(cache, spec("product:{id}:v1", largest_share="60 %"), journal).cleared == 6


@pytest.mark.parametrize("how", ["dedicated", "owned"])
def test_a_cache_for_this_service_alone_may_be_cleared_whole(
    how: str, cache: Any, client: redis.Redis, journal: Journal
) -> None:
    client.set("product:1:v1", "x", ex=60)
    cache.owned = how == "owned"
    assert clear(cache, spec("product:{id}:v1", dedicated=how == "dedicated"), journal).cleared == 1


def test_keys_that_never_expire_stay_unless_they_can_be_rebuilt(
    cache: Any, client: redis.Redis, journal: Journal
) -> None:
    client.set("product:1:v1", "data")
    client.set("product:2:v1", "cached", ex=60)
    client.mset({f"session:{number}": "x" for number in range(4)})
    report = clear(cache, spec("product:{id}:v1"), journal)
    assert (report.matched, report.cleared, report.without_ttl_kept, report.appeared) == (2, 1, 1, 0)
    assert client.get("product:1:v1") == b"data"
    assert clear(cache, spec("product:{id}:v1", rebuildable=True), journal).cleared == 1


def test_another_database_of_the_same_server_is_left_alone(
    cache: Any, client: redis.Redis, journal: Journal, server: Any
) -> None:
    with redis.Redis(port=server.port, db=1) as other:
        other.set("product:1:v1", "x", ex=60)
        client.set("product:1:v1", "x", ex=60)
        clear(cache, spec("product:{id}:v1", dedicated=True), journal)
        assert client.dbsize() == 0 and other.dbsize() == 1


def test_keys_that_come_and_go_meanwhile_are_counted(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"a:{number}": "x" for number in range(700)})
    client.mset({f"session:{number}": "x" for number in range(800)})

    def meddle(done: int, _: int) -> None:
        if done == 500:  # between the two batches
            there = list(client.scan_iter("a:*"))
            client.unlink(there[0], "session:0")
            client.set("a:new", "x")

    report = clear(cache, spec("a:{id}", rebuildable=True), journal, on_progress=meddle)
    assert (report.matched, report.cleared, report.gone, report.appeared) == (700, 699, 1, 1)
    assert report.outside_gone == 1 and "removed by others" in report.detail
    assert client.get("a:new") == b"x"


def test_what_was_cleared_can_be_put_back_with_its_time_to_live(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path
) -> None:
    client.set("a:string", b"\x00\xff", ex=100)
    client.hset("a:hash", mapping={"f": "v"})
    client.expire("a:hash", 5000)
    client.zadd("a:zset", {"m": 1.5})
    client.rpush("a:list", "x", "y")
    client.set("a:back", "old", ex=100)
    before = contents(client)
    report = clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal)
    assert client.dbsize() == 0 and report.backup
    client.set("a:back", "new", ex=100)
    path = tmp_path / report.backup
    assert path.stat().st_mode & 0o077 == 0
    restored = restore(client, path)
    assert (restored.restored, restored.present, restored.expired) == (4, 1, 0)
    assert client.get("a:back") == b"new"
    after = contents(client)
    assert {key: after[key] for key in before if key != b"a:back"} == {
        key: before[key] for key in before if key != b"a:back"
    }
    again = restore(client, path)
    assert (again.restored, again.present) == (0, 5)


def test_what_would_have_expired_by_now_is_not_put_back(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("a:short", "x", ex=50)
    client.set("a:long", "x", ex=500)
    report = clear(cache, spec("a:{id}", dedicated=True), journal)
    now_ms = client.time()[0] * 1000
    monkeypatch.setattr("luckyhit.change.backup.server_time_ms", lambda client: now_ms + 100_000)
    restored = restore(client, tmp_path / str(report.backup))
    assert (restored.restored, restored.expired) == (1, 1)
    assert abs(client.pttl("a:long") - 500_000) < 10_000


def test_a_backup_that_was_cut_off_gives_its_whole_records(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path
) -> None:
    client.mset({f"a:{number}": "x" * 10 for number in range(3)})
    report = clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal)
    path = tmp_path / str(report.backup)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    size = (len(whole) - start) // 3
    for length in range(start, len(whole)):
        path.write_bytes(whole[:length])
        assert len(list(read_backup(path))) == (length - start) // size


def test_nothing_is_cleared_where_the_backup_cannot_be_written(
    cache: Any, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("a:1", "x", ex=60)
    journal = Journal(tmp_path / "journal.jsonl")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError, match=r"backup .* can't be written"):
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert client.get("a:1") == b"x"
    assert list(tmp_path.glob("*.backup")) == [] and journal.steps() == []


def test_nothing_is_cleared_where_the_journal_cannot_be_written(
    cache: Any, client: redis.Redis, tmp_path: Path
) -> None:
    client.set("a:1", "x", ex=60)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.mkdir()
    with pytest.raises(GuardError, match=r"journal .* can't be written"):
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert client.get("a:1") == b"x"
    assert list(tmp_path.glob("*.backup")) == []


def test_the_intent_is_written_before_the_first_key_goes(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"a:{number}": "x" for number in range(3)})
    seen = []
    clear(
        cache,
        spec("a:{id}", dedicated=True, rebuildable=True),
        journal,
        on_progress=lambda *_: seen.append([step.open and not step.confirmed for step in journal.steps()]),
    )
    assert seen == [[True]]
    (step,) = journal.steps()
    assert step.detail["listed"] == 3 and step.inverse["kind"] == "restore" and step.confirmed
    assert step.inverse["url_env"] == "SHOP_CACHE" and "redis://" not in str(step)


def test_a_user_without_the_right_is_told_so_and_nothing_is_touched(
    cache: Any, client: redis.Redis, journal: Journal, server: Any
) -> None:
    client.set("a:1", "x", ex=60)
    client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+@connection", "+time", "+info")
    cache.url = f"redis://reader:pw@127.0.0.1:{server.port}/0"
    with pytest.raises(TargetError, match="lacks a right while clearing the keys") as raised:
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert "luckyhit check" in raised.value.hint and "pw" not in str(raised.value)
    assert client.get("a:1") == b"x"
    client.execute_command("ACL", "DELUSER", "reader")


def test_a_read_only_replica_is_told_apart(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.set("a:1", "x", ex=60)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(TargetError, match="read-only replica"):
        clear(cache, spec("a:{id}", dedicated=True), journal)
    client.execute_command("REPLICAOF", "NO", "ONE")
    assert client.get("a:1") == b"x"


def test_a_cache_that_is_away_or_refuses_the_password(cache: Any, journal: Journal, server: Any) -> None:
    cache.url = f"redis://nobody:wrong@127.0.0.1:{server.port}/0"
    with pytest.raises(CacheUnreachable, match="refuses the credentials"):
        clear(cache, spec("a:{id}"), journal)
    cache.url = "redis://127.0.0.1:1/0"
    with pytest.raises(CacheUnreachable, match="does not answer"):
        clear(cache, spec("a:{id}"), journal)
    assert journal.steps() == []


# --- hostile keyspaces -------------------------------------------------------------------------------------------

TEMPLATES = [
    "product:{id}:v1",
    "p*[a-z]?:{id}",
    "{a}:x",
    "k{id}",
    "\\{{{id}}}",
    "a\n{b}",
    "ü:{x}:{y}",
    "only",
    "{a}{b}",
]


def matches(template: str, key: bytes) -> bool:
    """What a template means, said once more in the plainest way: try every split."""
    parts = [
        None if part.startswith("{") and part not in ("{{",) else {"{{": "{", "}}": "}"}.get(part, part).encode()
        for part in re.findall(r"\{\{|\}\}|\{\w+\}|[^{}]", template)
    ]

    def fits(index: int, rest: bytes) -> bool:
        if index == len(parts):
            return rest == b""
        part = parts[index]
        if part is not None:
            return rest.startswith(part) and fits(index + 1, rest[len(part) :])
        ends = next((end for end, byte in enumerate(rest) if byte == ord(":")), len(rest))
        return any(fits(index + 1, rest[end:]) for end in range(1, ends + 1))

    return fits(0, key)


hostile_bytes = st.one_of(
    st.binary(max_size=12),
    st.text("*?[]^\\-:{}\n\0 kpvxü1", max_size=10).map(str.encode),
    st.sampled_from([b"", b"\xff\xfe", b"\n", b"\0", b"*", b"1", b":", b"x" * 3000]),
)


@st.composite
def hostile_keys(draw: st.DrawFn) -> bytes:
    """A key that fits a template, nearly fits one, or has nothing to do with any."""
    key = draw(hostile_bytes)
    template = draw(st.sampled_from([*TEMPLATES, ""]))
    if template:
        filled = re.sub(rb"(?<!\{)\{\w+\}", lambda _: key, template.encode())
        key = filled.replace(b"{{", b"{").replace(b"}}", b"}")
    if key and draw(st.booleans()):
        place = draw(st.integers(0, len(key) - 1))
        change = draw(st.sampled_from(["replace", "remove", "insert"]))
        byte = bytes([draw(st.integers(0, 255))])
        key = key[:place] + (b"" if change == "remove" else byte) + key[place + (change != "insert") :]
    return key


def check_hostile_keyspace(
    cache: Any, client: redis.Redis, make_journal: Callable[[], Journal], keys: set[bytes], templates: list[str]
) -> None:
    client.flushdb()
    for key in keys:
        client.set(key, key[:50] + b"!", ex=1000)
    before = contents(client)
    expected = {key for key in keys if any(matches(template, key) for template in templates)}
    report = clear(cache, spec(*templates, dedicated=True), make_journal())
    assert contents(client) == {key: value for key, value in before.items() if key not in expected}
    assert (report.scanned, report.matched, report.cleared) == (len(keys), len(expected), len(expected))
    assert report.outside == len(keys) - len(expected) and report.outside_gone == 0
    if report.backup:
        restore(client, make_journal().path.parent / report.backup)
        assert contents(client) == before


hostile = given(
    keys=st.sets(hostile_keys(), max_size=30),
    templates=st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=3, unique=True),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@hostile
def test_hostile_keyspaces_lose_exactly_the_declared_keys(
    cache: Any, client: redis.Redis, tmp_path: Path, keys: set[bytes], templates: list[str]
) -> None:
    check_hostile_keyspace(cache, client, lambda: Journal(tmp_path / "journal.jsonl"), keys, templates)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hostile
def test_two_thousand_hostile_keyspaces(
    cache: Any, client: redis.Redis, tmp_path_factory: pytest.TempPathFactory, keys: set[bytes], templates: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    check_hostile_keyspace(cache, client, lambda: Journal(folder / "journal.jsonl"), keys, templates)


def test_a_key_of_half_a_megabyte(cache: Any, client: redis.Redis, journal: Journal) -> None:
    long = b"a:" + b"*" * 512 * 1024
    client.set(long, "x", ex=60)
    client.set(long + b":", "x", ex=60)
    assert clear(cache, spec("a:{id}", dedicated=True), journal).cleared == 1
    assert list(client.scan_iter()) == [long + b":"]

"""Making a cache tell its keyspace events, and putting its setting back exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luckyhit.caches.redis.keyspace_events import covers, read_setting
from luckyhit.caches.redis.redis_settings import OPTION, flags
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change.journal import Journal
from luckyhit.change.notify import watching_events
from luckyhit.change.revert import revert_run
from luckyhit.errors import CacheUnreachable, GuardError, RollbackNotConfirmed, TargetError
from tier import examples

PROBE: dict[str, Any] = {
    "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
    "reads": [{"path": "/products/{key}", "version": "$.price"}],
    "keys": {"first": 101, "last": 103},
    "within": "5ms",
}
CACHE = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE", "dedicated": True}
LETTERS = "KEg$lshzxetdmnA"
LIB = Path(__file__).parents[2] / "lib"


@pytest.fixture(autouse=True)
def as_it_was(client: redis.Redis) -> Iterator[None]:
    client.config_set(OPTION, "")
    yield
    client.config_set(OPTION, "")


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case(cache=CACHE, design="crossover", freshness=PROBE)


@pytest.fixture
def stack(case: Case, cache: Any, make_stack: Callable[..., Any]) -> Any:
    return make_stack(case, "http://127.0.0.1:1", cache=cache)


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


@pytest.fixture
def user(cache: Any, client: redis.Redis, server: Any, stack: Any) -> Iterator[Callable[[str], Any]]:
    """`user(rules)`: the stack, whose cache is reached as a user with just those rights."""

    def make(rules: str) -> Any:
        client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">pw", "~*", "&*", *rules.split())
        stack.cache = type(cache)(f"redis://shop:pw@127.0.0.1:{server.port}/0")
        return stack

    yield make
    client.execute_command("ACL", "DELUSER", "shop")


def never(_: float) -> None:
    raise AssertionError("nothing to wait for")


def patient(_: float) -> None:
    """A pause that takes no time."""


def test_the_server_tells_inside_of_the_block_and_is_as_before_behind_it(
    stack: Any, journal: Journal, client: redis.Redis
) -> None:
    with watching_events(stack, journal, sleep=never) as told:
        assert told.visible and covers(read_setting(client))
        (step,) = journal.open_steps()
        assert step.inverse["kind"] == "notify" and step.inverse["url_env"] == "SHOP_CACHE"
    assert read_setting(client) == "" and journal.open_steps() == []
    assert told.visible and not told.disturbed and told.sentences == []


@given(value=st.text(st.sampled_from(LETTERS), max_size=8))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_setting_is_put_back_exactly(value: str, stack: Any, journal: Journal, client: redis.Redis) -> None:
    client.config_set(OPTION, value)
    before, steps = read_setting(client), len(journal.steps())
    with watching_events(stack, journal, sleep=never) as told:
        if told.visible:
            assert covers(read_setting(client)) and flags(read_setting(client)) >= flags(before) - {"n"}
        else:
            assert read_setting(client) == before and "could not be put back exactly" in told.sentences[0]
            assert "A" in before and "K" not in before
    assert read_setting(client) == before and not told.disturbed
    assert (len(journal.steps()) > steps) == (told.visible and not covers(before))
    assert journal.open_steps() == []


@given(value=st.text(st.sampled_from(LETTERS)))
def test_letters_in_any_order_are_the_same_setting(value: str) -> None:
    assert flags(value) == flags(value[::-1]) == flags(value.replace("A", "g$lshzxetd"))
    assert covers(value) == ("K" in value and flags(value) >= set("g$lshzxetd"))


def test_a_server_that_tells_already_is_left_alone(stack: Any, journal: Journal, client: redis.Redis) -> None:
    client.config_set(OPTION, "KEA")
    changes = client.info("commandstats").get("cmdstat_config|set", {}).get("calls")
    with watching_events(stack, journal) as told:
        assert told.visible
    assert journal.steps() == []
    assert client.info("commandstats")["cmdstat_config|set"]["calls"] == changes


def test_what_somebody_else_sets_meanwhile_is_left_and_said(stack: Any, journal: Journal, client: redis.Redis) -> None:
    client.config_set(OPTION, "Ex")
    with watching_events(stack, journal, sleep=never) as told:
        client.config_set(OPTION, "Eg")
    assert flags(read_setting(client)) == set("Eg") and journal.open_steps() == []
    assert told.disturbed
    assert told.sentences == [
        "the cache's events of this block can't be relied on: somebody changed notify-keyspace-events to 'gE' "
        "meanwhile; it was left so (before: 'xE')"
    ]


def test_a_setting_that_is_as_before_by_itself_means_that_it_was_not_ours_all_the_time(
    stack: Any, journal: Journal, client: redis.Redis
) -> None:
    with watching_events(stack, journal, sleep=never) as told:
        client.config_set(OPTION, "")
    assert told.disturbed and "was empty again already" in told.sentences[0] and journal.open_steps() == []


def test_an_error_inside_is_raised_and_the_setting_put_back(stack: Any, journal: Journal, client: redis.Redis) -> None:
    with pytest.raises(KeyboardInterrupt), watching_events(stack, journal, sleep=never):
        raise KeyboardInterrupt
    assert read_setting(client) == "" and journal.open_steps() == []


@pytest.mark.parametrize(
    ("rules", "said"),
    [("+@all -config|get", "be read"), ("+@all -config|set", "be set"), ("+@all -config", "be read")],
)
def test_without_the_right_nothing_is_changed_and_nothing_fails(
    rules: str, said: str, user: Callable[[str], Any], journal: Journal, client: redis.Redis
) -> None:
    with watching_events(user(rules), journal, sleep=never) as told:
        assert not told.visible
    assert len(told.sentences) == 1 and told.sentences[0].startswith("not visible: the cache does not let its ")
    assert said in told.sentences[0] and "NoPermissionError" in told.sentences[0]
    assert read_setting(client) == "" and journal.open_steps() == []


def test_a_server_on_which_info_is_not_allowed(user: Callable[[str], Any], journal: Journal) -> None:
    with watching_events(user("+@all -info"), journal, sleep=never) as told:
        assert told.visible


def test_cases_that_do_not_ask_for_it(
    make_case: Callable[..., Case], make_stack: Callable[..., Any], cache: Any, journal: Journal, client: redis.Redis
) -> None:
    for probe in ({}, {"freshness": {**PROBE, "watch_cache": False}}):
        stack = make_stack(make_case(cache=CACHE, design="crossover", **probe), "http://127.0.0.1:1", cache=cache)
        with watching_events(stack, journal) as told:
            assert not told.visible and read_setting(client) == ""
        assert told.sentences == []
    assert journal.steps() == []


def test_a_service_whose_cache_is_not_known(case: Case, make_stack: Callable[..., Any], journal: Journal) -> None:
    with watching_events(make_stack(case, "http://127.0.0.1:1"), journal) as told:
        assert not told.visible and told.sentences[0].startswith("not visible: ")


def test_nothing_is_set_that_could_not_be_written_down(stack: Any, tmp_path: Path, client: redis.Redis) -> None:
    with pytest.raises(GuardError), watching_events(stack, Journal(tmp_path / "no" / "journal.jsonl")):
        raise AssertionError("not reached")
    assert read_setting(client) == ""


def test_an_own_cache_leaves_nothing_to_revert(stack: Any, journal: Journal, run: CaseRun, client: redis.Redis) -> None:
    stack.cache.owned = True
    with watching_events(stack, journal, sleep=patient) as told:
        assert told.visible
        stack.cache.url = "redis://127.0.0.1:1/0"  # it is gone
    assert told.disturbed and journal.open_steps() == []
    assert revert_run(run).confirmed


def test_a_cache_that_is_down_at_the_end_stays_open_and_is_reverted_later(
    stack: Any, journal: Journal, run: CaseRun, cache: Any, client: redis.Redis
) -> None:
    url, pauses = cache.url, []
    with pytest.raises(CacheUnreachable) as down, watching_events(stack, journal, sleep=pauses.append):
        cache.url = "redis://127.0.0.1:1/0"
    assert "redis-cli CONFIG SET notify-keyspace-events ''" in down.value.hint and len(pauses) == 2
    assert covers(read_setting(client)) and len(journal.open_steps()) == 1
    rollback = revert_run(run, environ={"SHOP_CACHE": url}, sleep=never)
    assert rollback.confirmed and "notify-keyspace-events put back to empty" in rollback.detail
    assert read_setting(client) == ""
    assert "Nothing was left to undo" in revert_run(run).detail


KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from luckyhit.change import watching_events
from luckyhit.change.journal import Journal
from luckyhit.caches import from_environment
from luckyhit.caches.redis import RedisCache

class KilledJournal(Journal):
    def confirm(self, *_):  # the setting was made just now
        if sys.argv[3] == "unconfirmed":
            os.kill(os.getpid(), signal.SIGKILL)
        super().confirm(*_)

cache = from_environment("SHOP_CACHE")
case = SimpleNamespace(freshness=SimpleNamespace(watch_cache=True), cache=SimpleNamespace(url_env="SHOP_CACHE"))
stack = SimpleNamespace(case=case, cache=cache, name="before")
with watching_events(stack, KilledJournal(Path(sys.argv[1]))) as told:
    assert told.visible
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["unconfirmed", "confirmed"])
@pytest.mark.parametrize("value", ["", "Kng"])
def test_a_killed_run_is_reverted_to_what_was_set_before(
    moment: str, value: str, run: CaseRun, journal: Journal, cache: Any, client: redis.Redis
) -> None:
    client.config_set(OPTION, value)
    environ = {"SHOP_CACHE": cache.url}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(journal.path), "-", moment],
        env={**os.environ, **environ, "PYTHONPATH": str(LIB)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert covers(read_setting(client)) and len(journal.open_steps()) == 1
    assert revert_run(run, environ=environ, sleep=never).confirmed
    assert flags(read_setting(client)) == flags(value)
    client.config_set(OPTION, "KEA")
    assert revert_run(run, environ=environ, sleep=never).confirmed
    assert covers(read_setting(client))  # set later, by somebody: a second revert leaves it


def journalled(journal: Journal, cache: Any, server: Any) -> None:
    by_hand = f"redis-cli CONFIG SET {OPTION} 'Ex'"
    inverse = {"kind": "notify", "value": "Ex", "ours": ["KAEx"], "url_env": "SHOP_CACHE", "by_hand": by_hand}
    journal.intend("notify", {}, {**inverse, "cache": f"127.0.0.1:{server.port}/0"})


def test_a_later_change_by_somebody_else_is_left_by_revert(
    run: CaseRun, journal: Journal, cache: Any, server: Any, client: redis.Redis
) -> None:
    journalled(journal, cache, server)
    client.config_set(OPTION, "Kg")
    rollback = revert_run(run, environ={"SHOP_CACHE": cache.url}, sleep=never)
    assert rollback.confirmed and "it was left so" in rollback.detail
    assert flags(read_setting(client)) == set("Kg") and journal.open_steps() == []


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:2/0"], ids=["not set", "another cache"])
def test_revert_writes_to_no_other_cache(
    url: str | None, run: CaseRun, journal: Journal, cache: Any, server: Any, client: redis.Redis
) -> None:
    journalled(journal, cache, server)
    client.config_set(OPTION, "KEA")
    with pytest.raises(RollbackNotConfirmed) as refused:
        revert_run(run, environ={"SHOP_CACHE": url} if url else {}, sleep=never)
    assert "Export SHOP_CACHE" in refused.value.hint
    assert "redis-cli CONFIG SET notify-keyspace-events 'Ex'" in refused.value.hint
    assert covers(read_setting(client)) and len(journal.open_steps()) == 1


def test_revert_of_a_cache_that_is_down_tries_again_then_says_what_to_do(run: CaseRun, journal: Journal) -> None:
    journal.intend(
        "notify",
        {},
        {"kind": "notify", "value": "", "ours": ["KA"], "cache": "127.0.0.1:1/0", "url_env": "SHOP_CACHE"},
    )
    pauses: list[float] = []
    with pytest.raises(RollbackNotConfirmed) as refused:
        revert_run(run, environ={"SHOP_CACHE": "redis://:pw@127.0.0.1:1/0"}, sleep=pauses.append)
    assert len(pauses) == 2 and len(journal.open_steps()) == 1
    assert "CONFIG SET notify-keyspace-events ''" in refused.value.hint and "pw" not in str(refused.value)


def test_a_right_that_was_taken_away_meanwhile(
    user: Callable[[str], Any], journal: Journal, client: redis.Redis
) -> None:
    with pytest.raises(TargetError) as refused, watching_events(user("+@all"), journal, sleep=never):
        client.execute_command("ACL", "SETUSER", "shop", "-config|set")
    assert "By hand: redis-cli CONFIG SET" in refused.value.hint and len(journal.open_steps()) == 1

"""Switching a cache's keyspace events on, and putting its setting back exactly."""

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
BY_HAND = f"redis-cli CONFIG SET {OPTION} '{{}}'"
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
def user(cache: Any, client: redis.Redis, server: Any, stack: Any) -> Iterator[Callable[[str], Any]]:
    """`user(rules)`: the stack, whose cache is reached as a user with just those rights."""

    def make(rules: str) -> Any:
        client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">pw", "~*", "&*", *rules.split())
        stack.cache = type(cache)(f"redis://shop:pw@127.0.0.1:{server.port}/0")
        return stack

    yield make
    client.execute_command("ACL", "DELUSER", "shop")


def at_once(_: float) -> None:
    raise AssertionError("nothing to wait for")


def patient(_: float) -> None:
    """A pause that takes no time."""


def on_server(client: redis.Redis) -> set[str]:
    return flags(read_setting(client))


def test_events_are_on_in_the_block_and_as_before_after_it(stack: Any, journal: Journal, client: redis.Redis) -> None:
    with watching_events(stack, journal, sleep=at_once) as events:
        assert events.visible and covers(read_setting(client))
        (step,) = journal.open_steps()
        assert step.inverse["kind"] == "notify" and step.inverse["url_env"] == "SHOP_CACHE"
    assert read_setting(client) == "" and journal.open_steps() == []
    assert events.visible and not events.disturbed and events.sentences == []


@given(value=st.text(st.sampled_from(LETTERS), max_size=8))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_setting_is_put_back_exactly(value: str, stack: Any, journal: Journal, client: redis.Redis) -> None:
    client.config_set(OPTION, value)
    before, steps = read_setting(client), len(journal.steps())
    with watching_events(stack, journal, sleep=at_once) as events:
        if events.visible:
            assert covers(read_setting(client)) and on_server(client) >= flags(before) - {"n"}
        else:  # a server that can't be set back to it
            assert read_setting(client) == before and len(events.sentences) == 1
            assert "A" in before and "K" not in before
    assert read_setting(client) == before and not events.disturbed
    assert (len(journal.steps()) > steps) == (events.visible and not covers(before))
    assert journal.open_steps() == []


@given(value=st.text(st.sampled_from(LETTERS)))
def test_letters_in_any_order_are_the_same_setting(value: str) -> None:
    assert flags(value) == flags(value[::-1]) == flags(value.replace("A", "g$lshzxetd"))
    assert covers(value) == ("K" in value and flags(value) >= set("g$lshzxetd"))


def test_sufficient_setting_is_left_alone(stack: Any, journal: Journal, client: redis.Redis) -> None:
    client.config_set(OPTION, "KEA")
    changes = client.info("commandstats").get("cmdstat_config|set", {}).get("calls")
    with watching_events(stack, journal) as events:
        assert events.visible
    assert journal.steps() == []
    assert client.info("commandstats")["cmdstat_config|set"]["calls"] == changes


@pytest.mark.parametrize(
    ("before", "meanwhile", "after"),
    [("Ex", "Eg", "Eg"), ("", "", "")],
    ids=["to another value", "back by itself, so the events were not on all the time"],
)
def test_change_by_others_is_left_and_noted(
    before: str, meanwhile: str, after: str, stack: Any, journal: Journal, client: redis.Redis
) -> None:
    client.config_set(OPTION, before)
    with watching_events(stack, journal, sleep=at_once) as events:
        client.config_set(OPTION, meanwhile)
    assert on_server(client) == set(after) and journal.open_steps() == []
    assert events.disturbed and len(events.sentences) == 1 and OPTION in events.sentences[0]


def test_setting_is_put_back_after_an_error(stack: Any, journal: Journal, client: redis.Redis) -> None:
    with pytest.raises(KeyboardInterrupt), watching_events(stack, journal, sleep=at_once):
        raise KeyboardInterrupt
    assert read_setting(client) == "" and journal.open_steps() == []


@pytest.mark.parametrize(
    ("rules", "visible"),
    [("+@all -config|get", False), ("+@all -config|set", False), ("+@all -config", False), ("+@all -info", True)],
)
def test_missing_permission_changes_nothing(
    rules: str, visible: bool, user: Callable[[str], Any], journal: Journal, client: redis.Redis
) -> None:
    with watching_events(user(rules), journal, sleep=at_once) as events:
        assert events.visible is visible
    assert visible or (len(events.sentences) == 1 and events.sentences[0].startswith("not visible: "))
    assert read_setting(client) == "" and journal.open_steps() == []


def test_cases_without_events(
    make_case: Callable[..., Case], make_stack: Callable[..., Any], cache: Any, journal: Journal, client: redis.Redis
) -> None:
    for probe, own_cache, notes in (
        ({}, cache, 0),
        ({"freshness": {**PROBE, "watch_cache": False}}, cache, 0),
        ({"freshness": PROBE}, None, 1),  # a service whose cache is not known
    ):
        case = make_case(cache=CACHE, design="crossover", **probe)
        stack = make_stack(case, "http://127.0.0.1:1", cache=own_cache)
        with watching_events(stack, journal) as events:
            assert not events.visible and read_setting(client) == ""
        assert len(events.sentences) == notes
    assert journal.steps() == []


def test_nothing_is_set_without_a_journal(stack: Any, tmp_path: Path, client: redis.Redis) -> None:
    with pytest.raises(GuardError), watching_events(stack, Journal(tmp_path / "no" / "journal.jsonl")):
        raise AssertionError("not reached")
    assert read_setting(client) == ""


def test_an_own_cache_leaves_nothing_to_revert(stack: Any, journal: Journal, run: CaseRun, client: redis.Redis) -> None:
    stack.cache.owned = True
    with watching_events(stack, journal, sleep=patient) as events:
        assert events.visible
        stack.cache.url = "redis://127.0.0.1:1/0"  # it is gone
    assert events.disturbed and journal.open_steps() == []
    assert revert_run(run).confirmed


def test_cache_down_at_the_end_is_reverted_later(
    stack: Any, journal: Journal, run: CaseRun, cache: Any, client: redis.Redis
) -> None:
    url, pauses = cache.url, []
    with pytest.raises(CacheUnreachable) as down, watching_events(stack, journal, sleep=pauses.append):
        cache.url = "redis://127.0.0.1:1/0"
    assert BY_HAND.format("") in down.value.hint and len(pauses) == 2
    assert covers(read_setting(client)) and len(journal.open_steps()) == 1
    assert revert_run(run, environ={"SHOP_CACHE": url}, sleep=at_once).confirmed and read_setting(client) == ""
    steps = journal.steps()
    assert revert_run(run).confirmed and journal.steps() == steps


KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from luckyhit.change import watching_events
from luckyhit.change.journal import Journal
from luckyhit.caches import from_environment

class KilledJournal(Journal):
    def confirm(self, *_):  # the setting was made just now
        if sys.argv[2] == "unconfirmed":
            os.kill(os.getpid(), signal.SIGKILL)
        super().confirm(*_)

cache = from_environment("SHOP_CACHE")
case = SimpleNamespace(freshness=SimpleNamespace(watch_cache=True), cache=SimpleNamespace(url_env="SHOP_CACHE"))
stack = SimpleNamespace(case=case, cache=cache, name="before")
with watching_events(stack, KilledJournal(Path(sys.argv[1]))) as events:
    assert events.visible
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("moment", "value"), [("unconfirmed", "Kng"), ("confirmed", "")])
def test_killed_run_is_reverted_to_the_setting_before(
    moment: str, value: str, run: CaseRun, journal: Journal, cache: Any, client: redis.Redis
) -> None:
    client.config_set(OPTION, value)
    environ = {"SHOP_CACHE": cache.url}
    command = [sys.executable, "-c", KILLED, str(journal.path), moment]
    killed = subprocess.run(command, env={**os.environ, **environ, "PYTHONPATH": str(LIB)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert covers(read_setting(client)) and len(journal.open_steps()) == 1
    assert revert_run(run, environ=environ, sleep=at_once).confirmed
    assert on_server(client) == flags(value)
    client.config_set(OPTION, "KEA")
    assert revert_run(run, environ=environ, sleep=at_once).confirmed
    assert covers(read_setting(client))  # set later, by somebody: a second revert leaves it


def journalled(journal: Journal, cache: str) -> None:
    inverse = {"kind": "notify", "value": "Ex", "ours": ["KAEx"], "url_env": "SHOP_CACHE", "cache": cache}
    journal.intend("notify", {}, {**inverse, "by_hand": BY_HAND.format("Ex")})


def test_revert_leaves_a_later_change_by_others(
    run: CaseRun, journal: Journal, cache: Any, server: Any, client: redis.Redis
) -> None:
    journalled(journal, f"127.0.0.1:{server.port}/0")
    client.config_set(OPTION, "Kg")
    assert revert_run(run, environ={"SHOP_CACHE": cache.url}, sleep=at_once).confirmed
    assert journal.steps()[0].outcome["outcome"] == "left-to-others"
    assert on_server(client) == set("Kg") and journal.open_steps() == []


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:2/0"], ids=["not set", "another cache"])
def test_revert_writes_to_no_other_cache(
    url: str | None, run: CaseRun, journal: Journal, server: Any, client: redis.Redis
) -> None:
    journalled(journal, f"127.0.0.1:{server.port}/0")
    client.config_set(OPTION, "KEA")
    with pytest.raises(RollbackNotConfirmed) as refused:
        revert_run(run, environ={"SHOP_CACHE": url} if url else {}, sleep=at_once)
    assert "Export SHOP_CACHE" in refused.value.hint and BY_HAND.format("Ex") in refused.value.hint
    assert covers(read_setting(client)) and len(journal.open_steps()) == 1


def test_revert_of_an_unreachable_cache_tries_again(run: CaseRun, journal: Journal) -> None:
    journalled(journal, "127.0.0.1:1/0")
    pauses: list[float] = []
    with pytest.raises(RollbackNotConfirmed) as refused:
        revert_run(run, environ={"SHOP_CACHE": "redis://:pw@127.0.0.1:1/0"}, sleep=pauses.append)
    assert len(pauses) == 2 and len(journal.open_steps()) == 1
    assert BY_HAND.format("Ex") in refused.value.hint and "pw" not in str(refused.value)


def test_permission_lost_in_the_block_leaves_the_step_open(
    user: Callable[[str], Any], journal: Journal, client: redis.Redis
) -> None:
    with pytest.raises(TargetError) as refused, watching_events(user("+@all"), journal, sleep=at_once):
        client.execute_command("ACL", "SETUSER", "shop", "-config|set")
    assert BY_HAND.format("") in refused.value.hint and len(journal.open_steps()) == 1

"""Applying and rolling back on real services that the run starts, each with a real cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from served import program

from luckyhit.case_run import CaseRun
from luckyhit.change import (
    Journal,
    apply,
    close_steps,
    difference_guard,
    in_place,
    reset_block,
    revert_run,
    roll_back,
    same_guard,
    set_sides,
    settings_of,
    start_stacks,
    take_fingerprints,
)
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.errors import GuardError, LuckyHitError
from luckyhit.system import Settings, Stack

# A service with a cache of its own inside the process, and keys in Redis: `/` shows what it was given.
SERVICE = program(
    """
if path.startswith("/products/"):
    key = path.rsplit("/", 1)[1]
    inside[key] = inside.get(key, 0) + 1
    client.set(f"product:{key}:v1", "p", ex=600)
    client.set(f"session:{key}", "s")
config = {"ttl": int(os.environ.get("SHOP_TTL", "5")), "arguments": sys.argv[3:]}
return {**config, "inside": inside} if path != "/" else config
""",
    """
import redis
client, inside = redis.Redis.from_url(sys.argv[2]), {}
if os.environ.get("SHOP_TTL") == "broken":
    sys.exit("SHOP_TTL must be a number")
""",
)
Make = Callable[..., Stack]


@pytest.fixture
def shop(own: Make, run: CaseRun) -> Make:
    (run.path / "service.py").write_text(SERVICE)

    def make(name: str = "before", **parts: Any) -> Stack:
        command = ["{python}", "service.py", "{port}", "{cache_url}", "--mode=a"]
        return own({"command": command, "env": {"SHOP_OTHER": "1"}}, name, target={"config": "/"}, **parts)

    return make


def ask(stack: Stack, path: str = "/") -> Any:
    return httpx.get(stack.base_url + path, trust_env=False).json()


def test_settings_of_each_arm(shop: Make) -> None:
    changed = shop(started=False)
    assert settings_of(changed, "before") == Settings(env={"SHOP_TTL": "30"})
    assert settings_of(changed, "after") == Settings(env={"SHOP_TTL": "60"})
    same = shop("other", started=False, change={"kind": "none", "what": "compare with itself"})
    assert settings_of(same, "before") == settings_of(same, "after") == Settings()


@pytest.mark.parametrize(
    ("change", "name"),
    [({}, "env.SHOP_TTL"), ({"kind": "argument", "before": "--mode=a", "after": "--mode=b", "name": None}, "command")],
)
def test_fingerprint_shows_the_change_alone(change: dict[str, Any], name: str, shop: Make, journal: Journal) -> None:
    declared = {"kind": "env", "what": "w", "name": "SHOP_TTL", "before": "30", "after": "60", "smallest": "s"}
    stack = shop(change={key: value for key, value in {**declared, **change}.items() if value is not None})
    before = fingerprint(stack, stack.case)
    apply(stack, journal)
    after = fingerprint(stack, stack.case)
    guard = difference_guard(stack.case, before, after)
    assert guard.ok and before[name] != after[name], guard.detail
    assert roll_back(stack, journal).confirmed
    assert same_guard(before, fingerprint(stack, stack.case)).ok
    stack.stop()
    close_steps(journal)
    assert journal.open_steps() == []


def test_two_stacks_are_equal_until_one_is_changed(shop: Make, journal: Journal) -> None:
    arms: dict[Any, Stack] = {name: shop(name, started=False, design="side-by-side") for name in ("before", "after")}
    start_stacks(arms.values(), journal)
    case = arms["before"].case
    guard = same_guard(fingerprint(arms["before"], case), fingerprint(arms["after"], case))
    assert guard.ok, guard.detail
    for stack in arms.values():
        for key in (1, 1, 2):
            ask(stack, f"/products/{key}")
    apply(arms["after"], journal)
    facts, fingerprints = reset_block(arms, case, journal), take_fingerprints(arms, case)
    for arm, ttl in (("before", 30), ("after", 60)):
        clear = facts["clear"][arm]
        assert (clear["scanned"], clear["cleared"], clear["outside"], clear["backup"]) == (4, 2, 2, None)
        assert fingerprints[arm]["config.ttl"] == str(ttl)  # type: ignore[index]
        # The cache inside the process starts empty as well.
        assert ask(arms[arm], "/products/7")["inside"] == {"7": 1}


def test_both_sides_are_set_by_one_start(shop: Make, journal: Journal) -> None:
    arms: dict[Any, Stack] = {name: shop(name, started=False, design="side-by-side") for name in ("before", "after")}
    start_stacks(arms.values(), journal)
    for stack in arms.values():
        ask(stack, "/products/1")
    started = {arm: stack.service_pid for arm, stack in arms.items()}
    set_sides(arms, journal)
    again = {arm: stack.service_pid for arm, stack in arms.items()}
    assert set(started.values()).isdisjoint(again.values())
    assert [in_place(stack, journal) for stack in arms.values()] == [False, True]
    facts = reset_block(arms, arms["before"].case, journal, fresh=True)
    assert facts["started"] == again and facts["clear"]["after"]["cleared"] == 1
    shown = [ask(stack) for stack in arms.values()]
    assert [config["ttl"] for config in shown] == [30, 60]
    assert [ask(stack, "/products/7")["inside"] for stack in arms.values()] == [{"7": 1}, {"7": 1}]


def test_a_rollback_leaves_a_service_that_is_fresh(shop: Make, journal: Journal) -> None:
    stack = shop(started=False)
    start_stacks([stack], journal)
    apply(stack, journal)
    ask(stack, "/products/1")
    roll_back(stack, journal)
    pid = stack.service_pid
    (start,) = [step for step in journal.open_steps() if step.step == "start"]
    assert pid in [process["pid"] for process in start.confirms[-1].detail["processes"]]
    facts = reset_block({"before": stack}, stack.case, journal, fresh=True)
    assert stack.service_pid == pid == facts["started"]["before"]
    assert facts["clear"]["before"]["cleared"] == 1
    assert ask(stack, "/products/7")["inside"] == {"7": 1} and ask(stack)["ttl"] == 30


def test_nothing_changes_if_the_intent_is_not_written(
    shop: Make, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = shop()
    pid, steps = stack.service_pid, journal.steps()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError):
        apply(stack, journal)
    assert stack.service_pid == pid and journal.steps() == steps


def test_rollback_happens_without_a_journal(shop: Make, journal: Journal, run: CaseRun) -> None:
    stack = shop()
    apply(stack, journal)
    kept = journal.path.rename(run.path / "kept")
    journal.path.mkdir()
    assert roll_back(stack, journal).confirmed and ask(stack)["ttl"] == 30
    journal.path.rmdir()
    kept.rename(journal.path)
    stack.stop()
    assert "apply" in [step.step for step in journal.open_steps()]
    assert revert_run(run).confirmed and journal.open_steps() == []


def test_change_that_kills_the_service_can_be_reverted(shop: Make, journal: Journal, run: CaseRun) -> None:
    change = {"kind": "env", "what": "w", "name": "SHOP_TTL", "before": "30", "after": "broken", "smallest": "s"}
    stack = shop(change=change)
    with pytest.raises(LuckyHitError) as failed:
        apply(stack, journal)
    assert failed.value.hint and "apply" in [step.step for step in journal.open_steps()]
    assert revert_run(run).confirmed and journal.open_steps() == []


def test_observed_service_is_never_touched(
    make_case: Any, make_stack: Any, serve: Any, cache: Any, client: Any, journal: Journal
) -> None:
    case = make_case(target={"url": "http://shop.test"}, design="crossover", change={"kind": "none", "what": "look"})
    stack = make_stack(case, serve({}), cache=cache, owned=False, changeable=False)
    client.set("product:1:v1", "x", ex=60)
    facts, fingerprints = reset_block({"before": stack}, case, journal), take_fingerprints({"before": stack}, case)
    assert facts["clear"] == {} and "cache.version" in fingerprints["before"]
    assert client.get("product:1:v1") == b"x" and journal.steps() == []
    stack.case = make_case()
    for refused in (apply, roll_back):
        with pytest.raises(GuardError):
            refused(stack, journal)
    with pytest.raises(GuardError):
        set_sides({"after": stack}, journal)

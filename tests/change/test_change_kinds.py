"""What holds for every kind of change: one suite, and each kind in all of its places."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from flag_service import FlagService
from kind_worlds import SETTING, KindWorld, by_command, by_http, by_restart, by_setting, by_sql

from luckyhit.case.changes import INVERSE_WORDS, MODELS
from luckyhit.case_run import CaseRun
from luckyhit.change import (
    Journal,
    apply,
    in_place,
    prepare,
    reset_block,
    revert_run,
    roll_back,
)
from luckyhit.change.kinds import CHANGE_KINDS, UNDO, kind_of, shown_state
from luckyhit.change.lock import GONE_WITH_PROCESSES
from luckyhit.change.permissions.permission_checks import change_guard
from luckyhit.change.processes import of_stack
from luckyhit.errors import GuardError, RollbackNotConfirmed, TargetError
from luckyhit.system import Stack

ROOT = Path(__file__).parents[2]
OWNED = [kind for kind, model in MODELS.items() if model.needs_start or model.nothing]
"""Made by starting the run's own service; all others are made on a service and a cache that somebody else runs."""
LIVE = [kind for kind in MODELS if kind not in OWNED]
live_kinds = pytest.mark.parametrize("world", LIVE, indirect=True)


def test_every_kind_is_in_all_of_its_places() -> None:
    assert list(MODELS) == list(CHANGE_KINDS)
    for kind, model in MODELS.items():
        inverse = CHANGE_KINDS[kind].inverse_kind
        assert model.nothing or inverse in UNDO
        assert model.nothing or inverse in GONE_WITH_PROCESSES or inverse in model.inverses
    assert {*INVERSE_WORDS} == {*UNDO} - {*GONE_WITH_PROCESSES}


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_is_documented(kind: str) -> None:
    assert re.search(rf"^\| `{kind}` \|", (ROOT / "docs" / "change.md").read_text(), re.M)
    assert f"kind `{kind}`" in (ROOT / "docs" / "case-file.md").read_text()


@pytest.mark.parametrize("inverse", INVERSE_WORDS)
def test_inverse_words_survive_missing_journal_fields(inverse: str) -> None:
    assert "–" in INVERSE_WORDS[inverse]({"kind": inverse})


@pytest.fixture
def world(
    request: pytest.FixtureRequest, run: CaseRun, service: FlagService, server: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KindWorld]:
    if request.param == "http":
        yield by_http(service)
    elif request.param == "command":
        yield by_command(run.path)
    elif request.param == "cache-setting":

        def forget() -> Callable[[], object]:
            url = os.environ["SHOP_CACHE"]
            monkeypatch.delenv("SHOP_CACHE")
            return lambda: monkeypatch.setenv("SHOP_CACHE", url)

        with redis.Redis(port=server.port, decode_responses=True) as client:
            yield by_setting(client, forget)
            client.config_set(SETTING, 512)
    elif request.param == "sql":
        monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{run.path / 'shop.db'}")
        yield by_sql(f"sqlite:///{run.path / 'shop.db'}")
    else:
        yield by_restart(request.param, run.path)


@pytest.fixture
def make_stack(
    world: KindWorld, live: Callable[..., Stack], own: Callable[..., Stack], run: CaseRun
) -> Callable[..., Stack]:
    def make(**change: Any) -> Stack:
        if world.change["kind"] in LIVE:
            return live(world.change | change)
        start: dict[str, Any] = {"command": ["{python}", "service.py", "{port}", "--mode=a"]}
        if world.change["kind"] == "revision":
            start |= {"cwd": "backend", "env": {"PYTHONPATH": str(run.path / "backend" / "src")}}
        return own(start, change=world.change | change, cache=None)

    return make


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack()


every_kind = pytest.mark.parametrize("world", MODELS, indirect=True)


@every_kind
def test_change_is_made_once_and_taken_back_once(stack: Stack, world: KindWorld, journal: Journal) -> None:
    assert change_guard(stack).ok and world.state(stack) == world.before
    prepare(stack)
    apply(stack, journal)
    apply(stack, journal)
    assert world.state(stack) == world.after
    changed = world.before != world.after
    assert [step.step for step in journal.steps()].count("apply") == in_place(stack, journal) == changed
    assert roll_back(stack, journal).confirmed and roll_back(stack, journal).confirmed
    assert world.state(stack) == world.before and not in_place(stack, journal)


@every_kind
def test_blocks_bring_each_arm_to_its_side(stack: Stack, world: KindWorld, journal: Journal) -> None:
    pids = [stack.service_pid]
    for arm in ("before", "after", "before"):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
        assert world.state(stack) == (world.after if arm == "after" else world.before)
        assert in_place(stack, journal) is (arm == "after" and world.before != world.after)
        pids.append(stack.service_pid)
    assert len(set(pids)) == (4 if stack.owned else 1)  # its caches in memory start empty


@every_kind
def test_another_process_undoes_it_from_the_journal(
    stack: Stack, world: KindWorld, journal: Journal, run: CaseRun
) -> None:
    apply(stack, journal)
    started = [psutil.Process(process["pid"]) for process in of_stack(stack)] if stack.owned else []
    assert revert_run(run, project=run.path).confirmed and journal.open_steps() == []
    if stack.owned:
        assert started and not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in started)
    else:
        assert world.state(stack) == world.before
    steps = journal.steps()
    assert revert_run(run, project=run.path).confirmed and journal.steps() == steps


@live_kinds
def test_check_finds_a_change_in_place_and_leaves_it(stack: Stack, world: KindWorld, journal: Journal) -> None:
    assert world.put is not None
    for state in filter(None, (world.after, world.astray)):
        world.put(state)
        assert not change_guard(stack).ok
        with pytest.raises(GuardError):
            prepare(stack)
        assert world.state(stack) == state
    assert journal.steps() == []


@live_kinds
def test_undo_after_an_undo_by_hand_is_no_error(stack: Stack, world: KindWorld, journal: Journal, run: CaseRun) -> None:
    apply(stack, journal)
    assert world.put is not None
    world.put(world.before)
    assert revert_run(run, project=run.path).confirmed and world.state(stack) == world.before


@live_kinds
def test_change_without_effect_is_taken_back(
    make_stack: Callable[..., Stack], world: KindWorld, journal: Journal
) -> None:
    stack = make_stack(**world.fails)
    with pytest.raises(TargetError) as failed:
        apply(stack, journal)
    assert failed.value.hint and in_place(stack, journal)  # something of it may be in place
    assert roll_back(stack, journal).confirmed and world.state(stack) == world.before


@live_kinds
def test_failed_undo_names_the_command_and_can_be_repeated(
    stack: Stack, world: KindWorld, journal: Journal, run: CaseRun
) -> None:
    inverse = kind_of(stack).inverse()
    assert inverse["kind"] == CHANGE_KINDS[stack.case.change.kind].inverse_kind
    apply(stack, journal)
    assert world.block is not None
    unblock = world.block()
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, project=run.path, sleep=lambda _: None)
    assert failed.value.exit_code == 5 and inverse["by_hand"] in failed.value.hint
    assert [step.step for step in journal.open_steps()] == ["apply"]
    unblock()
    assert world.state(stack) == world.after
    assert revert_run(run, project=run.path).confirmed and world.state(stack) == world.before


@pytest.mark.parametrize("world", ["command", "sql"], indirect=True)
def test_state_is_an_entry_of_the_fingerprint(stack: Stack, world: KindWorld) -> None:
    assert shown_state(stack) == {"change.state": world.before}
    assert world.block is not None
    world.block()
    assert shown_state(stack)["change.state"].startswith("not visible")

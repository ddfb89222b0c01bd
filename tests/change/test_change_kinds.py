"""What holds for every kind of change: one suite, and each kind in all of its places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flag_service import FlagService
from kind_worlds import KindWorld, by_command, by_http, by_setting, by_sql

from luckyhit.atomic import write_atomically
from luckyhit.case.changes import INVERSE_WORDS, MODELS
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, apply, in_place, prepare, reset_block, revert_run, roll_back
from luckyhit.change.kinds import CHANGE_KINDS, UNDO, kind_of
from luckyhit.change.leftovers import WITH_THE_PROCESSES
from luckyhit.change.permissions.permission_checks import change_guard
from luckyhit.errors import GuardError
from luckyhit.system import Stack

ROOT = Path(__file__).parents[2]
BY_RESTART = {kind for kind, model in MODELS.items() if model.of_a_start}
"""Tested with a service of the run's own (test_apply, test_revisions)."""
LIVE = ("http", "command", "cache-setting", "sql")


def test_every_kind_is_in_all_of_its_places() -> None:
    assert list(MODELS) == list(CHANGE_KINDS) and {*LIVE, *BY_RESTART, "none"} == set(MODELS)
    for kind, model in MODELS.items():
        inverse = CHANGE_KINDS[kind].inverse_kind
        assert model.nothing or inverse in UNDO
        assert model.nothing or inverse in WITH_THE_PROCESSES or inverse in model.inverses
    assert {*INVERSE_WORDS} == {*UNDO} - {*WITH_THE_PROCESSES}


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_is_documented(kind: str) -> None:
    assert re.search(rf"^\| `{kind}` \|", (ROOT / "docs" / "change.md").read_text(), re.M)
    assert f"kind `{kind}`" in (ROOT / "docs" / "case-file.md").read_text()


@pytest.mark.parametrize("inverse", INVERSE_WORDS)
def test_words_of_an_inverse_survive_a_journal_without_its_fields(inverse: str) -> None:
    assert "–" in INVERSE_WORDS[inverse]({"kind": inverse})


@pytest.fixture
def service() -> Iterator[FlagService]:
    with FlagService() as service:
        yield service


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


@pytest.fixture(params=LIVE)
def world(
    request: pytest.FixtureRequest, run: CaseRun, service: FlagService, server: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KindWorld]:
    if request.param == "http":
        yield by_http(service)
    elif request.param == "command":
        yield by_command(run.path)
    elif request.param == "cache-setting":
        with redis.Redis(port=server.port, decode_responses=True) as client:
            yield by_setting(client)
            client.config_set("hash-max-listpack-entries", 512)
    else:
        url = f"sqlite:///{run.path / 'shop.db'}"
        monkeypatch.setenv("SHOP_DATABASE", url)
        yield by_sql(url)


@pytest.fixture
def stack(
    world: KindWorld, make_case: Callable[..., Case], run: CaseRun, service: FlagService, server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Stack:  # fmt: skip
    """A service and a cache that run already, and may be changed."""
    monkeypatch.setenv("SHOP_CACHE", f"redis://127.0.0.1:{server.port}/0")
    case = make_case(
        change=world.change,
        design="crossover",
        target={"url": service.url, "allow_change": True, "environment": "staging"},
        cache={"clear": ["product:{id}:v1"], "url_env": "SHOP_CACHE", "dedicated": True},
    )
    write_atomically(run.path / "case.yml", case.model_dump_json(exclude_defaults=True))
    stack = Stack(case, "before", run.path / "work" / "before", project=run.path, allow_change=True)
    stack.start()
    return stack


def test_a_look_changes_nothing(stack: Stack, world: KindWorld) -> None:
    assert change_guard(stack).ok and world.state() == world.before
    world.put(world.after)
    assert not change_guard(stack).ok and world.state() == world.after


def test_a_change_is_made_once_and_taken_back(stack: Stack, world: KindWorld, journal: Journal) -> None:
    prepare(stack)
    apply(stack, journal)
    apply(stack, journal)
    assert world.state() == world.after and in_place(stack, journal)
    assert [step.step for step in journal.steps()] == ["apply"]
    assert roll_back(stack, journal).confirmed and roll_back(stack, journal).confirmed
    assert world.state() == world.before and journal.open_steps() == []


def test_blocks_bring_each_arm_to_its_side(stack: Stack, world: KindWorld, journal: Journal) -> None:
    for arm in ("before", "after", "after", "before"):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
        assert (world.state() == world.after) is (arm == "after") is in_place(stack, journal)


def test_another_process_takes_it_back_from_the_journal(
    stack: Stack, world: KindWorld, journal: Journal, run: CaseRun
) -> None:
    apply(stack, journal)
    assert revert_run(run, project=run.path).confirmed and world.state() == world.before
    steps = journal.steps()
    assert journal.open_steps() == [] and revert_run(run, project=run.path).confirmed and journal.steps() == steps


def test_what_was_taken_back_by_hand_is_no_error(
    stack: Stack, world: KindWorld, journal: Journal, run: CaseRun
) -> None:
    apply(stack, journal)
    world.put(world.before)
    assert revert_run(run, project=run.path).confirmed and world.state() == world.before


def test_a_state_that_is_not_the_declared_one_is_refused(stack: Stack, world: KindWorld, journal: Journal) -> None:
    for text in filter(None, (world.after, world.astray)):
        world.put(text)
        with pytest.raises(GuardError):
            prepare(stack)
        assert world.state() == text
    assert journal.steps() == []


def test_the_inverse_names_what_to_do_by_hand(stack: Stack) -> None:
    inverse = kind_of(stack).inverse()
    assert inverse["kind"] == CHANGE_KINDS[stack.case.change.kind].inverse_kind and inverse["by_hand"]

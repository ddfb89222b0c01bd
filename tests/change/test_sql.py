"""The change by an SQL statement in a real PostgreSQL: an index, and what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from flag_service import FlagService
from kind_worlds import KindWorld, by_sql
from postgres_server import postgres, programs

from luckyhit.case.values.variables import known_secrets
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, apply, in_place, revert_run, roll_back
from luckyhit.change.kinds import shown_state
from luckyhit.change.permissions.permission_checks import change_guard
from luckyhit.errors import ArgumentError, RollbackNotConfirmed, TargetError
from luckyhit.system import Stack

INDEX = {
    "apply": "CREATE INDEX CONCURRENTLY by_value ON flag (value)",
    "revert": "DROP INDEX by_value",
    "verify": "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'by_val%'",
    "before": "0",
    "after": "1",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    bin_dir = programs()
    if bin_dir is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    with postgres(bin_dir) as url:
        yield url


@pytest.fixture
def world(url: str, monkeypatch: pytest.MonkeyPatch) -> KindWorld:
    monkeypatch.setenv("SHOP_DATABASE", url)
    return by_sql(url)


@pytest.fixture
def sql(world: KindWorld, live: Callable[..., Stack], service: FlagService) -> Callable[..., Stack]:
    return lambda **change: live(world.change | change, cache={"clear": ["product:{id}:v1"], "url_env": "SHOP_CACHE"})


def test_an_index_is_made_once_and_dropped_elsewhere(sql: Any, journal: Journal, run: CaseRun) -> None:
    stack = sql(**INDEX)
    apply(stack, journal)
    apply(stack, journal)  # it would fail the second time
    assert shown_state(stack) == {"change.state": "1"}
    assert revert_run(run, project=run.path).confirmed
    assert shown_state(stack) == {"change.state": "0"} and journal.open_steps() == []


def test_no_secret_of_the_url_is_written_or_shown(sql: Any, url: str, journal: Journal, run: CaseRun) -> None:
    stack = sql()
    password = str(sqlalchemy.make_url(url).password)
    apply(stack, journal)
    assert password not in journal.path.read_text() and password in known_secrets(stack.case)
    wrong = url.replace(password, "not-the-password")
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, project=run.path, environ={"SHOP_DATABASE": wrong}, sleep=lambda _: None)
    assert "not-the-password" not in f"{failed.value.message} {failed.value.hint}"
    assert journal.open_steps() and revert_run(run, project=run.path).confirmed


def test_another_database_is_left_alone(sql: Any, world: KindWorld, url: str, journal: Journal, run: CaseRun) -> None:
    stack = sql()
    apply(stack, journal)
    with pytest.raises(RollbackNotConfirmed):
        revert_run(run, project=run.path, environ={"SHOP_DATABASE": url.replace("/postgres", "/template1")})
    assert world.state(stack) == "new" and revert_run(run, project=run.path).confirmed


@pytest.mark.parametrize("statement", ["UPDATE flag SET value = 'half'", "UPDATE nothing SET value = 'new'"])
def test_statement_without_effect_is_taken_back(sql: Any, world: KindWorld, journal: Journal, statement: str) -> None:
    stack = sql(apply=statement, within="100ms")
    with pytest.raises(TargetError):
        apply(stack, journal)
    assert in_place(stack, journal)  # something of it may be in place
    assert roll_back(stack, journal).confirmed and world.state(stack) == "old"


def test_statement_that_waits_too_long_is_cancelled(sql: Any, world: KindWorld, url: str, journal: Journal) -> None:
    stack = sql(within="500ms")
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as holding:
        holding.exec_driver_sql("UPDATE flag SET value = 'held'")
        with pytest.raises(TargetError):
            apply(stack, journal)
        holding.rollback()
    engine.dispose()
    assert roll_back(stack, journal).confirmed and world.state(stack) == "old"


@pytest.mark.parametrize(
    "query", ["SELECT value FROM nothing", "SELECT value FROM flag WHERE false", "SELECT 1, 2", "no SQL at all"]
)
def test_query_without_a_single_value_fails_the_check(sql: Any, query: str) -> None:
    assert not change_guard(sql(verify=query)).ok


@pytest.mark.parametrize(
    ("query", "value"), [("SELECT NULL", "null"), ("SELECT 1 = 1", "true"), ("SELECT '5 %'", "5 %")]
)
def test_values_are_texts_as_in_json(sql: Any, query: str, value: str) -> None:
    assert shown_state(sql(verify=query)) == {"change.state": value}


def test_unreachable_database_fails_the_check(sql: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(sqlalchemy.make_url(url).port)
    monkeypatch.setenv("SHOP_DATABASE", url.replace(f":{port}/", ":1/"))
    guard = change_guard(sql())
    assert not guard.ok and str(sqlalchemy.make_url(url).password) not in f"{guard.detail} {guard.remedy}"


@pytest.mark.parametrize("database", ["", "no address", "nosuchsql://host/name"])
def test_unusable_url_is_an_argument_error(sql: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE", database)
    with pytest.raises(ArgumentError):
        change_guard(sql())


def test_without_the_extra_the_error_names_it(sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = sql()
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ArgumentError) as failed:
        change_guard(stack)
    assert "luckyhit[sql]" in failed.value.hint

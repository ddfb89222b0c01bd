"""Writes that go round the service: a command, and SQL; and what the probe's keys have to be before anything is written."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from probed import freshness, measure
from versioned_service import VersionedService, in_a_thread

from luckyhit.case.freshness import VersionWrite
from luckyhit.errors import ArgumentError, ResponseUnexpected
from luckyhit.probe.probe_preflight import survey
from luckyhit.probe.probe_writes import CommandWriter, SqlWriter, Written, writer_for


def written(writer: CommandWriter | SqlWriter, key: str = "7", version: int = 1001, timeout_s: float = 20) -> Written:
    async def write() -> Written:
        try:
            return await writer.write(key, version, timeout_s)
        finally:
            await writer.close()

    return asyncio.run(write())


def command(code: str) -> CommandWriter:
    return CommandWriter(
        ["{python}", "-c", code, "{workdir}", "{key}", "{version}"], {"python": sys.executable, "workdir": "/w"}
    )


def test_a_command_is_filled_in_and_its_end_is_the_acknowledgement() -> None:
    done = written(command("import sys; assert sys.argv[1:] == ['/w', '7', '1001']"))
    assert done.accepted and not done.refused and done.status is None and done.connection is None
    assert done.done_ns is not None and done.done_ns > done.sent_ns


def test_a_command_that_fails_may_have_written_and_its_last_words_are_told() -> None:
    done = written(command("import sys; print('first', file=sys.stderr); sys.exit('no such thing')"))
    assert not done.accepted and not done.refused and done.done_ns is None
    assert "ended with status 1: no such thing" in done.said


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = (
        "import subprocess, sys, pathlib, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"pathlib.Path({str(told)!r}).write_text(str(child.pid)); time.sleep(600)"
    )

    async def write() -> Written:
        writing = asyncio.create_task(command(code).write("7", 1, 600))
        while not (told.exists() and told.read_text()):
            await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        return await command("import time; time.sleep(600)").write("7", 1, 0.2)

    late = asyncio.run(write())
    assert not late.accepted and not late.refused and "did not end within 0.2 s" in late.said
    psutil.wait_procs([psutil.Process(pid) for pid in [int(told.read_text())] if psutil.pid_exists(pid)], timeout=10)
    assert not psutil.pid_exists(int(told.read_text())) or psutil.Process(int(told.read_text())).status() == "zombie"


def test_a_command_that_is_not_there_wrote_nothing() -> None:
    done = written(CommandWriter(["/nowhere/write", "{key}", "{version}"], {}))
    assert done.refused and "can't be started" in done.said


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database, database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, price INTEGER CHECK (price < 5000))")
        database.execute("INSERT INTO items VALUES (7, 500)")
    return tmp_path / "shop.sqlite"


STATEMENT = "UPDATE items SET price = :version WHERE id = :key"


def price(shop: Path) -> int:
    with closing(sqlite3.connect(shop)) as database:
        return int(database.execute("SELECT price FROM items WHERE id = 7").fetchone()[0])


def test_a_statement_is_committed_when_it_is_acknowledged(shop: Path) -> None:
    done = written(SqlWriter(STATEMENT, f"sqlite:///{shop}"))
    assert done.accepted and done.done_ns is not None and price(shop) == 1001


def test_a_statement_that_changes_no_row_wrote_nothing(shop: Path) -> None:
    done = written(SqlWriter(STATEMENT, f"sqlite:///{shop}"), key="8")
    assert done.refused and not done.accepted and "changed no row for key 8" in done.said and price(shop) == 500


def test_a_statement_that_the_database_rejects_is_told(shop: Path) -> None:
    done = written(SqlWriter(STATEMENT, f"sqlite:///{shop}"), version=6000)
    assert not done.accepted and "CHECK constraint failed" in done.said and price(shop) == 500


def test_a_database_that_cannot_be_used_is_refused_without_its_password() -> None:
    with pytest.raises(ArgumentError) as refused:
        SqlWriter(STATEMENT, "nosuchdatabase://me:s3cret@host/db")
    assert "s3cret" not in refused.value.message + refused.value.hint and "SQLAlchemy" in refused.value.hint


def test_the_database_comes_from_the_case_or_from_a_variable(shop: Path) -> None:
    declared: dict[str, Any] = {"sql": STATEMENT, "database": "sqlite:///{workdir}/shop.sqlite"}
    for write, database in ((declared, None), ({"sql": STATEMENT, "database_env": "SHOP"}, f"sqlite:///{shop}")):
        writer = writer_for(VersionWrite.model_validate(write), None, {}, {"workdir": shop.parent}, database)  # type: ignore[arg-type]
        assert isinstance(writer, SqlWriter) and written(writer).accepted


def test_a_write_round_the_service_that_never_empties_its_cache_is_stale(tmp_path: Path) -> None:
    """A batch job that writes to the database while the service goes on serving what it has."""
    store = tmp_path / "prices"
    store.mkdir()

    class Shop(VersionedService):
        def stored(self, key: str) -> int | None:
            return int((store / key).read_text()) if (store / key).exists() else 500

    write = {"command": [sys.executable, "-c", f"import sys, os; p = os.path.join({str(store)!r}, sys.argv[1]); open(p + '.new', 'w').write(sys.argv[2]); os.rename(p + '.new', p)", "{key}", "{version}"]}  # fmt: skip
    spec = freshness(write=write, prestates=["warm", "cold"], rate="10/s", modes=["once"])
    measured = measure(Shop(cached=True), spec=spec, seconds=1.5, preflight=True, restore=True)
    by_prestate = measured.classified.groupby("prestate")["outcome"].unique()
    assert by_prestate["warm"].tolist() == ["stale"] and by_prestate["cold"].tolist() == ["fresh"]
    assert measured.writes["status"].isna().all() and measured.writes["acked_ns"].notna().all()
    assert {int(path.read_text()) for path in store.iterdir()} == {500}, "put back by the same command"
    assert list(store.iterdir())


ABSENT = {
    "keys": {"first": 20_000, "last": 20_020},
    "create": {"method": "POST", "path": "/things/{key}", "body": {"price": "{version}"}, "status": 201},
    "remove": {"path": "/things/{key}"},
}


def test_the_survey_reads_what_cold_keys_hold_and_writes_nothing() -> None:
    with in_a_thread(VersionedService()) as service:
        found = survey(freshness(absent=ABSENT), service.base_url, {"x-token": "s3cret"}, seconds=5, timeout_s=5)
        assert set(found.values()) == {500} and 20 <= len(found) <= 34 and {"1", "200"} <= set(found)
        assert {method for method, _ in service.requests} == {"GET"}
        assert all(headers["x-token"] == "s3cret" for headers in service.seen_headers)
        warm = survey(freshness(prestates=["warm"]), service.base_url, {}, seconds=5, timeout_s=5)
        assert warm == {"1": 500, "200": 500}, "no key is probed cold, so no more is looked at"


@pytest.mark.parametrize(
    ("service", "spec", "says"),
    [
        ({"field_name": "cost"}, {}, "with no $.data[0].price"),
        ({"original": 1000}, {}, "holds 1000, which is not below"),
        ({"absent_from": 30_000}, {"absent": ABSENT}, "key 20000 of freshness.absent.keys has to be absent"),
        ({"absent_from": 1}, {}, "answered 404"),
        ({}, {"reads": [{"path": "/things/{key}", "version": "$.data[0].price"}, {"name": "two", "path": "/list/{key}", "version": "$.x"}]}, "no $.x"),
    ],
)  # fmt: skip
def test_what_the_survey_finds_wrong_is_said_before_anything_is_written(
    service: dict[str, Any], spec: dict[str, Any], says: str
) -> None:
    with in_a_thread(VersionedService(**service)) as running:
        with pytest.raises(ResponseUnexpected) as refused:
            survey(freshness(**spec), running.base_url, {}, seconds=5, timeout_s=5)
        assert says in refused.value.message and refused.value.hint
        assert {method for method, _ in running.requests} == {"GET"}

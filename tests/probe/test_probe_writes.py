"""Writes past the service, by a command or SQL, and the variants that the probe reads."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from blocks import ROUTES, VARIANTS
from hypothesis import given
from hypothesis import strategies as st
from probed import cold_values, freshness, measure
from versioned_service import VersionedService

from luckyhit.case.freshness import VersionRead, VersionWrite
from luckyhit.errors import ArgumentError
from luckyhit.probe.probe_reads import ProbeReader, RequestVariant, not_varied, variants_of, vary_names
from luckyhit.probe.probe_survey import survey
from luckyhit.probe.probe_writes import CommandWriter, SqlWriter, WriteResult, writer_for
from waiting import eventually
from world import Reply, Request, Service

STATEMENT = "UPDATE items SET price = :version WHERE id = :key"


def write(writer: CommandWriter | SqlWriter, key: str = "7", version: int = 1001, timeout_s: float = 20) -> WriteResult:
    async def write() -> WriteResult:
        try:
            return await writer.write(key, version, timeout_s)
        finally:
            await writer.close()

    return asyncio.run(write())


def python(code: str) -> CommandWriter:
    command = ["{python}", "-S", "-c", code, "{workdir}", "{key}", "{version}"]
    return CommandWriter(command, {"python": sys.executable, "workdir": "/w"})


def test_a_command_is_filled_in_and_acknowledges_by_ending() -> None:
    result = write(python("import sys; assert sys.argv[1:] == ['/w', '7', '1001']"))
    assert result.accepted and not result.refused and result.status is None and result.connection is None
    assert result.done_ns is not None and result.done_ns > result.sent_ns


@pytest.mark.parametrize(
    ("writer", "refused", "part"),
    [
        (python("import sys; print('first', file=sys.stderr); sys.exit('last words')"), False, "last words"),
        (CommandWriter(["/nowhere/write", "{key}"], {}), True, "/nowhere/write"),
    ],
    ids=["failed", "not found"],
)
def test_a_failed_command_may_have_written(writer: CommandWriter, refused: bool, part: str) -> None:
    result = write(writer)
    assert not result.accepted and result.refused is refused and result.done_ns is None and part in result.description


def test_a_command_cut_short_is_killed_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import os, pathlib, time;"
        f"child = os.fork() or time.sleep(600); pathlib.Path({str(tmp_path / 'new')!r}).write_text(str(child));"
        f"os.rename({str(tmp_path / 'new')!r}, {str(pid_file)!r}); time.sleep(600)"
    )

    async def cut_short() -> WriteResult:
        writing = asyncio.create_task(python(code).write("7", 1, 600))
        while not pid_file.exists():
            await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        return await python("import time; time.sleep(600)").write("7", 1, 0.1)

    late = asyncio.run(cut_short())
    assert not late.accepted and not late.refused and late.done_ns is None
    child = int(pid_file.read_text())
    eventually(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database, database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, price INTEGER CHECK (price < 5000))")
        database.execute("INSERT INTO items VALUES (7, 500)")
    return tmp_path / "shop.sqlite"


@pytest.mark.parametrize(
    ("key", "version", "accepted", "refused", "price"),
    [("7", 1001, True, False, 1001), ("8", 1001, False, True, 500), ("7", 6000, False, False, 500)],
    ids=["committed", "no such row", "rejected"],
)
def test_a_statement(key: str, version: int, accepted: bool, refused: bool, price: int, shop: Path) -> None:
    result = write(SqlWriter(STATEMENT, f"sqlite:///{shop}"), key, version)
    assert (result.accepted, result.refused, result.done_ns is not None) == (accepted, refused, accepted)
    with closing(sqlite3.connect(shop)) as database:
        rows = database.execute("SELECT price FROM items WHERE id = 7").fetchall()
    assert rows == [(price,)]


def test_an_unusable_database_is_refused_without_its_password() -> None:
    with pytest.raises(ArgumentError) as refused:
        SqlWriter(STATEMENT, "nosuchdatabase://me:s3cret@host/db")
    assert "s3cret" not in refused.value.message + refused.value.hint and "SQLAlchemy" in refused.value.hint


@pytest.mark.parametrize(
    "spec", [{"sql": STATEMENT, "database": "sqlite:///{workdir}/shop.sqlite"}, {"sql": STATEMENT, "database_env": "X"}]
)
def test_the_database_is_from_the_case_or_the_environment(spec: dict[str, Any], shop: Path) -> None:
    database = f"sqlite:///{shop}" if "database_env" in spec else None
    writer = writer_for(VersionWrite.model_validate(spec), None, {}, {"workdir": shop.parent}, database)  # type: ignore[arg-type]
    assert isinstance(writer, SqlWriter) and write(writer).accepted


def test_a_write_past_a_service_that_never_clears_is_stale(tmp_path: Path) -> None:
    """A batch job writes to the database while the service goes on serving what it has."""
    store = tmp_path / "prices"
    store.mkdir()

    class Shop(VersionedService):
        def stored(self, key: str) -> int | None:
            return int((store / key).read_text()) if (store / key).exists() else 500

    code = f'cd {store} && printf %s "$1" > .new-$0 && mv .new-$0 $0'
    spec = {
        "write": {"command": ["/bin/sh", "-c", code, "{key}", "{version}"]},
        "prestates": ["warm", "cold"],
        "rate": "15/s",
        "modes": ["once"],
    }
    measured = measure(Shop(cached=True), spec=spec, seconds=1.0, preflight=True, restore=True)
    assert measured.outcomes_by("prestate") == {"warm": {"stale"}, "cold": {"fresh"}}
    assert measured.writes["status"].isna().all() and measured.writes["acked_ns"].notna().all()
    assert {int(path.read_text()) for path in store.iterdir()} == {500}, "put back by the same command"


class Holders(VersionedService):
    """GET shows a text with the version, null before the first write."""

    async def response(self, method: str, path: str, body: bytes, worker: int) -> tuple[int, Any]:
        if method == "PUT":
            body = json.dumps({"price": int(json.loads(body)["holder"].removeprefix("v"))}).encode()
        status, document = await super().response(method, path, body, worker)
        if method == "GET":
            value = document["data"][0]["price"]
            document = {"holder": None if value == self.original else f"v{value}"}
        return status, document


def test_a_text_that_is_null_at_first_is_read_and_written() -> None:
    spec = {
        "write": {"path": "/things/{key}", "body": {"holder": "v{version}"}},
        "reads": [{"path": "/things/{key}", "version": "$.holder", "regex": r"^(?:v(\d+)|)$"}],
        "prestates": ["warm", "cold"],
        "rate": "15/s",
        "modes": ["once"],
    }
    arm = {"originals": cold_values(freshness(**spec), 0)}
    measured = measure(Holders(cached=True), spec=spec, arm=arm, seconds=1.0, preflight=True, restore=True)
    assert measured.outcomes_by("prestate") == {"warm": {"stale"}, "cold": {"fresh"}}
    assert {rows[-1][1] for rows in measured.service.history.values()} == {0}, "put back as what counts as none"


def test_variants_are_declared_or_those_of_the_workload() -> None:
    spec = freshness(prestates=["warm"])
    german = RequestVariant("german", {"Accept-Language": "de"})
    assert variants_of(spec, ROUTES) == (RequestVariant(), german)
    assert variants_of(spec, []) == (RequestVariant(),)
    declared = variants_of(freshness(variants=VARIANTS), ROUTES)
    assert [variant.name for variant in declared] == ["german", "french"]


def test_a_variant_reads_each_key_as_its_own_user() -> None:
    cookies: list[str] = []

    def answer(request: Request) -> Reply:
        cookies.append(request.headers.get("cookie", ""))
        return Reply({"v": 1})

    async def read_all(url: str) -> list[int | None]:
        spec = freshness(variants=[{"name": "member", "headers": {"Cookie": "uid=m{key}"}}, {"name": "new"}])
        reads = [VersionRead(path="/things/{key}", version="$.v")]
        reader = ProbeReader(url, reads, {}, variants=variants_of(spec, []))
        asks = [(key, variant) for key in ("7", "8") for variant in (0, 1)] + [("a b", 0)]
        versions = [(await reader.read(0, key, 5.0, variant=variant)).version for key, variant in asks]
        await reader.close()
        return versions

    with Service(answer) as service:
        assert asyncio.run(read_all(service.url)) == [1] * 5
        assert cookies == ["uid=m7", "", "uid=m8", "", "uid=ma%20b"]
        cookies.clear()
        spec = freshness(reads=[{"path": "/things/{key}", "version": "$.v"}], prestates=["warm"])
        member = RequestVariant("member", {"Cookie": "uid=m{key}"})
        values = survey(spec, service.url, {}, seconds=1, timeout_s=5, variant=member)
    assert cookies == [f"uid=m{key}" for key in values]


def test_headers_that_all_variants_send_alike_are_not_varied() -> None:
    variants = variants_of(freshness(variants=VARIANTS), [])
    assert not_varied(["accept-language", "accept-encoding", "cookie"], variants) == ["accept-encoding", "cookie"]
    plain = RequestVariant("plain", {"Accept-Encoding": "identity"})
    assert (
        plain.sent()["accept-encoding"] == "identity"
        and not_varied(["accept-encoding"], [RequestVariant(), plain]) == []
    )


@given(st.lists(st.sampled_from(["Accept", "Cookie", "accept-language", "*"]), max_size=40), st.booleans())
def test_vary_is_read_from_one_header_or_several(names: list[str], several: bool) -> None:
    headers = [(b"vary", name.encode()) for name in names] if several else [(b"Vary", ", ".join(names).encode())]
    assert vary_names([(b"age", b"1"), *headers]) == tuple(sorted({name.lower() for name in names}))


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read_as_vary(value: bytes) -> None:
    assert all(name == name.strip().lower() and name.isprintable() for name in vary_names([(b"vary", value)]))

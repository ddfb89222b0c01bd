"""`target.log`: lines of a service's own log complete the rows of the requests that they are about."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_block import check, declare, new_run

from luckyhit import records
from luckyhit.case.target import LogLines, Target
from luckyhit.load.block import BlockPlan, measure_block
from luckyhit.load.signals.log_source import UNKNOWN, LogSource, calls_of, fields_of, status_of
from luckyhit.records import CACHE_STATUSES
from world import Reply, Request, Service

USUAL = LogLines()


def status(line: str, declared: LogLines = USUAL) -> str:
    return CACHE_STATUSES[status_of(fields_of(line), declared)]


@pytest.mark.parametrize(
    ("line", "cache", "calls"),
    [
        ('{"cache": "HIT", "db_calls": 0}', "hit", 0),
        ('2026-01-01 INFO shop {"cache": "miss", "db_calls": 3} done', "miss", 3),
        ("level=info cache=HIT db_calls=2 path=/a", "hit", 2),
        ('cache="MISS" db_calls="1"', "miss", 1),
        ('{"cache": true}', "hit", None),
        ('{"cache": false, "db_calls": 1.0}', "miss", 1),
        ('{"cache_hits": 2, "cache_misses": 0}', "hit", None),
        ('{"cache_hits": 2, "cache_misses": 1}', "miss", None),
        ('{"cache_hits": 0, "cache_misses": 0, "db_calls": 4}', "unknown", 4),
        ('{"cache": "weather", "db_calls": -1}', "unknown", None),
        ('{"db_calls": 1e400}', "unknown", None),
        ("not structured at all", "unknown", None),
        ('{"cut": ', "unknown", None),
    ],
)
def test_a_line_shows_status_and_calls(line: str, cache: str, calls: int | None) -> None:
    assert (status(line), calls_of(fields_of(line), USUAL)) == (cache, calls)


def test_fields_have_the_names_that_the_case_gives() -> None:
    declared = LogLines(cache="http.cache", db_calls="sql", values={"warm": "hit"})
    line = '{"http": {"cache": "warm"}, "sql": 7}'
    assert status(line, declared) == "hit"
    assert calls_of(fields_of(line), declared) == 7


@given(st.text(max_size=200))
def test_any_line_is_read_without_an_error(line: str) -> None:
    fields = fields_of(line)
    assert 0 <= status_of(fields, USUAL) <= UNKNOWN and isinstance(fields, dict)


def rows(count: int) -> pa.Table:
    """The first `count` slots of both arms, which showed nothing."""
    columns: dict[str, list[Any]] = {name: [None] * (2 * count) for name in records.REQUESTS.names}
    columns |= {"slot": [slot for slot in range(count) for _ in "ab"], "arm": ["before", "after"] * count}
    columns["cache"] = ["unknown"] * (2 * count)
    return pa.table({name: pa.array(columns[name], records.REQUESTS.field(name).type) for name in columns})


def completed(source: LogSource, count: int) -> list[tuple[str, int | None]]:
    asyncio.run(source.finish())
    assert not source.waits(0)
    table = source.complete(rows(count))
    return list(zip(table["cache"].to_pylist(), table["db_calls"].to_pylist(), strict=True))


def id_in(header: bytes) -> str:
    name, _, value = header.partition(b": ")
    assert name == b"X-Request-Id"
    return value.decode()


def line_of(header: bytes, **fields: Any) -> str:
    return json.dumps({"request_id": id_in(header), **fields}) + "\n"


def test_a_request_without_a_line_stays_unknown(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("before the block\n")
    source = LogSource(USUAL, {"before": log, "after": log})
    headers = [source.header(slot, arm) for slot in range(2) for arm in range(2)]
    with log.open("a") as file:
        file.write(line_of(headers[3], cache="HIT", db_calls=0))
        file.write(line_of(headers[0], cache="MISS", db_calls=2))
        file.write('{"request_id": "somebody-else", "cache": "HIT", "db_calls": 9}\n')
    assert completed(source, 2) == [("miss", 2), ("unknown", None), ("unknown", None), ("hit", 0)]
    assert source.unlogged == 2


def rotate(log: Path) -> None:
    log.rename(log.with_suffix(".1"))
    log.write_text("")


def cut(log: Path) -> None:
    os.truncate(log, 0)


@pytest.mark.parametrize("replaced", [rotate, cut])
def test_a_log_may_be_replaced_while_it_is_read(replaced: Callable[[Path], None], tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("x" * 500 + "\n")
    source = LogSource(USUAL, {"before": log, "after": log})
    header = source.header(0, 0)
    replaced(log)
    with log.open("a") as file:
        file.write(line_of(header, cache="HIT", db_calls=1))
    assert completed(source, 1)[0] == ("hit", 1)


def test_a_log_that_comes_late_is_read(tmp_path: Path) -> None:
    source = LogSource(USUAL, {"before": tmp_path / "late.log", "after": tmp_path / "late.log"})
    header = source.header(0, 1)
    (tmp_path / "late.log").write_text(line_of(header, cache="MISS"))
    assert completed(source, 1)[1] == ("miss", None)


def test_the_engine_joins_rows_to_the_log(tmp_path: Path) -> None:
    """Both arms at once, real requests: the log alone says what each did."""
    log = tmp_path / "service.log"

    def answer(request: Request) -> Reply:
        key = int(request.path.rpartition("/")[2])
        fields = {"request_id": request.headers["x-request-id"], "cache": "HIT" if key % 2 else "MISS", "db_calls": key}
        with log.open("a") as file:  # one write of a whole line, which threads don't mix
            file.write(json.dumps(fields) + "\n")
        return Reply({"id": key})

    run = new_run(tmp_path)
    declare(run)
    target = Target(url="http://localhost:1", log=USUAL)  # type: ignore[arg-type]
    run.__dict__["case"] = run.case.model_copy(update={"target": target})
    with Service(answer) as service:
        plan = BlockPlan(
            0, "change", {"before": service.url, "after": service.url}, 0.2, 0.8, 1, selfcheck=False,
            logs={"before": log, "after": log},
        )  # fmt: skip
        report = measure_block(run, plan)
    table: pd.DataFrame = check(run, report)
    assert report.unlogged == 0 and len(table) > 50
    keys = table["key"].astype(int)
    assert (table["db_calls"] == keys).all()
    assert ((table["cache"] == "hit") == (keys % 2 == 1)).all()

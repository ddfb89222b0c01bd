"""`luckyhit load`: the engine on its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_service import HostileService
from typer.testing import CliRunner

import luckyhit.load.command.load_url as load_module
from luckyhit.cli import app
from luckyhit.errors import ArgumentError, NotEnoughData
from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.load_summary import CACHE_LINES, Group, cache_told, read_records
from luckyhit.load.command.load_url import load, sentence
from luckyhit.load.command.options import Asked, key_facts, stage_facts, template
from luckyhit.records import REQUESTS
from luckyhit.records.parquet import write_part


@pytest.fixture
def service() -> Iterator[HostileService]:
    with HostileService().running() as running:
        yield running


def command(*arguments: str) -> Any:
    """The command as typed; errors of the tree come back as `exception`."""
    return CliRunner().invoke(app, ["load", *arguments])


def test_an_open_loop(service: HostileService, tmp_path: Path) -> None:
    progress: list[float] = []
    summary = load(
        f"{service.url}/ok/{{1}}?a=b#top", rate=100, seconds=0.5, out=tmp_path / "kept",
        headers={"X-A": "b"}, on_progress=lambda done, total: progress.append(done),
    )  # fmt: skip
    assert service.heads[0].startswith(b"GET /ok/{1}?a=b HTTP/1.1\r\n") and b"x-a: b" in service.heads[0].lower()
    assert summary.accounting.exact and summary.accounting.completed == sum(summary.statuses.values()) > 20
    assert summary.errors == {} and set(summary.statuses) == {"200"} and summary.db_calls == 2
    assert list(summary.cache) == ["hit"] and summary.cache["hit"].latency_ms == summary.latency_ms
    kept = pq.ParquetDataset(sorted((tmp_path / "kept" / "requests").iterdir()), schema=REQUESTS).read().to_pandas()
    latencies = (kept["done_ns"] - kept["due_ns"]) / 1e6
    assert summary.latency_ms["max"] == latencies.max() and summary.latency_ms["p99"] in set(latencies)
    assert json.loads((tmp_path / "kept" / "summary.json").read_text()) == json.loads(
        json.dumps({**summary.as_facts(), "out": "kept"})
    )
    assert progress and "open loop, 100/s" in summary.table() and "100.0%" in summary.table()
    with pytest.raises(ArgumentError, match="holds records already"):
        load(service.url, rate=10, seconds=0.1, out=tmp_path / "kept")


def test_a_closed_loop_says_so_wherever_its_numbers_are(service: HostileService) -> None:
    summary = load(f"{service.url}/slow", closed=3, seconds=0.5)
    assert summary.closed == 3 and summary.rate is None and summary.accounting.exact
    assert 0 < summary.accounting.completed == service.seen["slow"] == summary.accounting.scheduled <= 3 * 11
    assert summary.latency_ms["p50"] >= 50
    assert "Closed loop" in summary.table() and "latency ms (closed loop)" in summary.table()
    assert "CLOSED LOOP" in summary.title()
    facts = summary.as_facts()
    assert facts["loop"] == "closed" and any("Closed loop" in warning for warning in facts["warnings"])


def test_a_service_that_isnt_there() -> None:
    with HostileService().running() as gone:
        url = gone.url
    done = command(url, "--rate", "50", "--seconds", "0.3")
    assert done.exit_code == 0
    first, *others = done.output.splitlines()
    assert "No request completed" in first and any("connect" in line for line in others)
    assert any("latency    none" in line for line in others) and "p99.9" not in done.output


def test_the_warm_up_is_sent_but_not_counted(service: HostileService, tmp_path: Path) -> None:
    summary = load(f"{service.url}/ok", rate=100, seconds=0.4, warmup_s=0.6, arrivals="constant", out=tmp_path / "o")
    assert (summary.accounting.scheduled, summary.warmup) == (40, 60) and service.seen["ok"] == 100
    assert "60 more in the warm-up" in summary.table()


def test_a_body_and_a_secret_header(service: HostileService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-value")
    (tmp_path / "body.json").write_text('{"number": {number}, "braces": "{}{x}"}')
    out = tmp_path / "out"
    done = command(
        f"{service.url}/ok", "--rate", "40", "--seconds", "0.3", "--body", f"@{tmp_path / 'body.json'}",
        "--header", "X-Plain: a: b", "--header-env", "Authorization=SHOP_TOKEN", "--out", str(out), "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    head = service.heads[0].lower()
    assert head.startswith(b"post /ok ") and b"content-type: application/json" in head
    assert b"x-plain: a: b\r\n" in head and b"authorization: s3cret-value\r\n" in head
    assert all(json.loads(body)["braces"] == "{}{x}" and json.loads(body)["number"] >= 1 for body in service.bodies)
    facts = json.loads(done.stdout)
    assert facts["trustworthy"] in (True, False) and facts["accounting"]["completed"] == len(service.bodies)
    assert (out / "latency.png").read_bytes().startswith(b"\x89PNG")
    for file in out.rglob("*"):
        assert file.is_dir() or b"s3cret-value" not in file.read_bytes()


def test_an_unexpected_status_is_an_error_with_an_example(service: HostileService) -> None:
    summary = load(f"{service.url}/error", rate=50, seconds=0.3, expect_status=200)
    assert summary.errors == {"unexpected": summary.accounting.scheduled} and summary.statuses["500"] > 0
    assert summary.unexpected is not None and "500" in summary.unexpected and summary.unexpected in summary.table()
    wrong = hashlib.sha256(b"another").hexdigest()
    assert plan_load(service.url, Asked(expect_sha256=wrong.upper())).expected.sha256 == wrong  # type: ignore[union-attr]


def test_untrustworthy_timings_come_first(service: HostileService, monkeypatch: pytest.MonkeyPatch) -> None:
    real = load_module.run_engine

    def slow_engine(*arguments: Any) -> dict[str, Any]:
        facts = real(*arguments)
        return facts | {"engine": facts["engine"] | {"trustworthy": False, "detail": "The timings can't be trusted: x"}}

    monkeypatch.setattr(load_module, "run_engine", slow_engine)
    summary = load(f"{service.url}/ok", closed=2, seconds=0.2)
    assert "can't be trusted" in summary.table().splitlines()[0] and "NOT trustworthy" in summary.title()
    assert summary.as_facts()["trustworthy"] is False


def rows(
    latencies_ms: list[float], *, cache: str, route: str = "url", error: str | None = None, phase="measure"
) -> pa.Table:
    count = len(latencies_ms)
    due = np.arange(count, dtype=np.int64) * 1_000_000
    done = [None if error else int(at + value * 1e6) for at, value in zip(due.tolist(), latencies_ms, strict=True)]
    columns = {
        "arm": ["before"] * count, "block": [0] * count, "slot": list(range(count)), "phase": [phase] * count,
        "route": [route] * count, "key": [None] * count, "due_ns": due, "sent_ns": due, "first_byte_ns": done,
        "done_ns": done, "status": [None if error else 200] * count, "error": [error] * count, "cache": [cache] * count,
        "db_calls": [None if error else 1] * count, "age_s": [None] * count, "bytes": [None] * count,
        "connection": [None] * count, "worker": [0] * count, "version": [None] * count,
        "layers": [None] * count, "body_hash": [None] * count,
    }  # fmt: skip
    return pa.table({field.name: pa.array(columns[field.name]).cast(field.type) for field in REQUESTS}, schema=REQUESTS)


def test_hits_and_misses_and_routes_have_percentiles_of_their_own(tmp_path: Path) -> None:
    write_part(tmp_path, "a", rows([1.0 + place / 1000 for place in range(900)], cache="hit"))
    write_part(tmp_path, "b", rows([20.0 + place for place in range(100)], cache="miss", route="other"))
    write_part(tmp_path, "c", rows([0.0] * 7, cache="unknown", error="timeout"))
    write_part(tmp_path, "d", rows([0.0] * 5, cache="unknown", error="reset"))
    write_part(tmp_path, "e", rows([500.0] * 4, cache="hit", phase="warmup"))
    found = read_records(tmp_path, 1016)
    assert found.accounting.model_dump() == {
        "scheduled": 1012, "completed": 1000, "failed": 5, "timed_out": 7, "dropped": 0,
    }  # fmt: skip
    assert found.warmup == 4 and found.errors == {"timeout": 7, "reset": 5} and found.db_calls == 1
    assert found.latency_ms["p50"] == 1.499 and found.latency_ms["p99"] == 109.0 and found.latency_ms["max"] == 119.0
    assert found.cache["hit"].latency_ms["max"] == 1.899 and found.cache["hit"].share == 0.9
    assert found.cache["miss"].latency_ms["p50"] == 69.0 and list(found.cache) == ["hit", "miss"]
    assert found.routes["other"].requests == 100
    assert set(found.curves) == {"all", "hit", "miss"} and found.curves["miss"][1][-1] == 119.0
    with pytest.raises(NotEnoughData, match="1,016 of 1,017"):
        read_records(tmp_path, 1017)


@pytest.mark.parametrize(
    ("cache", "layers", "line"),
    [
        (["hit", "miss"], {"x-cache=hit": 9, "x-cache=miss": 1}, "headers"),
        (["hit", "miss"], {"age=hit x-cache=miss": 9, "x-cache=miss": 1}, "headers"),
        (["hit", "unknown"], {"age=hit": 9}, "by-itself"),
        (["bypass", "unknown"], {"x-cache=bypass": 9}, "no-part"),
        (["unknown"], {}, "nothing"),
    ],
)
def test_a_load_always_has_its_cache_line(
    service: HostileService, cache: list[str], layers: dict[str, int], line: str
) -> None:
    loaded = load(f"{service.url}/ok", closed=1, seconds=0.1)
    group = Group(5, 0.5, loaded.latency_ms)
    summary = replace(loaded, cache=dict.fromkeys(cache, group), layers=layers)
    assert cache_told(summary) == line
    assert f"  cache      {CACHE_LINES[line](summary)}" in summary.table().splitlines()


def test_progress_tells_rate_and_errors() -> None:
    told = sentence({"done": 2.0, "answered": 4000, "errors": {"reset": 2, "timeout": 10}})
    assert told == "4,000 answered, 2,000/s, 12 errors (timeout 10, reset 2)"
    assert sentence({"done": 0.0, "answered": 0, "errors": {}}).endswith("no error")


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["localhost:8000/x"], "http://localhost:8000/x"), (["nonsense"], "http://nonsense"), (["http://"], "http://host"),
        (["ftp://h/"], "http://host"), (["http://h/a b"], "%-encode"), (["http://user:pw@h/"], "header"),
        (["http://h", "--rate", "0"], "above 0"), (["http://h", "--rate", "-3"], "above 0"),
        (["http://h", "--rate", "1e9"], "100,000"), (["http://h", "--rate", "nan"], "above 0"),
        (["http://h", "--rate", "fast"], "200/s"), (["http://h", "--seconds", "-1"], "above 0"),
        (["http://h", "--seconds", "5 parsecs"], "10"), (["http://h", "--timeout", "0"], "above 0"),
        (["http://h", "--warmup", "-1"], "0 to"), (["http://h", "--closed", "-1"], "connections"),
        (["http://h", "--closed", "1000000"], "connections"), (["http://h", "--closed", "2", "--rate", "5"], "Leave one"),
        (["http://h", "--stage", "50/s"], "'50/s for 10s'"), (["http://h", "--stage", "50 for 10s"], "50/s"),
        (["http://h", "--stage", "5/s for 1s", "--rate", "5"], "Leave one"), (["http://h", "--arrivals", "slow"], "poisson"),
        (["http://h/{key}"], "--keys"), (["http://h/", "--keys", "1-9"], "{key}"), (["http://h/{key}", "--keys", "9-1"], "1-1000"),
        (["http://h/{key}", "--keys", "all"], "@FILE"), (["http://h/{key}", "--keys", "1-9", "--popularity", "odd"], "zipf"),
        (["http://h/{key}", "--keys", "@/nowhere/keys.txt"], ""), (["http://h", "--popularity", "zipf"], "--keys"),
        (["http://h", "--method", "BREW"], "GET"), (["http://h", "--body", "@/nowhere/body"], "@FILE"),
        (["http://h", "--header", "no colon"], "Accept-Language"), (["http://h", "--header", "a b: c"], "Letters"),
        (["http://h", "--header", "Host: x"], "Leave it out"), (["http://h", "--header-env", "A"], "API_TOKEN"),
        (["http://h", "--header-env", "A=NOT_SET_ANYWHERE"], "Export"), (["http://h", "--replay", "/nowhere/log"], "access log"),
        (["http://h", "--speed", "2"], "--replay"), (["http://h", "--case", "nowhere"], "stale-price"), (["http://h", "--http", "3"], "1.1"),
        (["http://h", "--workers", "0"], ""), (["http://h", "--seed", "-1"], ""), (["http://h", "--expect-status", "999"], "599"),
        (["http://h", "--expect-sha256", "abc"], "64"), (["http://h", "--ca-file", "/nowhere.pem"], "PEM"),
        (["http://h", "--plot", "a.gif"], "latency.png"), (["http://h", "--plot", "/nowhere/a.png"], "directory"),
        (["http://h", "--out", "/dev/null/x"], "another"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused_with_what_would_be_right(arguments: list[str], right: str) -> None:
    done = command(*arguments)
    assert isinstance(done.exception, ArgumentError), done.output
    assert done.exception.exit_code == 2 and right in done.exception.hint and done.exception.hint


def test_a_log_without_a_request_is_refused(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("x\n")
    done = command("http://h", "--replay", str(tmp_path / "access.log"))
    assert isinstance(done.exception, ArgumentError) and "--log-format" in done.exception.hint


def test_every_read_of_a_log_is_sent_as_the_log_has_it(service: HostileService, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    requests = ["GET /ok/1?q=a%20b", "POST /ok/2", "HEAD /ok/3", "GET /miss?x=1", "GET http://other/ok/4"]
    log.write_text(
        "".join(
            f'10.0.0.1 - - [23/Nov/2026:05:15:2{at} +0000] "{what} HTTP/1.1" 200 1\n'
            for at, what in enumerate(requests)
        )
        + "what is this?\n"
    )
    summary = load(service.url, replay=log, speed=20.0, seconds=0.24, out=tmp_path / "out")
    assert summary.accounting.scheduled == summary.accounting.completed == 4
    lines = [head.split(b" HTTP")[0].decode() for head in service.heads]
    assert lines == ["GET /ok/1?q=a%20b", "HEAD /ok/3", "GET /miss?x=1", "GET /ok/4"]
    assert any("POST" in note for note in summary.notes) and any("line 6" in note for note in summary.notes)
    assert b"10.0.0.1" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_ramps_keys_and_workers_together(service: HostileService, tmp_path: Path) -> None:
    summary = load(
        f"{service.url}/ok/{{key}}", stages=["20/s for 200ms", "100/s to 300/s for 400ms"], keys="1-40",
        popularity="hot-set", hot=2, hot_share="90 %", arrivals="constant", workers=2, out=tmp_path / "out",
    )  # fmt: skip
    assert summary.accounting.completed == summary.accounting.scheduled == 84
    assert "100/s to 300/s for 0.4 s" in summary.pace and summary.seconds == pytest.approx(0.6)
    rows = pd.read_parquet(tmp_path / "out" / "requests")
    assert rows["worker"].value_counts().to_dict() == {0: 42, 1: 42}
    assert rows["key"].value_counts().iloc[:2].sum() > 60 and len(summary.engine.detail) > 20


def test_fresh_connections_and_http_2_where_nobody_speaks_it(service: HostileService) -> None:
    accepted = service.accepted
    summary = load(f"{service.url}/ok", rate=50, seconds=0.4, fresh=True)
    assert service.accepted - accepted >= summary.accounting.completed == summary.accounting.scheduled > 0
    summary = load(f"{service.url}/ok", rate=50, seconds=0.3, timeout_s=0.5, http="2")
    assert summary.accounting.completed == 0 and set(summary.errors) <= {"connect", "protocol", "timeout"}


def test_texts_of_options() -> None:
    assert stage_facts(" 50/s for 10s") == {"rate": "50/s", "lasts": "10s"}
    assert stage_facts("50/s to 200/s for 2m") == {"rate": "50/s", "to": "200/s", "lasts": "2m"}
    assert key_facts("-5 - 9") == {"first": -5, "last": 9} and key_facts("@k.txt") == {"file": "k.txt"}
    assert template('{"a": {key}, "b": {number}}', ["number"]) == '{{"a": {{key}}, "b": {number}}}'


def test_a_misspelt_option_is_refused_with_the_right_one() -> None:
    done = command("http://h", "--rat", "5")
    assert done.exit_code == 2 and "--rate" in done.output


def test_a_header_that_breaks_a_line_is_refused_and_never_shown() -> None:
    with pytest.raises(ArgumentError) as refused:
        load("http://h/", headers={"x": "s3cret\r\nb: c"})
    assert "s3cret" not in str(refused.value)

"""`luckyhit load`: the engine alone, what it takes, and exact figures from its records."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hostile_service import HostileService
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from luckyhit.cli import app
from luckyhit.errors import ArgumentError, NotEnoughData
from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.load_summary import CACHE_LINES, LatencyGroup, LoadSummary, cache_visibility, read_records
from luckyhit.load.command.load_url import load
from luckyhit.load.command.options import LoadOptions, key_facts, stage_facts, template
from luckyhit.records import REQUESTS
from luckyhit.records.parquet import read_parts, write_part
from tier import examples


def command(*arguments: str) -> Any:
    """The command as typed; errors of the tree come back as `exception`."""
    return CliRunner().invoke(app, ["load", *arguments])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HostileService, LoadSummary, Path, list[float]]]:
    """An open loop with a warm-up, its service, its directory and its progress."""
    progress: list[float] = []
    out = tmp_path_factory.mktemp("load") / "kept"
    with HostileService().running() as service:
        summary = load(
            f"{service.url}/ok/{{1}}?a=b#top", rate=100, seconds=0.5, warmup_s=0.2, arrivals="constant", out=out,
            headers={"X-A": "b"}, on_progress=lambda done, total: progress.append(done),
        )  # fmt: skip
        yield service, summary, out, progress


def test_an_open_loop(loaded: tuple[HostileService, LoadSummary, Path, list[float]]) -> None:
    service, summary, out, progress = loaded
    assert service.heads[0].startswith(b"GET /ok/{1}?a=b HTTP/1.1\r\n") and b"x-a: b" in service.heads[0].lower()
    assert (summary.accounting.scheduled, summary.accounting.completed, summary.warmup) == (50, 50, 20)
    assert summary.statuses == {"200": 50} and summary.errors == {} and summary.db_calls == 2
    assert list(summary.cache) == ["hit"] and summary.cache["hit"].latency_ms == summary.latency_ms
    (merged,) = (out / "requests").iterdir()
    assert merged.name.startswith("block-000-rows-0000-")
    rows = pa.concat_tables(read_parts(out / "requests", "requests", None)).to_pandas()
    latencies = ((rows["done_ns"] - rows["due_ns"]) / 1e6)[rows["phase"] == "measure"]
    assert summary.latency_ms["max"] == latencies.max() and summary.latency_ms["p99"] in set(latencies)
    facts = json.loads(json.dumps({**summary.as_facts(), "out": "kept"}))
    assert json.loads((out / "summary.json").read_text()) == facts
    table = summary.table()
    assert progress and summary.pace.startswith("open loop, 100/s") and summary.pace in table and "100.0%" in table
    with pytest.raises(ArgumentError):
        load(service.url, rate=10, seconds=0.1, out=out)


def test_untrustworthy_timings_come_first(loaded: tuple[HostileService, LoadSummary, Path, list[float]]) -> None:
    summary = replace(loaded[1], trustworthy=False, warnings=["late"])
    assert "late" in summary.table().splitlines()[0] and "NOT trustworthy" in summary.title()


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
    loaded: tuple[HostileService, LoadSummary, Path, list[float]], cache: list[str], layers: dict[str, int], line: str
) -> None:
    group = LatencyGroup(5, 0.5, loaded[1].latency_ms)
    summary = replace(loaded[1], cache=dict.fromkeys(cache, group), layers=layers)
    assert cache_visibility(summary) == line
    assert f"  cache      {CACHE_LINES[line](summary)}" in summary.table().splitlines()


def test_a_closed_loop_says_so_everywhere(service: HostileService) -> None:
    summary = load(f"{service.url}/slow", closed=3, seconds=0.5)
    assert summary.closed == 3 and summary.rate is None and summary.accounting.exact
    assert 0 < summary.accounting.completed == service.seen["slow"] == summary.accounting.scheduled <= 3 * 11
    assert summary.latency_ms["p50"] >= 50
    assert summary.table().count("(closed loop)") == 2 and "CLOSED LOOP" in summary.title()
    facts = summary.as_facts()
    assert facts["loop"] == "closed" and any("Closed loop" in warning for warning in facts["warnings"])


def test_a_service_that_isnt_there() -> None:
    with HostileService().running() as gone:
        url = gone.url
    done = command(url, "--rate", "50", "--seconds", "0.3", "--json")
    facts = json.loads(done.stdout)
    assert done.exit_code == 4 and "Connection refused" in facts["failure"] and facts["failure"] in done.stderr
    done = command(url, "--rate", "50", "--seconds", "0.3")
    assert done.exit_code == 4
    first, *others = done.output.splitlines()
    assert first.startswith("CAUTION") and any(line.startswith("  errors     connect") for line in others)
    assert any(line.startswith("  latency    none") for line in others) and "p99.9" not in done.output


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


def test_unexpected_responses_on_fresh_connections(service: HostileService) -> None:
    accepted = service.accepted
    summary = load(f"{service.url}/error", rate=50, seconds=0.3, fresh=True, expect_status=200)
    assert summary.errors == {"unexpected": summary.accounting.scheduled} and summary.statuses["500"] > 0
    assert summary.unexpected is not None and "500" in summary.unexpected and summary.unexpected in summary.table()
    assert service.accepted - accepted >= summary.accounting.scheduled > 0


def test_each_read_of_a_log_is_sent(service: HostileService, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    requests = ["GET /ok/1?q=a%20b", "POST /ok/2", "HEAD /ok/3", "GET /miss?x=1", "GET http://other/ok/4"]
    lines = [f'10.0.0.1 - - [23/Nov/2026:05:15:2{at} +0000] "{one} HTTP/1.1" 200 1' for at, one in enumerate(requests)]
    log.write_text("\n".join([*lines, "not a request", ""]))
    summary = load(service.url, replay=log, speed=20.0, seconds=0.24, out=tmp_path / "out")
    assert summary.accounting.scheduled == summary.accounting.completed == 4
    sent = [head.split(b" HTTP")[0].decode() for head in service.heads]
    assert sent == ["GET /ok/1?q=a%20b", "HEAD /ok/3", "GET /miss?x=1", "GET /ok/4"]
    assert any("POST" in note for note in summary.notes) and any("line 6" in note for note in summary.notes)
    assert b"10.0.0.1" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_ramps_keys_and_workers_together(service: HostileService, tmp_path: Path) -> None:
    summary = load(
        f"{service.url}/ok/{{key}}", stages=["20/s for 200ms", "100/s to 300/s for 400ms"], keys="1-40",
        popularity="hot-set", hot=2, hot_share="90 %", arrivals="constant", workers=2, out=tmp_path / "out",
    )  # fmt: skip
    assert summary.accounting.completed == summary.accounting.scheduled == 84
    assert "100/s to 300/s for 0.4 s" in summary.pace and summary.seconds == pytest.approx(0.6)
    rows = pa.concat_tables(read_parts(tmp_path / "out" / "requests", "requests", None)).to_pandas()
    assert rows["worker"].value_counts().to_dict() == {0: 42, 1: 42}
    assert rows["key"].value_counts().iloc[:2].sum() > 60


# Options

REFUSED = [
    (["localhost:8000/x"], "http://localhost:8000/x"), (["nonsense"], "http://nonsense"), (["http://"], "http://host"),
    (["ftp://h/"], "http://host"), (["http://h/a b"], "%-encode"), (["http://user:pw@h/"], "header"),
    (["http://h", "--rate", "0"], "above 0"), (["http://h", "--rate", "1e9"], "100,000"),
    (["http://h", "--rate", "nan"], "above 0"), (["http://h", "--rate", "fast"], "200/s"),
    (["http://h", "--seconds", "5 parsecs"], "10"), (["http://h", "--timeout", "0"], "above 0"),
    (["http://h", "--warmup", "-1"], "0 to"), (["http://h", "--closed", "1000000"], "connections"),
    (["http://h", "--closed", "2", "--rate", "5"], "Leave one"), (["http://h", "--stage", "50/s"], "'50/s for 10s'"),
    (["http://h", "--stage", "50 for 10s"], "50/s"), (["http://h", "--stage", "5/s for 1s", "--rate", "5"], "Leave one"),
    (["http://h", "--arrivals", "slow"], "poisson"), (["http://h/{key}"], "--keys"),
    (["http://h/", "--keys", "1-9"], "{key}"), (["http://h/{key}", "--keys", "9-1"], "1-1000"),
    (["http://h/{key}", "--keys", "1-9", "--popularity", "odd"], "zipf"), (["http://h", "--popularity", "zipf"], "--keys"),
    (["http://h/{key}", "--keys", "@/nowhere/keys.txt"], ""), (["http://h", "--method", "BREW"], "GET"),
    (["http://h", "--body", "@/nowhere/body"], "@FILE"), (["http://h", "--header", "no colon"], "Accept-Language"),
    (["http://h", "--header", "a b: c"], "letters"), (["http://h", "--header", "Host: x"], "Leave it out"),
    (["http://h", "--header-env", "A"], "API_TOKEN"), (["http://h", "--header-env", "A=NOT_SET_ANYWHERE"], "Export"),
    (["http://h", "--replay", "/nowhere/log"], "access log"), (["http://h", "--speed", "2"], "--replay"),
    (["http://h", "--case", "nowhere"], "stale-price"), (["http://h", "--http", "3"], "1.1"),
    (["http://h", "--workers", "0"], ""), (["http://h", "--seed", "-1"], ""), (["http://h", "--expect-status", "999"], "599"),
    (["http://h", "--expect-sha256", "abc"], "64"), (["http://h", "--ca-file", "/nowhere.pem"], "PEM"),
    (["http://h", "--plot", "a.gif"], "latency.png"), (["http://h", "--plot", "/nowhere/a.png"], "directory"),
    (["http://h", "--out", "/dev/null/x"], "another"),
]  # fmt: skip
"""Arguments that can't be used, and a part of the hint that says what would be right."""


@pytest.mark.parametrize(
    ("arguments", "hint"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_invalid_options_are_refused_with_a_hint(arguments: list[str], hint: str) -> None:
    done = command(*arguments)
    assert isinstance(done.exception, ArgumentError), done.output
    assert done.exception.exit_code == 2 and hint in done.exception.hint and done.exception.hint


def test_a_log_without_a_request_is_refused(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("x\n")
    done = command("http://h", "--replay", str(tmp_path / "access.log"))
    assert isinstance(done.exception, ArgumentError) and "--log-format" in done.exception.hint


def test_a_misspelt_option_is_refused_with_the_right_one() -> None:
    done = command("http://h", "--rat", "5")
    assert done.exit_code == 2 and "--rate" in done.output


def test_a_header_that_breaks_a_line_is_never_shown() -> None:
    with pytest.raises(ArgumentError) as refused:
        load("http://h/", headers={"x": "s3cret\r\nb: c"})
    assert "s3cret" not in str(refused.value)


def test_texts_of_options() -> None:
    assert stage_facts(" 50/s for 10s") == {"rate": "50/s", "lasts": "10s"}
    assert stage_facts("50/s to 200/s for 2m") == {"rate": "50/s", "to": "200/s", "lasts": "2m"}
    assert key_facts("-5 - 9") == {"first": -5, "last": 9} and key_facts("@k.txt") == {"file": "k.txt"}
    assert template('{"a": {key}, "b": {number}}', ["number"]) == '{{"a": {{key}}, "b": {number}}}'
    digest = hashlib.sha256(b"body").hexdigest()
    expected = plan_load("http://h", LoadOptions(expect_sha256=digest.upper())).expected
    assert expected is not None and expected.sha256 == digest


# Figures

ROW = {
    "arm": "before", "block": 0, "phase": "measure", "route": "url", "status": 200, "cache": "unknown", "bytes": 2,
    "connection": 1, "worker": 0, "db_calls": 1,
}  # fmt: skip
latency_ns = st.one_of(st.integers(0, 10**6), st.integers(0, 10**11), st.sampled_from([0, 1, 999, 10_000, 60 * 10**9]))
completed = st.tuples(latency_ns, st.sampled_from(["hit", "miss"]), st.none())
failed = st.tuples(latency_ns, st.just("unknown"), st.sampled_from(["timeout", "reset", "dropped", "unexpected"]))
QUANTILES = {"p50": "0.5", "p75": "0.75", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p99.9": "0.999"}


def written(
    folder: Path, rows: list[tuple[int, str, str | None]], parts: int = 1, *, due_ns: int = 0, **other: Any
) -> None:
    """Rows (latency, cache status, error) in so many part files."""
    for part in range(parts):
        some = [
            {**ROW, **other, "slot": slot, "cache": cache, "error": error, "due_ns": due_ns + slot,
             "done_ns": due_ns + slot + took if error in (None, "unexpected") else None}
            for slot, (took, cache, error) in enumerate(rows) if slot % parts == part
        ]  # fmt: skip
        number = len(list(folder.iterdir()))
        write_part(folder, f"block-000-part-{number:04d}", pa.Table.from_pylist(some, schema=REQUESTS))


@given(
    st.lists(st.one_of(completed, completed, failed), min_size=1, max_size=300),
    st.integers(1, 3),
    st.integers(0, 10**15),
)
@settings(max_examples=examples(60), deadline=None)
def test_percentiles_are_exact(rows: list[tuple[int, str, str | None]], parts: int, due_ns: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        written(Path(place), rows, parts, due_ns=due_ns)
        recorded = read_records(Path(place))
    by_name = {
        name: sorted(took for took, cache, error in rows if error is None and cache in caches)
        for name, caches in {"all": ("hit", "miss"), "hit": ("hit",), "miss": ("miss",)}.items()
    }
    assert recorded.accounting.exact and recorded.accounting.scheduled == len(rows)
    assert recorded.accounting.completed == len(by_name["all"])
    groups = {"all": recorded.latency_ms, **{name: group.latency_ms for name, group in recorded.cache.items()}}
    assert set(groups) == {name for name, latencies in by_name.items() if latencies} | {"all"}
    for name, shown in groups.items():
        ordered = by_name[name]
        if not ordered:
            assert shown == {}
            continue
        occurred = {took / 1e6 for took in ordered}
        for level, q in QUANTILES.items():
            # The smallest latency with at least this fraction of all at or below it, in whole numbers alone.
            exact = ordered[max(1, math.ceil(Fraction(q) * len(ordered))) - 1]
            assert shown[level] == pytest.approx(exact / 1e6, abs=0.01, rel=0)
            assert shown[level] in occurred and shown[level] <= shown["max"]
        assert shown["max"] == ordered[-1] / 1e6


def test_cache_statuses_and_routes_have_their_own_figures(tmp_path: Path) -> None:
    written(tmp_path, [(1_000_000 + place * 1000, "hit", None) for place in range(900)])
    written(tmp_path, [(20_000_000 + place * 1_000_000, "miss", None) for place in range(100)], route="other")
    written(tmp_path, [(0, "unknown", "timeout")] * 7 + [(0, "unknown", "reset")] * 5, status=None, db_calls=None)
    written(tmp_path, [(500_000_000, "hit", None)] * 4, phase="warmup")
    recorded = read_records(tmp_path, 1016)
    counts = {"scheduled": 1012, "completed": 1000, "failed": 5, "timed_out": 7, "dropped": 0}
    assert recorded.accounting.model_dump() == counts
    assert recorded.warmup == 4 and recorded.errors == {"timeout": 7, "reset": 5} and recorded.db_calls == 1
    assert [recorded.latency_ms[name] for name in ("p50", "p99", "max")] == [1.499, 109.0, 119.0]
    assert recorded.cache["hit"].latency_ms["max"] == 1.899 and recorded.cache["hit"].share == 0.9
    assert recorded.cache["miss"].latency_ms["p50"] == 69.0 and list(recorded.cache) == ["hit", "miss"]
    assert recorded.routes["other"].requests == 100
    assert set(recorded.curves) == {"all", "hit", "miss"} and recorded.curves["miss"][1][-1] == 119.0
    with pytest.raises(NotEnoughData):
        read_records(tmp_path, 1017)

"""`luckyhit load`: the engine on its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hostile_service import HostileService

from luckyhit.errors import ArgumentError
from luckyhit.measure.load import load
from luckyhit.records import REQUESTS


@pytest.fixture
def service() -> Iterator[HostileService]:
    with HostileService().running() as running:
        yield running


def test_an_open_loop(service: HostileService, tmp_path: Path) -> None:
    progress: list[float] = []
    summary = load(
        f"{service.url}/ok/{{1}}?a=b#top", rate=100, seconds=0.5, out=tmp_path / "kept",
        headers={"X-A": "b"}, on_progress=lambda done, total: progress.append(done),
    )  # fmt: skip
    assert service.heads[0].startswith(b"GET /ok/{1}?a=b HTTP/1.1\r\n") and b"X-A: b" in service.heads[0]
    assert summary.accounting.exact and summary.accounting.completed == sum(summary.statuses.values()) > 20
    assert summary.errors == {} and set(summary.statuses) == {"200"} and summary.db_calls == 2
    assert list(summary.cache) == ["hit"] and summary.cache["hit"]["p50_ms"] == summary.latency_ms["p50"]
    kept = pq.ParquetDataset(sorted((tmp_path / "kept" / "requests").iterdir()), schema=REQUESTS).read().to_pandas()
    latencies = (kept["done_ns"] - kept["due_ns"]) / 1e6
    assert summary.latency_ms["max"] == latencies.max() and summary.latency_ms["p99"] in set(latencies)
    assert json.loads((tmp_path / "kept" / "summary.json").read_text()) == json.loads(json.dumps(summary.as_facts()))
    assert progress and "open loop, 100/s" in summary.table() and "hit 100.0%" in summary.table()
    with pytest.raises(ArgumentError, match="holds records already"):
        load(service.url, rate=10, seconds=0.1, out=tmp_path / "kept")


def test_a_closed_loop_says_so(service: HostileService) -> None:
    summary = load(f"{service.url}/slow", closed=3, seconds=0.5)
    assert summary.closed == 3 and summary.rate is None and summary.accounting.exact
    assert 0 < summary.accounting.completed == service.seen["slow"] == summary.accounting.scheduled <= 3 * 11
    assert summary.latency_ms["p50"] >= 50
    assert "CLOSED LOOP, 3 connections" in summary.table()


def test_a_service_that_isnt_there() -> None:
    with HostileService().running() as gone:
        url = gone.url
    summary = load(url, rate=50, seconds=0.3)
    assert summary.errors == {"connect": summary.accounting.scheduled} and summary.latency_ms == {}
    assert "connect" in summary.table()


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("nonsense", {}), ("http://", {}), ("ftp://h/", {}), ("http://h/a b", {}), ("http://user:pw@h/", {}),
        ("http://h/", {"rate": 0}), ("http://h/", {"rate": 1e9}), ("http://h/", {"rate": float("nan")}),
        ("http://h/", {"seconds": -1}), ("http://h/", {"closed": -1}), ("http://h/", {"closed": 10**6}),
        ("http://h/", {"headers": {"x": "a\r\nb"}}),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(url: str, other: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError) as refused:
        load(url, **other)
    assert refused.value.hint

"""A service that runs already: observed unless it is named, changed and changed back where it is; stopped where it
hurts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from plain_figures import draw_plainly
from ruamel.yaml import YAML

from luckyhit import workflow
from luckyhit.errors import LimitExceeded
from luckyhit.run import find_run
from world.caches import CacheServer, cache

ROOT = Path(__file__).parents[2]
LOCKS = "LUCKYHIT_LOCKS"


@dataclass
class Live:
    """A catalogue and its cache, which somebody else runs."""

    url: str
    server: CacheServer

    @property
    def flag(self) -> str:
        return str(httpx.get(f"{self.url}/flags", trust_env=False).json()["invalidation"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    with cache() as server, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        env = {**os.environ, "REDIS_URL": server.url, "DATABASE": str(folder / "catalogue.sqlite")}
        command = [sys.executable, "-m", "luckyhit.demo", "--port", str(port)]
        log = (folder / "live.log").open("wb")
        with log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as service:
            try:
                _await_answer(f"http://127.0.0.1:{port}/health", service)
                yield Live(f"http://127.0.0.1:{port}", server)
            finally:
                service.kill()


@pytest.fixture
def live(shop: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    """With an empty cache, and the flag as it is without the change."""
    shop.server.empty()
    flag = {"value": "writer-key"}
    httpx.put(f"{shop.url}/flags/invalidation", json=flag, trust_env=False).raise_for_status()
    monkeypatch.setenv("CATALOGUE_REDIS", shop.server.url)
    monkeypatch.setenv(LOCKS, str(tmp_path / "locks"))
    return shop


def _await_answer(url: str, service: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    for _ in range(600):
        assert service.poll() is None
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pause.wait(0.05)
    raise AssertionError("the service did not answer")


@pytest.fixture
def case_of(tmp_path: Path) -> Callable[..., str]:
    """A short variant of docs/examples/live-price.yml."""

    def make(live: Live, edit: Callable[[dict[str, Any]], None] | None = None) -> str:
        case = YAML(typ="safe").load(ROOT / "docs" / "examples" / "live-price.yml")
        case["target"]["url"] = live.url
        case["target"]["limits"] = {"rate": "200/s", "p99": "10s"}
        case["plan"] = {
            "baseline": "1s",
            "warmup": "500ms",
            "washout": "500ms",
            "block": "1s",
            "blocks": 2,
            "after_rollback": "1s",
        }
        if edit is not None:
            edit(case)
        path = tmp_path / "live-price.yml"
        path.write_text(json.dumps(case))
        return str(path)

    return make


def measure(workspace: Any, case: str, **more: str) -> Path:
    """All steps in this process; gives the run's directory."""
    folders = {"runs_dir": str(workspace.runs), "reports_dir": str(workspace.reports)}
    workflow.baseline(case, **folders, **more).measure()
    (run,) = workspace.run_dirs()
    workflow.change(str(run), **folders).measure()
    book = workflow.report(str(run), **folders)
    book.judge()
    book.export()
    return run


def test_a_live_service_is_changed_and_changed_back(
    live: Live, workspace: Any, case_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_plainly(monkeypatch)
    with live.server.client() as client:
        client.set("basket:7", "three pears")
        client.set("catalogue:v2:product:5000", "kept, since it never expires")
        client.set("catalogue:v2:product:5001", "cleared", ex=900)
        before = client.config_get("*")
        run = measure(workspace, case_of(live), environment="my-laptop")

        assert live.flag == "writer-key" and client.config_get("*") == before
        assert client.get("basket:7") == b"three pears"
        assert client.get("catalogue:v2:product:5000") == b"kept, since it never expires"
    manifest, result = json.loads((run / "manifest.json").read_text()), json.loads((run / "result.json").read_text())
    assert [block["arms"] for block in manifest["blocks"] if block["stage"] == "change"].count(["after"]) == 2
    numbers = [block["block"] for block in manifest["blocks"] if block["stage"] != "wash-out"]
    assert numbers == list(range(len(numbers))) and len(numbers) < len(manifest["blocks"])
    assert result["rollback"]["confirmed"] is True
    guards = {guard["id"]: guard for guard in result["guards"]}
    assert guards["declared-difference-only"]["ok"], guards
    assert result["metrics"]["stale_reads"]["before"] > 0.9 and result["metrics"]["stale_reads"]["after"] == 0
    (page,) = workspace.reports.glob("*-live-price-*.html")
    assert "my-laptop" in page.read_text() and "PUT /flags/invalidation" in page.read_text()
    assert list(run.glob("*.backup")) == []


def test_without_its_name_it_is_only_observed(live: Live, workspace: Any, case_of: Callable[..., str]) -> None:
    def reading(case: dict[str, Any]) -> None:
        del case["freshness"], case["goals"]["stale_reads"]
        case["workload"]["routes"] = case["workload"]["routes"][:1]
        del case["workload"]["routes"][0]["version"]

    case = case_of(live, reading)
    with live.server.client() as client:
        client.set("catalogue:v2:product:7", json.dumps({"id": 7, "price_cents": 1}), ex=600)
        run = measure(workspace, case)
        assert client.exists("catalogue:v2:product:7")
    assert live.flag == "writer-key" and not (run / "journal.jsonl").exists()
    manifest = json.loads((run / "manifest.json").read_text())
    assert [block["stage"] for block in manifest["blocks"]] == ["baseline"]
    assert "--environment my-laptop" in manifest["rollback"]["detail"]


def test_another_name_is_refused_before_anything_is_made(
    live: Live, workspace: Any, case_of: Callable[..., str]
) -> None:
    done = workspace.run_here(case_of(live), "--environment", "production")
    assert done.returncode == 2 and "'my-laptop'" in done.stderr
    assert workspace.run_dirs() == []


def test_writes_to_a_service_that_is_only_observed_are_refused(
    live: Live, workspace: Any, case_of: Callable[..., str]
) -> None:
    done = workspace.run_here(case_of(live))
    assert done.returncode == 3 and "--environment my-laptop" in done.stderr


def test_a_run_that_hurts_stops_and_takes_its_change_back(
    live: Live, workspace: Any, case_of: Callable[..., str]
) -> None:
    def strict(case: dict[str, Any]) -> None:
        # Whatever this service does is too slow.
        case["target"]["limits"] = {"rate": "200/s", "p99": "1ms", "fewest": 20, "window": "1s"}

    folders = {"runs_dir": str(workspace.runs), "reports_dir": str(workspace.reports)}
    with pytest.raises(LimitExceeded) as stopped:
        workflow.baseline(case_of(live, strict), environment="my-laptop", **folders).measure()
    assert stopped.value.exit_code == 4 and "p99" in stopped.value.message
    assert live.flag == "writer-key"
    (directory,) = workspace.run_dirs()
    run = find_run(workspace.runs, str(directory))
    assert run.manifest.state == "failed" and run.manifest.blocks[-1].limits.stopped
    rows = run.requests()
    assert len(rows) == run.manifest.blocks[-1].accounting["before"].scheduled

"""The clients beside us. Each runs in a process of its own; one that is not installed is told, and left out."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def missing(peer: str) -> str | None:
    """Why a peer can't be run; None where it can."""
    if peer == "wrk":
        return None if shutil.which("wrk") else "wrk is not on PATH"
    package = "locust" if peer == "locust" else peer
    return None if importlib.util.find_spec(package) else f"{package} is not installed (make bench installs it)"


def present(*peers: str) -> list[str]:
    """Those of `peers` that can be run; says which can't, and why."""
    reasons = {peer: missing(peer) for peer in peers}
    for peer, reason in reasons.items():
        if reason:
            print(f"  {peer} is left out: {reason}")
    return [peer for peer in peers if not reasons[peer]]


def open_loop(client: str, url: str, seconds: float, rate: float, seed: int) -> dict[str, Any]:
    """aiohttp or httpx: `p50_ms` and `p99_ms` that it added, `late_p99_ms`, `requests`, `failed`."""
    return _python("open", client, url, f"{seconds}", f"{rate}", f"{seed}")


def closed_per_s(client: str, url: str, seconds: float, connections: int) -> float:
    """Requests per second in a closed loop."""
    if client == "wrk":
        return _wrk(url, seconds, connections)
    if client == "locust":
        return _locust(url, seconds, connections)
    return float(_python("closed", client, url, f"{seconds}", f"{connections}")["per_s"])


def wrk_latencies(url: str, seconds: float, connections: int) -> dict[str, float]:
    """wrk's own percentiles, in ms."""
    said = _run(["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s", "--latency", url])
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    found = re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s)\s*$", said, re.M)
    return {f"p{level}": float(value) * units[unit] for level, value, unit in found}


def _python(*arguments: str) -> dict[str, Any]:
    said = _run([sys.executable, str(_HERE / "python_client.py"), *arguments])
    measured: dict[str, Any] = json.loads(said)
    return measured


def _wrk(url: str, seconds: float, connections: int) -> float:
    said = _run(["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", url])
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    assert found, said
    return float(found[1])


def _locust(url: str, seconds: float, connections: int) -> float:
    """From the first to the last request, so that its slow start doesn't count against it."""
    users = ["--headless", "-u", str(connections), "-r", str(connections), "-t", f"{max(1, round(seconds))}s"]
    quiet = ["--only-summary", "--json", "--loglevel", "ERROR"]
    said = _run([sys.executable, "-m", "locust", "-f", str(_HERE / "locust_user.py"), "--host", url, *users, *quiet])
    stats = json.loads(said[said.index("[") :])[0]
    assert not stats["num_failures"], "Locust failed requests"
    return float(stats["num_requests"] / (stats["last_request_timestamp"] - stats["start_time"]))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout

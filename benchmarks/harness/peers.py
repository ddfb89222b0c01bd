"""The clients beside us. Each runs in a process of its own; one that is not installed is told, and left out."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from math import exp, nan
from pathlib import Path
from statistics import NormalDist
from typing import Any

_HERE = Path(__file__).parent
_COMMANDS = ("wrk", "hey")


def missing(peer: str) -> str | None:
    """Why a peer can't be run; None where it can."""
    if peer in _COMMANDS:
        return None if shutil.which(peer) else f"{peer} is not on PATH (apt-get install {peer})"
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
    if client == "hey":
        return _hey(url, seconds, connections)
    if client == "locust":
        return _locust(url, seconds, connections)
    return float(_python("closed", client, url, f"{seconds}", f"{connections}")["per_s"])


def wrk_latencies(url: str, seconds: float, connections: int) -> dict[str, float]:
    """wrk's own percentiles, in ms."""
    said = _run(["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s", "--latency", url])
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    found = re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s)\s*$", said, re.M)
    return {f"p{level}": float(value) * units[unit] for level, value, unit in found}


def wrk_added(url: str, seconds: float, rate: float, hold_ms: float, sigma: float) -> dict[str, float]:
    """wrk, which knows no rate, with as many connections as a service asks for that holds each answer back for
    `hold_ms` (log-normal, with `sigma`): what its percentiles are above those of the service."""
    told = wrk_latencies(url, max(1.0, seconds), max(1, round(rate * hold_ms * exp(sigma**2 / 2) / 1000)))
    p99_ms = hold_ms * exp(sigma * NormalDist().inv_cdf(0.99))
    return {"p50_ms": told["p50"] - hold_ms, "p99_ms": told["p99"] - p99_ms, "late_p99_ms": nan, "failed": 0}


def _python(*arguments: str) -> dict[str, Any]:
    said = _run([sys.executable, str(_HERE / "python_client.py"), *arguments])
    measured: dict[str, Any] = json.loads(said)
    return measured


def _wrk(url: str, seconds: float, connections: int) -> float:
    said = _run(["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", url])
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    assert found, said
    return float(found[1])


def _hey(url: str, seconds: float, connections: int) -> float:
    """With as many threads as it likes, since it has no other way."""
    output = _run(["hey", "-c", f"{connections}", "-z", f"{max(1, round(seconds))}s", url])
    per_s = re.search(r"Requests/sec:\s*([\d.]+)", output)
    assert per_s, output
    return float(per_s[1])


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

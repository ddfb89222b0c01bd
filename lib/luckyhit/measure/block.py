"""Measuring one block: starts the engine, passes its progress on, and returns what it reports."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from luckyhit import errors
from luckyhit.case import Case
from luckyhit.errors import LuckyHitError, NotEnoughData
from luckyhit.measure.plan import BlockPlan, BlockReport
from luckyhit.run import Run

STOP_WITHIN_S = 10.0
"""How long a stopped engine may take to write what it has and to put the probe's keys back."""
HANGS_AFTER_S = 120.0
"""How long the engine may take beyond the block's length and one timeout."""
_SHOWN_LINES = 15

Progress = Callable[[float, float], None]
"""Called with the seconds done, and the seconds in all."""


def measure_block(run: Run, plan: BlockPlan, *, on_progress: Progress | None = None) -> BlockReport:
    """Measure one block into the run directory.

    Raises ArgumentError for requests that can't be sent, ResponseUnexpected where the freshness probe can't work,
    NotEnoughData where the engine itself failed. An interruption stops the engine, which writes what it has, and is
    raised again.
    """
    case = run.case
    order = {
        "block": plan.block,
        "seed": plan.seed,
        "warmup_s": plan.warmup_s,
        "measure_s": plan.measure_s,
        "targets": dict(plan.targets),
        "headers": dict(plan.headers),
        "selfcheck": plan.selfcheck,
        "closed": 0,
        "directory": str(run.path),
        "origin_ns": run.manifest["origin_ns"],
        **order_of(case),
    }
    return BlockReport.from_facts(run_engine(order, on_progress))


def order_of(case: Case) -> dict[str, Any]:
    """The parts of a case that the engine needs."""
    return {
        "workload": case.workload.model_dump(mode="json"),
        "expected": case.expected.response.model_dump(mode="json"),
        "signals": {"header": case.target.cache_header, "values": dict(case.target.cache_values)},
        "freshness": case.freshness.model_dump(mode="json") if case.freshness else None,
    }


def run_engine(order: dict[str, Any], on_progress: Progress | None = None) -> dict[str, Any]:
    """Run one order in an engine process; its facts. Raises as `measure_block` does."""
    total_s = order["warmup_s"] + order["measure_s"]
    deadline = time.monotonic() + total_s + HANGS_AFTER_S
    facts = failure = None
    with tempfile.TemporaryFile() as said:
        engine = subprocess.Popen(
            [sys.executable, "-m", "luckyhit.measure.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=_environment(),
            start_new_session=True,
        )
        assert engine.stdin is not None and engine.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                engine.stdin.write(json.dumps({**order, "owner": os.getpid()}).encode() + b"\n")
                engine.stdin.flush()
            for event in _events(engine.stdout, deadline):
                facts, failure = event.get("facts", facts), event.get("error", failure)
                if on_progress is not None and "done" in event:
                    on_progress(event["done"], total_s)
            if facts is None and failure is None and time.monotonic() < deadline:
                engine.wait(STOP_WITHIN_S)  # it ended by itself: how?
        finally:
            _end(engine, stop=facts is None and failure is None)
        if facts is not None:
            return facts
        if failure is not None:
            raise _error(failure)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
    how = "did not end in time" if time.monotonic() >= deadline else f"ended with status {engine.returncode}"
    told = "".join(f"\n    | {line}" for line in lines)
    raise NotEnoughData(
        f"the load engine {how}{', its last lines:' if lines else ''}{told}",
        hint="What it recorded before is in the run directory. Start a new run; if it happens again, report it.",
    )


def _environment() -> dict[str, str]:
    """Let the engine import the very package that starts it."""
    package = str(Path(__file__).parents[2])
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != package]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *others])}


def _events(stdout: IO[bytes], deadline: float) -> Iterator[dict[str, Any]]:
    """The engine's lines, until it closes its output or the deadline has passed."""
    descriptor, pending = stdout.fileno(), b""
    while (left_s := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], min(left_s, 1.0))[0]:
            continue
        data = os.read(descriptor, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _end(engine: subprocess.Popen[bytes], *, stop: bool) -> None:
    """Wait for the engine's end; make it stop first, and kill it with all it started if it doesn't."""
    assert engine.stdin is not None and engine.stdout is not None
    try:
        if stop and engine.poll() is None:
            engine.send_signal(signal.SIGTERM)
        with contextlib.suppress(OSError):
            engine.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            engine.wait(STOP_WITHIN_S)
    finally:
        # Also where a second interruption cut the waiting short.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()
        engine.stdout.close()


def _error(failure: dict[str, str]) -> LuckyHitError:
    kind = getattr(errors, failure["type"], NotEnoughData)
    if not (isinstance(kind, type) and issubclass(kind, LuckyHitError)):
        kind = NotEnoughData
    return kind(failure["message"], hint=failure["hint"])

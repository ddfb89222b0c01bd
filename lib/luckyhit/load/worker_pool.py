"""The engine's processes, seen from the one that starts them: one worker, or several if one core isn't enough.

All workers make the same schedule, each sends its own slots of it, and the first one has the freshness probe. They get
ready (check themselves, open connections), start at the same instant, and their facts are merged.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from luckyhit import errors
from luckyhit.errors import LuckyHitError, NotEnoughData
from luckyhit.load.bodies.examples import merged_examples
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.limits import Counts, WatchedLimits
from luckyhit.system.process import MARKER

LEAD_S = 0.1
"""From the moment in which the last worker is ready to the first slot."""
STOP_WITHIN_S = 10.0
"""How long a stopped worker may take to write what it has and to put the probe's keys back."""
HANGS_AFTER_S = 120.0
"""How long a worker may take beyond the block's length and one timeout."""
# Collecting garbage while modules are made takes a fifth of the time, and finds none.
_CODE = "import gc; gc.disable(); from luckyhit.load.engine import main; main()"
_SHOWN_LINES = 15
_REAPED_S = 1.0
"""Between the end of a process's output and its own."""

OnEvent = Callable[[Mapping[str, Any]], None]
"""Called with `done` (seconds), `answered` (requests without an error) and `errors` (requests by error) so far;
of a `live` block also `latencies`: the answered ones by bucket (`luckyhit.load.command.live_latency`)."""


class WorkerPool:
    """Engine processes for one block, which may come later: starting and importing takes them most of a second, in
    which services can be brought to their state. Leaving the context ends them, whatever they are doing."""

    def __init__(self, workers: int, directory: Path) -> None:
        """`directory`: of the run."""
        self._workers = [WorkerProcess(directory) for _ in range(workers)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.request_end()
        for worker in self._workers:
            worker.end()

    def request_stop(self) -> None:
        """Let all workers send nothing more, and report their facts."""
        for worker in self._workers:
            worker.request_stop()

    def run(self, config: EngineConfig, on_event: OnEvent | None = None) -> dict[str, Any]:
        """Run the one block; the facts. Raises as `measure_block` does."""
        deadline = time.monotonic() + config.total_s + HANGS_AFTER_S
        workers = self._workers
        with self:
            for number, worker in enumerate(workers):
                worker.write(config.of_worker(number, os.getpid()).model_dump_json())
            stopped = _follow(workers, deadline, on_event, config.limits)
        for worker in workers:
            worker.raise_failure(deadline)
        facts = merged([worker.facts for worker in workers if worker.facts is not None])
        return facts if stopped is None else {**facts, "stopped": stopped}


class WorkerProcess:
    """One worker, from its start on. It ends by reporting `facts` or a `failure`."""

    def __init__(self, directory: Path) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the object)
        self._pending = b""
        self.ready = self.silent = False
        self.schedule: dict[str, Any] = {}  # its digest, and how many slots it has
        self.facts: dict[str, Any] | None = None
        self.failure: dict[str, str] | None = None
        self.progress: dict[str, Any] = {"done": 0.0, "answered": 0, "errors": {}}
        self.watched: dict[str, list[int]] = {}  # by arm, as in Counts: what one of several workers can't judge alone
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(directory),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def write(self, message: str) -> None:
        """Send it one line of JSON."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(message.encode() + b"\n")
            self._process.stdin.flush()

    def read(self) -> None:
        """Take in what it wrote."""
        data = os.read(self.stdout.fileno(), 65536)
        if not data:
            self.silent = True
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            self.facts, self.failure = event.get("facts", self.facts), event.get("error", self.failure)
            if "ready" in event:
                self.ready, self.schedule = True, event
            self.watched = event.get("watched", self.watched)
            if "done" in event:
                self.progress = event

    @property
    def reported(self) -> bool:
        return self.facts is not None or self.failure is not None

    def request_stop(self) -> None:
        """Let it send nothing more, and report its facts."""
        if not self.reported and not self.silent and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def request_end(self) -> None:
        self.request_stop()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self) -> None:
        """Wait for its end; kill it with all that it started if it doesn't end by itself."""
        process = self._process
        if self.stdout.closed:  # it was ended before, and its pid may be another process's now
            return
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
        finally:
            # Also if a second interruption cut the waiting short.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.stdout.close()

    def raise_failure(self, deadline: float) -> None:
        """Raise what went wrong, if anything did."""
        if self.failure is not None:
            raise error_of(self.failure)
        if self.facts is not None:
            return
        lines = self.last_lines()
        ended = self.how_it_ended()
        how = "did not end in time" if time.monotonic() >= deadline else ended
        output = "".join(f"\n    | {line}" for line in lines)
        raise NotEnoughData(
            f"the load engine {how}{', its last lines:' if lines else ''}{output}",
            hint="What it recorded before is in the run directory. Start a new run; if it happens again, report it.",
        )

    def last_lines(self) -> list[str]:
        """The end of what it wrote to standard error."""
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]

    def how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAPED_S)
        return f"ended with status {self._process.returncode}"


def _follow(
    workers: Sequence[WorkerProcess], deadline: float, on_event: OnEvent | None, limits: WatchedLimits | None
) -> str | None:
    """Until all have reported, one failed or fell silent, or the deadline has passed. Returns the limit that stopped
    them, if it took the counts of all of them to see it."""
    started, stopped = False, None
    for worker in _events(workers, deadline):
        if (worker.failure is not None) or (worker.silent and not worker.reported):
            break
        if not started and all(one.ready for one in workers):
            started, start_ns = True, time.monotonic_ns() + round(LEAD_S * 1e9)
            for one in workers:
                one.write(json.dumps({"start_ns": start_ns}))
        if (
            limits is not None
            and stopped is None
            and (stopped := exceeded_limit(limits, [one.watched for one in workers]))
        ):
            for one in workers:
                one.request_stop()
        if on_event is not None and started:
            on_event(merged_progress([one.progress for one in workers]))
    return stopped


def exceeded_limit(limits: WatchedLimits, watched: Sequence[Mapping[str, Sequence[int]]]) -> str | None:
    """A sentence if the requests of all workers together exceed a limit in one of the arms. `watched`: of each worker,
    its Counts by arm."""
    for arm in dict.fromkeys(arm for counts in watched for arm in counts):
        counts = Counts.sum(of_worker[arm] for of_worker in watched if arm in of_worker)
        if (sentence := limits.exceeded(arm, counts)) is not None:
            return sentence
    return None


def _events(workers: Sequence[WorkerProcess], deadline: float) -> Iterator[WorkerProcess]:
    """Each worker that wrote something, or fell silent."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.stdout, selectors.EVENT_READ, worker)
        while selector.get_map() and (left_s := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(min(left_s, 1.0)):
                worker = key.data
                worker.read()
                if worker.silent:
                    selector.unregister(worker.stdout)
                yield worker


def merged_progress(progress: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far all of them are."""
    totals: Counter[str] = Counter()
    for part in progress:
        totals.update(part["errors"])
    latencies: Counter[str] = Counter()
    for part in progress:
        latencies.update(part.get("latencies", {}))
    return {
        "done": min(part["done"] for part in progress),
        "answered": sum(part["answered"] for part in progress),
        "errors": dict(totals),
        "latencies": dict(latencies),
    }


def merged(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a whole block from those of its workers: counts added, and the worst of the engine's figures."""
    if len(facts) == 1:
        return facts[0]
    whole = dict(facts[0])
    whole["accounting"] = {
        arm: {name: sum(fact["accounting"][arm][name] for fact in facts) for name in counts}
        for arm, counts in whole["accounting"].items()
    }
    whole["first_failure"] = next((fact["first_failure"] for fact in facts if fact.get("first_failure")), "")
    whole["unexpected"] = next((fact["unexpected"] for fact in facts if fact["unexpected"]), None)
    whole["examples"] = merged_examples(*(fact.get("examples", []) for fact in facts))
    for name in ("retried", "unchecked", "unlogged"):
        whole[name] = sum(fact[name] for fact in facts)
    engines = [fact["engine"] for fact in facts]
    worst = max(engines, key=lambda engine: (not engine["trustworthy"], engine["schedule_error_p99_ms"] or 0.0))
    whole["engine"] = {
        **worst,
        **{
            name: max((engine[name] for engine in engines if engine[name] is not None), default=None)
            for name in ("added_p50_ms", "added_p99_ms", "schedule_error_p99_ms", "loop_lag_ms", "cpu_share")
        },
        "trustworthy": all(engine["trustworthy"] for engine in engines),
        "detail": f"{worst['detail']} ({len(facts)} workers; these are the figures of the latest one.)",
    }
    return whole


def _environment(run: Path) -> dict[str, str]:
    """Let the engine import this very package, and `luckyhit revert` find it if it goes on alone."""
    package = str(Path(__file__).parents[2])
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != package]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *others]), MARKER: str((run / "work").resolve())}


def error_of(failure: Mapping[str, Any]) -> LuckyHitError:
    """The error that an engine reported."""
    kind = getattr(errors, failure["type"], NotEnoughData)
    if not (isinstance(kind, type) and issubclass(kind, LuckyHitError)):
        kind = NotEnoughData
    error: LuckyHitError = kind(failure["message"], hint=failure["hint"])
    error.refusal = failure["refusal"]
    return error

"""The engine's processes, seen from the one that starts them: one worker, or several where one core isn't enough.

All workers make the same schedule, each sends its own slots of it, and the first one has the freshness probe. They get
ready (check themselves, open connections), are started for the same instant, and their facts are put together.
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
_SHOWN_LINES = 15

OnEvent = Callable[[Mapping[str, Any]], None]
"""Called with `done` (seconds), `answered` (requests without an error) and `errors` (requests by error) so far."""


def run_engine(config: EngineConfig, on_event: OnEvent | None = None, crew: Crew | None = None) -> dict[str, Any]:
    """Run one block in engine processes (those of `crew`, if they were started ahead of it); their facts. Raises as
    `measure_block` does."""
    with crew or Crew(config.workload.workers, config.directory) as ready:
        return ready.run(config, on_event)


class Crew:
    """Engine processes for one block, which may come later: to start and import takes them most of a second, in which
    services can be brought to their state. Leaving the context ends them, whatever they are doing."""

    def __init__(self, workers: int, directory: Path) -> None:
        """`directory`: of the run."""
        self._members = [_Member(directory) for _ in range(workers)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.ask_to_end()
        for member in self._members:
            member.end()

    def run(self, config: EngineConfig, on_event: OnEvent | None = None) -> dict[str, Any]:
        """Run the one block; the facts. Raises as `measure_block` does."""
        deadline = time.monotonic() + config.total_s + HANGS_AFTER_S
        crew = self._members
        with self:
            for number, member in enumerate(crew):
                member.tell(config.of_worker(number, os.getpid()).model_dump_json())
            stopped = _follow(crew, deadline, on_event, config.limits)
        for member in crew:
            member.raise_failure(deadline)
        facts = merged([member.facts for member in crew if member.facts is not None])
        return facts if stopped is None else {**facts, "stopped": stopped}


class _Member:
    """One worker process, from its start on. `facts` or `failure` are there once it told them."""

    def __init__(self, directory: Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with the object)
        self._pending = b""
        self.ready = self.silent = False
        self.facts: dict[str, Any] | None = None
        self.failure: dict[str, str] | None = None
        self.progress: dict[str, Any] = {"done": 0.0, "answered": 0, "errors": {}}
        self.watched: dict[str, list[int]] = {}  # by arm, as in watch.Counts: what a worker can't judge alone

        self._process = subprocess.Popen(
            [sys.executable, "-m", "luckyhit.load.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=_environment(directory),
            start_new_session=True,
        )

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def tell(self, message: str) -> None:
        """One line of JSON."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(message.encode() + b"\n")
            self._process.stdin.flush()

    def hear(self) -> None:
        """Take in what it said."""
        data = os.read(self.stdout.fileno(), 65536)
        if not data:
            self.silent = True
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            self.facts, self.failure = event.get("facts", self.facts), event.get("error", self.failure)
            self.ready = self.ready or "ready" in event
            self.watched = event.get("watched", self.watched)
            if "done" in event:
                self.progress = event

    @property
    def told(self) -> bool:
        return self.facts is not None or self.failure is not None

    def ask_to_stop(self) -> None:
        """It sends nothing more, and tells its facts."""
        if not self.told and not self.silent and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def ask_to_end(self) -> None:
        self.ask_to_stop()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self) -> None:
        """Wait for its end, and kill it with all that it started if it doesn't end by itself."""
        process = self._process
        if self.stdout.closed:  # it was ended before, and its number may be another process's now
            return
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
        finally:
            # Also where a second interruption cut the waiting short.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.stdout.close()

    def raise_failure(self, deadline: float) -> None:
        """Raise what went wrong, if anything did."""
        if self.failure is not None:
            raise _error(self.failure)
        if self.facts is not None:
            return
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        ended = f"ended with status {self._process.returncode}"
        how = "did not end in time" if time.monotonic() >= deadline else ended
        output = "".join(f"\n    | {line}" for line in lines)
        raise NotEnoughData(
            f"the load engine {how}{', its last lines:' if lines else ''}{output}",
            hint="What it recorded before is in the run directory. Start a new run; if it happens again, report it.",
        )


def _follow(
    crew: Sequence[_Member], deadline: float, on_event: OnEvent | None, limits: WatchedLimits | None = None
) -> str | None:
    """Until all have told how it went, one of them failed or fell silent, or the deadline has passed. Returns which of
    the limits stopped them, where it took the counts of all of them to see it."""
    started, stopped = False, None
    for member in _heard(crew, deadline):
        if (member.failure is not None) or (member.silent and not member.told):
            break
        if not started and all(member.ready for member in crew):
            started, start_ns = True, time.monotonic_ns() + round(LEAD_S * 1e9)
            for each in crew:
                each.tell(json.dumps({"start_ns": start_ns}))
        if limits is not None and stopped is None and (stopped := _exceeded(limits, crew)) is not None:
            for each in crew:
                each.ask_to_stop()
        if on_event is not None and started:
            on_event(_together([member.progress for member in crew]))
    return stopped


def _exceeded(limits: WatchedLimits, crew: Sequence[_Member]) -> str | None:
    """A sentence where the requests of all workers together are beyond a limit in one of the arms."""
    for arm in crew[0].watched:
        counts = Counts.together(member.watched[arm] for member in crew if arm in member.watched)
        if (sentence := limits.exceeded(arm, counts)) is not None:
            return sentence
    return None


def _heard(crew: Sequence[_Member], deadline: float) -> Iterator[_Member]:
    """Each member that said something, or fell silent."""
    with selectors.DefaultSelector() as selector:
        for member in crew:
            selector.register(member.stdout, selectors.EVENT_READ, member)
        while selector.get_map() and (left_s := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(min(left_s, 1.0)):
                member = key.data
                member.hear()
                if member.silent:
                    selector.unregister(member.stdout)
                yield member


def _together(progress: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    totals: Counter[str] = Counter()
    for part in progress:
        totals.update(part["errors"])
    return {
        "done": min(part["done"] for part in progress),
        "answered": sum(part["answered"] for part in progress),
        "errors": dict(totals),
    }


def merged(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a whole block from those of its workers: counts added, and of the engine's figures the worst."""
    if len(facts) == 1:
        return facts[0]
    whole = dict(facts[0])
    whole["accounting"] = {
        arm: {name: sum(fact["accounting"][arm][name] for fact in facts) for name in counts}
        for arm, counts in whole["accounting"].items()
    }
    whole["unexpected"] = next((fact["unexpected"] for fact in facts if fact["unexpected"]), None)
    whole["examples"] = merged_examples(*(fact.get("examples", []) for fact in facts))
    for name in ("retried", "unchecked"):
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
        "detail": f"{worst['detail']} ({len(facts)} workers; of them, this is the one that was most late.)",
    }
    return whole


def _environment(run: Path) -> dict[str, str]:
    """Let the engine import the very package that starts it, and `luckyhit revert` find it where it goes on alone."""
    package = str(Path(__file__).parents[2])
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != package]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *others]), MARKER: str((run / "work").resolve())}


def _error(failure: dict[str, Any]) -> LuckyHitError:
    kind = getattr(errors, failure["type"], NotEnoughData)
    if not (isinstance(kind, type) and issubclass(kind, LuckyHitError)):
        kind = NotEnoughData
    error: LuckyHitError = kind(failure["message"], hint=failure["hint"])
    error.refusal = failure["refusal"]
    return error

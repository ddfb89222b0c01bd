"""The load engine: a process of its own (or several: workers) that sends one block's requests and records each of them.

    python -P -c "from luckyhit.load.engine import main; main()"

It starts before its block is known, and imports all that it needs while services are brought to their state. On
standard input it gets an EngineConfig (one JSON object, one line). It writes `{"ready": true, "digest": ...,
"slots": ...}` (of its schedule) to standard output when it can begin, and waits for a second line, `{"start_ns": ...}`,
which all workers get at once. Progress follows, one JSON object a line: `{"done": seconds, "answered": requests,
"errors": {...}}`; the last one is `{"facts": ...}`, or `{"error": ...}` with an error of the tree. SIGTERM, SIGINT, the
end of standard input (its owner is gone) and the owner's death stop it early: no more requests are sent, the rest is
recorded as `dropped`, everything is written, and the facts still come. The same happens when a limit is exceeded; each
of several workers writes `{"watched": {arm: counts}}`, and their owner stops them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvloop

from luckyhit.errors import ArgumentError, LuckyHitError, NoRoom
from luckyhit.load.block_context import BlockContext
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.inputs import Inputs
from luckyhit.load.limits import LimitWatch
from luckyhit.load.priority import raised_priority
from luckyhit.load.schedule import closed_schedule, schedule_for
from luckyhit.load.selfcheck import SelfCheck, engine_check, self_check
from luckyhit.load.sender import ClosedLoopSender, OutcomeRecorder, Sender
from luckyhit.load.signals import headers_source, later_sources
from luckyhit.scrub.redactor import Redactor

if TYPE_CHECKING:
    from luckyhit.load.limits import Counts
    from luckyhit.probe.block_probe import BlockProbe
    from luckyhit.records import Arm

PROGRESS_S = 0.2
WARM_PER_S = 60
"""Requests per second for each connection that is opened beforehand: enough for responses of 15 ms. Opening one during
the load costs its request a millisecond."""
FLUSH_S = 1.0
MOST_CONNECTIONS = 8192
CLOSED_SLOTS = 200_000
"""Different requests of a closed loop; after the last one it begins again."""
RESTORE_STOPPED_S = 3.0
"""After an early stop: how long the probe may remove what it created, and then put its keys back."""
_PR_SET_PDEATHSIG = 1
_NEEDED = ("luckyhit.probe.block_probe", "numpy.ma", "numpy.random")
"""What is imported late elsewhere, and used in a block."""


class Engine:
    """Measures one block. `started` gets the instant of the first slot."""

    def __init__(self, config: EngineConfig) -> None:
        self._config, self._workload = config, config.workload
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._signals = headers_source(config.signals)
        self._total_s = config.total_s
        self._stopped = asyncio.Event()
        self._exceeded: str | None = None
        self._stopped_ns: int | None = None
        self._sender: Sender | ClosedLoopSender | None = None
        # A command that writes past the service may print them on its standard error.
        urls = [values.get("cache_url") for values in config.start_values.values()]
        urls += config.databases.values()
        secrets = [*config.headers.values(), *urls, *(urlsplit(url).password for url in urls if url)]
        self._redactor = Redactor(tuple(secret for secret in secrets if secret))

    def stop(self) -> None:
        """Send nothing more, write what was recorded, and end."""
        self._stopped_ns = self._stopped_ns or time.monotonic_ns()
        if self._sender is not None:
            self._sender.halt()
        self._stopped.set()

    async def run(self) -> dict[str, Any]:
        """Measure, and return the facts of the block."""
        context = self._context()
        probe = self._probe_beside(context)
        closed = self._closed
        # A closed loop takes all the time it gets, and would take the service's as well.
        with contextlib.nullcontext("at ordinary priority") if closed else raised_priority() as priority:
            checked = await self._unless_stopped(self._self_check())
            if probe is not None:
                await self._unless_stopped(probe.preflight())
            opened = closed or min(256, 2 + int(self._rate / context.workers / WARM_PER_S)) if self._config.sends else 0
            await self._unless_stopped(asyncio.gather(*(client.warm(opened) for client in context.clients)))
            context.recorder.rehearse()
            if self._config.live:
                context.recorder.watch_latencies()
            gc.collect()
            gc.freeze()
            gc.disable()
            if probe is not None:
                probe.begins()
            schedule = context.schedule
            write_event({"ready": True, "digest": schedule.digest, "slots": len(schedule)})
            context.begin(await self._unless_stopped(self.started) or time.monotonic_ns())
            try:
                cpu_share = await self._measure(context, probe)
            finally:
                await context.finish_signals()
                context.recorder.flush()
                within_s = RESTORE_STOPPED_S if self._stopped.is_set() else None
                probed = await probe.end(within_s) if probe is not None else {}
        engine = engine_check(checked, context.recorder.late_ms(), cpu_share, priority, closed=bool(closed))
        facts = {**self._facts(context), "engine": asdict(engine), "probe": probed}
        if self._config.merges:
            await asyncio.to_thread(context.recorder.merge, self._stopped.is_set)
        return facts

    async def _measure(self, context: BlockContext, probe: BlockProbe | None) -> float:
        """Send everything, with the probe beside it. Returns this process's share of a core meanwhile."""
        start_ns = context.start_ns
        end_ns = start_ns + round(self._total_s * 1e9)
        closed = self._closed
        watch = self._watch(context)
        recording: OutcomeRecorder = watch or context.responses
        sender: Sender | ClosedLoopSender = Sender(context, recording)
        if closed:
            sender = ClosedLoopSender(context, recording, end_ns=end_ns, connections=closed)
        self._sender = sender
        if self._stopped.is_set():
            sender.halt()
        cpu_s, began = time.process_time(), time.monotonic()
        reporting = asyncio.create_task(self._report(context))
        tasks = [asyncio.create_task(sender.run())]
        if probe is not None:
            tasks.append(asyncio.create_task(probe.run(start_ns + self._config.warmup_ns, end_ns)))
        sending: asyncio.Future[Any] = asyncio.gather(*tasks)
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([sending, stopped], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            cpu_share = (time.process_time() - cpu_s) / (time.monotonic() - began)
            for task in (reporting, stopped, *tasks):
                task.cancel()
            # First what is under way is given up; the probe only cleans up from now on.
            await sender.stop()
            await asyncio.wait(tasks, timeout=RESTORE_STOPPED_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(reporting, stopped, *tasks, return_exceptions=True)
            if watch is not None:
                watch.close()
            context.responses.finish()
            sent = sender.sent if isinstance(sender, ClosedLoopSender) else 0
            context.recorder.end(sent, self._stopped_ns if self._config.live else None)
        return cpu_share

    def _watch(self, context: BlockContext) -> LimitWatch | None:
        """Watch the block's requests from now on, if it has limits."""
        if self._config.limits is None:
            return None

        def exceeded(sentence: str) -> None:
            self._exceeded = sentence
            self.stop()

        def report(counts: Mapping[Arm, Counts]) -> None:
            write_event({"watched": counts})

        on_counts = report if context.workers > 1 else None
        watch = LimitWatch(self._config.limits, context, on_exceeded=exceeded, on_counts=on_counts)
        watch.start()
        return watch

    @property
    def _closed(self) -> int:
        """This worker's share of a closed loop's connections."""
        return len(range(self._config.worker, self._config.closed, self._config.workers))

    def _context(self) -> BlockContext:
        config, workload = self._config, self._workload
        inputs = Inputs.load(config.inputs, len(workload.routes)) if config.inputs else None
        if config.closed:
            schedule = closed_schedule(workload, CLOSED_SLOTS, config.seed, inputs)
        else:
            schedule = schedule_for(workload, self._total_s, config.seed, inputs)
        self._rate = len(schedule) / self._total_s if self._total_s else 0.0
        return BlockContext(
            schedule,
            config.targets,
            block=config.block,
            origin_ns=config.origin_ns,
            warmup_ns=config.warmup_ns,
            timeout_s=workload.timeout,
            headers=config.headers,
            signals=self._signals,
            later=later_sources(config.signals, config.logs),
            expected=config.expected,
            directory=config.directory / "requests",
            limit=_descriptors(),
            worker=config.worker,
            workers=config.workers,
            sends=config.sends,
            endless=config.closed > 0,
            fresh=workload.connections == "fresh",
            http=config.http,
            tls=_authorities(config.ca_file),
            cookies=workload.cookies,
        )

    async def _self_check(self) -> SelfCheck | None:
        if not self._config.selfcheck or not self._config.measures:
            return None
        rate = 500.0 if self._closed else self._rate * len(self._config.targets) / self._config.workers
        return await self_check(rate)

    async def _unless_stopped(self, awaitable: Any) -> Any:
        """The result, or None if the engine was stopped meanwhile."""
        task, stopped = asyncio.ensure_future(awaitable), asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    async def _report(self, context: BlockContext) -> None:
        """Report the progress, and write recorded rows."""
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_S)
            done_s = min(self._total_s, max(0.0, (time.monotonic_ns() - context.start_ns) / 1e9))
            # Counting latencies takes a fraction of a millisecond, for which the sending thread must not wait.
            progress = context.recorder.progress
            facts = await asyncio.to_thread(progress) if self._config.live else progress()
            write_event({"done": round(done_s, 2), **facts})
            if time.monotonic() - flushed >= FLUSH_S and not context.holds_rows(time.monotonic_ns()):
                await asyncio.to_thread(context.recorder.flush)
                flushed = time.monotonic()

    def _probe_beside(self, context: BlockContext) -> BlockProbe | None:
        if self._config.freshness is None or not self._config.measures or not self._config.probes:
            return None
        from luckyhit.probe.block_probe import BlockProbe

        return BlockProbe(
            self._config.freshness,
            self._config,
            context,
            signals=self._signals,
            tls=_authorities(self._config.ca_file),
            redactor=self._redactor,
        )

    def _facts(self, context: BlockContext) -> dict[str, Any]:
        start_ns = context.start_ns - self._config.origin_ns
        return {
            "accounting": {arm: counts.model_dump() for arm, counts in context.recorder.accounting().items()},
            "unexpected": context.responses.unexpected,
            "examples": context.responses.examples,
            "start_ns": start_ns,
            "measure_ns": start_ns + self._config.warmup_ns,
            "end_ns": start_ns + round(self._total_s * 1e9),
            "distinct_keys": context.schedule.distinct_keys,
            "digest": context.schedule.digest,
            "retried": context.retries,
            "unchecked": context.responses.unchecked,
            "unlogged": context.unlogged,
            "stopped": self._exceeded,
            "stopped_ns": None if self._stopped_ns is None else self._stopped_ns - self._config.origin_ns,
            "first_failure": next((client.first_failure for client in context.clients if client.first_failure), ""),
        }


class WithoutPandas(MetaPathFinder):
    """Lets this process have no pandas. pyarrow would import it for its first array, if it is to be had: a sixth of a
    second, between the start of the services and the block, and 35 MB."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"no {fullname} in the load engine", name=fullname)


def _authorities(ca_file: str | None) -> ssl.SSLContext | None:
    """TLS verified against the authorities in `ca_file` alone."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ArgumentError(
            f"{ca_file!r} has no readable certificates: {error}",
            hint="Let target.ca_file (or --ca-file) name a PEM file with the certificates of authorities.",
        ) from None


def write_event(event: dict[str, Any]) -> None:
    """One line to the owner, who may be gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def _descriptors() -> int:
    """Connections that this process may open, after raising its limit of descriptors as far as it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 256
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return max(16, min(MOST_CONNECTIONS, (wanted if soft == resource.RLIM_INFINITY else soft) - 256))


def _die_with(owner: int) -> None:
    """Linux: get SIGTERM when the owner dies, in whatever way; end if it died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != owner:
            raise SystemExit(1)


async def _main(config: EngineConfig) -> int:
    loop = asyncio.get_running_loop()
    try:
        engine = Engine(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.stop)
        loop.add_reader(0, _read_stdin, loop, engine)
        facts = await engine.run()
    except (LuckyHitError, OSError) as error:
        known = NoRoom.of(error) if isinstance(error, OSError) else error
        if known is None:
            raise
        write_event(
            {
                "error": {
                    "type": type(known).__name__,
                    "message": known.message,
                    "hint": known.hint,
                    "refusal": known.refusal,
                }
            }
        )
        return 1
    write_event({"facts": facts})
    return 0


def _read_stdin(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    """Read the start; at the end of standard input the owner is gone."""
    line = os.read(0, 4096)
    if not line:
        loop.remove_reader(0)
        engine.stop()
    elif not engine.started.done():
        engine.started.set_result(json.loads(line)["start_ns"])


def main() -> None:
    """Wait for the block, measure it, and end this process: at once, since taking the interpreter down takes as long as
    a tenth of its imports, and everything is written by then."""
    sys.setswitchinterval(0.00005)  # writing rows must not hold up the sending thread
    sys.meta_path.insert(0, WithoutPandas())
    for name in _NEEDED:
        importlib.import_module(name)
    gc.freeze()  # a collection before the block need not go through all of that
    line = sys.stdin.buffer.readline()
    status = 0
    if line:  # else the owner has no block for it, or is gone
        config = EngineConfig.model_validate_json(line)
        _die_with(config.owner)
        status = uvloop.run(_main(config))
    sys.stderr.flush()
    os._exit(status)

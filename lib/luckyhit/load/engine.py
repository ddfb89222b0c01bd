"""The load engine: a process of its own (or several: workers) that sends one block's requests and records each of them.

    python -m luckyhit.load.engine      an EngineConfig (one JSON object, one line) on standard input

It tells `{"ready": true}` on standard output once it could begin, and waits for a second line, `{"start_ns": ...}`,
which all workers get at once. Progress follows, one JSON object a line: `{"done": seconds, "answered": requests,
"errors": {...}}`; the last one is `{"facts": ...}`, or `{"error": ...}` with an error of the tree. SIGTERM, SIGINT, the
end of standard input (its owner is gone) and the owner's death stop it early: no request is sent any more, what was not
sent is recorded as `dropped`, everything is written, and the facts still come. So it does where one of its
limits is exceeded; of several workers each tells `{"watched": {arm: counts}}`, and their owner stops them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvloop

from luckyhit.errors import ArgumentError, LuckyHitError, NoRoom
from luckyhit.load.block_context import Job
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.inputs import Inputs
from luckyhit.load.limits import Watch
from luckyhit.load.priority import hurried
from luckyhit.load.schedule import closed_schedule, schedule_for
from luckyhit.load.selfcheck import SelfCheck, engine_check, self_check
from luckyhit.load.sender import ClosedWorker, Worker
from luckyhit.load.signals import headers_source, later_sources
from luckyhit.scrub.redactor import Redactor

if TYPE_CHECKING:
    from luckyhit.load.limits import Counts
    from luckyhit.probe.block_probe import BlockProbe
    from luckyhit.records import Arm

PROGRESS_S = 0.2
WARM_PER_S = 60
"""Requests per second for each connection that is opened beforehand: enough where answers take 15 ms. One that has to
be opened on the way costs its request a millisecond."""
FLUSH_S = 1.0
MOST_CONNECTIONS = 8192
CLOSED_SLOTS = 200_000
"""Different requests of a closed loop; behind the last one it begins again."""
RESTORE_STOPPED_S = 3.0
"""How long the probe may remove what it created when it was stopped early, and then put its keys back."""
_PR_SET_PDEATHSIG = 1


class Engine:
    """Measures one block. `started` comes with the instant of the first slot."""

    def __init__(self, config: EngineConfig) -> None:
        self._config, self._workload = config, config.workload
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._signals = headers_source(config.signals)
        self._total_s = config.total_s
        self._stopped = asyncio.Event()
        self._exceeded: str | None = None
        self._worker: Worker | ClosedWorker | None = None
        # What a write that goes round the service says on its standard error may hold them.
        urls = [values.get("cache_url") for values in config.start_values.values()]
        urls += config.databases.values()
        secrets = [*config.headers.values(), *urls, *(urlsplit(url).password for url in urls if url)]
        self._redactor = Redactor(tuple(secret for secret in secrets if secret))

    def stop(self) -> None:
        """Send nothing more, write what there is, and end."""
        if self._worker is not None:
            self._worker.halt()
        self._stopped.set()

    async def run(self) -> dict[str, Any]:
        """Measure, and return the facts of the block."""
        job = self._job()
        probe = self._beside(job)
        closed = self._closed
        # A closed loop takes all the time it gets, and would take the service's as well.
        with contextlib.nullcontext("at ordinary priority") if closed else hurried() as turn:
            checked = await self._unless_stopped(self._self_check())
            if probe is not None:
                await self._unless_stopped(probe.preflight())
            opened = closed or min(256, 2 + int(self._rate / job.workers / WARM_PER_S))
            await self._unless_stopped(asyncio.gather(*(client.warm(opened) for client in job.clients)))
            job.rows.rehearse()
            gc.collect()
            gc.freeze()
            gc.disable()
            if probe is not None:
                probe.begins()
            say({"ready": True})
            job.begin(await self._unless_stopped(self.started) or time.monotonic_ns())
            try:
                cpu_share = await self._measure(job, probe)
            finally:
                await job.finish_signals()
                job.rows.flush()
                within_s = RESTORE_STOPPED_S if self._stopped.is_set() else None
                probed = await probe.end(within_s) if probe is not None else {}
        engine = engine_check(checked, job.rows.late_ms(), cpu_share, turn, closed=bool(closed))
        return {**self._facts(job), "engine": asdict(engine), "probe": probed}

    async def _measure(self, job: Job, probe: BlockProbe | None) -> float:
        """Send everything, with the probe beside it. The CPU share of this process meanwhile."""
        start_ns = job.start_ns
        end_ns = start_ns + round(self._total_s * 1e9)
        closed = self._closed
        watch = self._watch(job)
        settle = watch.settle if watch is not None else job.answers.settle
        worker = ClosedWorker(job, settle, end_ns=end_ns, connections=closed) if closed else Worker(job, settle)
        self._worker = worker
        if self._stopped.is_set():
            worker.halt()
        cpu_s, began = time.process_time(), time.monotonic()
        looking_after = asyncio.create_task(self._look_after(job))
        tasks = [asyncio.create_task(worker.run())]
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
            for task in (looking_after, stopped, *tasks):
                task.cancel()
            # First what is under way is given up; what the probe still does is to clean up behind itself.
            await worker.stop()
            await asyncio.wait(tasks, timeout=RESTORE_STOPPED_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(looking_after, stopped, *tasks, return_exceptions=True)
            if watch is not None:
                watch.close()
            job.answers.finish()
            job.rows.end(worker.sent if isinstance(worker, ClosedWorker) else 0)
        return cpu_share

    def _watch(self, job: Job) -> Watch | None:
        """Watch the job's requests from now on, if it has limits."""
        if self._config.limits is None:
            return None

        def exceeded(sentence: str) -> None:
            self._exceeded = sentence
            self.stop()

        def tell(counts: Mapping[Arm, Counts]) -> None:
            say({"watched": counts})

        watch = Watch(self._config.limits, job, on_exceeded=exceeded, on_counts=tell if job.workers > 1 else None)
        watch.start()
        return watch

    @property
    def _closed(self) -> int:
        """This worker's share of a closed loop's connections."""
        number, workers = self._config.worker, self._workload.workers
        return len(range(number, self._config.closed, workers))

    def _job(self) -> Job:
        config, workload = self._config, self._workload
        inputs = Inputs.load(config.inputs, len(workload.routes)) if config.inputs else None
        if config.closed:
            schedule = closed_schedule(workload, CLOSED_SLOTS, config.seed, inputs)
        else:
            schedule = schedule_for(workload, self._total_s, config.seed, inputs)
        self._rate = len(schedule) / self._total_s if self._total_s else 0.0
        return Job.make(
            schedule,
            config.targets,
            block=config.block,
            origin_ns=config.origin_ns,
            warmup_ns=config.warmup_ns,
            timeout_s=workload.timeout,
            headers=config.headers,
            signals=self._signals,
            later=later_sources(config.signals, config.block, tuple(config.targets)),
            expected=config.expected,
            directory=config.directory / "requests",
            limit=_descriptors(),
            worker=config.worker,
            workers=workload.workers,
            endless=config.closed > 0,
            fresh=workload.connections == "fresh",
            http=config.http,
            tls=_authorities(config.ca_file),
            cookies=workload.cookies,
        )

    async def _self_check(self) -> SelfCheck | None:
        if not self._config.selfcheck or not self._config.measures:
            return None
        rate = 500.0 if self._closed else self._rate * len(self._config.targets) / self._workload.workers
        return await self_check(rate)

    async def _unless_stopped(self, awaitable: Any) -> Any:
        """The result, or None where it was stopped meanwhile."""
        task, stopped = asyncio.ensure_future(awaitable), asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    async def _look_after(self, job: Job) -> None:
        """Tell the progress, and write the rows that are settled."""
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_S)
            done_s = min(self._total_s, max(0.0, (time.monotonic_ns() - job.start_ns) / 1e9))
            say({"done": round(done_s, 2), **job.rows.progress()})
            if time.monotonic() - flushed >= FLUSH_S and not job.holds_rows(time.monotonic_ns()):
                await asyncio.to_thread(job.rows.flush)
                flushed = time.monotonic()

    def _beside(self, job: Job) -> BlockProbe | None:
        if self._config.freshness is None or not self._config.measures or self._config.worker > 0:
            return None
        from luckyhit.probe.block_probe import BlockProbe

        return BlockProbe(
            self._config.freshness,
            self._config,
            job,
            signals=self._signals,
            tls=_authorities(self._config.ca_file),
            redactor=self._redactor,
        )

    def _facts(self, job: Job) -> dict[str, Any]:
        start_ns = job.start_ns - self._config.origin_ns
        return {
            "accounting": {arm: counts.model_dump() for arm, counts in job.rows.accounting().items()},
            "unexpected": job.answers.unexpected,
            "examples": job.answers.examples,
            "start_ns": start_ns,
            "measure_ns": start_ns + self._config.warmup_ns,
            "end_ns": start_ns + round(self._total_s * 1e9),
            "distinct_keys": job.schedule.distinct_keys,
            "digest": job.schedule.digest,
            "retried": job.retries,
            "unchecked": job.answers.unchecked,
            "stopped": self._exceeded,
        }


def _authorities(ca_file: str | None) -> ssl.SSLContext | None:
    """TLS verified against the authorities in `ca_file`, and none else."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ArgumentError(
            f"{ca_file!r} holds no certificates that can be read: {error}",
            hint="target.ca_file (or --ca-file) names a PEM file with the certificates of authorities.",
        ) from None


def say(event: dict[str, Any]) -> None:
    """One line to the owner, who may be gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def _descriptors() -> int:
    """Connections that this process may have, after asking for as many descriptors as it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 256
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return max(16, min(MOST_CONNECTIONS, (wanted if soft == resource.RLIM_INFINITY else soft) - 256))


def _die_with(owner: int) -> None:
    """Linux: get SIGTERM when the owner dies, in whatever way; and look whether it did so already."""
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
        loop.add_reader(0, _heard, loop, engine)
        facts = await engine.run()
    except (LuckyHitError, OSError) as error:
        known = NoRoom.of(error) if isinstance(error, OSError) else error
        if known is None:
            raise
        say(
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
    say({"facts": facts})
    return 0


def _heard(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    """The start, or the end of standard input: the owner is gone."""
    line = os.read(0, 4096)
    if not line:
        loop.remove_reader(0)
        engine.stop()
    elif not engine.started.done():
        engine.started.set_result(json.loads(line)["start_ns"])


def main() -> int:
    sys.setswitchinterval(0.00005)  # writing rows must not hold the sending thread up
    line = sys.stdin.buffer.readline()
    if not line:  # whoever started this has no block for it, or is gone
        return 0
    config = EngineConfig.model_validate_json(line)
    _die_with(config.owner)
    return uvloop.run(_main(config))


if __name__ == "__main__":
    sys.exit(main())

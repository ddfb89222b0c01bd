"""The freshness probe of one block, beside its load: built from the engine's configuration."""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import TYPE_CHECKING, Any

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected
from luckyhit.load.block_context import CONNECTIONS_PER_CLIENT, PROBE_CONNECTIONS, BlockContext
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.signals import SignalReader
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_reads import ProbeReader, not_varied, variants_of
from luckyhit.probe.probe_run import FreshnessProbe
from luckyhit.probe.undo_log import UndoLog, undo_log_path
from luckyhit.records.parquet import write_part
from luckyhit.scrub.redactor import Redactor

if TYPE_CHECKING:
    from luckyhit.records import Arm

VERSIONS_PER_BLOCK = 10_000


class BlockProbe:
    """`redactor`: for what it quotes from answers. Raises ArgumentError for a kind of write that can't work."""

    def __init__(
        self,
        freshness: Freshness,
        config: EngineConfig,
        context: BlockContext,
        *,
        signals: SignalReader,
        tls: ssl.SSLContext | None,
        redactor: Redactor,
    ) -> None:
        self._block, self._directory, self._redactor = config.block, config.directory, redactor
        self._load = int((context.schedule.due_ns >= config.warmup_ns).sum())
        self._variants = variants_of(freshness, config.workload.routes)
        self._arms: dict[Arm, ProbeArm] = {}
        for index, (arm, url) in enumerate(config.targets.items()):
            reader = ProbeReader(
                url,
                freshness.reads,
                config.headers,
                first_connection=PROBE_CONNECTIONS + CONNECTIONS_PER_CLIENT * index,
                http=config.http,
                tls=tls,
                signals=signals,
                worker_header=config.worker_header,
                variants=self._variants,
            )
            self._arms[arm] = ProbeArm(
                freshness,
                reader,
                headers=config.headers,
                timeout_s=context.timeout_s,
                originals=config.originals.get(arm),
                values=config.start_values.get(arm),
                databases=config.databases,
                undo_log=UndoLog(self._directory / undo_log_path(self._block, arm)),
            )
        self._probe = FreshnessProbe(
            freshness,
            self._arms,
            rng=random.Random(config.seed),
            first_version=freshness.first_version + self._block * VERSIONS_PER_BLOCK,
            block=self._block,
            origin_ns=config.origin_ns,
            requests=float(self._load),
            purges=config.purges,
        )
        self._sent_before = 0  # before the load began

    async def preflight(self) -> None:
        """Raises ResponseUnexpected where the probe can't work."""
        try:
            await self._probe.preflight()
        except ResponseUnexpected as error:
            error.reword(self._redactor.quoted)
            raise

    async def run(self, start_ns: int, end_ns: int) -> None:
        """Probe between two instants (raw)."""
        await self._probe.run(start_ns, end_ns)

    def begins(self) -> None:
        """What is sent from now on belongs to the block."""
        self._sent_before = self._probe.requests_sent

    async def end(self, within_s: float | None) -> dict[str, Any]:
        """Write the records, put the keys back, and return the block's facts. `within_s`: the time left for putting
        back, where the block was stopped early."""
        probe, arms = self._probe, self._arms
        writes, reads = probe.tables()
        name = f"block-{self._block:03d}"
        write_part(self._directory / "writes", name, writes)
        write_part(self._directory / "reads", name, reads)
        sent = probe.requests_sent - self._sent_before
        try:
            await asyncio.wait_for(probe.restore(), within_s)
        except TimeoutError:
            left = {name: arm.not_put_back for name, arm in arms.items()}
            probe.note("not-put-back", f"Stopped before all of the probe's keys were put back; left, by arm: {left}.")
        for arm in arms.values():
            await arm.close()
        return {
            "probes": probe.probes,
            "writes": writes.num_rows,
            "reads": reads.num_rows,
            "requests": sent,
            "beside": probe.requests_sent - sent,
            "share": sent / max(1, self._load * len(arms)),
            "put_back": {name: arm.put_back for name, arm in arms.items()},
            "not_put_back": {name: arm.not_put_back for name, arm in arms.items()},
            "variants": {
                variant.name: {name: self._redactor.quoted(value) for name, value in variant.sent().items()}
                for variant in self._variants
            },
            "vary": {name: sorted(arm.vary) for name, arm in arms.items()},
            "not_asked": not_varied((header for arm in arms.values() for header in arm.vary), self._variants),
            "outlived": {name: arm.outlived for name, arm in arms.items()},
            "left_out": probe.left_out,
            "problems": [self._redactor.quoted(sentence) for _, sentence in probe.problems],
        }

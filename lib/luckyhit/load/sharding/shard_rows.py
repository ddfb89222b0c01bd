"""The rows of a block from all shards: each slot of the schedule once, or the block is no measurement.

Shards write part files; those of all of them together are the table, and nothing has to be sorted or rewritten. What a
lost process left out is added as `dropped`, slot by slot: whatever became of these requests, nobody can show it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luckyhit.errors import NotEnoughData
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.inputs import Inputs
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.schedule import schedule_for
from luckyhit.records import Accounting, Arm, RequestError
from luckyhit.records.parquet import read_parts, write_rows
from luckyhit.records.parts.merging import merge_parts

_ERRORS: tuple[RequestError, ...] = get_args(RequestError)
_COLUMNS = ["arm", "slot", "worker", "error"]
_AT_ONCE = 500_000
"""Rows of a lost process that are written to one part file."""


@dataclass(frozen=True)
class NeverSent:
    """Slots of a lost process without a row of its own: how many, the first and the last."""

    slots: int
    first: int | None = None
    last: int | None = None


class ShardRows:
    """The rows of one block that are in the run directory.

    `slots`: the length of the schedule; None for a closed loop, which has no last slot.
    """

    def __init__(self, config: EngineConfig, slots: int | None) -> None:
        self._config, self._slots = config, slots
        self._arms: list[Arm] = list(config.targets)
        self._directory = config.directory / "requests"
        # By worker, arm, and error (0: none).
        self._counts = np.zeros((config.workers, len(self._arms), len(_ERRORS) + 1), np.int64)
        self._present = np.zeros((slots or 0) * len(self._arms), np.bool_)
        for part in read_parts(self._directory, "requests", _COLUMNS, block=config.block):
            self._count(part)
        if slots is not None and int(self._counts.sum()) != int(np.count_nonzero(self._present)):
            raise NotEnoughData(
                "the shards recorded slots twice",
                hint="Something else wrote to the run directory. Start again; if it happens again, report it.",
            )

    def sent_by(self, worker: int) -> int:
        """Rows that a process recorded."""
        return int(self._counts[worker].sum())

    def accounting(self, workers: Collection[int] | None = None) -> dict[Arm, Accounting]:
        """Counts by arm, of some processes or all of them."""
        counts = self._counts if workers is None else self._counts[sorted(workers)]
        return {arm: _account(by_error) for arm, by_error in zip(self._arms, counts.sum(axis=0).tolist(), strict=True)}

    def check(self, reported: Mapping[int, Mapping[str, Mapping[str, int]]]) -> None:
        """Raises NotEnoughData unless each process that reported its counts (by worker and arm) has just these rows."""
        for worker, noted in reported.items():
            rows = self.accounting([worker])
            counted = {arm: rows[arm].model_dump() for arm in self._arms}
            if counted != {arm: dict(noted[arm]) for arm in self._arms}:
                raise NotEnoughData(
                    f"worker {worker} counted {dict(noted)}, and its rows say {counted}",
                    hint="The disk may be full. Start again; if it happens again, report it.",
                )

    def add_never_sent(self, lost: Collection[int]) -> dict[int, NeverSent]:
        """Write rows for what lost processes left out; by worker, which slots. Nothing is left out of a closed loop."""
        if self._slots is None or not lost:
            return {worker: NeverSent(0) for worker in lost}
        width = len(self._arms)
        tags = np.flatnonzero(~self._present)
        worker_of = (tags // width) % self._config.workers
        never_sent = {}
        for worker in sorted(lost):
            own = tags[worker_of == worker]
            slots = np.unique(own // width)
            ends = (int(slots[0]), int(slots[-1])) if len(slots) else (None, None)
            never_sent[worker] = NeverSent(len(slots), *ends)
            if len(own):
                self._write(worker, own)
        return never_sent

    def merge(self) -> None:
        """Make one file of each process's part files; everything is checked by now."""
        for worker in range(self._config.workers):
            merge_parts(self._directory, self._config.block, worker)

    def _write(self, worker: int, tags: NDArray[np.int64]) -> None:
        config = self._config
        inputs = Inputs.load(config.inputs, len(config.workload.routes)) if config.inputs else None
        recorder = RequestRecorder(
            schedule_for(config.workload, config.total_s, config.seed, inputs),
            self._arms,
            block=config.block,
            warmup_ns=config.warmup_ns,
            origin_ns=config.origin_ns,
            worker=worker,
            workers=config.workers,
        )
        recorder.start_ns = config.origin_ns + self.start_ns
        for number, start in enumerate(range(0, len(tags), _AT_ONCE)):
            table = recorder.never_sent(tags[start : start + _AT_ONCE])
            write_rows(self._directory, f"block-{config.block:03d}-worker-{worker:02d}-never-sent-{number:04d}", table)
            self._count(table)

    start_ns = 0
    """When the block began, from the run's start."""

    def _count(self, part: pa.Table) -> None:
        if not part.num_rows:
            return
        arm = _codes(part["arm"], self._arms)
        error = _codes(part["error"], _ERRORS) + 1
        worker, slot = part["worker"].to_numpy(), part["slot"].to_numpy()
        workers, arms, errors = self._counts.shape
        strange = bool((arm < 0).any() or (worker < 0).any() or (worker >= workers).any())
        if strange or (self._slots is not None and bool(((slot < 0) | (slot >= self._slots)).any())):
            raise NotEnoughData(
                "the shards recorded rows that are none of this block's",
                hint="Something else wrote to the run directory. Start again; if it happens again, report it.",
            )
        place = (worker.astype(np.int64) * arms + arm) * errors + error
        self._counts += np.bincount(place, minlength=self._counts.size).reshape(self._counts.shape)
        if self._slots is not None:
            self._present[slot * arms + arm] = True


def _account(by_error: list[int]) -> Accounting:
    timed_out, dropped = (by_error[1 + _ERRORS.index(error)] for error in ("timeout", "dropped"))
    return Accounting(
        scheduled=sum(by_error),
        completed=by_error[0],
        failed=sum(by_error) - by_error[0] - timed_out - dropped,
        timed_out=timed_out,
        dropped=dropped,
    )


def _codes(column: pa.ChunkedArray, words: Collection[Any]) -> NDArray[np.int64]:
    """The place of each value among `words`; -1 for null, and for a value that is not among them."""
    codes = []
    for chunk in column.chunks:
        places = pc.index_in(chunk.dictionary, pa.array(list(words), pa.string())).fill_null(-1).to_numpy()
        indices = chunk.indices.fill_null(len(places)).to_numpy(zero_copy_only=False)
        codes.append(np.append(places, -1)[indices].astype(np.int64))
    return np.concatenate(codes)

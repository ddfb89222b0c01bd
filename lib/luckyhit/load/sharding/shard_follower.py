"""One shard, seen from the coordinator: a thread of its own makes all calls of the host, one after the other."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from luckyhit.atomic import replacing
from luckyhit.errors import LuckyHitError, NoRoom, NotEnoughData
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.sharding.clock_offset import Clock, ClockOffset, measured_offset
from luckyhit.load.sharding.engine_host import HostFacts, HostLost, HostState, ShardHost, WorkerState
from luckyhit.load.worker_pool import HANGS_AFTER_S, STOP_WITHIN_S

BEFORE_START_S, WHILE_SENDING_S = 0.05, 0.25
"""How long a host may wait with its answer; before the start, its next question is when to start."""
KEPT_ALIVE_S = 2.0
"""Without a block, a host is asked something this often, so that it does not end by itself."""
_PART = re.compile(r"block-\d{3,9}(-worker-\d{2,5})?-part-\d{4,9}\.parquet")


class ShardFollower(threading.Thread):
    """Follows one shard from its host's first answer to its end. `changed` is called whenever there is news.

    `host`: for nobody else to call; `facts`: who is there; `before`, `after`: the clock's offset before and after the
    block; `states`: the processes so far; `lost`: why the host doesn't answer any more (what it sent until then is
    kept); `error`: what makes the block impossible. `timed`: False for processes that are on this host, and have its
    clock.
    """

    def __init__(
        self,
        shard: int,
        host: ShardHost,
        changed: Callable[[], None],
        *,
        timed: bool = True,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        super().__init__(name=f"shard-{shard}", daemon=True)
        self.shard, self.host, self._changed, self._timed, self._clock = shard, host, changed, timed, clock
        self.facts: HostFacts | None = None
        self.before = self.after = None if timed else ClockOffset(0, 0)
        self.states: list[WorkerState] = []
        self.lost, self.error = "", None  # type: str, LuckyHitError | None
        self.finished = False
        self._config: EngineConfig | None = None
        self._files: Mapping[str, bytes] = {}
        self._start_ns: int | None = None
        self._given, self._halted = threading.Event(), threading.Event()

    def give(self, config: EngineConfig, files: Mapping[str, bytes]) -> None:
        """The block, as the coordinator has it; `files`: what it names."""
        self._config, self._files = config, files
        self._given.set()

    def start_at(self, start_ns: int) -> None:
        """The first slot, by the coordinator's clock."""
        self._start_ns = start_ns

    def halt(self) -> None:
        """Send nothing more; what is recorded is still fetched."""
        self._halted.set()
        self._given.set()

    @property
    def ready(self) -> bool:
        return bool(self.states) and all(state["ready"] for state in self.states)

    @property
    def reported(self) -> list[WorkerState]:
        """The processes that told how the block went."""
        return [state for state in self.states if state["facts"] is not None]

    def run(self) -> None:
        try:
            self.facts = self.host.describe()
            self._measure_before()
            while not self._given.wait(KEPT_ALIVE_S):
                self.host.poll(0.0)
            if self._config is not None and not self._halted.is_set():
                self._measure_before()  # again: the first time may be long ago
                self._begin(self._config)
                self._follow(self._config)
                if self._timed:
                    self.after = measured_offset(self.host.clock, self._clock)
        except HostLost as error:
            self.lost = str(error)
        except LuckyHitError as error:
            self.error = error
        except Exception as error:  # what ends a thread has to reach the one that waits for it
            known = NoRoom.of(error) if isinstance(error, OSError) else None
            self.error = known or NotEnoughData(f"shard {self.shard} failed: {type(error).__name__}: {error}")
        finally:
            self._close()
            self.finished = True
            self._changed()

    def _measure_before(self) -> None:
        if self._timed:
            self.before = measured_offset(self.host.clock, self._clock)
        self._changed()

    def _begin(self, config: EngineConfig) -> None:
        assert self.before is not None
        own = config.of_shard(self.shard, self.before.offset_ns) if self._timed else config
        self.host.begin(own.model_dump_json(), self._files)

    def _follow(self, config: EngineConfig) -> None:
        """Until all processes have reported or fell silent, and their rows are here."""
        assert self.before is not None
        started, deadline_s = False, time.monotonic() + config.total_s + HANGS_AFTER_S
        stopped = False
        while True:
            state = self.host.poll(WHILE_SENDING_S if started else BEFORE_START_S)
            self._keep(state, config.directory / "requests")
            self.states = state["workers"]
            self._changed()
            over = all(one["silent"] or one["facts"] or one["failure"] for one in self.states)
            if over and not state["more"]:
                return
            if self._halted.is_set() and not stopped:
                stopped = True
                deadline_s = min(deadline_s, time.monotonic() + STOP_WITHIN_S)
                self.host.stop()
            if self._start_ns is not None and not started:
                started = True
                self.host.start(self._start_ns + self.before.offset_ns)
            if time.monotonic() > deadline_s:
                raise HostLost("it did not end in time")

    def _keep(self, state: HostState, directory: Path) -> None:
        """Write the part files that came. Names are the host's own, and lead nowhere else."""
        for name, content in state["files"].items():
            if not _PART.fullmatch(name):
                raise NotEnoughData(
                    f"shard {self.shard} sent a file that is no part of a block: {name[:60]!r}",
                    hint="Look at what runs on that host; it should be Lucky Hit of this very version.",
                )
            with replacing(directory / name) as temporary:
                temporary.write_bytes(content)

    def _close(self) -> None:
        try:
            self.host.close()
        except Exception as error:  # nothing more can be done about it
            self.lost = self.lost or f"{type(error).__name__}: {error}"

"""Measure one block: reset the cache, fingerprint the arms, warm up, measure, fingerprint again.

Each block starts new processes, so that no arm is measured with only the memory layout of its first start, and the
judge can see how much starts differ (`luckyhit.judge.compare.process_starts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from luckyhit import change as changing
from luckyhit.caches.counters import CounterSampler
from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.errors import LimitExceeded
from luckyhit.load.block import BlockPlan, BlockReport, measure_block
from luckyhit.load.sharding.engine_pool import EnginePool, pool_for
from luckyhit.probe.undo_log import undo_log_path
from luckyhit.records import Arm, Guard, Stage
from luckyhit.records.manifest import NotedBlock
from luckyhit.records.parquet import write_part
from luckyhit.records.parts.block_numbers import next_block, next_stretch
from luckyhit.system import Stack
from luckyhit.system.control import authorities
from luckyhit.workflow.preflight import probe_databases
from luckyhit.workflow.step import RunningStep, stop_if_asked
from luckyhit.workflow.watching import watched_caches

if TYPE_CHECKING:
    from luckyhit.judge.rows_so_far import RowsSoFar

Progress = Callable[[str, float, float], None]
"""Called with the current activity, the seconds measured so far in the run, and the total."""
PROBED = "probe"
_DOING: dict[Stage, str] = {
    "baseline": "measuring the baseline",
    "change": "measuring the change",
    "after-rollback": "measuring once more, without the change",
}


def watched_limits(case: Case) -> dict[str, float]:
    """The limits that the load engine watches to protect the target's users. At a low rate a window has fewer requests
    than `limits.fewest`; then half of them are enough, so that the run can still be stopped."""
    limits, rate = case.target.ceilings.watched, case.workload.peak_rate
    if limits and rate is not None:
        limits["fewest"] = min(limits["fewest"], max(5.0, rate * limits["window_s"] // 2))
    return limits


class Measuring:
    """Measures the blocks of a step: `done_s` of `total_s` seconds so far, and the fingerprints of the arms."""

    def __init__(self, step: RunningStep, progress: Progress, total_s: float, done_s: float = 0.0) -> None:
        self.done_s, self.total_s = done_s, total_s
        self._step, self._run, self._case, self._progress = step, step.run, step.run.case, progress
        self.rows_so_far: RowsSoFar | None = None
        """What looks have read, from the first one on."""
        revisions = self._run.manifest.revisions
        self.looks = changing.FingerprintHistory(self._case, revisions=revisions, redactor=self._run.redactor)
        for arm, fingerprint in self._run.manifest.fingerprints.items():
            self.looks.record(arm, fingerprint, "in the baseline")
        self._ahead: EnginePool | None = None
        step.stacks.callback(self._end_ahead)

    def show(self, doing: str) -> None:
        self._progress(doing, self.done_s, self.total_s)

    def look(self, stacks: Mapping[Arm, Stack], when: str) -> dict[Arm, dict[str, str]]:
        """Fingerprint each arm, record it, and return the fingerprints."""
        return {arm: fingerprint for arm, (fingerprint, _) in self._look(stacks, when, keyspace=True).items()}

    def block(
        self,
        stacks: Mapping[Arm, Stack],
        stage: Stage,
        pair: int,
        seconds: float,
        *,
        control: bool = False,
        fresh: bool = False,
    ) -> Guard | None:
        """Reset, fingerprint, warm up, measure, fingerprint again; record the block in the manifest. `control`: without
        the freshness probe. `fresh`: the services were just started, and only their configuration was read. Returns the
        failed guard if the arms can't start alike; nothing was measured then. Raises LimitExceeded if the target's
        limits stopped it; what was measured so far is recorded."""
        run, case = self._run, self._case
        doing = _DOING[stage]
        self.show(f"{doing}: back to the declared cache state")
        stop_if_asked(run)
        # The engine starts meanwhile; it sends nothing before it has its plan.
        with self._engines() as pool:
            noted = run.manifest.blocks
            arms = in_turn(stacks, len(noted))
            reset = changing.reset_block(arms, case, self._step.journal, headers=self._step.headers, fresh=fresh)
            start = numbered(noted, reset["started"])
            if stage == "change" and (failed := self._start_unlike(stacks, reset)) is not None:
                return failed
            washed = self._warm_up(stacks, doing)
            number = next_block(block.block for block in run.manifest.blocks)
            self.show(doing)
            # The clear has just counted the keys out of scope.
            at_start = self._look(stacks, f"at the start of block {number}", keyspace=False)
            plan = self._plan(stacks, stage, pair, number, seconds)
            if control:
                # The same requests as the pair before: what differs between the two is due to the probe, or chance.
                plan = replace(plan, probed=False, seed=plan.seed - 1)
            report, unseen, stopped = self._watched(stacks, plan, doing, pool)
        if stage == "change" and stopped is None:
            self.engine_ahead()  # another block follows, at least that after the rollback
        at_end = {} if stopped else self._look(stacks, f"at the end of block {number}", keyspace=False)
        facts = {
            "pair": pair,
            "start": start,
            "unseen": unseen.sentences,
            "refused": unseen.refused,
            "differences": {arm: {**at_start[arm][1], **at_end.get(arm, ({}, {}))[1]} for arm in stacks},
            "washout": washed,
            "limits": {**plan.limits, "stopped": stopped.message if stopped else None} if plan.limits else {},
        }
        if control:
            facts["control"] = True
        run.add_block(number, stage, list(stacks), **facts, **reset, **report.as_facts())
        if stopped is not None:
            raise stopped
        self.done_s += case.plan.warmup + seconds
        return None

    def engine_ahead(self) -> None:
        """Start the engine of the next block now, so that its imports are done when the services are ready."""
        if self._ahead is None and self._case.workload.hosts == 1:
            self._ahead = pool_for(self._case.workload, self._run.path)

    def _engines(self) -> EnginePool:
        """The processes that were started ahead, or new ones."""
        pool, self._ahead = self._ahead, None
        return pool or pool_for(self._case.workload, self._run.path)

    def _end_ahead(self) -> None:
        """End what was started for a block that does not come."""
        if self._ahead is not None:
            with self._engines():
                pass

    def _start_unlike(self, stacks: Mapping[Arm, Stack], reset: Mapping[str, Any]) -> Guard | None:
        """The failed guard on the caches' initial state: side by side, each block counts, so none can differ."""
        if not design_of(self._case).arms_together:
            return None
        from luckyhit.judge.guards.block_guards import cache_state_guard  # imports the judge, which takes a second

        manifest = self._run.manifest
        number = next_block(block.block for block in manifest.blocks)
        begun = NotedBlock(block=number, arms=list(stacks), **reset)
        guard = cache_state_guard([*manifest.stage("change"), begun], self._case)
        return None if guard.ok else guard

    def _watched(
        self, stacks: Mapping[Arm, Stack], plan: BlockPlan, doing: str, pool: EnginePool
    ) -> tuple[BlockReport, Any, LimitExceeded | None]:
        """Measure one block while its caches and their counters are watched. Returns its report, what could not be seen
        of the caches, and the limit that stopped it, if any."""
        run, number = self._run, plan.block
        caches = {arm: stack.cache for arm, stack in stacks.items() if stack.cache is not None}
        stopped: LimitExceeded | None = None
        probing = self._intend_probe(stacks, number) if plan.probed else {}

        def show(done_s: float, _: float) -> None:
            self._progress(doing, self.done_s + done_s, self.total_s)

        with (
            watched_caches(run, stacks, number, self._step.journal) as unseen,
            CounterSampler(caches, origin_ns=run.manifest.origin_ns) as counters,
        ):
            try:
                report = measure_block(run, plan, on_progress=show, pool=pool)
            except LimitExceeded as error:
                stopped, report = error, error.report
        self._close_probe(probing, report)
        write_part(run.path / "counters", f"block-{number:03d}", counters.table())
        if stopped is None:
            for stack in stacks.values():
                stack.check()  # a service that exited while it was measured is not a slow one
        return report, unseen, stopped

    def _warm_up(self, stacks: Mapping[Arm, Stack], doing: str) -> dict[str, Any]:
        """Warm up before the block by the rule that applies; {} if none does."""
        from luckyhit.workflow import warmups  # imports the judge, which takes a second

        (stack, *_) = stacks.values()
        coming = warmups.ComingBlock(self._case, owned=stack.owned, changeable=stack.changeable)

        def stretch(seconds: float) -> int:
            noted = self._run.manifest.blocks
            number = next_stretch(block.block for block in noted)
            self.show(f"{doing}: washing out")
            stop_if_asked(self._run)
            plan = self._plan(stacks, "wash-out", len(noted), number, 0.0)
            plan = replace(plan, warmup_s=seconds, selfcheck=False, originals={}, start_values={}, databases={})
            try:
                report = measure_block(self._run, plan)
            except LimitExceeded as error:
                facts = {"limits": {**plan.limits, "stopped": error.message}} if plan.limits else {}
                self._run.add_block(number, "wash-out", list(stacks), **facts, **error.report.as_facts())
                raise
            self._run.add_block(number, "wash-out", list(stacks), **report.as_facts())
            return number

        return warmups.warm_up(self._run, coming, stretch)

    def _intend_probe(self, stacks: Mapping[Arm, Stack], number: int) -> dict[Arm, int]:
        """Journal that the probe will write to a running service, so that `luckyhit revert` can restore its keys."""
        if self._case.freshness is None:
            return {}
        return {
            arm: self._step.journal.intend(
                PROBED,
                {"block": number, "arm": arm, "target": changing.target_identities(self._case, stack.environ)},
                {"kind": PROBED, "ledger": undo_log_path(number, arm)},
            )
            for arm, stack in stacks.items()
            if not stack.owned
        }

    def _close_probe(self, steps: Mapping[Arm, int], report: BlockReport) -> None:
        left, back = (report.probe.get(name, {}) for name in ("not_put_back", "put_back"))
        for arm, step in steps.items():
            if left.get(arm) == 0:
                how = f"{back.get(arm)} keys put back by the probe itself"
                self._step.journal.undo(step, {"outcome": "put-back-by-the-probe", "how": how})

    def _look(
        self, stacks: Mapping[Arm, Stack], when: str, *, keyspace: bool
    ) -> dict[Arm, tuple[dict[str, str], dict[str, tuple[str, str]]]]:
        """By arm: its fingerprint, and what differs from its first fingerprint."""
        looks = changing.take_fingerprints(stacks, self._case, keyspace=keyspace)
        return {arm: (fingerprint, self.looks.record(arm, fingerprint, when)) for arm, fingerprint in looks.items()}

    def _plan(self, stacks: Mapping[Arm, Stack], stage: Stage, pair: int, number: int, seconds: float) -> BlockPlan:
        case, step = self._case, self._step
        return BlockPlan(
            block=number,
            stage=stage,
            targets={arm: stack.base_url for arm, stack in stacks.items()},
            warmup_s=case.plan.warmup,
            measure_s=seconds,
            seed=case.workload.seed + pair,
            headers=step.headers,
            ca_file=authorities(case.target, next(iter(stacks.values())).project),
            # Once per step is enough: the engine's own latency does not change from block to block.
            selfcheck=len(self._run.blocks(stage)) == 0 and stage != "after-rollback",
            limits=watched_limits(case),
            originals={arm: step.originals.get(stack.name, {}) for arm, stack in stacks.items()},
            start_values={arm: stack.start_values for arm, stack in stacks.items()} if case.freshness else {},
            databases=probe_databases(case),
            logs={arm: stack.log_of_signals for arm, stack in stacks.items() if stack.log_of_signals is not None},
        )


def in_turn(stacks: Mapping[Arm, Stack], block: int) -> dict[Arm, Stack]:
    """The arms in the order in which they are started for a block: alternating."""
    arms = list(stacks)
    return {arm: stacks[arm] for arm in (arms if block % 2 == 0 else reversed(arms))}


def numbered(blocks: Sequence[NotedBlock], started: Mapping[Arm, int | None]) -> dict[Arm, int]:
    """By arm, the number of the service's process in a block, counted from 1. `blocks`: the manifest's so far;
    `started`: the pids of the block's processes that the run started."""
    numbers: dict[Arm, int] = {}
    for arm, process in started.items():
        if process is None:
            continue
        earlier = next((block for block in reversed(blocks) if arm in block.start), None)
        if earlier is None:
            numbers[arm] = 1
            continue
        is_new = earlier.started.get(arm) != process
        numbers[arm] = earlier.start[arm] + is_new
    return numbers


__all__ = [
    "in_turn",
    "numbered",
]

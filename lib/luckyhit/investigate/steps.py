"""The steps of one investigation: measure the baseline, make the one change, roll it back.

Each step takes what it needs from the run directory and leaves what it learned there, so that the three notebooks
hand over through that directory only. A step that fails, or is interrupted, stops what it started, rolls back
what it changed, notes why in the manifest, and raises.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from luckyhit import change as changing
from luckyhit.case import Case
from luckyhit.errors import GuardError, LuckyHitError, NotEnoughData, RollbackNotConfirmed
from luckyhit.investigate.preflight import expected_response, originals_of, probe_databases, secret_headers
from luckyhit.investigate.watching import watched_caches
from luckyhit.measure import BlockPlan, measure_block
from luckyhit.measure.block import inputs_of
from luckyhit.project import Project
from luckyhit.records import Arm, Guard, Rollback, Stage
from luckyhit.run import Run, write_part
from luckyhit.target import CounterSampler, Stack
from luckyhit.target.control import authorities

Progress = Callable[[str, float, float], None]
"""Called with what is being done, the seconds measured so far in the run, and the seconds there will be."""

SAFE = ("GET", "HEAD")
STOP = "stop"
"""Name of a file in the run directory that asks the run to stop."""


def arms_per_block(case: Case) -> list[tuple[Arm, ...]]:
    """The arms of each block of the change, in order.

    side-by-side: both at once. crossover: pairs in ABBA order, which member comes first drawn from the workload's
    seed; the mirrored order cancels a linear drift. before-after: all of one, then all of the other.
    """
    blocks = case.plan.blocks
    before: tuple[Arm, ...] = ("before",)
    after: tuple[Arm, ...] = ("after",)
    if case.design == "side-by-side":
        return [before + after] * blocks
    if case.design == "before-after":
        return [before] * blocks + [after] * blocks
    order: list[tuple[Arm, ...]] = []
    rng = random.Random(case.workload.seed)
    for index in range(blocks):
        if index % 2 == 0:
            pair = [before, after]
            rng.shuffle(pair)
        else:
            pair = order[-2:][::-1]
        order += pair
    return order


def measured_seconds(case: Case) -> float:
    """Seconds of load in the whole run, warm-ups included."""
    plan = case.plan
    blocks = len(arms_per_block(case))
    return plan.warmup + plan.baseline + blocks * (plan.warmup + plan.block) + plan.warmup + plan.after_rollback


def measure_baseline(run: Run, project: Project, progress: Progress) -> None:
    """What the system does now, from the cache state that the case declares."""
    case = run.case
    if run.blocks("baseline"):
        raise NotEnoughData(
            f"run {run.id} has its baseline already",
            hint="Go on with 2-change, or start a new run (run the first cell again): a run is one execution.",
        )
    if case.target.start is None and (case.freshness or any(r.method not in SAFE for r in case.workload.routes)):
        raise GuardError(
            "the case writes (a freshness probe, or a route other than GET, HEAD) to a service that is observed only",
            hint="Leave freshness and such routes out, or let the case start the service itself (target.start).",
        )
    with _step(run, case) as step:
        progress("starting the service", 0, measured_seconds(case))
        stack = _start(step, project, {"before": "before"})["before"]
        guards = [
            Guard(name="inputs validated", ok=True, detail="The case file was read strictly: no problem found."),
            changing.check_permissions(case, stack.cache, [run.path, project.reports]),
            expected_response(case, stack, step.headers, inputs_of(run)),
        ]
        _note_guards(run, guards)
        _stop_at_failed(guards)
        _survey(step, [stack])
        done = _measure(step, {"before": stack}, "baseline", 0, 0, case.plan.baseline, progress, 0.0)
        run.update(measured_s=done, versions={**run.manifest["versions"], **_cache_version(stack)})


def measure_change(run: Run, project: Project, progress: Progress) -> None:
    """The one change, measured against the service without it, then rolled back and measured once more."""
    case = run.case
    if not run.blocks("baseline"):
        raise NotEnoughData(
            f"run {run.id} has no baseline yet", hint="Run 1-baseline first, with the same run directory."
        )
    if run.blocks("change"):
        raise NotEnoughData(
            f"run {run.id} holds a measured change already", hint="Start a new run: a run is one execution."
        )
    if case.target.start is None:
        _observed_only(run)
        return
    with _step(run, case) as step:
        done = float(run.manifest.get("measured_s", 0.0))
        progress("starting the service in both arms", done, measured_seconds(case))
        names: dict[Arm, str] = {"before": "before"}
        if case.design == "side-by-side":
            names["after"] = "after"
        started = _start(step, project, names)
        changed = started.get("after", started["before"])
        unchanged = changing.fingerprint(changed, case)
        if case.design == "side-by-side":
            # Before anything is changed, the two stacks have to be the same in everything that can be seen.
            alike = changing.same_guard(changing.fingerprint(started["before"], case), unchanged)
            _note_guards(run, [alike.model_copy(update={"name": "stacks alike before the change"})])
            _stop_at_failed([alike])

        _survey(step, list(started.values()))
        run.update(changed=True)
        changing.apply(changed, case.change, step.journal)
        difference = changing.difference_guard(case, unchanged, changing.fingerprint(changed, case))
        _note_guards(run, [difference])
        for number, arms in enumerate(arms_per_block(case)):
            in_block = {arm: started.get(arm, started["before"]) for arm in arms}
            # Both members of a crossover pair replay the same requests.
            pair = 1 + (number if case.design == "side-by-side" else number // 2)
            if case.design == "before-after":
                pair = 1 + number % case.plan.blocks
            block = len(run.manifest["blocks"])
            done = _measure(step, in_block, "change", block, pair, case.plan.block, progress, done)

        progress("rolling back", done, measured_seconds(case))
        changing.roll_back(changed, case.change, step.journal)
        again = changing.same_guard(unchanged, changing.fingerprint(changed, case))
        run.update(rollback=_rollback(run, again).model_dump(), changed=False)
        if not again.ok:
            raise RollbackNotConfirmed(f"after the rollback: {again.detail}", hint=case.rollback.note)
        block = len(run.manifest["blocks"])
        seconds = case.plan.after_rollback
        done = _measure(step, {"before": changed}, "after-rollback", block, 1, seconds, progress, done)
        run.update(measured_s=done, state="measured")


@dataclass
class _Step:
    """What one step has in hand. `originals`: by stack, what the probe's cold keys held before the probe."""

    run: Run
    journal: changing.Journal
    stacks: ExitStack
    headers: Mapping[str, str]
    originals: dict[str, dict[str, int]] = field(default_factory=dict)


@contextmanager
def _step(run: Run, case: Case) -> Iterator[_Step]:
    """Hold the target's lock and a journal; stop every stack at the end; note a failure in the manifest."""
    _stop_if_asked(run)
    run.update(state="measuring", failure=None)  # a step that failed, tried again by hand, has not failed yet
    journal = changing.Journal(run.path / "journal.jsonl")
    try:
        with _terminable(), ExitStack() as stacks:
            stacks.callback(_keep_logs, run)
            stacks.enter_context(changing.target_lock(case, run.path.parents[1], run=run.id))
            yield _Step(run, journal, stacks, secret_headers(case))
        changing.settle(journal)
    except BaseException as error:
        _note_failure(run, error)
        raise


def _stop_if_asked(run: Run) -> None:
    """Ctrl-C that came while the kernel was between two cells, where a signal finds nothing to interrupt."""
    if (run.path / STOP).exists():
        raise KeyboardInterrupt


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C does, so that a scheduler's stop rolls back as well."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: whoever owns the signals has to do it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _note_failure(run: Run, error: BaseException) -> None:
    """What the command line and the report need to know about a step that did not end well.

    A service stopped with its change is a rolled-back one: nothing of it is left (the stacks are the run's own).
    """
    changed = bool(run.manifest.get("changed")) or bool(run.blocks("change"))
    if isinstance(error, LuckyHitError):
        # Exit code 3 promises that nothing was changed.
        code = 4 if changed and isinstance(error, GuardError) else error.exit_code
        failure = {
            "error": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": code,
        }
        failure["log"] = list(getattr(error, "log", ()))
    elif isinstance(error, KeyboardInterrupt):
        failure = {
            "error": "Interrupted",
            "message": "interrupted",
            "hint": "Start it again.",
            "exit_code": 130,
        }
    else:
        failure = {
            "error": type(error).__name__,
            "message": f"{type(error).__name__}: {error}",
            "hint": "This is a defect in Lucky Hit; the executed notebook has the traceback.",
            "exit_code": 1,
        }
    run.update(state="failed", failure=failure)
    # The stacks are stopped by now; this closes what the journal has open, and puts cleared keys of a cache that
    # isn't the run's own back.
    try:
        rollback = changing.revert_run(run)
    except LuckyHitError as failed:
        rollback = Rollback(confirmed=False, detail=f"{failed.message} {failed.hint}")
        if isinstance(failed, RollbackNotConfirmed):
            run.update(failure={**failure, "exit_code": failed.exit_code, "hint": failed.hint})
    if isinstance(error, RollbackNotConfirmed):
        return  # what was found then is the evidence; that nothing is open in the journal doesn't undo it
    run.update(rollback=rollback.model_dump(), changed=not rollback.confirmed)


def _start(step: _Step, project: Project, names: Mapping[Arm, str]) -> dict[Arm, Stack]:
    """Start one stack for each arm, all without the change; they stop when the step ends."""
    run, case = step.run, step.run.case
    made: dict[Arm, Stack] = {}
    for arm, name in names.items():
        workdir = run.path / "work" / name
        workdir.mkdir(parents=True, exist_ok=True)
        made[arm] = Stack(
            case, name, workdir, project=project.root, settings=changing.settings_of(case.change, "before")
        )
        step.stacks.callback(made[arm].stop)
    changing.start_stacks(list(made.values()), step.journal)
    return made


def _survey(step: _Step, stacks: Sequence[Stack]) -> None:
    """What the probe's cold keys hold, before the probe ever wrote them: later, a cache may show what it wrote."""
    case = step.run.case
    longest_s = max(case.plan.baseline, case.plan.block, case.plan.after_rollback)
    for stack in stacks:
        step.originals[stack.name] = originals_of(case, stack, step.headers, longest_s)


def _measure(
    step: _Step,
    stacks: Mapping[Arm, Stack],
    stage: Stage,
    block: int,
    pair: int,
    seconds: float,
    progress: Progress,
    done: float,
) -> float:
    """Reset, warm up and measure one block; note it in the manifest. Returns the seconds measured in all."""
    run, case = step.run, step.run.case
    total = measured_seconds(case)
    what = {"baseline": "measuring the baseline", "change": "measuring the change"}.get(
        stage, "measuring once more, without the change"
    )
    progress(f"{what}: back to the declared cache state", done, total)
    _stop_if_asked(run)
    reset = changing.reset_block(stacks, case, step.journal)
    plan = BlockPlan(
        block=block,
        stage=stage,
        targets={arm: stack.base_url for arm, stack in stacks.items()},
        warmup_s=case.plan.warmup,
        measure_s=seconds,
        seed=case.workload.seed + pair,
        headers=step.headers,
        ca_file=authorities(case.target, next(iter(stacks.values())).project),
        # Once in each step is enough: what the engine adds does not change from block to block.
        selfcheck=len(run.blocks(stage)) == 0 and stage != "after-rollback",
        originals={arm: step.originals.get(stack.name, {}) for arm, stack in stacks.items()},
        start_values={arm: stack.start_values for arm, stack in stacks.items()} if case.freshness else {},
        databases=probe_databases(case),
    )
    caches = {arm: stack.cache for arm, stack in stacks.items() if stack.cache is not None}
    with (
        watched_caches(run, stacks, block, step.journal) as unseen,
        CounterSampler(caches, origin_ns=run.manifest["origin_ns"]) as counters,
    ):
        report = measure_block(run, plan, on_progress=lambda block_done, _: progress(what, done + block_done, total))
    write_part(run.path / "counters", f"block-{block:03d}", counters.table())
    for stack in stacks.values():
        stack.check()  # a service that ended while it was measured is no slow service
    run.add_block(block, stage, list(stacks), pair=pair, unseen=unseen, **reset, **report.as_facts())
    return done + case.plan.warmup + seconds


def _observed_only(run: Run) -> None:
    """A service that we don't start is observed, never changed."""
    detail = "Nothing was changed: a service given by its URL is observed only."
    run.update(state="measured", rollback=Rollback(confirmed=True, detail=detail).model_dump())


def _rollback(run: Run, again: Guard) -> Rollback:
    return Rollback(confirmed=again.ok, detail=again.detail)


def _note_guards(run: Run, guards: list[Guard]) -> None:
    run.update(guards=[*run.manifest.get("guards", []), *(guard.model_dump() for guard in guards)])


def _stop_at_failed(guards: list[Guard]) -> None:
    for guard in guards:
        if not guard.ok:
            raise GuardError(f"{guard.name}: {guard.detail}", hint=guard.remedy)


def _cache_version(stack: Stack) -> dict[str, Any]:
    if stack.cache is None:
        return {}
    with stack.cache.client() as client:
        info = client.info("server")
    kind = "valkey" if "valkey_version" in info else "redis"
    return {kind: str(info.get(f"{kind}_version"))}


def _keep_logs(run: Run) -> None:
    """Keep the services' logs, and nothing else of their working directories."""
    work = run.path / "work"
    for log in work.glob("*/*.log"):
        kept = run.path / "logs" / f"{log.parent.name}-{log.name}"
        kept.parent.mkdir(exist_ok=True)
        with log.open("rb") as source, kept.open("ab") as target:
            shutil.copyfileobj(source, target)
    shutil.rmtree(work, ignore_errors=True)

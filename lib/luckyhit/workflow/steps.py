"""The steps of a run: measure the baseline, make the one change and measure it, roll it back.

Each step reads from the run directory and writes to it; the three notebooks share nothing else. A step that fails or is
interrupted stops what it started, rolls back what it changed, records why in the manifest, and raises.

What later cells need is imported while a service starts, when this process waits: later, imports would delay a figure,
or take a core from the service and the load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from luckyhit import change as changing
from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.designs import design_of, pair_numbers
from luckyhit.errors import GuardError, NotEnoughData, RollbackNotConfirmed
from luckyhit.load.block import inputs_of
from luckyhit.project import Project
from luckyhit.records import Arm, Guard, Rollback
from luckyhit.system import Stack
from luckyhit.text.messages import guard_title
from luckyhit.workflow.late_imports import imported_meanwhile
from luckyhit.workflow.measuring import Measuring, Progress, in_turn
from luckyhit.workflow.preflight import any_hit, expected_response, originals_of
from luckyhit.workflow.probe_controls import probe_share, with_controls
from luckyhit.workflow.step import RunningStep, Sources, how_to_allow, may_change, observes, start_stacks, step_of
from luckyhit.workflow.stored_keys import Stored
from luckyhit.workflow.tracing import trace_service
from luckyhit.workflow.watching import learn_cache_keys, learns_cache_keys


def planned_seconds(run: CaseRun) -> float:
    """Seconds of load that this run will send, warm-ups included; only the baseline's if it observes."""
    plan = run.case.plan
    return plan.warmup + plan.baseline if observes(run) else design_of(run.case).load_s(plan)


def longest_seconds(case: Case) -> float:
    """Seconds of load with every wash-out at its longest, and the last request of each block timing out."""
    design, plan = design_of(case), case.plan
    blocks = design.planned_blocks(plan.blocks) + 2  # the baseline, and the block after the rollback
    load_s = max(design.load_s(plan), plan.ceiling if plan.auto else 0.0)
    return load_s + blocks * (design.washout_s(plan) + case.workload.timeout)


def measure_baseline(run: CaseRun, project: Project, progress: Progress, sources: Sources | None = None) -> None:
    """Measure what the system does now, from the declared cache state. `sources`: of a change of revisions, where each
    arm is checked out already; None: the step makes its worktrees."""
    case = run.case
    if run.blocks("baseline"):
        raise NotEnoughData(
            f"run {run.id} already has a baseline",
            hint="Continue with 2-change, or start a new run (run the first cell again).",
        )
    with step_of(run, project, sources) as step:
        measuring = Measuring(step, progress, planned_seconds(run))
        if case.target.start is not None and case.target.start.trace:
            measuring.show("tracing what the service asks of database and cache")
            trace_service(step)
        measuring.show("starting the service")
        with imported_meanwhile():
            stack = start_stacks(step, {"before": "before"})["before"]
        stored = Stored.looking(case, stack, clears=stack.changeable)
        as_expected, preflight = expected_response(case, stack, step.headers, inputs_of(run))
        run.update(preflight=preflight)
        guards = [
            Guard(id="inputs-validated", ok=True, detail="The case file is valid."),
            changing.summary(
                changing.check_permissions(
                    case, stack, [run.path, project.reports], stack.environ, changeable=stack.changeable
                )
            ),
            as_expected,
        ]
        covered = None
        if stored is not None:
            covered, _ = stored.after_reads(lambda: any_hit(case, stack, step.headers, inputs_of(run)))
        guards += [covered] if covered is not None else []
        _note_guards(run, guards)
        _stop_at_failed(guards)
        _survey(step, [stack])
        changing.prepare(stack)
        measuring.block({"before": stack}, "baseline", 0, case.plan.baseline)
        if stored is not None and covered is None and (covered := stored.after_load()) is not None:
            _note_guards(run, [covered])
            _stop_at_failed([covered])
        run.update(
            measured_s=measuring.done_s,
            fingerprints=measuring.looks.facts(),
            versions={**run.manifest.versions, **_cache_version(stack)},
        )
        if observes(run):
            _observed_only(run)
        else:
            measuring.show("working out what the plan can decide")
            planning = _planning()
            for text in planning.lines_of(planning.plan_again(run)):
                run.progress(text, stays=True)


def _planning() -> ModuleType:
    """Imports the judge, which is loaded by the time that this is called."""
    from luckyhit.workflow import planning

    return planning


def measure_change(run: CaseRun, project: Project, progress: Progress, sources: Sources | None = None) -> None:
    """Measure the change against the service without it, roll back, and measure once more. `sources`: as for the
    baseline."""
    case = run.case
    if not run.blocks("baseline"):
        raise NotEnoughData(f"run {run.id} has no baseline yet", hint="Run 1-baseline first, on the same run.")
    if run.blocks("change"):
        raise NotEnoughData(
            f"run {run.id} already has a measured change",
            hint="Start a new run with 1-baseline, then run this notebook from its first cell.",
        )
    if not may_change(run):
        _observed_only(run)
        return
    with step_of(run, project, sources) as step:
        design, share = design_of(case), probe_share(run.manifest.blocks)
        pairs, controls = with_controls(case.plan.blocks, share, on_top=design.controls_on_top)
        done_s = run.manifest.measured_s
        measuring = Measuring(step, progress, design.load_s(case.plan, pairs), done_s)
        measuring.show("starting the service in both arms")
        names: dict[Arm, str] = {"before": "before"}
        if design.isolated:
            names["after"] = "after"
        with imported_meanwhile():
            started = start_stacks(step, names)
        measuring.engine_ahead()
        planning = _planning()
        changed = started.get("after", started["before"])
        for stack in started.values():
            changing.prepare(stack)
        as_started = changing.take_fingerprints(started, case)
        unchanged = as_started.get("after", as_started["before"])
        measuring.looks.record("before", unchanged, "before the change")
        if design.isolated:
            # Before the change, the two stacks have to be equal in everything that can be seen.
            alike = changing.same_guard(as_started["before"], unchanged)
            _note_guards(run, [alike.model_copy(update={"id": "stacks-alike-before-the-change"})])
            _stop_at_failed([alike])

        _survey(step, list(started.values()))
        run.update(changed=True)
        arms_of_blocks = design.order(pairs, case.workload.seed)
        first = {arm: started.get(arm, started["before"]) for arm in arms_of_blocks[0]}
        changed_by_start = starts_first_block(first, changed)
        if changed_by_start:
            changing.set_sides(in_turn(first, len(run.manifest.blocks)), step.journal)
        else:
            changing.apply(changed, step.journal)
            learn_cache_keys(run, changed, step.journal, step.headers)  # the change may be one of its keys
        measuring.look({"after": changed}, "after the change")
        run.update(fingerprints=measuring.looks.facts())
        failed: Guard | None = None
        for number, arms in enumerate(arms_of_blocks):
            # What is measured after it failed has no known cause.
            failed = _if_failed(measuring.looks.guard())
            if failed is not None:
                break
            in_block = {arm: started.get(arm, started["before"]) for arm in arms}
            pair = pair_numbers(arms_of_blocks[: number + 1])[-1]
            fresh = changed_by_start and number == 0
            failed = measuring.block(in_block, "change", pair, case.plan.block, control=pair in controls, fresh=fresh)
            # Not before the control, which shows whether the probe causes what it finds.
            judged = pair >= min(controls, default=0)
            if failed is not None or (judged and planning.seen_enough(run, measuring, len(arms_of_blocks))):
                break
            if number + 1 == len(arms_of_blocks) and (more := planning.blocks_to_add(run, measuring)):
                # `for` continues with blocks added to its list.
                arms_of_blocks += arms_of_blocks[-1:] * more
                measuring.total_s += more * (case.plan.warmup + case.plan.block)

        declared = measuring.looks.guard()
        _note_guards(run, [declared, *([failed] if failed is not None and failed.id != declared.id else [])])
        # It may have ended early: what is left is the block after the rollback.
        measuring.total_s = measuring.done_s + case.plan.warmup + case.plan.after_rollback
        measuring.show("rolling back")
        rollback = changing.roll_back(changed, step.journal)
        _confirm(run, rollback, unchanged, changing.take_fingerprints({"before": changed}, case)["before"])
        if failed is not None:
            _stop_at_failed([failed])
        # The rollback has started the service, which answered nothing since then but what it is.
        fresh = case.change.needs_start and not case.change.nothing
        measuring.block({"before": changed}, "after-rollback", 1, case.plan.after_rollback, fresh=fresh)
        run.update(measured_s=measuring.done_s, state="measured")


def starts_first_block(first: Mapping[Arm, Stack], changed: Stack) -> bool:
    """Whether the change is made by the start of the first block: then nothing is asked between the two but what the
    arms are. `first`: the stacks of that block."""
    if first.get("after") is not changed or learns_cache_keys(changed.case, changed):
        return False
    return all(stack.owned and stack.changeable for stack in first.values())


def _confirm(run: CaseRun, rollback: Rollback, unchanged: changing.Fingerprint, now: changing.Fingerprint) -> None:
    """Record whether everything that can be seen is as before. Raises RollbackNotConfirmed if the change is not
    undone."""
    again = changing.same_guard(unchanged, now)
    entry = run.case.change.entry
    undone = again.ok or (entry is not None and unchanged.get(entry) == now.get(entry))
    run.update(rollback=Rollback(confirmed=undone, detail=f"{rollback.detail} {again.detail}"), changed=not undone)
    _note_guards(run, [again.model_copy(update={"id": "as-it-was-after-the-rollback"})])
    if not undone:
        raise RollbackNotConfirmed(f"after the rollback: {again.detail}", hint=run.case.rollback.note)


def _survey(step: RunningStep, stacks: Sequence[Stack]) -> None:
    """Read the values of the probe's cold keys before the probe writes them: later, a cache may have what it wrote. A
    cache that outlives a step may have that from earlier, and is cleared first."""
    case = step.run.case
    longest_s = max(case.plan.baseline, case.plan.block, case.plan.after_rollback)
    for stack in stacks if case.freshness is not None else ():
        cache = stack.cache
        if stack.changeable and (cache is None or not cache.owned):
            changing.clear_declared({"before": stack}, case, step.journal, headers=step.headers)
        learn_cache_keys(step.run, stack, step.journal, step.headers)
        step.originals[stack.name] = originals_of(case, stack, step.headers, longest_s)


def _observed_only(run: CaseRun) -> None:
    """Record that nothing was changed, since the run only observes, or may not change its target."""
    why = how_to_allow(run.case)
    detail = "Nothing was changed: the service at target.url was only observed." + (f" {why}" if why else "")
    if observes(run):
        detail = "Nothing was changed: the run only observed."
    run.update(state="measured", rollback=Rollback(confirmed=True, detail=detail))


def _note_guards(run: CaseRun, guards: list[Guard]) -> None:
    run.update(guards=[*run.manifest.guards, *guards])


def _if_failed(guard: Guard) -> Guard | None:
    return None if guard.ok else guard


def _stop_at_failed(guards: list[Guard]) -> None:
    for guard in guards:
        if not guard.ok:
            raise GuardError(f"{guard_title(guard.id)}: {guard.detail}", hint=guard.remedy)


def _cache_version(stack: Stack) -> dict[str, Any]:
    return stack.cache.version() if stack.cache is not None else {}

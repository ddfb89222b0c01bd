"""Looks at a run while it is measured: whether it has seen enough, and how many blocks more would decide what is open.

It takes the judge along: import it late.
"""

from __future__ import annotations

from luckyhit.case_run import CaseRun
from luckyhit.designs import design_of
from luckyhit.judge import early_stopping, judge
from luckyhit.judge.compare import process_starts
from luckyhit.records import Result
from luckyhit.records.manifest import InterimLook
from luckyhit.workflow.measuring import Measuring


def seen_enough(run: CaseRun, measuring: Measuring, planned: int | None = None) -> bool:
    """Look at what there is, where the case may stop early. Each look is noted: how often one looked is a part of how
    far the intervals reach. `planned`: blocks in all, controls among them (else those that the case declares)."""
    case, design, blocks = run.case, design_of(run.case), run.manifest.stage("change")
    last = design.planned_blocks(case.plan.blocks) if planned is None else planned
    if not case.stops_early or not design.ends_pair(len(blocks)) or len(blocks) == last:
        return False
    measuring.show("looking at what there is")
    result = judge(run, guards=[measuring.looks.guard()], interim=True)
    stop = early_stopping.may_stop(result, case) and process_starts.enough_starts(blocks, case)
    _note_look(run, result, len(blocks), stopped=stop)
    return stop


def blocks_to_add(run: CaseRun, measuring: Measuring) -> int:
    """After the last planned block: how many more decide what is open, where they are few enough. The look is noted.
    0 where the design allows none, and where blocks were added already."""
    case = run.case
    if not design_of(case).may_add_blocks or not case.stops_early or case.plan.auto or added_blocks(run):
        return 0
    measuring.show("looking at what there is")
    result = judge(run, guards=[measuring.looks.guard()], interim=True)
    more = early_stopping.blocks_to_add(result, case)
    _note_look(run, result, len(run.blocks("change")), stopped=False, added=more)
    return more


def _note_look(run: CaseRun, result: Result, blocks: int, *, stopped: bool, added: int = 0) -> None:
    look = InterimLook(blocks=blocks, verdict=result.verdict, reason=result.reason, stopped=stopped, added=added)
    run.update(looks=[*run.manifest.looks, look])


def added_blocks(run: CaseRun) -> int:
    """Blocks measured beyond the plan, since few were missing."""
    return sum(look.added for look in run.manifest.looks)

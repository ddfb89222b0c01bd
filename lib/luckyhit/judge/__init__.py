"""The judge: from a run's records to its verdict.

    rows, columns    the records as arrays, and how files and frames become them
    layout, groups   the order they are kept in, and sums over neighbours
    samples, pairs   cut into units (batches of slots, or blocks); the requests that both arms have
    intervals    the difference of two arms with its interval: means, shares, quantiles
    boundary     how far intervals reach for one look; sequential: for any number; early: which of them a run needs
    proportions  counts out of totals, exactly
    histories, freshness, windows, sessions   what the probe's reads mean, for how long, and for whom
    background   stale reads in the workload itself
    story        what the cache did around the probe's writes
    freshness_facts   all that the probe found in one arm
    effects      each metric in both arms
    guards, freshness_guards, preparation   what would overturn the verdict
    blockwise, carryover, stationary   where arms took turns: blocks as units, what one leaves for the next
    routes       where an effect comes from: the same metrics, route by route
    changepoints, drift, events   what happened inside an arm while it was measured
    order        whether it matters which arm was sent first
    verdict      the rules, and the sentence that says why
    naive, noise, decompose, rollback, notes   what stands beside the verdict
    record, worked, together   what was recorded by stage; all that takes time, on two cores
    decision     all of it, on frames; loose: on a directory that is no run
    earlier      a baseline alone, beside those of earlier runs

No socket, no clock: the same files give the same verdict next year. `judge` reads a run directory, `decide` is the
pure function under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from luckyhit.errors import RunUnreadable
from luckyhit.judge.background import TOLD_BY
from luckyhit.judge.boundary import FixedSample
from luckyhit.judge.decision import decide
from luckyhit.judge.samples import JUDGED, rows_of, rows_of_parts
from luckyhit.judge.sequential import Sequential
from luckyhit.judge.verdict import READABLE, RULES
from luckyhit.records import READS, REQUESTS, WRITES, Guard, Result, Rollback
from luckyhit.run import Run, Table

__all__ = ["RULES", "FixedSample", "Sequential", "decide", "judge"]


def judge(run: Run, *, guards: Sequence[Guard] = ()) -> Result:
    """Judge what a run recorded; writes nothing. A damaged part file makes the run INVALID, and says which.

    `guards`: what is known beside those that the run noted, while it still goes on.

    Raises RunUnreadable where not even the manifest can be read, and CaseError where the case can't.
    """
    manifest = run.manifest
    noted = [*_guards(manifest), *guards]
    notes = []
    rows, answers = rows_of(REQUESTS.empty_table().to_pandas()), None
    frames = {"reads": READS.empty_table().to_pandas(), "writes": WRITES.empty_table().to_pandas()}
    names: tuple[Table, ...] = ("requests", "reads", "writes")
    for name in names:
        try:
            if name != "requests":
                frames[name] = run.table(name)
                continue
            rows = rows_of_parts(run.parts(name, JUDGED), run.length(name))
            if any(route.version is not None for route in run.case.workload.routes):
                answers = run.table(name, TOLD_BY)
        except RunUnreadable as error:
            noted.insert(0, Guard(name=READABLE, ok=False, detail=error.message, remedy=error.hint))
    failure, ended = manifest.get("failure"), ""
    if isinstance(failure, Mapping):
        ended = str(failure.get("message") or "no reason was noted")
        notes.append(f"The run ended early: {ended.rstrip('.')}.")
    blocks = manifest.get("blocks")
    return decide(
        rows,
        frames["reads"],
        frames["writes"],
        run.case,
        blocks if isinstance(blocks, list) else [],
        noted,
        _rollback(manifest),
        name=run.name,
        run=run.id,
        date=run.date,
        notes=notes,
        ended=ended,
        answers=answers,
    )


def _guards(manifest: Mapping[str, Any]) -> list[Guard]:
    noted = manifest.get("guards")
    guards = []
    for entry in noted if isinstance(noted, list) else []:
        try:
            guards.append(Guard.model_validate(entry))
        except ValidationError:
            guards.append(
                Guard(name="guards readable", ok=False, detail=f"{entry!r} is no guard", remedy="Measure again.")
            )
    return guards


def _rollback(manifest: Mapping[str, Any]) -> Rollback | None:
    try:
        return Rollback.model_validate(manifest["rollback"])
    except (KeyError, ValidationError):
        return None

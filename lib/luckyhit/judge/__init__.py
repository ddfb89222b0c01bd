"""The judge: from a run's records to its verdict.

    table        the records as arrays, by the stages of a run
    compare      one arm against the other: each metric with its interval
    freshness    what the probe's reads mean, for how long, and for whom; cache_events: what the cache did around them
    stale        what a stale read is, of the probe and of the workload, and how many there were
    belief       whether status and count of calls can be believed
    guards       what would overturn the verdict, one row each
    stats        intervals, exact counts, forecasts: on numbers, whatever they measure
    early_stopping   which looks a run needs
    analysis     the part that takes time, on two cores
    verdict      the rules; reason: the sentence that says why
    context      what stands beside the verdict: naive figures, routes, shifts inside an arm, earlier runs
    evidence, findings   what the run shows beside its metrics, a file for each kind
    power        what a plan can decide, before it is measured, and the numbers of a sized one
    decision     the result, from frames; records_only: from a directory that is no run
    facade       what a report may ask beyond the result

No socket, no clock: the same files give the same verdict next year. `judge` reads a run directory; `decide` is the pure
function under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pandas as pd

from luckyhit.case_run import CaseRun
from luckyhit.errors import RunUnreadable
from luckyhit.judge.decision import ExtraRecords, RunHeader, decide
from luckyhit.judge.evidence import evidence_of
from luckyhit.judge.findings import findings
from luckyhit.judge.guards.guard_rows import GUARDS, ON_FILES, RunFiles, check_guards
from luckyhit.judge.guards.run_guards import ended_early, not_finished, unread_guards
from luckyhit.judge.stale.background import ANSWER_COLUMNS
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.sequential import Sequential
from luckyhit.judge.table.samples import JUDGED, RequestTable, rows_of, rows_of_parts
from luckyhit.judge.verdict import RULES
from luckyhit.records import READS, REQUESTS, WRITES, Guard, Result
from luckyhit.records.parquet import nullable_integers
from luckyhit.records.schemas import Table
from luckyhit.text.wording import note

__all__ = ["GUARDS", "RULES", "FixedSample", "RunHeader", "Sequential", "decide", "judge"]


def judge(
    run: CaseRun, *, guards: Sequence[Guard] = (), interim: bool = False, requests: RequestTable | None = None
) -> Result:
    """Judge a recorded run; writes nothing. A damaged part file makes the run INVALID, and is named; an unfinished run
    is never HELPED, HURT or EQUIVALENT.

    `guards`: beside the recorded ones. `interim`: the run itself looks, before its rollback and its end; then only
    verdict, goals and guards are computed. `requests`: the run's, if read already.

    Raises RunUnreadable where the manifest can't be read, and CaseError where the case can't.
    """
    (manifest, unread), case = run.load_manifest(), run.case
    unfinished = "" if interim else not_finished(manifest, unread)
    damaged: list[RunUnreadable] = []
    rows, answers = rows_of(REQUESTS.empty_table().to_pandas()) if requests is None else requests, None
    frames = {"reads": READS.empty_table().to_pandas(), "writes": WRITES.empty_table().to_pandas()}
    names: tuple[Table, ...] = ("requests", "reads", "writes")
    for name in names:
        try:
            if name != "requests":
                frames[name] = run.table(name)
                continue
            if requests is None:
                rows = rows_of_parts(run.parts(name, JUDGED))
            if any(route.version is not None for route in case.workload.routes):
                answers = run.table(name, ANSWER_COLUMNS)
        except RunUnreadable as error:
            damaged.append(error)
    counted = None
    with suppress(RunUnreadable):  # the report names the damaged file
        counted = run.counters_by_block()

    def load(columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        with suppress(RunUnreadable):  # a guard has reported a damaged file
            for part in run.parts("requests", columns):
                yield part.to_pandas(types_mapper=nullable_integers)

    under_way = interim or bool(unfinished)
    reads, writes = frames["reads"], frames["writes"]
    files = RunFiles(run, case, manifest, unread, rows, reads, writes, under_way, interim, damaged)
    noted = [*manifest.guards, *unread_guards(unread)]
    held = [*check_guards(ON_FILES, "case", files), *noted, *guards, *check_guards(ON_FILES, "files", files)]
    ended = ended_early(manifest)
    notes = [note("run-ended-early", reason=ended.rstrip("."))] if ended else []
    result = decide(
        rows,
        reads,
        writes,
        case,
        manifest.blocks,
        held,
        manifest.rollback,
        header=RunHeader(run.name, run.id, run.date, notes, ended),
        extra=ExtraRecords(answers, load, counted, run.key_counts()),
        interim=interim,
    )
    if not interim and not damaged:
        result = result.model_copy(update={"findings": findings(evidence_of(run, manifest, result, rows))})
    if unfinished and result.verdict not in ("INVALID", "INCONCLUSIVE"):
        reason = f"The run {'ended early' if ended else 'did not get to its end'}: {unfinished.rstrip('.')}."
        result = result.model_copy(update={"verdict": "INCONCLUSIVE", "reason": reason})
    return result

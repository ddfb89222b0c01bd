"""From an elimination to the record that is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from luckyhit.judge.diagnosis.elimination import Elimination
from luckyhit.judge.diagnosis.next_experiment import End, Means, Proposal, proposals_of
from luckyhit.judge.diagnosis.outcome import Decided, RowReference
from luckyhit.judge.diagnosis.table import OUTSIDE
from luckyhit.records.diagnosis import (
    ClassStanding,
    Diagnosis,
    DiagnosisEnd,
    EvidenceRow,
    ExperimentRecord,
    NextExperiment,
    NotSeen,
    Reason,
)


def written_diagnosis(
    elimination: Elimination,
    means: Means,
    ended: End | DiagnosisEnd,
    experiments: Sequence[ExperimentRecord],
    *,
    case: str = "",
    run: str = "",
    read: str = "",
    write: str | None = None,
) -> Diagnosis:
    """The record of a diagnosis. `means`: as they are now; `experiments`: in the order in which they were made.

    `outside` is among the classes only where it is shown: any other time nothing can be said about it.
    """
    proposals = proposals_of(elimination, means)
    makeable = [proposal for proposal in proposals if not proposal.lacking]
    best = ended.proposal if isinstance(ended, End) else next(iter(makeable or proposals), None)
    return Diagnosis(
        case=case,
        run=run,
        read=read,
        write=write,
        conclusion=elimination.conclusion,
        ended=ended.reason if isinstance(ended, End) else ended,
        classes=[
            ClassStanding(id=name, status=standing.status, because=[_reason(one) for one in standing.because])
            for name, standing in elimination.standings.items()
            if name != OUTSIDE or standing.status == "shown"
        ],
        explaining_sets=[sorted(classes) for classes in elimination.explaining_sets],
        unexplained=[_reason(one) for one in elimination.unexplained],
        experiments=list(experiments),
        next=_next(best) if best else None,
        not_seen=[
            NotSeen(experiment=one.experiment, splits=list(one.splits), lacking=list(one.lacking))
            for one in (*_given_up(elimination, means, experiments), *proposals)
            if one.lacking
        ],
        seed=means.seed,
        budget_s=means.budget_s,
    )


def _given_up(elimination: Elimination, means: Means, experiments: Sequence[ExperimentRecord]) -> list[Proposal]:
    """Experiments that were begun, and turned out not to be possible: they tell nothing of the classes that they would
    have split."""
    lacking = {one.id: tuple(one.lacking) for one in experiments if one.outcome is None and one.lacking}
    again = replace(means, tried=[name for name in means.tried if name not in lacking])
    return [
        replace(one, lacking=lacking[one.experiment])
        for one in proposals_of(elimination, again)
        if one.experiment in lacking
    ]


def experiment_record(decided: Decided, seconds: float | None) -> ExperimentRecord:
    """The record of an experiment with an outcome. `seconds`: None where another one's records answered it."""
    return ExperimentRecord(
        id=decided.experiment,
        outcome=decided.outcome,
        count=decided.count,
        total=decided.total,
        visible_from=decided.visible_from,
        seconds=seconds,
        facts=dict(decided.facts),
        evidence=_rows(decided.rows),
    )


def _next(proposal: Proposal) -> NextExperiment:
    return NextExperiment(
        experiment=proposal.experiment,
        splits=list(proposal.splits),
        seconds=proposal.seconds,
        lacking=list(proposal.lacking),
    )


def _reason(decided: Decided) -> Reason:
    return Reason(experiment=decided.experiment, outcome=decided.outcome, evidence=_rows(decided.rows))


def _rows(rows: Sequence[RowReference]) -> list[EvidenceRow]:
    return [EvidenceRow(table=one.table, row=one.row) for one in rows]

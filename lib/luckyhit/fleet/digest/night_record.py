"""The record of a night: how each case ended, what it showed against earlier nights, which alarms that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from luckyhit.case_run import CaseRun
from luckyhit.errors import CaseError, LuckyHitError
from luckyhit.fleet.digest.departures import NightComparison, compared
from luckyhit.fleet.digest.level_shifts import level_shifts, points_of
from luckyhit.fleet.digest.nightly import Alarm, CaseState, Night, NightCase
from luckyhit.fleet.dispatch import JobEnd
from luckyhit.project import Project
from luckyhit.records import Result
from luckyhit.records.vocabulary import Verdict
from luckyhit.run import Run, runs

_STATES: Mapping[int | None, CaseState] = {
    0: "finished", 1: "failed", 2: "case-invalid", 3: "guarded", 4: "not-enough-data", 5: "not-rolled-back",
    130: "interrupted", None: "lost",
}  # fmt: skip
_CODES: Mapping[CaseState, int] = {"failed": 1, "lost": 4, "not-enough-data": 4, "guarded": 3, "case-invalid": 2}
"""The exit codes of a fleet, by the states that it has when nothing weightier happened; the first that occurs
counts."""
_REFUSED = {"case": 2, "no-place": 3, "window": 4, "budget": 4, "interrupted": 130}
_OF_A_VERDICT: Mapping[str, Alarm] = {
    "HURT": "hurt", "INVALID": "invalid", "INCONCLUSIVE": "inconclusive", "EQUIVALENT": "equivalent",
}  # fmt: skip


def night_of(
    fleet: str,
    ends: Sequence[JobEnd],
    project: Project,
    *,
    started: datetime,
    seconds: float = 0.0,
    chosen: Sequence[Alarm] = (),
    interrupted: bool = False,
    news: Sequence[str] = (),
    settled: Sequence[str] = (),
) -> Night:
    """The record of a fleet that ended. `chosen`: the alarms that make its exit code 1."""
    history: dict[str, list[Run]] = {}
    for run in runs(project.runs):
        history.setdefault(run.path.parent.name, []).append(run)
    cases = [_case(end, project, history.get(end.job.name, [])) for end in ends]
    return Night(
        fleet=fleet,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        exit_code=exit_code_of(cases, chosen, interrupted=interrupted),
        chosen=list(chosen),
        hosts=dict(Counter(case.host for case in cases if case.host)),
        cases=cases,
        news=list(news),
        settled=list(settled),
    )


def exit_code_of(cases: Iterable[NightCase], chosen: Iterable[Alarm], *, interrupted: bool = False) -> int:
    """5 where a rollback is not confirmed; else 130 for a fleet that was stopped; else 1 for a chosen alarm; else what
    kept cases from finishing, the weightiest first: 1, 4, 3, 2; else 0."""
    cases = list(cases)
    states = {case.state for case in cases}
    if "not-rolled-back" in states:
        return 5
    if interrupted:
        return 130
    if set(chosen) & {alarm for case in cases for alarm in case.alarms}:
        return 1
    codes = [_CODES[state] for state in _CODES if state in states]
    codes += [_REFUSED.get(case.refusal or "", 4) for case in cases if case.state == "not-begun"]
    codes += [4 for case in cases if case.state == "interrupted"]
    return next((code for code in (1, 4, 3, 2) if code in codes), 0)


def _case(end: JobEnd, project: Project, history: Sequence[Run]) -> NightCase:
    job, outcome = end.job, end.outcome
    if outcome is None:
        problem = job.problem
        reason = _text_of(problem) if problem is not None else ""
        state: CaseState = "case-invalid" if problem is not None else "not-begun"
        refused = NightCase(case=job.name, state=state, refusal=end.refusal, reason=reason, attempts=end.attempts)
        refused = refused.model_copy(
            update={
                "hint": problem.hint if problem else "",
                "lost": list(end.lost),
                "exit_code": 2 if problem else None,
            }
        )
        return refused.model_copy(update={"alarms": ["not-run"]})
    state = "lost" if outcome.lost and outcome.exit_code == 130 else _STATES.get(outcome.exit_code, "failed")
    result = _result(outcome.result)
    path = project.runs / job.name / outcome.run
    # A result of a run that ended early does not count beside others.
    whole = outcome.exit_code in (0, 1)
    run = CaseRun(path) if whole and result is not None and outcome.run and (path / "manifest.json").is_file() else None
    comparison = compared(run, result) if run is not None and result is not None else NightComparison()
    earlier = [one for one in history if one.id <= outcome.run] if run is not None else []
    case = NightCase(
        case=job.name,
        state=state,
        exit_code=outcome.exit_code,
        run=outcome.run,
        host=outcome.host,
        report=outcome.report if outcome.report and (project.reports / Path(outcome.report).name).is_file() else "",
        verdict=result.verdict if result is not None else None,
        observed=result is not None and result.earlier is not None,
        before=_other_before(earlier, result) if whole else None,
        reason=outcome.reason or (result.reason if result is not None else ""),
        hint=outcome.hint,
        attempts=end.attempts,
        lost=[*end.lost, *outcome.notes],
        seconds=round(outcome.seconds, 3),
        overhead_s=round(max(0.0, end.took_s - outcome.seconds), 3),
        kept=outcome.kept,
        earlier=comparison.earlier,
        metrics=comparison.metrics,
        by_chance=round(comparison.by_chance, 4),
        outside=list(comparison.outside),
        shifts=level_shifts(points_of(earlier)) if earlier else [],
    )
    return case.model_copy(update={"alarms": _alarms(case, whole=whole)})


def _alarms(case: NightCase, *, whole: bool) -> list[Alarm]:
    alarms: list[Alarm] = [alarm] if (alarm := _OF_A_VERDICT.get(case.verdict or "")) else []
    alarms += ["outside"] if case.outside else []
    alarms += ["worse"] if any(departure.direction == "worse" for departure in case.outside) else []
    alarms += ["lasting"] if any(departure.nights > 1 for departure in case.outside) else []
    alarms += ["shifted"] if any(shift.new for shift in case.shifts) else []
    alarms += ["decided-otherwise"] if case.before is not None else []
    return alarms if whole else [*alarms, "not-run"]


def _result(document: Mapping[str, object] | None) -> Result | None:
    try:
        return Result.model_validate(document) if document else None
    except ValueError:  # of another version
        return None


def _other_before(history: Sequence[Run], result: Result | None) -> Verdict | None:
    """The verdict of the run before, of one that measured the change as this one did, where it is another one."""
    if result is None or not _measured_the_change(result):
        return None
    for run in reversed(history[:-1]):
        try:
            earlier = run.result
        except (LuckyHitError, OSError):
            continue
        if earlier is not None and _measured_the_change(earlier):
            return earlier.verdict if earlier.verdict != result.verdict else None
    return None


def _measured_the_change(result: Result) -> bool:
    return any(metric.after is not None for metric in result.metrics.values())


def _text_of(problem: LuckyHitError) -> str:
    return "; ".join(map(str, problem.problems)) if isinstance(problem, CaseError) else problem.message

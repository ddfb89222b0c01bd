"""What a run may do to its target, its limits there, and whether another run holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from luckyhit.case import Case
from luckyhit.case.target import Limits
from luckyhit.case.values.units import format_duration, format_share
from luckyhit.change.lock import target_identities, target_lock
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.errors import TargetBusy
from luckyhit.records import Guard

SAFE = ("GET", "HEAD")


def target_guard(case: Case, name: str) -> Guard | None:
    """What may be done to the target, within which limits; None for a service of the run's own without limits. `name`:
    of the case, for the command."""
    target, limits = case.target, case.target.ceilings
    findings = Findings("what-is-allowed")
    if target.url is not None and not target.allow_change:
        findings.note(f"{target.url} is only observed: nothing is changed, and its cache is not cleared.")
        if case.freshness is not None or any(route.method not in SAFE for route in case.workload.routes):
            findings.problem(
                "the case writes (a freshness probe, or a route other than GET, HEAD) to an observed service",
                "Leave them out, or allow changes: `allow_change: true` and `environment` in target.",
            )
    elif target.url is not None:
        environment = target.environment
        findings.note(
            f"{target.url} may be changed: the case says that it is {environment}. The command has to repeat that: "
            f"`luckyhit run {name} --environment {environment}`."
        )
    if limits_text := _limits(limits):
        findings.note(limits_text)
    return findings.guard() if target.url is not None or limits_text else None


def free_guard(case: Case, runs_dir: Path, environ: Mapping[str, str]) -> Guard | None:
    """Whether another run holds this target, or left a step open there; None where the target shares nothing."""
    names = target_identities(case, environ)
    if not names:
        return None
    findings = Findings("no-other-run")
    try:
        with target_lock(case, runs_dir, environ=environ):
            pass
    except TargetBusy as error:
        findings.problem(error.message, error.hint)
    else:
        findings.note(f"No run holds the {', the '.join(names)}, and none left a step open there.")
    return findings.guard()


def _limits(limits: Limits) -> str:
    most = [f"{limits.rate:g} requests/s"] if limits.rate is not None else []
    if limits.duration is not None:
        minutes = limits.duration / 60
        most.append(f"{f'{minutes:g} minutes' if minutes >= 2 else format_duration(limits.duration)} of load in all")
    stops = []
    if limits.error_rate is not None:
        stops.append(f"more than {format_share(limits.error_rate)} of the requests fail")
    if limits.p99 is not None:
        stops.append(f"p99 is above {format_duration(limits.p99)}")
    sentences = []
    if most:
        sentences.append(f"At most {', and '.join(most)}.")
    if stops:
        window = f"within {format_duration(limits.window)} ({limits.fewest} requests or more)"
        sentences.append(f"The run stops and rolls back where {' or '.join(stops)} {window}.")
    return " ".join(sentences)

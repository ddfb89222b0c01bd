"""Every permission that a run needs, checked before anything is changed: one guard for each group.

A permission that can't be proven is no failure: the guard says so, since silence would read as proof.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.caches import AnyCache
from luckyhit.case import Case
from luckyhit.change.kinds import kind_of
from luckyhit.change.permissions.called_routes import check_purges
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.errors import GuardError
from luckyhit.records import Guard, GuardId

if TYPE_CHECKING:
    from luckyhit.system import Stack


_MB = 10**6
_LEAST_BYTES = 100 * _MB
"""Notebooks, logs, figures and the report, with a margin."""
_BYTES_PER_REQUEST = 30
"""A row of requests takes 12 bytes on the disk: the rows of both arms, and the other tables."""


def check_permissions(
    case: Case,
    stack: Stack,
    directories: Iterable[Path],
    environ: Mapping[str, str],
    *,
    changeable: bool | None = None,
) -> list[Guard]:
    """Check all that the run needs on the running `stack`: directories, cache, scope, change, purge. Changes nothing.

    `changeable`: whether the run changes anything, or only observes; by default, what the case allows. A cache that
    does not answer fails its guard. Raises ArgumentError for a variable of the case that is not set.
    """
    if changeable is None:
        changeable = case.target.start is not None or case.target.allow_change
    guards: list[Guard] = []
    backup_bytes = 0.0
    if stack.cache is not None:
        guards, backup_bytes = _cache_guards(case, stack.cache, changeable)
    if changeable:
        guards.append(change_guard(stack))
    if changeable and case.cache.purge:
        purges = Findings("purges")
        check_purges(case, stack.base_url, environ, stack.project, purges)
        guards.append(purges.guard())
    room = Findings("directories")
    check_directories(directories, room_for(case, backup_bytes), room)
    return [room.guard(), *guards]


def change_guard(stack: Stack) -> Guard:
    """What the change of the case needs on the running `stack`."""
    return _guarded("change", kind_of(stack).check)


def summary(guards: Sequence[Guard]) -> Guard:
    """The guards of `check_rights` as one, under the name that a run's checklist has for them."""
    failed = [guard for guard in guards if not guard.ok]
    detail = " ".join(guard.detail for guard in (failed or guards))
    remedy = " ".join(dict.fromkeys(guard.remedy for guard in failed if guard.remedy))
    return Guard(id="permissions-checked", ok=not failed, detail=detail, remedy=remedy)


def _cache_guards(case: Case, cache: AnyCache, changeable: bool) -> tuple[list[Guard], float]:
    """(guards of the cache, about how many bytes a backup of the keys in scope takes)."""
    permissions = _guarded(
        "cache-rights", lambda findings: cache.checks.permissions(case, findings, changeable=changeable)
    )
    guards, backup_bytes = [permissions], 0.0
    if changeable and not cache.owned and case.cache.clear:

        def check_scope(findings: Findings) -> None:
            nonlocal backup_bytes
            backup_bytes = cache.checks.scope(case.cache, findings)

        scope = _guarded("scope-of-the-clear", check_scope)
        guards += [scope] if permissions.ok or scope.ok else []  # if keys can't be listed, one failure is enough
    return guards, backup_bytes


def _guarded(id: GuardId, check: Callable[[Findings], object]) -> Guard:
    """The findings of `check`. An error of the tree becomes one, so that the other checks follow."""
    findings = Findings(id)
    try:
        check(findings)
    except GuardError as error:
        findings.problem(error.message, error.hint)
    return findings.guard()


def check_directories(directories: Iterable[Path], needed_bytes: float, findings: Findings) -> None:
    """Whether each directory is writable (tried with a temporary file) and has room."""
    checked: dict[Path, None] = {}
    for directory in directories:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        try:
            with tempfile.NamedTemporaryFile(dir=existing, prefix=".luckyhit-check-"):
                pass
        except OSError as error:
            findings.problem(
                f"{directory} is not writable ({error.strerror})",
                f"Make {existing} writable, or choose another directory.",
            )
            continue
        checked[existing] = None
    if findings.ok:
        findings.note("The run and report directories are writable.")
    small = sorted({(shutil.disk_usage(existing).free, existing) for existing in checked})
    if small and small[0][0] < needed_bytes:
        free, existing = small[0]
        findings.note(
            f"Only {free / _MB:,.0f} MB are free in {existing}; the run may write about "
            f"{needed_bytes / _MB:,.0f} MB, and a full disk stops it."
        )


def room_for(case: Case, backup_bytes: float = 0.0) -> float:
    """About how many bytes a run of `case` writes, including a backup of cleared keys."""
    plan = case.plan
    seconds = plan.baseline + 2 * plan.blocks * (plan.warmup + plan.block) + plan.after_rollback + 2 * plan.warmup
    return _LEAST_BYTES + _BYTES_PER_REQUEST * (case.workload.requests_in(seconds) or 0.0) + backup_bytes

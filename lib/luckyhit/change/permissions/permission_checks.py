"""Every right that the run will need, proven before anything is touched: one guard for each group of them.

What a guard says can't be proven is not a failure: it is said so that nobody takes silence for a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.caches import AnyCache
from luckyhit.case import Case
from luckyhit.change.kinds import kind_of
from luckyhit.change.permissions.called_routes import look_at_purges
from luckyhit.change.permissions.directories import look_at_directories, room_for
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.errors import GuardError
from luckyhit.records import Guard, GuardId

if TYPE_CHECKING:
    from luckyhit.system import Stack


def check_rights(
    case: Case,
    stack: Stack,
    directories: Iterable[Path],
    environ: Mapping[str, str],
    *,
    changeable: bool | None = None,
) -> list[Guard]:
    """All that the run will need on `stack`, which runs: directories, cache, scope, change, purge. Changes nothing.

    `changeable`: whether the run will change anything, or only observe; by default, what the case allows. A cache that
    does not answer is a failed guard, as is everything else that stands in the way. Raises ArgumentError for a variable
    that the case names and that is not set.
    """
    changeable = _allows(case) if changeable is None else changeable
    guards: list[Guard] = []
    backup_bytes = 0.0
    if stack.cache is not None:
        guards, backup_bytes = _cache_guards(case, stack.cache, changeable)
    if changeable:
        guards.append(change_guard(stack))
    if changeable and case.cache.purge:
        purges = Findings("purges")
        look_at_purges(case, stack.base_url, environ, stack.project, purges)
        guards.append(purges.guard())
    room = Findings("directories")
    look_at_directories(directories, room_for(case, backup_bytes), room)
    return [room.guard(), *guards]


def change_guard(stack: Stack) -> Guard:
    """What the change of the case needs on `stack`, which runs."""
    return _shielded("change", kind_of(stack).look)


def summary(guards: Sequence[Guard]) -> Guard:
    """The guards of `check_rights` as one, under the name that a run's checklist has for them."""
    failed = [guard for guard in guards if not guard.ok]
    detail = " ".join(guard.detail for guard in (failed or guards))
    remedy = " ".join(dict.fromkeys(guard.remedy for guard in failed if guard.remedy))
    return Guard(id="permissions-checked", ok=not failed, detail=detail, remedy=remedy)


def _cache_guards(case: Case, cache: AnyCache, changeable: bool) -> tuple[list[Guard], float]:
    """(what is found at the cache, about how many bytes a backup of the keys in scope takes)."""
    rights = _shielded("cache-rights", lambda findings: cache.checks.rights(case, findings, changeable=changeable))
    guards, backup_bytes = [rights], 0.0
    if changeable and not cache.owned and case.cache.clear:

        def look(findings: Findings) -> None:
            nonlocal backup_bytes
            backup_bytes = cache.checks.scope(case.cache, findings)

        scope = _shielded("scope-of-the-clear", look)
        guards += [scope] if rights.ok or scope.ok else []  # without the right to list keys, one failure is enough
    return guards, backup_bytes


def _shielded(id: GuardId, look: Callable[[Findings], object]) -> Guard:
    """What `look` finds; an error of the tree is a finding too, so that the list goes on."""
    findings = Findings(id)
    try:
        look(findings)
    except GuardError as error:
        findings.problem(error.message, error.hint)
    return findings.guard()


def _allows(case: Case) -> bool:
    return case.target.start is not None or case.target.allow_change

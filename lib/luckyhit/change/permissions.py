"""Every right that the run will need, proven before anything is touched: one guard for each group of them.

What a guard says can't be proven is not a failure: it is said so that nobody takes silence for a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.case import Case
from luckyhit.change.kinds import kind_of
from luckyhit.change.refusals import explained
from luckyhit.change.rights.cache import look_at_events, look_at_rights
from luckyhit.change.rights.directories import look_at_directories, room_for
from luckyhit.change.rights.findings import Findings
from luckyhit.change.rights.routes import look_at_purges
from luckyhit.change.rights.scope import look_at_scope
from luckyhit.errors import GuardError
from luckyhit.records import Guard, GuardId
from luckyhit.target.topology import open_topology

if TYPE_CHECKING:
    from luckyhit.target import Cache, Stack


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


def check_permissions(
    case: Case, cache: Cache | None, directories: Iterable[Path], *, changeable: bool | None = None
) -> Guard:
    """Whether `directories` (the run's and the reports') can be written to, and the cache grants what the run
    needs. Changes nothing. `changeable` as in `check_rights`. Raises CacheUnreachable where the cache does not answer.
    """
    found = Findings("permissions-checked")
    look_at_directories(directories, room_for(case), found)
    if cache is not None:
        _look_at_cache(case, cache, found, _allows(case) if changeable is None else changeable)
    return found.guard()


def summary(guards: Sequence[Guard]) -> Guard:
    """The guards of `check_rights` as one, under the name that a run's checklist has for them."""
    failed = [guard for guard in guards if not guard.ok]
    detail = " ".join(guard.detail for guard in (failed or guards))
    remedy = " ".join(dict.fromkeys(guard.remedy for guard in failed if guard.remedy))
    return Guard(id="permissions-checked", ok=not failed, detail=detail, remedy=remedy)


def _cache_guards(case: Case, cache: Cache, changeable: bool) -> tuple[list[Guard], float]:
    """(what is found at the cache, about how many bytes a backup of the keys in scope takes)."""
    rights = _shielded("cache-rights", lambda found: _look_at_cache(case, cache, found, changeable))
    guards, backup_bytes = [rights], 0.0
    if changeable and not cache.owned and case.cache.clear:

        def look(found: Findings) -> None:
            nonlocal backup_bytes
            with explained("listing its keys"), open_topology(cache) as topology:
                backup_bytes = look_at_scope(topology, case.cache, found)

        scope = _shielded("scope-of-the-clear", look)
        guards += [scope] if rights.ok or scope.ok else []  # without the right to list keys, one failure is enough
    return guards, backup_bytes


def _look_at_cache(case: Case, cache: Cache, found: Findings, changeable: bool) -> None:
    with explained("looking at its permissions"), open_topology(cache) as topology:
        look_at_rights(topology, case, found, owned=cache.owned, changeable=changeable)
        if changeable and not cache.owned:
            look_at_events(topology, case, found)


def _shielded(id: GuardId, look: Callable[[Findings], object]) -> Guard:
    """What `look` finds; an error of the tree is a finding too, so that the list goes on."""
    found = Findings(id)
    try:
        look(found)
    except GuardError as error:
        found.problem(error.message, error.hint)
    return found.guard()


def _allows(case: Case) -> bool:
    return case.target.start is not None or case.target.allow_change

"""Putting a setting of the cache back as a step of the journal holds it, also in another process, on another day."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from luckyhit.caches import AnyCache, cache_at
from luckyhit.caches.base import Undone
from luckyhit.change.identity import cache_identity
from luckyhit.errors import GuardError
from luckyhit.records.journal import Step


def undo(
    step: Step, environ: Mapping[str, str], sleep: Callable[[float], None], *, cache: AnyCache | None = None
) -> Undone:
    """Put back what a journalled step holds. Safe to repeat. `cache`: the one that was changed, where this process
    still has it.

    Raises GuardError where the variable with the cache's URL is not set, or names another cache; CacheUnreachable or
    TargetError where the cache does not do it, with the command to give by hand.
    """
    changed = _cache_of(step, environ) if cache is None else cache
    name = step.inverse.get("name")
    if name is None and changed.events is not None:  # a journal that names only what the setting is for
        name = changed.events.setting
    if changed.settings is None or name is None:
        raise GuardError(f"the cache {changed.identity} has no settings that could be put back")
    return changed.settings.put_back(str(name), str(step.inverse["value"]), made_by(step), sleep)


def _cache_of(step: Step, environ: Mapping[str, str]) -> AnyCache:
    inverse = step.inverse
    known, url_env = str(inverse["cache"]), str(inverse.get("url_env"))
    url = environ.get(url_env)
    if not url or cache_identity(url) != known:
        named = cache_identity(url) if url else "no cache: it is not set"
        by_hand = inverse.get("by_hand") or f"to {str(inverse['value'])!r}"
        raise GuardError(
            f"{url_env} names {named}; {inverse.get('name') or 'its setting for events'} was changed on {known}",
            hint=f"Export {url_env} for the cache {known}, or set it there by hand: {by_hand}",
        )
    return cache_at(url, url_env=url_env)


def made_by(step: Step) -> list[str]:
    """The settings that may be of a step's making: what it asked for, and how the server read that back."""
    return [*map(str, step.inverse.get("ours", ())), *([str(step.outcome["is"])] if "is" in step.outcome else [])]

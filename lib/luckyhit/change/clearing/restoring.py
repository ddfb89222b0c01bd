"""Putting cleared keys back by the journal: all clears of one cache together, since a later one may have cleared what
the run itself had put there. What was there before the run is what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from luckyhit.caches import cache_at
from luckyhit.caches.restore import Restored, restore_run
from luckyhit.change.identity import cache_identity
from luckyhit.errors import CacheUnreachable, GuardError
from luckyhit.records.journal import Step
from luckyhit.run import Run

RESTORE = "restore"
_ATTEMPTS, _PAUSE_S = 3, 0.3


def by_cache(steps: Iterable[Step]) -> list[list[Step]]:
    """The clears among the open `steps`, those of one cache together, oldest first."""
    steps_of: dict[tuple[object, object], list[Step]] = {}
    for step in steps:
        if step.inverse.get("kind") == RESTORE:
            steps_of.setdefault((step.inverse.get("url_env"), step.inverse["cache"]), []).append(step)
    return list(steps_of.values())


def put_back(
    run: Run, steps: list[Step], environ: Mapping[str, str], sleep: Callable[[float], None]
) -> tuple[Restored, str]:
    """Put back what `steps` (the clears of one cache, oldest first) took; also says so in words. Safe to repeat.

    Raises GuardError where the variable with the cache's URL is not set, or names another cache; CacheUnreachable,
    TargetError, RunUnreadable as `luckyhit.caches.backup` does.
    """
    url_env, known = str(steps[0].inverse.get("url_env")), str(steps[0].inverse["cache"])
    url = environ.get(url_env)
    if not url:
        raise GuardError(
            f"{url_env}, which holds the cache's URL, is not set", hint=f"Export {url_env} for the cache {known}."
        )
    if cache_identity(url) != known:
        raise GuardError(
            f"{url_env} names {cache_identity(url)}, but the keys were cleared from {known}",
            hint=f"Export {url_env} for the cache {known}: nothing is written to another one.",
        )
    paths = [run.path / str(step.inverse["backup"]) for step in steps]
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            restored = restore_run(cache_at(url, url_env=url_env), paths)
        except CacheUnreachable:
            if attempt == _ATTEMPTS:
                raise
            sleep(_PAUSE_S * attempt)
        else:
            return restored, (
                f"{restored.restored} cleared keys put back, {restored.present} were there again, "
                f"{restored.expired} would have expired by now"
            )
    raise AssertionError("unreachable")

"""Switch a cache's keyspace events on for a block, and put its setting back.

The setting holds for the whole server. Where it suffices already it is left alone; where it can't be read or set (no
permission, a managed server), nothing is changed and the run continues without events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from luckyhit.caches.base import Notifications
from luckyhit.change.journal import Journal
from luckyhit.errors import LuckyHitError

if TYPE_CHECKING:
    from luckyhit.system import Stack

INSIDE = "not visible: the cache is inside the service's own processes"
NO_EVENTS = "not visible: a cache of this kind has no events"


@contextmanager
def watching_events(
    stack: Stack, journal: Journal, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Notifications]:
    """Switch the keyspace events of the cache of `stack` on until the block ends. What is yielded is complete then.

    Journalled first; put back exactly, unless somebody else changed the setting meanwhile. Raises GuardError where the
    intent can't be journalled (nothing is changed); CacheUnreachable or TargetError where the setting can't be put
    back: the step stays open, and `luckyhit revert` finishes it.
    """
    notifications = Notifications()
    probe, cache = stack.case.freshness, stack.cache
    if probe is None or not probe.watch_cache:
        yield notifications
        return
    if cache is None or cache.events is None:
        not_known = "not visible: the service is not the run's own, so its cache is not known"
        without = INSIDE if stack.case.caches_inside else not_known
        notifications.sentences.append(without if cache is None else NO_EVENTS)
        yield notifications
        return
    switch = cache.events.switch(journal, notifications, stack.name, sleep)
    switch.on()
    try:
        yield notifications
    except BaseException:
        with suppress(LuckyHitError):  # the first error says more, and the journal has the step
            switch.off()
        raise
    switch.off()

"""Watching the caches while one block is measured: what they say happened to the probed keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from luckyhit import change as changing
from luckyhit.records import Arm
from luckyhit.run import Run, write_part
from luckyhit.target import EventWatch, Stack, watched_keys

EVENTS = "events"


@contextmanager
def watched_caches(run: Run, stacks: Mapping[Arm, Stack], block: int, journal: changing.Journal) -> Iterator[list[str]]:
    """Record the caches' events of the probed keys until the block ends. What is yielded is filled at the end: what
    could not be seen, one sentence each."""
    case, sentences = run.case, list[str]()
    if case.freshness is None or not case.freshness.watch_cache:
        yield sentences
        return
    keys, why_not = watched_keys(case)
    if why_not:
        yield [f"The cache's events: {why_not}."]
        return
    told: dict[Arm, changing.Notifications] = {}
    with ExitStack() as open_switches:
        for arm, stack in stacks.items():
            told[arm] = open_switches.enter_context(changing.watching_events(stack, journal))
        seen = {arm: stack.cache for arm, stack in stacks.items() if told[arm].visible and stack.cache is not None}
        events = EventWatch(seen, dict.fromkeys(seen, keys), block=block, origin_ns=run.manifest["origin_ns"])
        with events:
            yield sentences
    disturbed = [arm for arm, notifications in told.items() if notifications.disturbed]
    write_part(run.path / EVENTS, f"block-{block:03d}", events.table(without=disturbed))
    sentences += [f"Cache events, {arm}: {text}." for arm, of_arm in told.items() for text in of_arm.sentences]
    sentences += [f"{text[0].upper()}{text[1:]}." for text in events.problems]

"""Watch the caches' events of the probed keys while one block is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from luckyhit import change as changing
from luckyhit.caches.key_shapes import Shape, cache_keys, reserved, shapes_of, watched_shapes
from luckyhit.caches.watch_events import EventWatch
from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.change.notify import INSIDE
from luckyhit.probe.probe_plan import KeyRanges
from luckyhit.probe.probe_survey import key_reader
from luckyhit.records import Arm
from luckyhit.records.manifest import LearnedKeys
from luckyhit.records.parquet import write_part
from luckyhit.scrub.characters import visible
from luckyhit.system import Stack
from luckyhit.system.control import client_options

EVENTS = "events"


@dataclass(frozen=True)
class Unseen:
    """What could not be seen of a cache's events in one block, a sentence each; `refused`: those due to a missing
    permission."""

    sentences: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


MOST_NAMES = 3
LEARNED_BY = 6
"""Number of probed keys that are read alone, to learn which cache keys they touch."""


def learns_cache_keys(case: Case, stack: Stack) -> bool:
    """Whether the cache's keys are learnt from what the service does: the case names none."""
    probe, cache = case.freshness, stack.cache
    return probe is not None and probe.watch_cache and probe.cache_keys is None and cache is not None and cache.owned


def learn_cache_keys(run: CaseRun, stack: Stack, journal: changing.Journal, headers: Mapping[str, str]) -> None:
    """Learn which keys of the run's own cache are touched by reads of some probed keys, while nothing else is sent, and
    record them in the manifest (`cache_keys`, by stack). Otherwise the case's templates are watched."""
    case, cache = run.case, stack.cache
    probe = case.freshness
    if not learns_cache_keys(case, stack) or probe is None or cache is None:
        return
    with changing.watching_events(stack, journal) as notifications:
        if not notifications.visible:
            return
        options = client_options(case.target, stack.base_url, stack.project)
        keys = [str(key) for key in KeyRanges.of(probe).warm[:LEARNED_BY]]
        with key_reader(probe, stack.base_url, headers, timeout_s=case.workload.timeout, options=options) as read:
            learned = cache.events.learn(keys, read, case.cache.clear) if cache.events is not None else None
            if learned is None:
                return
            noted = run.manifest.cache_keys
            earlier = noted.get(stack.name, LearnedKeys())
            before = shapes_of(earlier)
            learned.shapes = [*before, *(shape for shape in learned.shapes if shape not in before)]
            learned.unknown = {**earlier.unknown, **learned.unknown}
            run.update(cache_keys={**noted, stack.name: learned.as_facts()})


def _learned(run: CaseRun, stack: Stack) -> list[Shape]:
    return shapes_of(run.manifest.cache_keys.get(stack.name, LearnedKeys()))


@contextmanager
def watched_caches(
    run: CaseRun, stacks: Mapping[Arm, Stack], block: int, journal: changing.Journal
) -> Iterator[Unseen]:
    """Record the caches' events of the probed keys in the context. The yielded value is filled at its end."""
    case, unseen = run.case, Unseen()
    if case.freshness is None or not case.freshness.watch_cache:
        yield unseen
        return
    if case.caches_inside:
        yield Unseen([f"The cache's events: {INSIDE}."])
        return
    watched = {arm: watched_shapes(case, _learned(run, stack)) for arm, stack in stacks.items()}
    if why_not := next((why for keys, patterns, why in watched.values() if not keys and not patterns), ""):
        yield Unseen([f"The cache's events: not visible: {why_not}."])
        return
    notifications: dict[Arm, changing.Notifications] = {}
    with ExitStack() as open_switches:
        for arm, stack in stacks.items():
            notifications[arm] = open_switches.enter_context(changing.watching_events(stack, journal))
        caches = {
            arm: stack.cache for arm, stack in stacks.items() if notifications[arm].visible and stack.cache is not None
        }
        events = EventWatch(
            caches,
            {arm: watched[arm][0] for arm in caches},
            patterns={arm: watched[arm][1] for arm in caches},
            reserved=reserved(case),
            block=block,
            origin_ns=run.manifest.origin_ns,
        )
        with events:
            yield unseen
    disturbed = [arm for arm, of_arm in notifications.items() if of_arm.disturbed]
    write_part(run.path / EVENTS, f"block-{block:03d}", events.table(without=disturbed))
    for arm, of_arm in notifications.items():
        texts = [f"Cache events, {arm}: {text}." for text in of_arm.sentences]
        unseen.sentences.extend(texts)
        unseen.refused.extend(texts if of_arm.refused else [])
    unseen.sentences.extend(f"{text[0].upper()}{text[1:]}." for text in events.problems)
    unseen.sentences.extend(text for stack in stacks.values() for text in _not_watched(run, stack))


def _not_watched(run: CaseRun, stack: Stack) -> list[str]:
    """Sentences on stored keys that can't be watched, and on templates under which nothing was stored."""
    learned = run.manifest.cache_keys.get(stack.name)
    if learned is None:
        return []
    if learned.unknown:
        names = ", ".join(f"“{visible(name)}”" for name in list(learned.unknown)[:MOST_NAMES])
        return [
            f"The cache's events: reads of probed keys also stored {len(learned.unknown):,} keys that are not watched, "
            f"such as {names}: their names don't contain the probed key."
        ]
    if not learned.shapes:
        names = ", ".join(f"“{template}”" for template in cache_keys(run.case)[:MOST_NAMES])
        return [
            f"The cache's events: {learned.reads} reads of probed keys caused no events, so it is not known whether "
            f"they use {names or 'any key'}."
        ]
    return []

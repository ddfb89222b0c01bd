"""Before a block: everything that the probe will do, once in every arm, so that what can't work is known now.
(`probe_survey` comes before that.)"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected, refusal_of
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import KeyRanges
from luckyhit.probe.probe_reads import ProbeRead
from luckyhit.records import Arm

MOST_READS = 3
"""Attempts at a read that is answered with 5xx."""


async def preflight(freshness: Freshness, arms: Mapping[Arm, ProbeArm], ranges: KeyRanges, version: int) -> None:
    """Read, write and read back; then a write that has to be refused, and a key created and removed, where the case
    has them. Uses `version` and the next one.

    Raises ResponseUnexpected for a wrong status, a version that is missing or no whole number, a value that nobody
    wrote, and a key that should be absent and is not; what was written until then is put back.
    """
    results = await asyncio.gather(
        *(_check_arm(freshness, arm, ranges, version) for arm in arms.values()), return_exceptions=True
    )
    for error in results:
        if isinstance(error, ResponseUnexpected):
            left = [sentence for name, arm in arms.items() for sentence in await arm.restore(name)]
            raise error.with_hint(" ".join([error.hint, *left]))
        if isinstance(error, BaseException):
            raise error


async def _check_arm(freshness: Freshness, arm: ProbeArm, ranges: KeyRanges, version: int) -> None:
    key = str(ranges.preflight)
    requests = [(route, variant) for route in range(len(arm.routes)) for variant in range(len(arm.variants))]
    reads = [await _read(arm, route, key, variant) for route, variant in requests]
    originals = [version_of(read) for read in reads]
    # Nobody has read this key since the caches were emptied. Later reads may meet what the first one filled.
    arm.outlived = reads[0].cache in ("hit", "stale")
    if key not in arm.originals:  # else the survey found it, before the probe wrote anything
        check_below(key, originals[0], version, freshness.first_version)
        arm.remember(key, originals[0])
    result = await arm.write(key, version)
    if not result.accepted and not result.refused_by_state:
        hint = (
            "Correct freshness.write: its method, path, body, command or statement, or the status of an accepted write."
        )
        if result.done_ns is None and not result.refused:
            hint = "Check freshness.write, and that the service answers it within workload.timeout."
        raise ResponseUnexpected(
            f"the probe's write was not accepted: {result.description}", hint=hint, refusal=refusal_of(result.status)
        )
    for (route, variant), original in zip(requests, originals, strict=True):
        shown = version_of(await _read(arm, route, key, variant))
        if shown not in (original, version, arm.originals[key]):
            raise ResponseUnexpected(
                f"a read of key {key} shows {shown}; expected {version}, which the probe just wrote, or {original}, "
                "the value before",
                hint="Check that nothing else writes to the keys in freshness.keys, and that freshness.reads looks at "
                "the field that freshness.write writes.",
            )
    if freshness.refused is not None:
        await _check_refusal(arm, key, version + 1)
    if ranges.absent_preflight is not None:
        await _check_creation(arm, str(ranges.absent_preflight), version)


async def _read(arm: ProbeArm, route: int, key: str, variant: int) -> ProbeRead:
    """A read, repeated after a server error: the workload counts those, and one now and then is no reason to stop."""
    read = await arm.read(route, key, variant=variant)
    for _ in range(MOST_READS - 1):
        if not read.server_error:
            break
        read = await arm.read(route, key, variant=variant)
    return read


async def _check_refusal(arm: ProbeArm, key: str, version: int) -> None:
    result = await arm.write(key, version, prestate="refused")
    if not result.refused:
        raise ResponseUnexpected(
            f"the service did not refuse the write that it has to refuse: {result.description}",
            hint="Correct freshness.refused: a write that the service rejects, and the 4xx status that it answers.",
        )


async def _check_creation(arm: ProbeArm, key: str, version: int) -> None:
    for route in range(len(arm.routes)):
        check_absent(key, await arm.read(route, key))
    result = await arm.write(key, version, prestate="absent")
    if not result.accepted and not result.refused_by_state:
        raise ResponseUnexpected(
            f"the probe could not create key {key}: {result.description}",
            hint="Correct freshness.absent.create: its method, path, body, or the status of an accepted creation.",
            refusal=refusal_of(result.status),
        )
    if not await arm.remove(key):
        raise ResponseUnexpected(
            f"the probe created key {key} and could not remove it",
            hint="Correct freshness.absent.remove: its method, path, or status. Remove the key by hand.",
        )


def version_of(read: ProbeRead) -> int:
    """The version that a read shows. Raises ResponseUnexpected where it shows none."""
    if read.version is None:
        raise ResponseUnexpected(
            f"the probe's read shows no version: {read.problem}",
            hint="Correct freshness.reads: the path, or where the version stands in the answer; the keys in "
            "freshness.keys have to exist.",
            refusal=refusal_of(read.status),
        )
    return read.version


def check_below(key: str, value: int, version: int, first_version: int) -> None:
    """Raises ResponseUnexpected where a key holds a value that is not below the probe's versions."""
    if value >= version:
        raise ResponseUnexpected(
            f"key {key} holds {value}, which is not below the probe's first version, {version}",
            hint=f"Set freshness.first_version (it is {first_version:,}) above every value that the keys hold, or "
            "reserve keys with smaller values.",
        )


def check_absent(key: str, read: ProbeRead) -> None:
    """Raises ResponseUnexpected unless a read shows that the key is absent."""
    if not read.shows_absence:
        state = read.problem or f"it holds {read.version}"
        raise ResponseUnexpected(
            f"key {key} of freshness.absent.keys has to be absent, and is not: {state}",
            hint="Reserve keys under which there is nothing: the probe creates and removes them.",
        )

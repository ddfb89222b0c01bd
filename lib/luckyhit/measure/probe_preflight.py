"""Before a block: everything that the probe will do, once in every arm, so that what can't work is known now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected, refusal_of
from luckyhit.measure.probe_arm import ProbeArm
from luckyhit.measure.probe_plan import KeyRanges
from luckyhit.measure.probe_reader import Look
from luckyhit.records import Arm

MOST_READS = 3
"""How often a read is tried that is answered with an error of the service's."""


async def preflight(freshness: Freshness, arms: Mapping[Arm, ProbeArm], ranges: KeyRanges, version: int) -> None:
    """Read, write and read back; then a write that has to be rejected, and a key created and removed, where the case
    has them. Uses `version` and the one behind it.

    Raises ResponseUnexpected for a wrong status, a version that is missing or no whole number, a value that nobody
    wrote, a key that should be absent and isn't; what was written until then is put back.
    """
    ends = await asyncio.gather(
        *(_arm(freshness, arm, ranges, version) for arm in arms.values()), return_exceptions=True
    )
    for error in ends:
        if isinstance(error, ResponseUnexpected):
            left = [sentence for name, arm in arms.items() for sentence in await arm.restore(name)]
            raise error.with_hint(" ".join([error.hint, *left]))
        if isinstance(error, BaseException):
            raise error


async def _arm(freshness: Freshness, arm: ProbeArm, ranges: KeyRanges, version: int) -> None:
    key = str(ranges.preflight)
    ways = [(route, variant) for route in range(len(arm.routes)) for variant in range(len(arm.variants))]
    looks = [await _look(arm, route, key, variant) for route, variant in ways]
    originals = [readable(look) for look in looks]
    # Nobody has read this key since the caches were emptied; what the other looks meet, the first one may have filled.
    arm.outlived = looks[0].cache in ("hit", "stale")
    if key not in arm.originals:  # else a survey found it, before the probe wrote anything
        below(key, originals[0], version, freshness.first_version)
        arm.remember(key, originals[0])
    written = await arm.write(key, version)
    if not written.accepted and not written.by_state:
        hint = "Mend freshness.write: its method, path, body, command or statement, or the status of an accepted write."
        if written.done_ns is None and not written.refused:
            hint = "Is freshness.write right, and is it answered in time (workload.timeout)?"
        raise ResponseUnexpected(
            f"the probe's write was not accepted: {written.said}", hint=hint, refusal=refusal_of(written.status)
        )
    for (route, variant), original in zip(ways, originals, strict=True):
        seen = readable(await _look(arm, route, key, variant))
        if seen not in (original, version, arm.originals[key]):
            raise ResponseUnexpected(
                f"after the probe wrote {version} to key {key} (it was {original}), a read shows {seen}",
                hint="Are the keys in freshness.keys the probe's alone, and is what freshness.reads looks at the field "
                "that freshness.write writes?",
            )
    if freshness.refused is not None:
        await _refused(arm, key, version + 1)
    if ranges.absent_preflight is not None:
        await _absent(arm, str(ranges.absent_preflight), version)


async def _look(arm: ProbeArm, route: int, key: str, variant: int) -> Look:
    """A read, again where the service had an error: an error now and then is what the workload counts."""
    look = await arm.look(route, key, variant=variant)
    for _ in range(MOST_READS - 1):
        if not failed(look):
            break
        look = await arm.look(route, key, variant=variant)
    return look


async def _refused(arm: ProbeArm, key: str, version: int) -> None:
    written = await arm.write(key, version, prestate="refused")
    if not written.refused:
        raise ResponseUnexpected(
            f"the write that the service has to reject was not rejected: {written.said}",
            hint="Mend freshness.refused: what does the service reject, and with which 4xx status?",
        )


async def _absent(arm: ProbeArm, key: str, version: int) -> None:
    for route in range(len(arm.routes)):
        nothing_there(key, await arm.look(route, key))
    written = await arm.write(key, version, prestate="absent")
    if not written.accepted and not written.by_state:
        raise ResponseUnexpected(
            f"the probe could not create key {key}: {written.said}",
            hint="Mend freshness.absent.create: its method, path, body, or the status of an accepted creation.",
            refusal=refusal_of(written.status),
        )
    if not await arm.remove(key):
        raise ResponseUnexpected(
            f"the probe created key {key}, and could not remove it again",
            hint="Mend freshness.absent.remove: its method, path, or status. Remove the key by hand.",
        )


def failed(look: Look) -> bool:
    """Whether a read was answered with an error of the service's (5xx)."""
    return look.status is not None and look.status >= 500


def readable(look: Look) -> int:
    """The version that a read shows. Raises ResponseUnexpected where it shows none."""
    if look.version is None:
        raise ResponseUnexpected(
            f"the probe's read finds no version: {look.where}",
            hint="Mend freshness.reads: the path, or where the version stands in the answer; the keys in "
            "freshness.keys have to exist.",
            refusal=refusal_of(look.status),
        )
    return look.version


def below(key: str, value: int, version: int, first_version: int) -> None:
    """Raises ResponseUnexpected where a key holds a value that the probe's versions would not be above."""
    if value >= version:
        raise ResponseUnexpected(
            f"key {key} holds {value}, which is not below the probe's first version, {version}",
            hint=f"Set freshness.first_version (it is {first_version:,}) above every value that the keys hold, or "
            "reserve keys whose value is smaller.",
        )


def nothing_there(key: str, look: Look) -> None:
    """Raises ResponseUnexpected unless a read says that there is no such thing."""
    if not look.nothing_there:
        found = look.where or f"it holds {look.version}"
        raise ResponseUnexpected(
            f"key {key} of freshness.absent.keys has to be absent, and is not: {found}",
            hint="Reserve keys under which there is nothing: the probe creates and removes them.",
        )

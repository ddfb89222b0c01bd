"""Before a block: everything that the probe will do, once in every arm, so that what can't work is known now.

Looking at the probe's keys before the cache is cleared: what they hold, and that nothing is where nothing must be.

Reads only. What a cold key holds has to be known before the block, since nobody may read it in the block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

import httpx

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected, refusal_of
from luckyhit.load.bodies.versions import VersionMissing, VersionReader
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import SPECIAL_EVERY, KeyRanges
from luckyhit.probe.probe_reads import GONE, Look
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
        state = look.where or f"it holds {look.version}"
        raise ResponseUnexpected(
            f"key {key} of freshness.absent.keys has to be absent, and is not: {state}",
            hint="Reserve keys under which there is nothing: the probe creates and removes them.",
        )


_FEWEST = 4


def survey(
    freshness: Freshness,
    base_url: str,
    headers: Mapping[str, str],
    *,
    seconds: float,
    timeout_s: float,
    options: Mapping[str, Any] | None = None,
    most_reads: int = 1,
) -> dict[str, int]:
    """What the keys that are looked at hold: the preflight's, and those that a block of `seconds` may probe cold.

    `options` go to httpx.Client. `most_reads`: how often a read is tried that is answered with 5xx. Raises
    ResponseUnexpected where a read route shows no version, a key holds a value that is not below the probe's versions,
    or a key of `freshness.absent` is there: real data, that is.
    """
    origin, ranges = Origin.parse(base_url), KeyRanges.of(freshness)
    readers = [VersionReader(read) for read in freshness.reads]
    with httpx.Client(
        base_url=f"{origin.scheme}://{origin.authority}",
        timeout=timeout_s,
        trust_env=False,
        follow_redirects=False,
        **(options or {}),
    ) as client:

        def look(reader: VersionReader, key: str) -> Look:
            answer = _read_before_clear(client, reader, origin.prefix + reader.path(key), key, headers)
            for _ in range(most_reads - 1):
                if not failed(answer):
                    break
                answer = _read_before_clear(client, reader, origin.prefix + reader.path(key), key, headers)
            return answer

        originals: dict[str, int] = {}
        for reader in readers:
            for key in (ranges.preflight, *ranges.warm[:1]):
                value = readable(look(reader, str(key)))
                below(str(key), value, freshness.first_version, freshness.first_version)
                originals.setdefault(str(key), value)
            for key in (*ranges.absent[:1], *ranges.absent[-1:]):
                nothing_there(str(key), look(reader, str(key)))
        for key in ranges.cold[len(ranges.cold) - _cold_needed(freshness, seconds, len(ranges.cold)) :]:
            originals[str(key)] = readable(look(readers[0], str(key)))
            below(str(key), originals[str(key)], freshness.first_version, freshness.first_version)
    return originals


@contextmanager
def reading(
    freshness: Freshness,
    base_url: str,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Callable[[str], None]]:
    """Reads of one key, over each read route, whatever the answers are. `options` go to httpx.Client."""
    origin, readers = Origin.parse(base_url), [VersionReader(read) for read in freshness.reads]
    with httpx.Client(
        base_url=f"{origin.scheme}://{origin.authority}",
        timeout=timeout_s,
        trust_env=False,
        follow_redirects=False,
        **(options or {}),
    ) as client:

        def read(key: str) -> None:
            for reader in readers:
                with suppress(httpx.HTTPError):
                    client.get(origin.prefix + reader.path(key), headers=dict(headers))

        yield read


def _cold_needed(freshness: Freshness, seconds: float, most: int) -> int:
    if freshness.rate is None:
        return min(most, _FEWEST)
    share = 1 / SPECIAL_EVERY if "warm" in freshness.prestates else 1.0
    return min(most, max(_FEWEST, ceil(freshness.rate * seconds * share) + 1))


def _read_before_clear(
    client: httpx.Client, reader: VersionReader, path: str, key: str, headers: Mapping[str, str]
) -> Look:
    try:
        answer = client.get(path, headers=dict(headers))
    except httpx.HTTPError as error:
        raise ResponseUnexpected(
            f"the probe's read, GET {path}, gave no answer: {type(error).__name__}: {error}",
            hint="Is freshness.reads right, and does the service answer within workload.timeout?",
        ) from None
    version, where = None, f"GET {path} answered {answer.status_code}"
    if 200 <= answer.status_code < 300:
        found = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        try:
            version = reader.version(key, HttpResponse(headers=found, body=answer.content))
        except VersionMissing as missing:
            where += f" with {missing}"
    return Look(
        0, 0, version, "" if version is not None else where, answer.status_code in GONE, None, answer.status_code,
        None, False, False, "unknown", None, None,
    )  # fmt: skip

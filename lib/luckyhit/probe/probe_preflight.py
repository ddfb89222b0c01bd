"""Before a block: everything that the probe will do, once in every arm, so that what can't work is known now.

`survey` comes before that, and before the cache is cleared. It only reads: what the cold keys hold has to be known
before the block, since nobody may read them in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

import httpx

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected, refusal_of
from luckyhit.load.bodies.versions import VersionReader
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import SPECIAL_EVERY, KeyRanges
from luckyhit.probe.probe_reads import GONE, PLAIN, ProbeRead, RequestVariant, version_shown
from luckyhit.records import Arm

MOST_READS = 3
"""Attempts at a read that is answered with 5xx."""
_FEWEST_COLD_KEYS = 4


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


def survey(
    freshness: Freshness,
    base_url: str,
    headers: Mapping[str, str],
    *,
    seconds: float,
    timeout_s: float,
    variant: RequestVariant = PLAIN,
    options: Mapping[str, Any] | None = None,
    most_reads: int = 1,
) -> dict[str, int]:
    """Values by key, of the preflight's key and of those that a block of `seconds` may probe cold.

    `headers` override those of the `variant`. `options` go to httpx.Client. `most_reads`: attempts at a read that is
    answered with 5xx. Raises ResponseUnexpected where a read route shows no version, a key holds a value that is not
    below the probe's versions, or a key of `freshness.absent` exists, and so is real data.
    """
    prefix, ranges = Origin.parse(base_url).prefix, KeyRanges.of(freshness)
    routes = [VersionReader(read) for read in freshness.reads]
    originals: dict[str, int] = {}
    with _client(base_url, timeout_s, options) as client:

        def read(route: VersionReader, key: int | str) -> ProbeRead:
            for _ in range(most_reads):
                sent = {**variant.filled(str(key)), **headers}
                read = _survey_read(client, route, prefix + route.path(str(key)), str(key), sent)
                if not read.server_error:
                    break
            return read

        def value(route: VersionReader, key: int | str) -> int:
            value = version_of(read(route, key))
            check_below(str(key), value, freshness.first_version, freshness.first_version)
            return value

        for route in routes:
            for key in (ranges.preflight, *ranges.warm[:1]):
                originals.setdefault(str(key), value(route, key))
            for key in (*ranges.absent[:1], *ranges.absent[-1:]):
                check_absent(str(key), read(route, key))
        for key in ranges.cold[len(ranges.cold) - _cold_needed(freshness, seconds, len(ranges.cold)) :]:
            originals[str(key)] = value(routes[0], key)
    return originals


def unlike_variants(
    freshness: Freshness,
    base_url: str,
    variants: Sequence[RequestVariant],
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    options: Mapping[str, Any] | None = None,
) -> list[str]:
    """Names of the variants in which a read route has another body than in the first one, after that one's name: a
    write may show in one of them alone. Bodies that differ from read to read tell nothing. `headers` override those of
    a variant. Raises ResponseUnexpected where a variant shows no version, as the preflight of a run does."""
    prefix, key = Origin.parse(base_url).prefix, str(KeyRanges.of(freshness).preflight)
    unlike: dict[str, None] = {}
    with _client(base_url, timeout_s, options) as client:
        for route in [VersionReader(read) for read in freshness.reads]:
            path = prefix + route.path(key)
            bodies = []
            for variant in (variants[0], *variants):
                answer = _survey_answer(client, path, {**variant.filled(key), **headers})
                version, problem = version_shown(route, key, path, answer)
                read = ProbeRead(version=version, problem=problem, status=answer.status)
                if read.server_error:
                    break
                version_of(read)
                bodies.append(answer.body)
            if bodies[:1] == bodies[1:2]:
                pairs = zip(variants[1:], bodies[2:], strict=False)
                unlike |= dict.fromkeys(variant.name for variant, body in pairs if body != bodies[0])
    return [variants[0].name, *unlike] if unlike else []


@contextmanager
def key_reader(
    freshness: Freshness,
    base_url: str,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Callable[[str], None]]:
    """A function that reads one key over each read route and ignores the answers. `options` go to httpx.Client."""
    prefix, routes = Origin.parse(base_url).prefix, [VersionReader(read) for read in freshness.reads]
    with _client(base_url, timeout_s, options) as client:

        def read(key: str) -> None:
            for route in routes:
                with suppress(httpx.HTTPError):
                    client.get(prefix + route.path(key), headers=dict(headers))

        yield read


def _client(base_url: str, timeout_s: float, options: Mapping[str, Any] | None) -> httpx.Client:
    origin = Origin.parse(base_url)
    url = f"{origin.scheme}://{origin.authority}"
    return httpx.Client(base_url=url, timeout=timeout_s, trust_env=False, follow_redirects=False, **(options or {}))


def _cold_needed(freshness: Freshness, seconds: float, most: int) -> int:
    if freshness.rate is None:
        return min(most, _FEWEST_COLD_KEYS)
    proportion = 1 / SPECIAL_EVERY if "warm" in freshness.prestates else 1.0
    return min(most, max(_FEWEST_COLD_KEYS, ceil(freshness.rate * seconds * proportion) + 1))


def _survey_read(
    client: httpx.Client, route: VersionReader, path: str, key: str, headers: Mapping[str, str]
) -> ProbeRead:
    response = _survey_answer(client, path, headers)
    version, problem = version_shown(route, key, path, response)
    return ProbeRead(version=version, problem=problem, absent=response.status in GONE, status=response.status)


def _survey_answer(client: httpx.Client, path: str, headers: Mapping[str, str]) -> HttpResponse:
    try:
        answer = client.get(path, headers=dict(headers))
    except httpx.HTTPError as error:
        raise ResponseUnexpected(
            f"the probe's read, GET {path}, got no answer: {type(error).__name__}: {error}",
            hint="Check freshness.reads, and that the service answers within workload.timeout.",
        ) from None
    answer_headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    return HttpResponse(status=answer.status_code, headers=answer_headers, body=answer.content)

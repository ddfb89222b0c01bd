"""What keys hold before the probe, read over the control plane: before the cache is cleared, since nobody may read the
cold keys in a block. The engine, which starts for each block, imports none of this."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

import httpx

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected
from luckyhit.load.bodies.versions import VersionReader
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.probe.probe_plan import SPECIAL_EVERY, KeyRanges
from luckyhit.probe.probe_preflight import check_absent, check_below, version_of
from luckyhit.probe.probe_reads import GONE, PLAIN, ProbeRead, RequestVariant, version_shown

_FEWEST_COLD_KEYS = 4


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

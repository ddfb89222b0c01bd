"""Looking at the probe's keys before the cache is cleared: what they hold, and that nothing is where nothing must be.

Reads only. What a cold key holds has to be known before the block, since nobody may read it in the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

import httpx

from luckyhit.case.freshness import Freshness
from luckyhit.errors import ResponseUnexpected
from luckyhit.measure.head import Origin
from luckyhit.measure.probe_plan import SPECIAL_EVERY, KeyRanges
from luckyhit.measure.probe_preflight import below, failed, nothing_there, readable
from luckyhit.measure.probe_reader import GONE, Look
from luckyhit.measure.response import HttpResponse
from luckyhit.measure.versions import VersionMissing, VersionReader

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
            answer = _look(client, reader, origin.prefix + reader.path(key), key, headers)
            for _ in range(most_reads - 1):
                if not failed(answer):
                    break
                answer = _look(client, reader, origin.prefix + reader.path(key), key, headers)
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


def _look(client: httpx.Client, reader: VersionReader, path: str, key: str, headers: Mapping[str, str]) -> Look:
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

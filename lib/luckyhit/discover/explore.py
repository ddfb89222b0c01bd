"""What a service answers, and which write shows in which read: asked, one request after the other.

Reads are asked of any service, writes only of one that was started here (`may_write`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from luckyhit.caches.base import AnyCache
from luckyhit.discover.asking import Asker
from luckyhit.discover.evidence import Discovery, ReadRoute, ServiceEvidence, WriteRoute
from luckyhit.discover.exploring.ids import needed_headers
from luckyhit.discover.exploring.reads import Exploring, config_path_of, find_reads
from luckyhit.discover.exploring.writes import WriteFinder

TIME_UP, ENDED = "the time was up", "the service had ended"
CacheKindName = Literal["redis", "none", "unknown"]


@dataclass
class Explored:
    """What was found out; fields as in `Discovery`."""

    reads: tuple[ReadRoute, ...] = ()
    writes: tuple[WriteRoute, ...] = ()
    config_path: str | None = None
    cache_kind: CacheKindName = "unknown"
    skipped: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    requests_sent: int = 0
    partial: bool = False

    def discovery(self, evidence: ServiceEvidence) -> Discovery:
        """Together with what the sources say, whose gaps are unknown too."""
        return Discovery(
            evidence=evidence,
            reads=self.reads,
            writes=self.writes,
            config_path=self.config_path,
            cache_kind=self.cache_kind,
            skipped=self.skipped,
            unknown=tuple(dict.fromkeys((*evidence.notes, *self.unknown))),
            headers=self.headers,
            requests_sent=self.requests_sent,
            partial=self.partial,
        )


def explore(
    evidence: ServiceEvidence,
    asker: Asker,
    *,
    cache: AnyCache | None,
    fields: Mapping[tuple[str, str], tuple[str, ...]],
    may_write: bool,
    progress: Callable[[str], None] = lambda _: None,
    alive: Callable[[], bool] = lambda: True,
    id_texts: Sequence[tuple[str, ...]] = (),
    deadline_s: float = 45.0,
) -> Explored:
    """Ask the routes of `evidence`. `cache`: our own server, which is emptied again and again; None where the service
    is not ours. `fields`: names that each view (method, path) reads from a body. `id_texts`: rows of texts that ids may
    look like. Once it is not `alive`, or after
    `deadline_s` seconds, no further route is begun. Ctrl-C gives what is known until then, as `partial`."""
    ends = time.monotonic() + deadline_s
    own = cache if may_write else None

    def over() -> str:
        if not alive():
            return ENDED
        return TIME_UP if time.monotonic() > ends else ""

    state = Exploring(asker, own, progress, over=over, id_texts=id_texts)
    asker.headers |= needed_headers(evidence.routes)
    writes: list[WriteRoute] = []
    partial = False
    try:
        find_reads(evidence, state)
        WriteFinder(state, fields).find(evidence, writes)
    except KeyboardInterrupt:
        partial = True
    if own is not None and own.commands is None:
        state.unknown.append(f"Which keys the requests touch: our own {own.kind} does not show its commands.")
    if any(reason == TIME_UP for _, reason in state.skipped):
        state.unknown.append(
            f"Some routes were not asked within {deadline_s:g} s; name fewer (--openapi with those alone)."
        )
    if may_write and not partial and not any(write.shows for write in writes):
        state.unknown.append(
            "Which write changes what a read shows: none that was accepted showed its number in a read. Describe "
            "bodies in an OpenAPI document (--openapi), or give a HAR of such a write (--har)."
        )
    return Explored(
        reads=state.with_all_keys(),
        writes=tuple(writes),
        config_path=config_path_of(evidence, state),
        cache_kind=_kind(state, own),
        skipped=tuple(state.skipped),
        unknown=tuple(state.unknown),
        headers=asker.headers,
        requests_sent=asker.requests_sent,
        partial=partial,
    )


def _kind(state: Exploring, own: AnyCache | None) -> CacheKindName:
    if own is None:
        return "unknown"
    if not any(read.keys for read in state.reads):
        return "none" if state.reads else "unknown"
    return "redis"

"""What of a discovery goes into the case: the read and the write, and which keys each has."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from urllib.parse import quote

from luckyhit.discover.evidence import Discovery, KeyUse, ReadRoute, Shows, WriteRoute

MOST_READS = 5
MOST_WORKLOAD_KEYS = 500
MOST_NAMES = 200
_KEPT = "".join(char for char in string.punctuation if char not in '#"<>\\^`|')
"""Of a path: `%` too, since what is quoted is not quoted again."""
FEWEST_APART = 20
"""With fewer keys the probe and the workload share them."""


@dataclass(frozen=True)
class CaseKeys:
    """`numbers`: first and last, where all ids are consecutive whole numbers; `workload` and `probe`: their parts,
    `shared` where they are the same. `texts`: ids that are not, of the workload; `probe_names`: of the probe."""

    numbers: tuple[int, int] | None = None
    workload: tuple[int, int] | None = None
    probe: tuple[int, int] | None = None
    shared: bool = False
    probe_names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseParts:
    """`read`: the route in question. `reads`: all of the workload, it first. `shown`: the reads that show what `write`
    wrote."""

    read: ReadRoute | None
    reads: tuple[ReadRoute, ...] = ()
    write: WriteRoute | None = None
    shown: tuple[tuple[ReadRoute, Shows], ...] = ()
    keys: CaseKeys = field(default_factory=CaseKeys)
    keys_in_use: tuple[KeyUse, ...] = ()

    def about_cache(self, discovery: Discovery) -> bool:
        """Whether any read may tell something about a cache: one that is no health check, or touches keys."""
        launch = discovery.launch
        health = {discovery.config_path, launch.ready if launch is not None else None}
        return any(read.path not in health or read.keys or read.cache_header for read in self.reads)

    def keyed(self, path: str) -> str:
        """A path with `{key}` for its one parameter, as a case has it: in ASCII; `{version}` stays."""
        return quote(re.sub(r"\{(?!version\})[^}]*\}", "{key}", path), safe=_KEPT)

    @property
    def probed(self) -> bool:
        """Whether a probe can write and read back: it needs the key in both."""
        keys = self.keys
        return self.write is not None and bool(self.shown) and bool(keys.probe or keys.probe_names) and self.write_keyed

    @property
    def write_keyed(self) -> bool:
        """Whether the write names the key that it changes."""
        return self.write is not None and "{key}" in self.keyed(self.write.path) + str(self.write.body)

    def version_of(self, read: ReadRoute) -> str:
        """Where a read has a whole number that is written; empty where it has none, or in a text."""
        places = (shows.json_path for shown, shows in self.shown if shown.path == read.path and not shows.regex)
        return next(places, "")


def chosen_from(discovery: Discovery) -> CaseParts:
    """A read whose value a write changes and a cache keeps comes first."""
    best: tuple[tuple[int, ...], WriteRoute | None, ReadRoute] | None = None
    for read in discovery.reads:
        writes: list[WriteRoute | None] = [write for write in discovery.writes if _shows(write, read) is not None]
        for write in writes or [None]:
            shows = _shows(write, read) if write is not None else None
            score = (
                int(shows is not None),
                int(bool(read.ids)),
                int(bool(read.keys)),
                int(read.hits is True) + int(bool(read.cache_header)),
                int(write is not None and write.route.method in ("PUT", "PATCH")),
                int(shows is not None and not shows.guess),
                -read.path.count("/"),
            )
            if best is None or score > best[0]:
                best = score, write, read
    if best is None:
        return CaseParts(None)
    _, write, read = best
    alike = [candidate for candidate in discovery.reads if candidate is not read and _same_ids(candidate, read)]
    if any(candidate.route.weight is not None for candidate in discovery.reads):
        alike.sort(key=lambda candidate: -(candidate.route.weight or 0.0))
    reads = (read, *alike)[:MOST_READS]
    shown = []
    if write is not None:
        for candidate in (read, *(other for other in discovery.reads if other is not read)):
            shows = _shows(write, candidate)
            if shows is not None and (candidate.ids or "{" not in candidate.path) and _same_ids(candidate, read):
                shown.append((candidate, shows))
    uses = [use for candidate in reads for use in candidate.keys]
    uses += list(write.keys) if write is not None else []
    return CaseParts(read, reads, write, tuple(shown[:MOST_READS]), _keys(read), tuple(dict.fromkeys(uses)))


def _shows(write: WriteRoute | None, read: ReadRoute) -> Shows | None:
    return next((shows for shows in write.shows if shows.read == read.path), None) if write is not None else None


def _same_ids(one: ReadRoute, other: ReadRoute) -> bool:
    """Whether one key range serves both: the same ids, or no id at all."""
    return not one.ids or set(one.ids) == set(other.ids)


def _keys(read: ReadRoute) -> CaseKeys:
    numbers = sorted(int(text) for text in read.ids if re.fullmatch(r"[0-9]{1,15}", text))
    if not read.ids:
        return CaseKeys()
    first, last = (numbers[0], numbers[-1]) if numbers else (0, 0)
    if len(numbers) != len(read.ids) or last - first + 1 != len(set(numbers)):
        return _text_keys(read.ids)
    if len(numbers) < 2 * FEWEST_APART:
        return CaseKeys((first, last), (first, last), (first, last), shared=True)
    middle = min(first + len(numbers) // 2, first + MOST_WORKLOAD_KEYS)
    return CaseKeys((first, last), (first, middle - 1), (middle, last))


def _text_keys(ids: tuple[str, ...]) -> CaseKeys:
    """Every second one is the probe's, where there are enough: the first ones of a list are often the most asked."""
    if len(ids) < 2 * FEWEST_APART:
        return CaseKeys(texts=ids, probe_names=ids, shared=True)
    return CaseKeys(texts=ids[::2], probe_names=ids[1::2][:MOST_NAMES])

"""Headers that look as if they told a cache status, and are none of the usual ones: a case may name one."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.load.signals.signal_table import CACHE_SOURCES, FLAGS, WORDS
from luckyhit.load.signals.statuses import event_of

_USUAL = frozenset(source.header for source in CACHE_SOURCES)
_PLAIN = {word: WORDS[word] for word in ("hit", "miss", "stale", "expired", "bypass", "revalidated", "updating")}
"""Words that mean a cache in whatever header; the others (`pass`, `dynamic`) only where its name says `cache`."""
_ABOUT = frozenset({b"cache-control", b"cdn-cache-control", b"x-cache-lookup", b"clear-site-data"})
_LONGEST = 40


def offered(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Names (lower-case) and values of such headers in one answer."""
    offers = []
    for name, value in headers:
        if name in _USUAL or name in _ABOUT or len(value) > _LONGEST:
            continue
        text = value.decode("latin-1").strip().lower()
        named = b"cache" in name
        if event_of(text, WORDS if named else _PLAIN) is None and not (named and text in FLAGS):
            continue
        if named or len(text.replace("_", " ").replace("-", " ").split()) <= 2:
            offers.append((name.decode("latin-1"), value.decode("latin-1").strip()))
    return offers

"""The cache events in one header (its text in lower case): one for each cache on the way, the nearest to the user last.
Total: what can't be read yields nothing. Also, which unusual headers look like a cache status."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from luckyhit.load.signals.signal_table import (
    CACHE_SOURCES,
    FLAGS,
    FORWARDED,
    TIMING_METRICS,
    VIA_LOOKUP,
    WORDS,
    CacheSource,
    Event,
    Form,
)

_VARNISH = re.compile(r"\d{1,20}( \d{1,20})?", re.ASCII)
_WORD = re.compile(r"[a-z]+(?:[_-][a-z]+)*")
_MACHINE = re.compile(r" from |\(")
_LETTER = re.compile(r"(?:^|[(,])\s*([hm]) ")
_CODES = re.compile(r"apachetrafficserver[^\[\],]*\[([^\]:]*)")
_LOOKUP = re.compile(r"c([ ahmrsw])s([ ens])")
_COUNT = re.compile(r"\s*(?:sql )?(\d{1,10})(?:\.0*)?(?![\d.])", re.ASCII)
LARGEST_COUNT = 2**31 - 1


def events_in(text: str, source: CacheSource) -> list[Event]:
    """What each cache on the way did, according to this header."""
    events = _FORMS[source.form](text, source)
    return events[::-1] if source.nearest_first else events


def count_in(text: str) -> int | None:
    """The number at the beginning of a text, such as `2` or `sql 2 queries`."""
    match = _COUNT.match(text)
    return min(int(match[1]), LARGEST_COUNT) if match else None


def event_of(text: str, words: Mapping[str, Event]) -> Event | None:
    """The event of the last word in a text that has one."""
    for word in reversed(_WORD.findall(_MACHINE.split(text, maxsplit=1)[0])):
        if word in words:
            return words[word]
        for part in reversed(re.split("[_-]", word)):
            if part in words:
                return words[part]
    return None


def _words(text: str, source: CacheSource) -> list[Event]:
    return [event for part in text.split(",") if (event := event_of(part, source.words)) is not None]


def _rack(text: str, source: CacheSource) -> list[Event]:
    """One cache, and what it did one after the other."""
    return _words(text, source)[-1:]


def _flag(text: str, source: CacheSource) -> list[Event]:
    event = FLAGS.get(text.strip())
    return [] if event is None else [event]


def _rfc9211(text: str, source: CacheSource) -> list[Event]:
    events: list[Event] = []
    for _, parameters in list_members(text):
        if parameters.get("hit") in ("", "?1"):
            events.append("stale" if parameters.get("ttl", "").startswith("-") else "hit")
        elif (forwarded := FORWARDED.get(parameters.get("fwd", ""))) is not None:
            events.append("confirmed" if parameters.get("fwd-status") == "304" else forwarded)
    return events


def _counts(text: str, source: CacheSource) -> list[Event]:
    counts = [count_in(part) for part in text.split(",")]
    return ["hit" if count else "miss" for count in counts if count is not None]


def _metrics(text: str, source: CacheSource) -> list[Event]:
    events: list[Event | None] = []
    for name, parameters in list_members(text):
        if name in TIMING_METRICS:
            events.append(TIMING_METRICS[name] or event_of(parameters.get("desc", ""), WORDS))
        elif not parameters and name.partition("-")[0] in _BARE:
            events.append(WORDS[name.partition("-")[0]])
    return [event for event in events if event is not None]


def _ids(text: str, source: CacheSource) -> list[Event]:
    numbers = [_VARNISH.fullmatch(part.strip()) for part in text.split(",")]
    return ["hit" if ids[1] else "miss" for ids in numbers if ids is not None]


def _letters(text: str, source: CacheSource) -> list[Event]:
    return ["hit" if letter == "h" else "miss" for letter in _LETTER.findall(text.replace(")", ","))]


def _codes(text: str, source: CacheSource) -> list[Event]:
    events: list[Event] = []
    for codes in _CODES.findall(text):
        if (letters := _LOOKUP.search(codes)) is None:
            continue
        lookup, server = letters.groups()
        if lookup == "s" and server != "s":
            events.append("confirmed" if server == "n" else "stale")
        else:
            events.append(VIA_LOOKUP[lookup])
    return events


_BARE = ("hit", "miss", "pass")
_FORMS: dict[Form, Callable[[str, CacheSource], list[Event]]] = {
    "rfc9211": _rfc9211,
    "words": _words,
    "steps": _rack,
    "flag": _flag,
    "count": _counts,
    "metrics": _metrics,
    "ids": _ids,
    "letters": _letters,
    "codes": _codes,
}


def list_members(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The members of a list such as `a;x=1, b;y="2"` (in lower case): name and parameters, without quotes."""
    for member in _split(text, ","):
        name, *parameters = _split(member, ";")
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name.strip(), {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def _split(text: str, separator: str) -> list[str]:
    """`text` split at `separator`, except inside quotes."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted, escaped = [], 0, False, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


_USUAL = frozenset(source.header for source in CACHE_SOURCES)
_PLAIN = {word: WORDS[word] for word in ("hit", "miss", "stale", "expired", "bypass", "revalidated", "updating")}
"""Words that mean a cache in any header; the others (`pass`, `dynamic`) only in one whose name contains `cache`."""
_ABOUT = frozenset({b"cache-control", b"cdn-cache-control", b"x-cache-lookup", b"clear-site-data"})
_LONGEST = 40


def offered(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Names (lower-case) and values of headers in one response that look like a cache status and are none of the usual
    ones: a case may name one."""
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

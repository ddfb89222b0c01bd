"""What answers show of caches and the database.

signal_table    which headers mean what: one row each · statuses: what one header tells · members: lists in headers
chain           the caches on the way, by nearness · reader: everything that one answer shows (seen)
signal_sources  SIGNALS: where all this is read: one row a source
memory          what only several answers of a URL show together · offers: headers that look like a cache status
"""

from luckyhit.load.signals.memory import MOST_WAITING, Memory, Place
from luckyhit.load.signals.offers import offered
from luckyhit.load.signals.reader import Signals, service_ms
from luckyhit.load.signals.seen import NO_MARK, Mark, Seen
from luckyhit.load.signals.signal_sources import (
    SIGNALS,
    DeclaredSignals,
    LaterSource,
    ResponseSource,
    headers_source,
    later_sources,
    signals_of,
    told_later,
    with_headers,
)

__all__ = [
    "MOST_WAITING",
    "NO_MARK",
    "SIGNALS",
    "DeclaredSignals",
    "LaterSource",
    "Mark",
    "Memory",
    "Place",
    "ResponseSource",
    "Seen",
    "Signals",
    "headers_source",
    "later_sources",
    "offered",
    "service_ms",
    "signals_of",
    "told_later",
    "with_headers",
]

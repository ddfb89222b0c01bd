"""What answers show of caches and the database.

table       which headers mean what: one row each · statuses: what one header tells · members: lists in headers
chain       the caches on the way, by nearness · reader: everything that one answer shows (seen)
memory      what only several answers of a URL show together · offers: headers that look like a cache status
"""

from luckyhit.measure.signals.memory import MOST_WAITING, Memory, Place
from luckyhit.measure.signals.offers import offered
from luckyhit.measure.signals.reader import SignalHeaders, Signals, service_ms, signals_of
from luckyhit.measure.signals.seen import NO_MARK, Mark, Seen

__all__ = [
    "MOST_WAITING",
    "NO_MARK",
    "Mark",
    "Memory",
    "Place",
    "Seen",
    "SignalHeaders",
    "Signals",
    "offered",
    "service_ms",
    "signals_of",
]

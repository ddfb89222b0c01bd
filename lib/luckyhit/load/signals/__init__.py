"""What responses show of caches and the database.

signal_table      which headers mean what: one row each · statuses: the cache events in one header
chain             the caches on the way, by nearness · reader: everything that one response shows (response_signals)
signal_sources    SIGNALS: where all this is read: one row a source · log_source: the service's own log
database_counts   what else may be a number of database calls
response_history  what only several responses of one URL show together
"""

from luckyhit.load.signals.database_counts import offered_calls
from luckyhit.load.signals.reader import SignalReader, service_ms
from luckyhit.load.signals.response_history import MOST_WAITING, ResponseHistory, RowPlace
from luckyhit.load.signals.response_signals import NO_MARK, Mark, ResponseSignals
from luckyhit.load.signals.signal_sources import (
    SIGNALS,
    DeclaredSignals,
    LaterSource,
    ResponseSource,
    headers_source,
    later_columns,
    later_sources,
    signals_of,
    with_headers,
)
from luckyhit.load.signals.statuses import offered

__all__ = [
    "MOST_WAITING",
    "NO_MARK",
    "SIGNALS",
    "DeclaredSignals",
    "LaterSource",
    "Mark",
    "ResponseHistory",
    "ResponseSignals",
    "ResponseSource",
    "RowPlace",
    "SignalReader",
    "headers_source",
    "later_columns",
    "later_sources",
    "offered",
    "offered_calls",
    "service_ms",
    "signals_of",
    "with_headers",
]

"""The system under test: a service that the run starts, or one that already runs, and its cache."""

from luckyhit.target.cache import Cache
from luckyhit.target.counters import CounterSampler, sample
from luckyhit.target.events import EventWatch
from luckyhit.target.keyspace import cache_keys, watched_keys
from luckyhit.target.settings import Settings
from luckyhit.target.stack import Stack, start_together

__all__ = [
    "Cache",
    "CounterSampler",
    "EventWatch",
    "Settings",
    "Stack",
    "cache_keys",
    "sample",
    "start_together",
    "watched_keys",
]

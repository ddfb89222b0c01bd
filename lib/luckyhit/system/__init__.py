"""The system under test: a service that the run starts, or one that already runs, and its cache."""

from luckyhit.system.stack import Stack, start_together, stop_together
from luckyhit.system.start_settings import Settings

__all__ = [
    "Settings",
    "Stack",
    "start_together",
    "stop_together",
]

"""The system under test: a service that the run starts, or one that already runs, and its cache."""

from luckyhit.target.settings import Settings
from luckyhit.target.stack import Stack, start_together

__all__ = [
    "Settings",
    "Stack",
    "start_together",
]

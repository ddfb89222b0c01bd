"""A service that the run's own cache refuses: it does not send the password that stands in `{cache_url}`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from luckyhit.case import Case

_SAID = re.compile(r"NOAUTH|WRONGPASS|AuthenticationError|authentication required|already authenticated", re.IGNORECASE)
"""What Redis, Valkey and their clients say of a connection without it."""


def refusal_hint(case: Case, log: Iterable[str]) -> str | None:
    """What to do where the end of the service's log tells of it; None where it does not."""
    if not case.passes_password or not any(_SAID.search(line) for line in log):
        return None
    return (
        "The cache refuses the service: it has a password, which stands in {cache_url}, and the service does not send "
        "it. If it takes only host and port from its URL, write redis://{cache_host}:{cache_port}/0 for {cache_url} in "
        "target.start: then the cache has no password."
    )

"""What a target is called, without its secrets: names for locks, journals and messages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from luckyhit.caches import cache_identity
from luckyhit.case import Case

__all__ = ["cache_identity", "target_identities"]


def target_identities(case: Case, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What of this case's target is shared with others: its URL, its cache, its fixed port. Sorted; empty where
    the run has everything for itself."""
    names = []
    if case.target.url is not None:
        parts = urlsplit(case.target.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        names.append(f"service {(parts.hostname or '').lower()}:{port}")
    if case.target.start is not None and case.target.start.port is not None:
        names.append(f"port {case.target.start.port}")
    if case.cache.url_env is not None and environ.get(case.cache.url_env):
        names.append(f"cache {cache_identity(environ[case.cache.url_env])}")
    return sorted(names)

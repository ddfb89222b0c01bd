"""The words that files, code and reports share: arms, stages, statuses, errors, verdicts."""

from __future__ import annotations

from typing import Literal, get_args

SCHEMA_VERSION = 1

Arm = Literal["before", "after"]
Phase = Literal["warmup", "measure"]
CacheStatus = Literal["hit", "miss", "stale", "bypass", "unknown"]
CACHE_STATUSES: tuple[CacheStatus, ...] = get_args(CacheStatus)
RequestError = Literal["connect", "timeout", "reset", "protocol", "dropped", "unexpected"]
Verdict = Literal["HELPED", "HURT", "EQUIVALENT", "INCONCLUSIVE", "INVALID"]
Limit = Literal["kept", "broken", "open"]
"""Of a hard limit on the after arm: shown to be kept, shown to be broken, neither."""
OldDataLooked = Literal["declared", "undeclared", "not-looked-at"]
"""Whether a run looked for old data: with a goal on it, without one, or not at all."""

# Blocks are numbered through the whole run: the baseline first, then those of the change, then the one that is
# measured after the rollback. `stage` in the manifest's list of blocks tells which is which.
Stage = Literal["baseline", "wash-out", "change", "after-rollback"]

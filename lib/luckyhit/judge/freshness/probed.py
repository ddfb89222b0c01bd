"""What the freshness probe recorded in one arm, and what it means: each part is worked out once, for all that ask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from luckyhit.judge.freshness.classify import classify_reads
from luckyhit.judge.freshness.windows import staleness_windows, worst_windows


@dataclass(frozen=True, eq=False)
class Probed:
    """The probe's reads and writes of one arm, in the blocks of one stage."""

    reads: pd.DataFrame
    writes: pd.DataFrame

    @cached_property
    def classified(self) -> pd.DataFrame:
        """The reads, with what each one means (see `freshness.classify_reads`)."""
        return classify_reads(self.reads, self.writes)

    @cached_property
    def windows(self) -> pd.DataFrame:
        """How long each polled write was stale, until the last route was fresh (see `windows.worst_windows`)."""
        return worst_windows(staleness_windows(self.classified, self.writes))

    def of_keys(self, keys: Collection[str]) -> Probed:
        """What was recorded of these keys. What a read means depends on nothing of another key."""
        own_frames = [frame[frame["key"].isin(keys).to_numpy(dtype=bool)] for frame in (self.reads, self.writes)]
        part = Probed(*own_frames)
        for name in ("classified", "windows"):
            whole: pd.DataFrame = getattr(self, name)
            part.__dict__[name] = whole[whole["key"].isin(keys).to_numpy(dtype=bool)]
        return part

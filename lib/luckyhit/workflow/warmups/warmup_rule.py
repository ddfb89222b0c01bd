"""The protocol of rules for the end of a warm-up before a block. The rules are in WARMUPS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from luckyhit.case import Case
from luckyhit.run import Run

Stretch = Callable[[float], int]
"""Sends the load for some seconds as a block that is not measured; returns the block's number."""


@dataclass(frozen=True, slots=True)
class ComingBlock:
    """A block before it is measured. `owned`: the run started the service itself; `changeable`: it may change it."""

    case: Case
    owned: bool
    changeable: bool


@dataclass(frozen=True, slots=True)
class WashOut:
    """One warm-up before a block: the number of stretches of load, `seconds` in all, and whether the hit ratio
    `settled` (False: it still moved when the time was over; None: unknown, since too few answers had a cache status).
    `ratios`: the hit ratio of each window, in the order of time."""

    stretches: int
    seconds: float
    settled: bool | None
    ratios: tuple[float, ...]

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "ratios": [round(ratio, 4) for ratio in self.ratios]}


class WarmupRule(Protocol):
    """Sends stretches of load before a block until its condition holds, or `plan.washout` is over. The fixed warm-up
    (`plan.warmup`) follows in the block itself."""

    def applies(self, coming: ComingBlock) -> bool:
        """Whether the rule applies to the block. The first in WARMUPS that does is used."""

    def run(self, run: Run, coming: ComingBlock, stretch: Stretch) -> WashOut:
        """Send the load until the condition holds. The records of the stretches are in the run directory."""

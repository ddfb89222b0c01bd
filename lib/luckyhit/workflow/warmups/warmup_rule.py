"""How a warm-up before a block ends: what a rule is asked, and what it returns. The rules are in WARMUPS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from luckyhit.case import Case
from luckyhit.run import Run

Stretch = Callable[[float], int]
"""Sends the load for some seconds as a block of its own, of which nothing is measured; returns its number."""


@dataclass(frozen=True, slots=True)
class ComingBlock:
    """A block before it is measured. `owned`: the run started the service itself; `changeable`: it may change it."""

    case: Case
    owned: bool
    changeable: bool


@dataclass(frozen=True, slots=True)
class WashOut:
    """One warm-up before a block: how many stretches of load, `seconds` in all, and whether it `settled` (False: its
    end was surely not reached when the time was over; None: too few answers told their cache status to see).
    `ratios`: the hit ratio of each window, in the order of time."""

    stretches: int
    seconds: float
    settled: bool | None
    ratios: tuple[float, ...]

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "ratios": [round(ratio, 4) for ratio in self.ratios]}


class WarmupRule(Protocol):
    """Sends stretches of load before a block until its condition holds, or `plan.washout` is over. The fixed time at
    the start of each block (`plan.warmup`) comes after it, in the block itself."""

    def applies(self, coming: ComingBlock) -> bool:
        """Whether the block needs it. Of several rules that apply, the first in WARMUPS is taken."""

    def run(self, run: Run, coming: ComingBlock, stretch: Stretch) -> WashOut:
        """Send the load until the rule is content. Records of the stretches are in the run directory."""

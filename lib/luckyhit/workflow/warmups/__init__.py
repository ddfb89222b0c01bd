"""WARMUPS: the rules for the end of a warm-up before a block. A rule is one file and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from luckyhit.run import Run
from luckyhit.workflow.warmups.warmup_rule import ComingBlock, Stretch, WarmupRule
from luckyhit.workflow.warmups.washout import UntilStill

WarmupId = Literal["until-still"]
WARMUPS: Mapping[WarmupId, WarmupRule] = {
    "until-still": UntilStill(),
}


def warm_up(run: Run, coming: ComingBlock, stretch: Stretch) -> dict[str, Any]:
    """Warm up before a block by the first rule that applies. Returns facts for the manifest; {} if none applies."""
    for rule in WARMUPS.values():
        if rule.applies(coming):
            return rule.run(run, coming, stretch).as_facts()
    return {}


__all__ = ["WARMUPS", "ComingBlock", "WarmupId", "warm_up"]

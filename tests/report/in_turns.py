"""A run in which the arms took turns on one service: a wash-out in two stretches before each block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from synthetic_run import ARM, a_block, make_run

from luckyhit.case_run import CaseRun
from luckyhit.records.parquet import write_part
from luckyhit.records.parts.block_numbers import next_block, next_stretch

WASHED_S, WARMUP_S, MEASURED_S = 2.0, 1.0, 4.0


def arms_in_turn(folder: Path, order: tuple[str, ...] = ("before", "after", "after", "before")) -> CaseRun:
    """Each stretch of a wash-out is an entry of its own in the manifest, with a number that no block has."""
    run = make_run(folder, stages=(), probes=0)
    rng, at_s = np.random.default_rng(5), 1.0
    blocks: list[dict[str, Any]] = []
    for arm in order:
        for stage, warmup_s, measure_s in [("wash-out", WASHED_S, 0.0)] * 2 + [("change", WARMUP_S, MEASURED_S)]:
            known = [entry["block"] for entry in blocks]
            block = next_block(known) if stage == "change" else next_stretch(known)
            rows = a_block(rng, {arm: ARM[arm]}, block, at_s, warmup_s=warmup_s, measure_s=measure_s, rate=110)
            write_part(run.path / "requests", f"block-{block:03d}-part-0000", rows)
            times_s = (at_s, at_s + warmup_s, at_s + warmup_s + measure_s)
            noted = dict(zip(("start_ns", "measure_ns", "end_ns"), (int(time * 1e9) for time in times_s), strict=True))
            blocks.append({"block": block, "stage": stage, "arms": [arm], **noted})
            at_s = times_s[-1] + 0.25
    run.update(blocks=blocks, design="crossover")
    return run

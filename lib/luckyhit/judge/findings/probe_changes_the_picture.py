"""The workload's own answers were others beside the freshness probe than without it, to the same requests.

A control block is sent what the pair of blocks before it was sent, without the probe. Each slot is compared with itself
(McNemar's exact test, in `proportions.paired_difference`): what the two blocks were asked differs in nothing. Blocks
differ by their hour as well, where others use the service too: so a control has to lie beyond every block with the
probe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from luckyhit.judge.background import TOLD_BY, background_reads
from luckyhit.judge.boundary import FixedSample
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.proportions import paired_difference
from luckyhit.judge.record import listed_arms
from luckyhit.records import Arm, Counted, Finding

ID = "probe-changes-the-picture"
ERROR_RATE = 0.01
"""The chance that a probe without any influence is named, over both arms and both shares together."""
LEAST = 0.03
"""Smaller differences are not told: neighbours in a cache are alike, so that one chance event counts several times."""
_SLOT = ["pair", "arm", "slot"]


@dataclass(frozen=True)
class Compared:
    """One share of the same slots, with the probe and without it."""

    probed: Counted
    control: Counted
    sure: bool


def find(evidence: Evidence) -> Finding | None:
    """`before` and `after` are the counts beside the probe; the facts hold those of the control blocks."""
    beside = _beside(evidence)
    if not beside:
        return None
    rows = _measured(evidence)
    slots = _slots(rows, beside)
    arms = evidence.arms
    compared = {
        (what, arm): shown
        for what in ("stale", "hit")
        for arm in arms
        if (shown := _compared(slots[slots["arm"] == arm], what, len(arms))) is not None
    }
    controls = {block for _, block in beside}
    for (what, arm), shown in compared.items():
        if not _beyond(rows[rows["arm"] == arm], what, controls):
            compared[what, arm] = replace(shown, sure=False)
    telling = [what for what, _ in compared if any(compared[what, arm].sure for arm in arms if (what, arm) in compared)]
    if not telling:
        return None
    facts: dict[str, float | int | str | bool | None] = {"share": telling[0], "blocks": len(beside)}
    for what, arm in compared:
        counts = compared[what, arm]
        facts |= {
            f"{what}_probed_{arm}": counts.probed.count,
            f"{what}_control_{arm}": counts.control.count,
            f"{what}_slots_{arm}": counts.control.of,
            f"{what}_differs_{arm}": counts.sure,
        }
    for arm in arms:
        for name, part in slots[slots["arm"] == arm].groupby("control"):
            latency = part["latency_ms"].median()
            facts[f"latency_p50_ms_{'control' if name else 'probed'}_{arm}"] = None if pd.isna(latency) else latency
    counted: dict[Arm, Counted] = {
        arm: compared[telling[0], arm].probed for arm in arms if (telling[0], arm) in compared
    }
    return Finding(id=ID, before=counted.get("before"), after=counted.get("after"), facts=facts)


def _beside(evidence: Evidence) -> dict[tuple[Arm, int], int]:
    """By arm and control block: the block with the probe that was sent the same requests."""
    probed: dict[tuple[Arm, int], int] = {}
    controls: list[tuple[Arm, int, int]] = []
    for entry in evidence.entries:
        for arm in evidence.arms:
            if arm in listed_arms(entry.get("arms")) and isinstance(entry.get("pair"), int):
                if entry.get("control") is True:
                    controls.append((arm, entry["pair"], entry["block"]))
                elif entry.get("probe"):
                    probed[arm, entry["pair"]] = entry["block"]
    return {(arm, block): probed[arm, pair - 1] for arm, pair, block in controls if (arm, pair - 1) in probed}


def _measured(evidence: Evidence) -> pd.DataFrame:
    """The measured requests, with `hit`, `stale` (1, 0, or null where an answer does not tell) and `latency_ms`."""
    rows = evidence.requests("slot", "due_ns", "cache", *TOLD_BY).to_pandas()
    told = background_reads(rows, evidence.case)
    rows["stale"] = told["outcome"].map({"stale": 1.0, "fresh": 0.0})
    rows["hit"] = rows["cache"].astype(object).map({"hit": 1.0, "stale": 1.0, "miss": 0.0})
    rows["latency_ms"] = ((rows["done_ns"] - rows["due_ns"]) / 1e6).where(rows["error"].isna())
    return rows[rows["phase"] == "measure"].astype({"arm": object})


def _slots(rows: pd.DataFrame, beside: dict[tuple[Arm, int], int]) -> pd.DataFrame:
    """The requests of the control blocks and of those beside them: `pair, arm, slot, control, hit, stale,
    latency_ms`."""
    parts = []
    for (arm, control), probed in beside.items():
        for block in (control, probed):
            part = rows[(rows["arm"] == arm) & (rows["block"] == block)]
            parts.append(part.assign(pair=control, control=block == control))
    return pd.concat(parts)[[*_SLOT, "control", "hit", "stale", "latency_ms"]]


def _beyond(rows: pd.DataFrame, what: str, controls: set[int]) -> bool:
    """Whether every control lies on one side of every block with the probe."""
    levels = rows.groupby("block")[what].mean().dropna()
    alone = levels.index.isin(list(controls))
    without, beside = levels[alone], levels[~alone]
    return len(without) > 0 and len(beside) > 0 and bool(without.max() < beside.min() or without.min() > beside.max())


def _compared(slots: pd.DataFrame, what: str, arms: int) -> Compared | None:
    told = slots[slots[what].notna()]
    with_probe, without = (told[told["control"] == control].set_index(_SLOT)[what] for control in (False, True))
    pairs = pd.concat([with_probe.rename("probed"), without.rename("control")], axis=1, join="inner")
    if pairs.empty:
        return None
    probed_only = int(((pairs["probed"] == 1) & (pairs["control"] == 0)).sum())
    control_only = int(((pairs["probed"] == 0) & (pairs["control"] == 1)).sum())
    shift = paired_difference(control_only, probed_only, len(pairs), FixedSample(), ERROR_RATE / (2 * arms))
    sure = (shift.low > 0 or shift.high < 0) and abs(shift.effect) >= LEAST
    probed, control = (Counted(count=int(pairs[side].sum()), of=len(pairs)) for side in ("probed", "control"))
    return Compared(probed, control, sure)

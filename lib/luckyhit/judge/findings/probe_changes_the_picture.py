"""The workload's own answers were others beside the freshness probe than without it, to the same requests.

A control block is sent what the pair of blocks before it was sent, without the probe. Each slot is compared with itself
(McNemar's exact test, in `proportions.paired_difference`): what the two blocks were asked differs in nothing. Blocks
differ by their hour as well, where others use the service too: so a control has to lie beyond every block with the
probe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from luckyhit.judge.evidence import ALWAYS, Evidence
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.proportions import paired_difference
from luckyhit.records import REQUESTS, Arm, CountOf, RunFinding

ID = "probe-changes-the-picture"
ERROR_RATE = 0.01
"""The chance that a probe without any influence is named, over both arms and both shares together."""
LEAST = 0.03
"""Smaller differences are not told: neighbours in a cache are alike, so that one chance event counts several times."""
ANSWERED = 0.98
"""Of the requests of a block: where fewer were answered as expected, the service was short of something else."""
MOST_SLOWER = 3.0
"""Times the median latency of hits, or of misses, in one of the two blocks: where they lie further apart, the machine
was short of time, and what else it did tells more than the probe."""
FEWEST_ANSWERS = 20
FEWEST = 2
"""Blocks with the probe, those of the baseline and behind the rollback among them: of one, nothing tells how blocks
differ anyway."""
_SLOT = ["pair", "arm", "slot"]


SHARES = ("hit",)
"""What is compared. Old answers are not: the control replays the values of the block before as well, so that what its
keys hold at its start may be what it is about to write, and an old answer to it looks like a new one."""


@dataclass(frozen=True)
class WithControl:
    """One share of the same slots, with the probe and without it."""

    probed: CountOf
    control: CountOf
    sure: bool


def find(evidence: Evidence) -> RunFinding | None:
    """`before` and `after` are the counts beside the probe; the facts hold those of the control blocks."""
    beside = _beside(evidence)
    if not beside:
        return None
    rows = _measured(evidence)
    slots = _slots(rows, beside)
    arms = evidence.arms
    compared = {
        (share, arm): shown
        for share in SHARES
        for arm in arms
        if (shown := _compared(slots[slots["arm"] == arm], share, len(arms))) is not None
    }
    for (share, arm), shown in compared.items():
        of_arm = {control: probed for (measured, control), probed in beside.items() if measured == arm}
        if not _telling(rows[rows["arm"] == arm], share, of_arm):
            compared[share, arm] = replace(shown, sure=False)
    telling = [
        share for share, _ in compared if any(compared[share, arm].sure for arm in arms if (share, arm) in compared)
    ]
    if not telling:
        return None
    facts: dict[str, float | int | str | bool | None] = {"share": telling[0], "blocks": len(beside)}
    for share, arm in compared:
        counts = compared[share, arm]
        facts |= {
            f"{share}_probed_{arm}": counts.probed.count,
            f"{share}_control_{arm}": counts.control.count,
            f"{share}_slots_{arm}": counts.control.of,
            f"{share}_differs_{arm}": counts.sure,
        }
    for arm in arms:
        for name, part in slots[slots["arm"] == arm].groupby("control"):
            latency = part["latency_ms"].median()
            facts[f"latency_p50_ms_{'control' if name else 'probed'}_{arm}"] = None if pd.isna(latency) else latency
    counted: dict[Arm, CountOf] = {
        arm: compared[telling[0], arm].probed for arm in arms if (telling[0], arm) in compared
    }
    return RunFinding(id=ID, before=counted.get("before"), after=counted.get("after"), facts=facts)


def _beside(evidence: Evidence) -> dict[tuple[Arm, int], int]:
    """By arm and control block: the block with the probe that was sent the same requests."""
    probed: dict[tuple[Arm, int], int] = {}
    controls: list[tuple[Arm, int, int]] = []
    for entry in evidence.entries:
        for arm in evidence.arms:
            if arm in entry.arms and entry.pair is not None:
                if entry.control:
                    controls.append((arm, entry.pair, entry.block))
                elif entry.probe:
                    probed[arm, entry.pair] = entry.block
    return {(arm, block): probed[arm, pair - 1] for arm, pair, block in controls if (arm, pair - 1) in probed}


def _measured(evidence: Evidence) -> pd.DataFrame:
    """The measured requests of all blocks, with `hit` (1, 0, or null where an answer does not tell),
    `latency_ms` and `answered`."""
    wanted = {*ALWAYS, "slot", "due_ns", "done_ns", "error", "cache"}
    rows = evidence.load([name for name in REQUESTS.names if name in wanted]).to_pandas()
    rows["hit"] = rows["cache"].astype(object).map({"hit": 1.0, "stale": 1.0, "miss": 0.0})
    rows["answered"] = rows["error"].isna()
    rows["latency_ms"] = ((rows["done_ns"] - rows["due_ns"]) / 1e6).where(rows["answered"])
    return rows[rows["phase"] == "measure"].astype({"arm": object})


def _slots(rows: pd.DataFrame, beside: dict[tuple[Arm, int], int]) -> pd.DataFrame:
    """The requests of the control blocks and of those beside them: `pair, arm, slot, control, hit,
    latency_ms`."""
    parts = []
    for (arm, control), probed in beside.items():
        for block in (control, probed):
            part = rows[(rows["arm"] == arm) & (rows["block"] == block)]
            parts.append(part.assign(pair=control, control=block == control))
    return pd.concat(parts)[[*_SLOT, "control", "hit", "latency_ms"]]


def _telling(rows: pd.DataFrame, share: str, beside: dict[int, int]) -> bool:
    """Whether the control blocks of one arm (each with the block beside it) can be held against the others: they were
    answered, about as fast, and every control lies on one side of every block with the probe, of which there are
    FEWEST."""
    answered = rows.groupby("block")["answered"].mean().reindex([*beside, *beside.values()])
    if not (answered >= ANSWERED).all() or not all(_as_fast(rows, *pair) for pair in beside.items()):
        return False
    levels = rows.groupby("block")[share].mean().dropna()
    alone = levels.index.isin(list(beside))
    without, others = levels[alone], levels[~alone]
    if not len(without) or len(others) < FEWEST:
        return False
    return bool(without.max() < others.min() or without.min() > others.max())


def _as_fast(rows: pd.DataFrame, one: int, other: int) -> bool:
    """Whether hits, and misses, took about as long in both blocks; a status of few answers tells nothing."""
    of_both = rows[rows["block"].isin([one, other]) & rows["hit"].notna()]
    latency = of_both.groupby(["hit", "block"])["latency_ms"].agg(["median", "count"])
    for _, blocks in latency.groupby(level="hit"):
        low, high = blocks["median"].min(), blocks["median"].max()
        if len(blocks) == 2 and blocks["count"].min() >= FEWEST_ANSWERS and high > MOST_SLOWER * low:
            return False
    return True


def _compared(slots: pd.DataFrame, share: str, arms: int) -> WithControl | None:
    telling = slots[slots[share].notna()]
    with_probe, without = (telling[telling["control"] == control].set_index(_SLOT)[share] for control in (False, True))
    pairs = pd.concat([with_probe.rename("probed"), without.rename("control")], axis=1, join="inner")
    if pairs.empty:
        return None
    probed_only = int(((pairs["probed"] == 1) & (pairs["control"] == 0)).sum())
    control_only = int(((pairs["probed"] == 0) & (pairs["control"] == 1)).sum())
    shift = paired_difference(control_only, probed_only, len(pairs), FixedSample(), ERROR_RATE / (2 * arms))
    sure = (shift.low > 0 or shift.high < 0) and abs(shift.effect) >= LEAST
    probed, control = (CountOf(count=int(pairs[side].sum()), of=len(pairs)) for side in ("probed", "control"))
    return WithControl(probed, control, sure)

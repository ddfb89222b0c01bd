"""Whether the workload was answered from the cache as often beside the freshness probe as without it, to the same
requests.

A control block is sent what the pair of blocks before it was sent, without the probe. Each slot is compared with itself
(McNemar's exact test, in `proportions.paired_difference`). Blocks differ by their hour as well, where others use the
service too: so a control has to lie beyond every block with the probe. Old answers are not compared: the control
replays the values of the block before as well, so an old answer to it looks like a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from luckyhit.judge.evidence import ALWAYS, Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.proportions import paired_difference
from luckyhit.records import REQUESTS, Arm, CountOf, RunFinding

ERROR_RATE = 0.01
"""The chance that a probe without any influence is named, over both arms together."""
LEAST = 0.03
"""Smaller differences don't count: neighbours in a cache are alike, so that one chance event counts several times."""
ANSWERED = 0.98
"""Of the requests of a block: where fewer were answered as expected, the service was short of something else."""
MOST_SLOWER = 3.0
"""Times the median latency of hits, or of misses, in one of the two blocks: where they lie further apart, the machine
was short of time, and that explains more than the probe does."""
FEWEST_ANSWERS = 20
FEWEST_BLOCKS = 2
"""Blocks with the probe, those of the baseline and after the rollback among them: one alone doesn't show how blocks
differ anyway."""
_SLOT = ["pair", "arm", "slot"]


@dataclass(frozen=True)
class ProbeEffect:
    """Hits in the same slots, with the probe and without it; `sure`: they differ by more than chance, and by LEAST."""

    probed: CountOf
    control: CountOf
    sure: bool


def probe_changes_the_picture(evidence: Evidence) -> RunFinding | None:
    """`before` and `after` are the counts beside the probe; the facts hold those of the control blocks."""
    beside = _beside(evidence)
    if not beside:
        return None
    rows = _measured(evidence)
    slots = _slots(rows, beside)
    effects: dict[Arm, ProbeEffect] = {}
    facts: Facts = {"share": "hit", "blocks": len(beside)}
    named = False
    for arm in evidence.arms:
        effect = _effect(slots[slots["arm"] == arm], len(evidence.arms))
        if effect is None:
            continue
        effects[arm] = effect
        of_arm = {control: probed for (measured, control), probed in beside.items() if measured == arm}
        differs = effect.sure and _comparable(rows[rows["arm"] == arm], of_arm)
        named |= differs
        facts |= {
            f"hit_probed_{arm}": effect.probed.count,
            f"hit_control_{arm}": effect.control.count,
            f"hit_slots_{arm}": effect.control.of,
            f"hit_differs_{arm}": differs,
        }
    if not named:
        return None
    for arm in evidence.arms:
        for is_control, part in slots[slots["arm"] == arm].groupby("control"):
            latency = part["latency_ms"].median()
            facts[f"latency_p50_ms_{'control' if is_control else 'probed'}_{arm}"] = (
                None if pd.isna(latency) else latency
            )
    return run_finding("probe-changes-the-picture", {arm: effect.probed for arm, effect in effects.items()}, facts)


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
    """The measured requests of all blocks, with `hit` (1, 0, or null where it is not visible), `latency_ms` and
    `answered`."""
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


def _comparable(rows: pd.DataFrame, beside: dict[int, int]) -> bool:
    """Whether the control blocks of one arm (each with the block beside it) differ by the probe: they were answered,
    about as fast, and every control lies on one side of every block with the probe, of which there are
    FEWEST_BLOCKS."""
    answered = rows.groupby("block")["answered"].mean().reindex([*beside, *beside.values()])
    if not (answered >= ANSWERED).all() or not all(_as_fast(rows, *pair) for pair in beside.items()):
        return False
    ratios = rows.groupby("block")["hit"].mean().dropna()
    is_control = ratios.index.isin(list(beside))
    controls, probed = ratios[is_control], ratios[~is_control]
    if not len(controls) or len(probed) < FEWEST_BLOCKS:
        return False
    return bool(controls.max() < probed.min() or controls.min() > probed.max())


def _as_fast(rows: pd.DataFrame, one: int, other: int) -> bool:
    """Whether hits, and misses, took about as long in both blocks; a status of few answers doesn't count."""
    of_both = rows[rows["block"].isin([one, other]) & rows["hit"].notna()]
    latency = of_both.groupby(["hit", "block"])["latency_ms"].agg(["median", "count"])
    for _, blocks in latency.groupby(level="hit"):
        low, high = blocks["median"].min(), blocks["median"].max()
        if len(blocks) == 2 and blocks["count"].min() >= FEWEST_ANSWERS and high > MOST_SLOWER * low:
            return False
    return True


def _effect(slots: pd.DataFrame, arms: int) -> ProbeEffect | None:
    visible = slots[slots["hit"].notna()]
    sides = (visible[visible["control"] == control].set_index(_SLOT)["hit"] for control in (False, True))
    pairs = pd.concat(dict(zip(("probed", "control"), sides, strict=True)), axis=1, join="inner")
    if pairs.empty:
        return None
    probed_only = int(((pairs["probed"] == 1) & (pairs["control"] == 0)).sum())
    control_only = int(((pairs["probed"] == 0) & (pairs["control"] == 1)).sum())
    shift = paired_difference(control_only, probed_only, len(pairs), FixedSample(), ERROR_RATE / (2 * arms))
    sure = (shift.low > 0 or shift.high < 0) and abs(shift.effect) >= LEAST
    probed, control = (CountOf(count=int(pairs[side].sum()), of=len(pairs)) for side in ("probed", "control"))
    return ProbeEffect(probed, control, sure)

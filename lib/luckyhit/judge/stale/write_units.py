"""What one stale read is: a write that was read later than the declared bound, and showed an older value.

One unit for each write (see `docs/freshness.md`): the probe's `once` read past the bound; of a burst, the first read
past it on the route whose turn it is; of the workload's writes, the first read of the key after it, before its next
write and past the bound in both arms. Side by side both arms get the same writes and reads, so units are pairs: (block,
key, probe) of the probe, (block, slot) of the workload. A unit that is decided in one arm only is no pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.freshness.classify import StaleShare, share_of
from luckyhit.judge.freshness.histories import whole_numbers
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.freshness.windows import LASTING_READS
from luckyhit.judge.stale.background import beyond

_PROBE = ["block", "key", "probe"]
_DECIDED = ("fresh", "stale")


@dataclass(frozen=True, slots=True)
class StalePairs:
    """Writes that were read past the bound, and decided, in both arms. `before`, `after`: stale in that arm;
    `before_only`, `after_only`: in that arm alone. `probed`: the pairs of the probe."""

    pairs: int = 0
    before: int = 0
    after: int = 0
    before_only: int = 0
    after_only: int = 0
    probed: int = 0

    @property
    def workload(self) -> int:
        return self.pairs - self.probed


def stale_units(probed: Probed, within_s: float) -> StaleShare:
    """The units of one arm's probe, counted."""
    return share_of(probe_units(probed.classified, within_s, burst_routes(probed)))


def stale_pairs(before: Probed, after: Probed, background: pd.DataFrame | None, within_s: float) -> StalePairs:
    """The units that both arms have. `background`: the workload's reads in the same blocks (see
    `background.background_reads`), None without versions."""
    routes = burst_routes(before, after)
    units = [probe_units(arm.classified, within_s, routes) for arm in (before, after)]
    probed = _stale_in_both(units[0], units[1], [*_PROBE, "mode", "route", "delay_ns"])
    own = [np.zeros(0, dtype=bool)] * 2 if background is None else workload_pairs(background, within_s)
    first, second = (np.concatenate(parts) for parts in zip(probed, own, strict=True))
    return StalePairs(
        pairs=len(first),
        before=int(first.sum()),
        after=int(second.sum()),
        before_only=int(np.count_nonzero(first & ~second)),
        after_only=int(np.count_nonzero(second & ~first)),
        probed=len(probed[0]),
    )


def burst_routes(*arms: Probed) -> list[str]:
    """The routes that bursts poll, in turn."""
    names = {str(name) for arm in arms for name in arm.reads.loc[_burst(arm.reads), "route"].dropna().unique()}
    return sorted(names)


def probe_units(classified: pd.DataFrame, within_s: float, routes: list[str]) -> pd.DataFrame:
    """One row for each probed write that was read past the bound, of a key that may be cached: `block, key, probe,
    mode, route, delay_ns` (0 for a burst), `outcome`. `classified`: of one arm, see `freshness`; `routes`: see
    `burst_routes`."""
    since = whole_numbers(classified["since_ack_ns"])
    exposed = classified["prestate"].isin(list(EXPOSED)).to_numpy(dtype=bool)
    acked = exposed & classified["after_ack"].to_numpy(dtype=bool) & since.present
    past = acked & (since.value > round(within_s * 1e9))
    burst = _burst(classified)
    # An in-flight probe has the racing read beside its planned one.
    once = classified[past & ~burst].sort_values("delay_ns", kind="stable").drop_duplicates(_PROBE, keep="last")
    polls = _turns(classified[acked & burst].assign(past=past[acked & burst]), routes)
    units = pd.concat([once, _first_past(polls).assign(delay_ns=0)])
    return units[[*_PROBE, "mode", "route", "delay_ns", "outcome"]]


def workload_pairs(background: pd.DataFrame, within_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(stale before, stale after) of the workload's own units."""
    within_ns = round(within_s * 1e9)
    reads = background[background["write_slot"].notna()]
    reads = reads[(reads["since_write_ns"] > within_ns).to_numpy(dtype=bool)]
    arms = [
        reads[(reads["arm"] == arm).to_numpy(dtype=bool)].drop_duplicates(["block", "slot"])
        for arm in ("before", "after")
    ]
    same = ["block", "slot", "route", "key", "write_slot"]
    both = arms[0].merge(arms[1][[*same, "outcome", "since_ack_ns"]], on=same, suffixes=("", "_after"))
    both = both.sort_values("slot", kind="stable").drop_duplicates(["block", "key", "write_slot"])
    before = beyond(both, within_s)["outcome"]
    after = beyond(
        both[["outcome_after", "since_ack_ns_after"]].set_axis(["outcome", "since_ack_ns"], axis=1), within_s
    )["outcome"]
    decided = (before.isin(_DECIDED) & after.isin(_DECIDED)).to_numpy(dtype=bool)
    return (before == "stale").to_numpy(dtype=bool)[decided], (after == "stale").to_numpy(dtype=bool)[decided]


def _burst(reads: pd.DataFrame) -> np.ndarray:
    return np.asarray((reads["mode"].astype(object) == "burst").to_numpy(dtype=bool))


def _turns(polls: pd.DataFrame, routes: list[str]) -> pd.DataFrame:
    """The polls of the route whose turn it is, by time."""
    if polls.empty:
        return polls
    turn = np.array(routes, dtype=object)[whole_numbers(polls["probe"]).value // 2 % len(routes)]
    in_turn = polls["route"].astype(object).to_numpy() == turn
    return polls[in_turn].sort_values("sent_ns", kind="stable")


def _first_past(polls: pd.DataFrame) -> pd.DataFrame:
    """Of each burst the first read past the bound; without one, the last of three that were all fresh."""
    if polls.empty:
        return polls
    first = polls[polls["past"]].drop_duplicates(_PROBE)
    early = polls.merge(first[_PROBE].assign(has=True), on=_PROBE, how="left")
    early = early[early["has"].isna().to_numpy(dtype=bool)]
    ends = early.groupby(_PROBE, sort=False, observed=True).tail(LASTING_READS)
    by_burst = ends.assign(fresh=ends["outcome"] == "fresh").groupby(_PROBE, sort=False, observed=True)
    lasting = (by_burst["fresh"].transform("sum") == LASTING_READS).to_numpy(dtype=bool)
    settled = ends[lasting].drop_duplicates(_PROBE, keep="last")
    return pd.concat([first, settled[polls.columns]])


def _stale_in_both(before: pd.DataFrame, after: pd.DataFrame, same: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(stale before, stale after) of the units decided in both frames."""
    units = [frame[frame["outcome"].isin(_DECIDED)].drop_duplicates(same) for frame in (before, after)]
    units = [frame.astype({"mode": object, "route": object}) for frame in units]
    both = units[0].merge(units[1], on=same, suffixes=("", "_after"))
    stale = both["outcome"] == "stale", both["outcome_after"] == "stale"
    return stale[0].to_numpy(dtype=bool), stale[1].to_numpy(dtype=bool)

"""What the freshness probe found in one arm, as the numbers of `records.FreshnessFacts`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.freshness.classify import late_reads, share_of
from luckyhit.judge.freshness.histories import Histories, at, truths, whole_numbers
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.freshness.sessions import disagreements, probes_compared, session_violations
from luckyhit.judge.freshness.windows import window_quantiles
from luckyhit.judge.stale.background import beyond, share_beyond
from luckyhit.judge.stale.proportion_bounds import ProportionBounds, uncompared
from luckyhit.records import FreshnessFacts
from luckyhit.records.manifest import ProbeNotes

_LEVELS = (0.5, 0.95, 0.99)


def freshness_facts(
    probed: Probed,
    within_s: float,
    *,
    background: pd.DataFrame | None = None,
    probes: Sequence[ProbeNotes] = (),
    by_state: Collection[int] = (),
    bounds: ProportionBounds = uncompared,
) -> FreshnessFacts:
    """The facts of one arm: what its probe recorded, and the bound in seconds.

    `background`: the workload's own reads in that arm, as `background.background_reads` has them.
    `probes`: what the blocks noted of their probe (`requests`, `share`), over all arms. `by_state`: the statuses of
    writes that the state of the thing does not allow. `bounds`: of a share of stale reads.
    """
    reads, writes, classified = probed.reads, probed.writes, probed.classified
    late = late_reads(classified, within_s)
    share = share_of(late)
    low, high = bounds(share.stale, share.reads) if share.reads else (None, None)
    windows = probed.windows
    quantiles = window_quantiles(windows, _LEVELS)
    violations = session_violations(classified, writes, within_s)
    behind = classified["behind"].dropna()
    own = share_beyond(background, within_s) if background is not None else None
    summary = own if own is not None and own.reads else None
    added_requests, added_share = added_by(probes)
    return FreshnessFacts(
        writes=int(writes["acked_ns"].notna().sum()),
        probes=len(writes[["block", "key", "probe"]].drop_duplicates()),
        reads=len(reads),
        fresh=share.fresh,
        stale=share.stale,
        unknown=share.unknown,
        never_committed=violations["never_committed"],
        share=share.share,
        low=low,
        high=high,
        zero_bound=None if share.stale else high,
        by_prestate=_split(late_reads(classified, within_s, (*EXPOSED, "cold")), "prestate"),
        by_route=_split(late, "route"),
        by_connection=_split(late.assign(which=np.where(truths(late["fresh_connection"]), "new", "kept")), "which"),
        by_kind=_split(late.assign(which=np.where(truths(late["conditional"]), "conditional", "plain")), "which"),
        by_cache=_split(late, "cache"),
        by_variant=_split(late, "variant"),
        by_layer=_split(late.assign(which=late["layers"].map(_served_by, na_action="ignore")), "which"),
        windows=len(windows),
        stuck=int(windows["stuck"].sum()),
        window_p50_ms=quantiles[0.5],
        window_p95_ms=quantiles[0.95],
        window_p99_ms=quantiles[0.99],
        versions_behind_mean=float(behind.mean()) if len(behind) else None,
        versions_behind_max=int(behind.max()) if len(behind) else None,
        read_your_writes=_of(violations, "read_your_writes"),
        monotonic_reads=_of(violations, "monotonic_reads"),
        disagreements=_disagreements(classified),
        probes_compared=probes_compared(classified),
        **_refused(classified, writes),
        left_out=_left_out(writes, by_state),
        conditional_reads=int(truths(reads["conditional"]).sum()),
        # Of a block: a service that is restarted for the next one has other names for its workers there.
        workers=int(reads.groupby("block")["worker"].nunique().max()) or None if len(reads) else None,
        background_stale=summary.stale if summary else None,
        background_reads=summary.reads if summary else None,
        background_agreed=summary.agreed if summary else None,
        background_unknown=own.unknown if own else None,
        background_by_cache=_split(beyond(background, within_s), "cache") if background is not None else {},
        added_requests=added_requests,
        added_share=added_share,
    )


def as_metric_has_it(facts: FreshnessFacts, effect: Effect, place: int) -> FreshnessFacts:
    """The facts of the arm at `place` with the one bound that no stale read has: that of the metric `stale_reads`,
    which counts more than these reads. None where it counts stale ones among those."""
    if facts.stale or facts.share is None or not effect.pairs:
        return facts
    bound = effect.zero_bounds[place]
    return facts.model_copy(update={"zero_bound": bound, "high": facts.high if bound is None else bound})


def _split(late: pd.DataFrame, column: str) -> dict[str, tuple[int, int]]:
    """(stale, stale + fresh) by each value of a column, in the order of their names."""
    known = late[late["outcome"].isin(["fresh", "stale"]) & late[column].notna()]
    stale = (known["outcome"] == "stale").groupby(known[column].astype(str)).agg(["sum", "count"])
    return {str(value): (int(row["sum"]), int(row["count"])) for value, row in stale.sort_index().iterrows()}


def _served_by(layers: str) -> str:
    """The nearest cache that said hit or stale in a text of layers; `service` where none did."""
    pairs = (layer.partition("=") for layer in layers.split())
    return next((name for name, _, status in pairs if status in ("hit", "stale")), "service")


def _left_out(writes: pd.DataFrame, by_state: Collection[int]) -> int:
    status = whole_numbers(writes["status"])
    usual = (writes["prestate"].astype(object) != "refused").to_numpy(dtype=bool)
    return int(np.count_nonzero(usual & status.present & np.isin(status.value, list(by_state))))


def _of(violations: Mapping[str, int], name: str) -> int | None:
    """How many there were; None where no read could have shown one."""
    return violations[name] if violations[f"{name}_of"] else None


def _disagreements(classified: pd.DataFrame) -> dict[str, int]:
    """The number of probes in which each kind of reader disagreed; nothing for a kind that never did."""
    pairs = disagreements(classified)
    probes = pairs.drop_duplicates(["arm", "block", "key", "version", "between"])
    return {str(kind): int(count) for kind, count in probes["between"].value_counts().sort_index().items()}


def _refused(classified: pd.DataFrame, writes: pd.DataFrame) -> dict[str, int]:
    histories = Histories(classified, writes)
    to_refuse = (histories.writes["prestate"].astype(object) == "refused").to_numpy(dtype=bool)
    shown = histories.find(histories.group, whole_numbers(classified["seen_version"]))
    rejected = shown.present & at(histories.version_rejected, shown)
    return {
        "refused_writes": int(np.count_nonzero(histories.write_rejected & to_refuse)),
        "refused_seen": int(np.count_nonzero(rejected)),
    }


def added_by(probes: Iterable[ProbeNotes]) -> tuple[int | None, float | None]:
    """(requests, share of the load) over all blocks whose notes on the probe have both; None where none has."""
    added = load = 0.0
    for probe in probes:
        if probe.requests is not None and probe.share:
            added, load = added + probe.requests, load + probe.requests / probe.share
    return (round(added), added / load) if load else (None, None)

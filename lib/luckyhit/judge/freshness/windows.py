"""How long staleness lasts: the windows that burst polls saw, as intervals, and their distribution. See `classify` for
what makes a read stale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from luckyhit.judge.freshness.histories import Histories, at, whole_numbers

LASTING_READS, LASTING_AFTER_FLAP = 3, 10
"""This many fresh reads in a row, with no stale one after them, count as lastingly fresh; more of them where the polls
went back from fresh to stale (workers or replicas that differ: some luck gives three in a row)."""
_PROBE = ["arm", "block", "key", "version"]
_MEASURED = ["low_ms", "high_ms", "censored", "stuck", "stale", "reads", "flaps"]


def staleness_windows(classified: pd.DataFrame, writes: pd.DataFrame) -> pd.DataFrame:
    """How long each burst-polled write stayed stale on each route, as an interval; one row per route with fresh or
    stale reads.

    Columns: `arm, block, key, version, route, prestate, low_ms, high_ms, censored, stuck, stale, reads,
    flaps`. A window begins with the acknowledgement: from then on a reader is owed the new value, whenever it was
    committed. `low_ms`: up to the send of the last stale read (0 where none was stale). `high_ms`: up to the end of the
    first fresh read after that one. `censored`: not lastingly fresh (LASTING_READS in a row) when the polling ended;
    `high_ms` is null then, and the window may be longer than `low_ms`. `stuck`: of these, those whose last read was
    stale (the others got fresh, and too few reads came to show that it lasts: slow ones, perhaps). `flaps`: changes
    from fresh back to stale.
    """
    judged = classified["outcome"].isin(["fresh", "stale"]) & (classified["mode"].astype(object) == "burst")
    # Only of the write that it is about: against a newer one, a read says nothing about this window.
    judged &= (classified["about"] == classified["newest_version"]).fillna(False).astype(bool)
    polls = classified[judged.to_numpy(dtype=bool) & classified["after_ack"].to_numpy(dtype=bool)]
    # A read without an end could close no window.
    polls = polls[polls["done_ns"].notna()].sort_values("sent_ns", kind="stable")
    if polls.empty:
        return _typed(pd.DataFrame(columns=[*_PROBE, "route", "prestate", *_MEASURED]))
    histories = Histories(polls, writes)
    about = histories.find(histories.group, whole_numbers(polls["about"]))
    polls = polls.assign(
        version=polls["about"],
        route=polls["route"].astype(object).where(polls["route"].notna(), "read").astype(str),
        acked_ns=at(histories.version_acked.value, about),
    )
    poll = polls.groupby([*_PROBE, "route"], sort=False, observed=True).ngroup().to_numpy()
    order = np.argsort(poll, kind="stable")
    polls = polls.iloc[order]
    stale = (polls["outcome"] == "stale").to_numpy()
    times = [whole_numbers(polls[name]).value for name in ("sent_ns", "done_ns", "acked_ns")]
    starts = np.flatnonzero(np.diff(poll[order], prepend=-1))
    windows = polls.iloc[starts][[*_PROBE, "route", "prestate"]].reset_index(drop=True)
    measured = [
        _window(*(values[start:stop] for values in (stale, *times)))
        for start, stop in pairwise([*starts.tolist(), len(polls)])
    ]
    return _typed(pd.concat([windows, pd.DataFrame(measured, columns=_MEASURED)], axis=1))


def _typed(windows: pd.DataFrame) -> pd.DataFrame:
    types = {"arm": str, "key": str, "block": "int64", "version": "int64", "low_ms": float, "high_ms": float}
    counts = dict.fromkeys(("stale", "reads", "flaps"), "int64")
    return windows.astype({**types, **counts, "censored": bool, "stuck": bool})


def _window(
    stale: np.ndarray, sent: np.ndarray, done: np.ndarray, acked: np.ndarray
) -> tuple[float, float | None, bool, bool, int, int, int]:
    """_MEASURED of one poll, from its reads by time; `acked` is when its write was acknowledged, for each."""
    acked_ns = int(acked[0])
    flaps = int(np.count_nonzero(stale[1:] & ~stale[:-1]))
    after_last_stale = int(np.flatnonzero(stale)[-1]) + 1 if stale.any() else 0
    last_stale_ns = int(sent[after_last_stale - 1]) if after_last_stale else acked_ns
    censored = len(stale) - after_last_stale < (LASTING_AFTER_FLAP if flaps else LASTING_READS)
    high_ms = None if censored else (int(done[after_last_stale:].min()) - acked_ns) / 1e6
    stuck = censored and bool(stale[-1])
    return (last_stale_ns - acked_ns) / 1e6, high_ms, censored, stuck, int(stale.sum()), len(stale), flaps


def worst_windows(windows: pd.DataFrame) -> pd.DataFrame:
    """One row per write: until every route that was polled was lastingly fresh. The columns of `staleness_windows`,
    with the number of routes instead of the route.

    The interval holds the longest of the routes' windows; one stuck route makes it stuck.
    """
    if windows.empty:
        return windows.assign(routes=0).drop(columns="route")
    by_write = windows.groupby(_PROBE, sort=False)
    worst = by_write.agg(
        routes=("route", "nunique"),
        prestate=("prestate", "first"),
        low_ms=("low_ms", "max"),
        high_ms=("high_ms", "max"),
        censored=("censored", "max"),
        stuck=("stuck", "max"),
        stale=("stale", "sum"),
        reads=("reads", "sum"),
        flaps=("flaps", "sum"),
    ).reset_index()
    worst = worst.astype({"censored": bool, "stuck": bool})
    worst["high_ms"] = worst["high_ms"].astype(float).mask(worst["censored"])
    return worst.astype({"low_ms": float})


def kaplan_meier(
    times: Sequence[float] | np.ndarray, observed: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Survival by Kaplan and Meier (1958): (distinct event times, share that lasts longer than each).

    `observed[i]` is False where case i was lost from sight at `times[i]` (right-censored). A tie counts the events
    first, as usual.
    """
    at = np.asarray(times, dtype=float)
    event_observed = np.asarray(observed, dtype=bool)
    events = np.unique(at[event_observed])
    at_risk = np.array([np.count_nonzero(at >= time) for time in events], dtype=float)
    ended = np.array([np.count_nonzero(at[event_observed] == time) for time in events], dtype=float)
    return events, np.cumprod(1 - ended / at_risk) if len(events) else np.empty(0)


def window_quantiles(
    windows: pd.DataFrame, levels: Sequence[float] = (0.5, 0.95, 0.99)
) -> dict[float, tuple[float, float] | None]:
    """Quantiles of the staleness window in ms, as (low, high): from the intervals' lower and upper ends.

    None where so many windows are open that the quantile lies beyond the horizon (or where there are none): it
    is not known. `windows` is the frame of `staleness_windows` or `worst_windows`, of one arm.
    """
    observed = ~windows["censored"].to_numpy(dtype=bool)
    upper = windows["high_ms"].where(observed, windows["low_ms"])
    quantiles: dict[float, tuple[float, float] | None] = {}
    for level in levels:
        ends = [_survival_quantile(times, observed, level) for times in (windows["low_ms"], upper)]
        low, high = ends
        quantiles[level] = None if low is None or high is None else (low, high)
    return quantiles


def _survival_quantile(times: pd.Series, observed: np.ndarray, level: float) -> float | None:
    events, survival = kaplan_meier(times.to_numpy(dtype=float), observed)
    reached = np.flatnonzero(survival <= 1 - level + 1e-12)
    return float(events[reached[0]]) if len(reached) else None

"""Stale reads that no cached copy can explain: of keys that nobody had read before, and of routes without a cache."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.case import Case
from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.by_arm import Facts, finding
from luckyhit.judge.freshness.classify import late_among
from luckyhit.judge.stale.background import bound_s
from luckyhit.records import Arm, CountOf, RunFinding

ID = "stale-without-cache"


def find(evidence: Evidence) -> RunFinding | None:
    """Of the probe's `once` reads later than the declared bound, where nothing old can be cached: the stale ones.

    A key is unread where its probe began cold, no earlier block touched it in any arm, the answer did not come from a
    cache, the route's path names the key, and the workload does not read it. A route has no cache where none of its
    answers says a cache status while others do, and none of them, as far as they tell, did without the database.
    """
    if evidence.case.freshness is None:
        return None
    uncached = _uncached(evidence)
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {"routes": ", ".join(uncached) or None}
    for arm in evidence.arms:
        late = late_among(evidence.probed(arm).classified, bound_s(evidence.case), (*EXPOSED, "cold"))
        late = late[late["outcome"].isin(["fresh", "stale"])]
        by_route = late["route"].isin(uncached)
        unread = _unread(evidence, late) & ~by_route
        stale = late["outcome"] == "stale"
        for name, rows in (("unread", unread), ("uncached", by_route)):
            facts |= {f"{arm}_{name}_stale": int((rows & stale).sum()), f"{arm}_{name}_reads": int(rows.sum())}
        either = by_route | unread
        if either.any():
            counts[arm] = CountOf(count=int((either & stale).sum()), of=int(either.sum()))
    return finding(ID, counts, facts) if any(counted.count for counted in counts.values()) else None


def _unread(evidence: Evidence, late: pd.DataFrame) -> pd.Series:
    freshness = evidence.case.freshness
    assert freshness is not None
    own = [read.name for read in freshness.reads if "{key}" in read.path]
    cold = (late["prestate"] == "cold") & late["route"].isin(own) & ~late["cache"].isin(["hit", "stale"])
    if freshness.keys.shared:
        return cold & False
    # An entry of an earlier block may have outlived it.
    probed = pd.concat([evidence.reads[["key", "block"]], evidence.writes[["key", "block"]]])
    first = probed.groupby("key", observed=True)["block"].min()
    return cold & (late["key"].map(first).astype("int64") == late["block"].astype("int64"))


def _uncached(evidence: Evidence) -> list[str]:
    """Names of the probe's read routes that have no cache, as far as anything tells."""
    case, reads = evidence.case, evidence.record.probe(evidence.stage)[0]
    says = (reads["cache"] != "unknown").groupby(reads["route"].astype(str)).any()
    if not says.any():
        return []
    assert case.freshness is not None
    paths = {read.name: read.path for read in case.freshness.reads}
    silent = [str(name) for name in says.index[~says] if name in paths]
    return [name for name in silent if _always_asks(evidence, case, paths[name])]


def _always_asks(evidence: Evidence, case: Case, path: str) -> bool:
    """Whether no answer of the workload on the same path says a cache status, or that it asked the database nothing.
    True where the workload has no such route."""
    names = [route.name for route in case.workload.routes if route.method == "GET" and route.path == path]
    if not names:
        return True
    table = evidence.requests("route", "cache", "db_calls")
    rows = table.filter(pc.is_in(table["route"].cast(pa.string()), pa.array(names)))
    silent = pc.all(pc.equal(rows["cache"].cast(pa.string()), "unknown")).as_py()
    fewest = pc.min(rows["db_calls"]).as_py()
    return silent is not False and (fewest is None or fewest > 0)

"""Findings on what readers saw: values that nobody wrote, and stale reads by where they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.case import Case
from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.freshness.classify import late_reads
from luckyhit.judge.stale.background import bound_s
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.proportions import proportion_difference
from luckyhit.records import CACHE_STATUSES, Arm, CountOf, FreshnessFacts, RunFinding

FEWEST_STALE_MISSES = 10
VARIANTS_ERROR_RATE = 0.01
"""The chance that variants which are stale alike are named, over all pairs of variants and both arms together."""
_BY_CACHE: dict[str, Callable[[FreshnessFacts], dict[str, tuple[int, int]]]] = {
    "probe": lambda facts: facts.by_cache,
    "workload": lambda facts: facts.background_by_cache,
}


def phantom_reads(evidence: Evidence) -> RunFinding | None:
    """Reads of the probe that showed a value of a refused or rolled back write."""
    counts = {arm: CountOf(count=facts.never_committed, of=facts.reads) for arm, facts in evidence.facts.items()}
    return run_finding("phantom-reads", counts) if _any(counts) else None


def stale_workload_reads(evidence: Evidence) -> RunFinding | None:
    """Stale reads among the workload's own, at no extra request: older than the case declares acceptable; the facts
    count those that were stale within the bound, and say whether a probe gives the metric `stale_reads` as well, which
    takes one read for each write."""
    counts = {
        arm: CountOf(count=facts.background_stale or 0, of=facts.background_reads)
        for arm, facts in evidence.facts.items()
        if facts.background_reads
    }
    agreed: Facts = {f"{arm}_agreed": facts.background_agreed for arm, facts in evidence.facts.items()}
    facts = {**agreed, "within_ms": 1e3 * bound_s(evidence.case), "probed": evidence.case.freshness is not None}
    return run_finding("stale-workload-reads", counts, facts) if _any(counts) else None


def stale_by_status(evidence: Evidence) -> RunFinding | None:
    """Stale reads that were answered as a miss: the nearer cache asked anew, and the old body came from the cache
    further on. Counts the probe's `once` reads of the headline, and the workload's own reads. A service without a cache
    (`unknown`, `bypass`) shows nothing here."""
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {}
    for arm, of_arm in evidence.facts.items():
        stale = dict.fromkeys(CACHE_STATUSES, 0)
        for source, by_cache in _BY_CACHE.items():
            for cache in CACHE_STATUSES:
                count, reads = by_cache(of_arm).get(cache, (0, 0))
                stale[cache] += count
                if reads:
                    facts |= {f"{arm}_{source}_{cache}_stale": count, f"{arm}_{source}_{cache}_reads": reads}
        counts[arm] = CountOf(count=stale["miss"], of=sum(stale.values()))
    mostly = [counted.count >= FEWEST_STALE_MISSES and 2 * counted.count > counted.of for counted in counts.values()]
    return run_finding("stale-by-status", counts, facts) if any(mostly) else None


def variants_differ(evidence: Evidence) -> RunFinding | None:
    """One variant of an answer stays old where another one is fresh: what empties the cache knows one variant only.
    `before` and `after` count the staler variant; the facts have the fresher one's counts."""
    pairs = [
        (arm, fresher, staler)
        for arm, facts in evidence.facts.items()
        for fresher in facts.by_variant
        for staler in facts.by_variant
        if fresher != staler
    ]
    differences: dict[tuple[str, str], float] = {}
    for arm, fresher, staler in pairs:
        by_variant = evidence.facts[arm].by_variant
        rate = VARIANTS_ERROR_RATE / len(pairs)
        difference = proportion_difference(*by_variant[fresher], *by_variant[staler], FixedSample(), rate)
        if difference.low > 0:
            differences[fresher, staler] = max(difference.effect, differences.get((fresher, staler), 0.0))
    if not differences:
        return None
    fresher, staler = max(differences, key=lambda pair: differences[pair])
    facts: Facts = {"variant": staler, "other": fresher}
    counts: dict[Arm, CountOf] = {}
    for arm, of_arm in evidence.facts.items():
        if staler in of_arm.by_variant and fresher in of_arm.by_variant:
            stale, reads = of_arm.by_variant[staler]
            counts[arm] = CountOf(count=stale, of=reads)
            facts[f"other_stale_{arm}"], facts[f"other_reads_{arm}"] = of_arm.by_variant[fresher]
    return run_finding("variants-differ", counts, facts)


def stale_without_cache(evidence: Evidence) -> RunFinding | None:
    """Stale reads that no cached copy explains: of the probe's `once` reads later than the declared bound, those of
    keys that nobody had read before, and those of routes without a cache.

    A key is unread where its probe began cold, no earlier block used it in any arm, the answer did not come from a
    cache, the route's path names the key, and the workload does not read it. A route has no cache where none of its
    answers shows a cache status while others do, and none of them is known to have done without the database.
    """
    if evidence.case.freshness is None:
        return None
    uncached = _uncached(evidence)
    counts: dict[Arm, CountOf] = {}
    facts: Facts = {"routes": ", ".join(uncached) or None}
    for arm in evidence.arms:
        late = late_reads(evidence.probed(arm).classified, bound_s(evidence.case), (*EXPOSED, "cold"))
        late = late[late["outcome"].isin(["fresh", "stale"])]
        by_route = late["route"].isin(uncached)
        unread = _unread(evidence, late) & ~by_route
        stale = late["outcome"] == "stale"
        for name, rows in (("unread", unread), ("uncached", by_route)):
            facts |= {f"{arm}_{name}_stale": int((rows & stale).sum()), f"{arm}_{name}_reads": int(rows.sum())}
        either = by_route | unread
        if either.any():
            counts[arm] = CountOf(count=int((either & stale).sum()), of=int(either.sum()))
    return run_finding("stale-without-cache", counts, facts) if _any(counts) else None


def _any(counts: Mapping[Arm, CountOf]) -> bool:
    return any(counted.count for counted in counts.values())


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
    """Names of the probe's read routes that have no cache, as far as the answers show."""
    case, reads = evidence.case, evidence.record.probe(evidence.stage)[0]
    shows_status = (reads["cache"] != "unknown").groupby(reads["route"].astype(str)).any()
    if not shows_status.any():
        return []
    assert case.freshness is not None
    paths = {read.name: read.path for read in case.freshness.reads}
    silent = [str(name) for name in shows_status.index[~shows_status] if name in paths]
    return [name for name in silent if _always_asks(evidence, case, paths[name])]


def _always_asks(evidence: Evidence, case: Case, path: str) -> bool:
    """Whether no answer of the workload on the same path shows a cache status, or did without the database. True where
    the workload has no such route."""
    names = [route.name for route in case.workload.routes if route.method == "GET" and route.path == path]
    if not names:
        return True
    table = evidence.requests("route", "cache", "db_calls")
    rows = table.filter(pc.is_in(table["route"].cast(pa.string()), pa.array(names)))
    silent = pc.all(pc.equal(rows["cache"].cast(pa.string()), "unknown")).as_py()
    fewest = pc.min(rows["db_calls"]).as_py()
    return silent is not False and (fewest is None or fewest > 0)

"""The wording of ids: titles of guards, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luckyhit.records import GuardId, NoteId, Verdict

VERDICT_MEANINGS: dict[Verdict, str] = {
    "HELPED": "something got better, and nothing got worse than the case accepts",
    "HURT": "something got worse than the case accepts",
    "EQUIVALENT": "nothing got worse than the case accepts, and no improvement counts",
    "INCONCLUSIVE": "the data does not decide yet whether the change helped or hurt",
    "INVALID": "a guard failed or the run ended early, so no number here may be relied on",
    "OBSERVED": "only the baseline was measured, nothing was changed",
}
"""What a verdict means, in half a sentence."""

GUARD_TITLES: dict[GuardId, str] = {
    "accounting-exact": "accounting exact",
    "answers-as-expected": "answers as expected",
    "arms-exposed-to-the-same-slots": "arms exposed to the same slots",
    "arms-warmed-up-alike": "arms warmed up alike",
    "as-it-was-after-the-rollback": "as it was after the rollback",
    "blocks-as-noted": "blocks as noted",
    "cache-clear-names-what-is-stored": "cache.clear names what is stored",
    "cache-clear-names-what-the-change-stores": "cache.clear after the change",
    "cache-header": "cache header",
    "cache-password": "cache password",
    "cache-reachable": "cache reachable",
    "cache-rights": "cache rights",
    "case-as-it-was-run": "case as it was run",
    "change": "change",
    "clock-monotonic": "clock monotonic",
    "clocks-of-the-hosts-agree": "clocks of the hosts agree",
    "declared-difference-only": "declared difference only",
    "directories": "directories",
    "dropped-share-small": "dropped share small",
    "engine-trustworthy": "engine trustworthy",
    "enough-distinct-keys": "enough distinct keys",
    "expected-response": "expected response",
    "freshness-probe": "freshness probe",
    "goals-decidable": "goals decidable",
    "goals-undecidable": "goals undecidable",
    "guards-readable": "guards readable",
    "hit-ratio-stationary-after-warm-up": "hit ratio stationary after warm-up",
    "inputs-validated": "inputs validated",
    "keys-outside-cache-clear": "keys outside cache.clear",
    "negative-controls-still": "negative controls unmoved",
    "no-carry-over": "no carry-over",
    "no-other-run": "no other run",
    "old-data": "old data",
    "permissions-checked": "permissions checked",
    "preflight-met-fault": "preflight-met-fault",
    "probe-variants": "probe variants",
    "purges": "purges",
    "rates": "rates of load and probe",
    "records-readable": "records readable",
    "rolled-back": "rolled back",
    "same-as-before": "same as before",
    "same-cache-state-at-block-start": "same cache state at block start",
    "sample-size-sane": "sample size sane",
    "scope-of-the-clear": "scope of the clear",
    "stacks-alike-before-the-change": "stacks alike before the change",
    "target-reachable": "target reachable",
    "the-probes-records-are-whole": "the probe's records are whole",
    "the-probes-writes-are-seen": "the probe's writes are seen",
    "washed-out": "washed out",
    "what-is-allowed": "what is allowed",
    "within-the-targets-limits": "within the target's limits",
}


def guard_title(id: GuardId) -> str:
    """`declared difference only`: a guard's title in reports, tables and messages."""
    return GUARD_TITLES[id]


NOTES: dict[NoteId, str] = {
    "run-ended-early": "The run ended early: {reason}.",
    "no-manifest": "Without a manifest, the stage of each block is inferred from its rows.",
    "blocks-left-out": "{measured} of {planned} planned blocks of the change were finished.",
    "blocks-stopped-early": (
        "{measured} of {planned} planned blocks of the change were finished: the run may stop when every goal is "
        "decided."
    ),
    "probe-problem": "Freshness probe, block {block}: {problem}",
    "probe-problems-more": "{count:,} more problems of the freshness probe are in the manifest.",
    "washout-moved-in-baseline": (
        "The hit ratio had not settled when plan.washout ended: it was still moving when the baseline began."
    ),
    "washout-moved-after-rollback": (
        "The hit ratio had not settled when plan.washout ended: it was still moving when the block after the rollback "
        "began."
    ),
    "one-process-start": (
        "One process start per arm: the effect of a start on latencies can't be separated from the change."
    ),
    "arms-one-after-the-other": (
        "The arms were measured one after the other: anything else that changed in between counts as the change."
    ),
    "arms-took-turns": "The arms took turns on one stack: whole blocks are the units, so there are few.",
    "latency-parts": "The mean latency of requests with a visible cache status changed by {total}: {parts:listed}.",
    "latency-paired-away": (
        "Measuring side by side removed {share:percent} of the variance from the difference of the mean latency."
    ),
    "latencies-leave-out": "Latencies leave out requests that failed or timed out: {before:,} before, {after:,} after.",
    "intervals-of-a-fixed-sample": (
        "Intervals hold for all goals together ({goals:listed}) at {level:percent}; the sample size was fixed before "
        "the run."
    ),
    "intervals-at-any-moment": (
        "Intervals hold for all goals together ({goals:listed}) at {level:percent}, whenever one looks or stops."
    ),
    "intervals-at-all-looks": (
        "Intervals hold for all goals together ({goals:listed}) at {level:percent}, and for all {looks} looks at which "
        "the run could have stopped."
    ),
    "blocks-after-the-other-arm": (
        "{size} {way} in blocks that follow the other arm, in both arms alike. The comparison is fair, but the levels "
        "are not a steady state; use a longer plan.washout."
    ),
    "trend-over-blocks": (
        "{way} by {size} from block to block, in both arms alike; the order of the blocks does not cancel this."
    ),
    "trend-over-mirrored-blocks": (
        "{way} by {size} from block to block, in both arms alike; the mirrored order of the blocks cancels this."
    ),
    "order-of-blocks": "Order of the arms: whole blocks in turn. Carry-over: {carry_over}.",
    "order-not-drawn": (
        "Order of sending: the {first} arm came first in {share:percent} of {slots:,} slots, so what it warms or "
        "delays for the {second} arm counts as the change."
    ),
    "order-first-warms": (
        "Order of sending: the {what} changed by {before_first} where before was sent first, and by {after_first} "
        "where after was ({apart} apart, {level:percent} interval {interval}). The second request is about {more} "
        "{way}, as if the first warms something for it (a cache, a database, the host's page cache): the stacks are "
        "not fully separate."
    ),
    "order-first-holds-up": (
        "Order of sending: the {what} changed by {before_first} where before was sent first, and by {after_first} "
        "where after was ({apart} apart, {level:percent} interval {interval}). The second request is about {more} "
        "{way}, as if the first delays it (a processor, a connection, a lock): the stacks are not fully separate."
    ),
    "order-is-even": (
        "The order of sending is random in each slot (before first in {share:percent}), so the comparison is fair."
    ),
    "order-is-uneven": "Before was sent first in {share:percent} of the slots, which shifts the comparison by about "
    "{moved}.",
    "route-against-the-whole": (
        "Route {route} moved against the total: {against}. Both arms got the same mix of routes, so the traffic is not "
        "the reason."
    ),
    "routes-part": (
        "Routes moved in opposite directions, which the total hides: {what} {parts:listed}, in total nothing certain. "
        "Both arms got the same mix of routes, so the traffic is not the reason."
    ),
    "routes-more": "{count:,} more notes of this kind are left out; see the table of routes.",
    "event": "{happened} {meaning}",
    "events-more": "{count:,} more events inside the arms are in result.json.",
    "not-visible-no-probe": "Not visible: the case has no freshness probe.",
    "not-visible-no-request": "Not visible: no request in {arms} {shown}.",
    "not-visible-no-late-read": "Not visible: no read after the bound was either fresh or stale for certain ({arms}).",
    "not-visible-no-read": "Not visible: no read of the probe shows it ({arms}).",
    "not-visible-no-window": "Not visible: no staleness window was measured in the {arms}.",
    "not-visible-status": "Not visible in the {arms}: the cache status can't be trusted.",
    "status-by-calls": (
        "Derived from the database calls of {routes:listed}, since the cache status in the {arms} can't be trusted."
    ),
    "change-not-measured": "The change was not measured.",
    "seen-on": "Seen on {share:percent} of the requests.",
    "seen-on-by-arm": "Seen on {before:percent} of the requests before, on {after:percent} after.",
    "no-stale-read": "No stale read among {reads:,} after the change: the true proportion is below {at_most:percent}.",
    "pairs-by-source": (
        "Each pair is a write with one read after it: {probe:,} of the probe, {workload:,} of the workload."
    ),
    "values-nobody-wrote": "Values that nobody wrote: {before} before, {after} after.",
    "none-after": "None among {reads:,} after the change: the true proportion is below {at_most:percent}.",
    "windows-open": "Windows still open when the probe stopped polling: {arms}.",
    "starts-vary": (
        "The difference varies between process starts by {deviation} (one standard deviation), more than the requests "
        "explain: the interval is over starts."
    ),
    "one-start-too-few": "One process start is too few to separate the change from the effect of a start.",
    "starts-too-few": "{starts} process starts are too few to separate the change from the effect of a start.",
    "too-few-requests": "Too few requests for an interval: measure longer.",
    "no-bounds": "The sample is too small for bounds: measure longer, or at a higher rate.",
    "margin-not-comparable": "The margin {margin} can't be compared with this metric: set one in the metric's unit.",
    "accepted-cost": "Accepted cost: worse by at least {least} and at most {most}.",
    "no-worse-is-all": "Not worse than the margin, which is what the goal asks; whether it is better is not known.",
    "limit-not-comparable": "The limit {limit} can't be compared with this metric: set one in the metric's unit.",
    "limit-broken": "Goal not met: beyond its limit after the change.",
    "limit-open": "Not shown to be within its limit of {limit}: {possible} is possible after the change.",
    "pairs-unknown": "How much more data would decide is not known: measure longer, or at a higher rate.",
    "pairs-too-many": "More than {times} times this sample is needed: measure longer, or set a larger margin.",
    "pairs-needed": "About {pairs} more pairs ({time} at this rate) would decide{often}.",
    "starts-unknown": "More blocks (plan.blocks) would decide: each has its own process starts.",
    "starts-needed": "About {blocks} (plan.blocks), each with its own process starts, would decide.",
}
"""The wording of a note, with its facts in braces; formats as in `luckyhit.text.wording`."""

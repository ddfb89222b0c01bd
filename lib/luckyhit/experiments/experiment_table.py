"""Which function makes which experiment: one row for each of `luckyhit.judge.diagnosis.experiment_rows`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from luckyhit.experiments import (
    absences,
    after_writes,
    answers,
    bursts,
    lifetimes,
    overlaps,
    repeats,
    restarts,
    surroundings,
    variants,
    waits,
)
from luckyhit.experiments.means.bench import Bench
from luckyhit.judge.diagnosis.outcome import Observations

Execute = Callable[[Bench, int], list[Observations]]
"""Makes so many trials; observations of the experiment itself, and of those that its records answer as well. Raises
TargetError where the service stops."""

EXECUTED: Mapping[str, Execute] = {
    "workers-in-use": surroundings.workers_in_use,
    "databases-in-use": surroundings.databases_in_use,
    "layers-in-use": surroundings.layers_in_use,
    "subscribers-in-use": surroundings.subscribers_in_use,
    "read-stored-entries": answers.read_stored_entries,
    "answers-when-loaded": answers.answers_when_loaded,
    "siblings-in-use": waits.siblings_in_use,
    "lifetime-runs-down": waits.lifetime_runs_down,
    "evicted-keys": surroundings.evicted_keys,
    "repeat-request": repeats.repeat_request,
    "keys-of-a-repeat": repeats.repeat_request,
    "header-against-body": repeats.repeat_request,
    "same-headers-for-two": repeats.repeat_request,
    "entry-lifetime": lifetimes.entry_lifetime,
    "vary-one-dimension": variants.vary_one_dimension,
    "burst-on-cold-key": bursts.burst_on_cold_key,
    "burst-at-expiry": bursts.burst_at_expiry,
    "burst-ttl-doubled": bursts.burst_ttl_doubled,
    "many-new-urls": absences.many_new_urls,
    "quiet-wait": waits.quiet_wait,
    "wait-for-the-instant": waits.quiet_wait,
    "raise-the-memory-limit": restarts.raise_the_memory_limit,
    "write-then-read": after_writes.write_then_read,
    "write-then-conditional-read": after_writes.write_then_read,
    "write-then-each-worker": after_writes.write_then_each_worker,
    "write-then-each-variant": after_writes.write_then_each_variant,
    "keys-read-and-deleted": after_writes.keys_read_and_deleted,
    "delete-the-read-key": after_writes.delete_the_read_key,
    "read-with-cache-emptied": after_writes.read_with_cache_emptied,
    "unrelated-write": after_writes.unrelated_write,
    "refresh-then-read": waits.refresh_then_read,
    "wait-out-the-ttl": waits.wait_out_the_ttl,
    "wait-with-siblings": waits.wait_with_siblings,
    "refused-write": absences.refused_write,
    "create-after-absent": absences.create_after_absent,
    "overlapping-reads": overlaps.overlapping_reads,
    "delay-the-store": overlaps.delay_the_store,
    "delay-the-delete-reply": overlaps.delay_the_delete_reply,
    "one-worker": restarts.one_worker,
    "cut-the-signal": restarts.cut_the_signal,
    "restart": restarts.restart,
    "stop-cache-during-write": restarts.stop_cache_during_write,
}
"""Those without a row need what no stack of our own can give yet: a replica, the address of a database or of a layer in
front, a loader that can be made to fail, the records of a baseline."""

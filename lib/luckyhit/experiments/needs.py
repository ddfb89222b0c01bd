"""Which needs of experiments a stack meets, and how long experiments take on it."""

from __future__ import annotations

from luckyhit.experiments.absences import absent_keys
from luckyhit.experiments.means.bench import Bench
from luckyhit.experiments.means.settings_in_force import ttl_setting, worker_setting
from luckyhit.experiments.surroundings import serving_processes
from luckyhit.experiments.waits import LONGEST_TTL_S, have_siblings
from luckyhit.judge.diagnosis.experiment import NeedId
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS

_SETTLING = {
    "write-then-read": 0.25, "delete-the-read-key": 1.0, "overlapping-reads": 0.5, "delay-the-store": 2.0,
    "delay-the-delete-reply": 2.0, "read-with-cache-emptied": 1.0, "write-then-each-worker": 1.0,
    "write-then-each-variant": 1.0, "refresh-then-read": 1.0, "create-after-absent": 1.0, "restart": 1.0,
    "one-worker": 2.0, "cut-the-signal": 2.0, "stop-cache-during-write": 2.0,
}  # fmt: skip
"""How often each trial waits until the declared staleness is over, those side by side counted once."""


def met_needs(bench: Bench, *, outage: bool) -> set[NeedId]:
    """Looks at the stack, and reads some keys. `outage`: whether the cache may be cut off."""
    needs: set[NeedId] = set()
    if bench.stack.owned:
        needs.add("own-stack")
        if bench.routes.write is not None and bench.routes.diagnosable:
            needs.add("probe-writes")
        if serving_processes(bench.stack) > 1:
            needs.add("several-workers")
    if bench.costs.tells_status:
        needs.add("cache-status")
    if bench.costs.calls is not None and bench.costs.calls > (bench.costs.floor or 0):
        needs.add("db-calls")
    if bench.cache is not None:
        needs |= {"cache-access", "cache-trace", "cache-writes", "variants", "known-ttl"}
        if bench.cache.cache.settings is not None:
            needs.add("cache-settings")
        if have_siblings(bench):
            needs.add("siblings")
    if bench.relay is not None and bench.relay.used:
        needs.add("cache-relay")
        if outage:
            needs.add("cache-outage")
    reading = bench.read(bench.take())
    if "etag" in reading.headers or "last-modified" in reading.headers:
        needs.add("validators")
    if ttl_setting(bench) is not None:
        needs.add("ttl-setting")
    if worker_setting(bench) is not None:
        needs.add("worker-setting")
    if "probe-writes" in needs:
        bench.absent = absent_keys(bench)
        if bench.absent:
            needs.add("probe-creates")
    probe = bench.case.freshness
    if probe is not None and probe.refused is not None and probe.refused.path is not None:
        needs.add("refused-write")
    return needs


def durations_s(bench: Bench) -> dict[str, float]:
    """By experiment id, where the declared staleness or the entries' life make it longer than usual."""
    durations = {
        name: EXPERIMENTS[name].seconds + EXPERIMENTS[name].trials * waits * bench.bound_s
        for name, waits in _SETTLING.items()
        if bench.bound_s > 0.2
    }
    if bench.cache is not None:
        life_s = bench.entry_life_s
        for name in ("wait-out-the-ttl", "wait-with-siblings"):
            durations[name] = 1.4 * life_s + 4.0 if life_s is not None else LONGEST_TTL_S
    return durations

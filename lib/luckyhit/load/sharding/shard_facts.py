"""What is noted of each shard of a block: where it was, its clock, its own figures, what it never sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from luckyhit.errors import ArgumentError, NotEnoughData
from luckyhit.load.sharding.clock_offset import clock_error_ns
from luckyhit.load.sharding.engine_host import HostFacts, WorkerState
from luckyhit.load.sharding.shard_follower import ShardFollower
from luckyhit.load.sharding.shard_rows import NeverSent
from luckyhit.load.worker_pool import merged
from luckyhit.records.manifest import LARGEST_CLOCK_ERROR_MS

LOOPBACK = ("localhost", "127.", "::1")


def shard_facts(
    follower: ShardFollower, lost: Mapping[int, NeverSent], workers: Sequence[int], rows: int
) -> dict[str, Any]:
    """One shard as `records.shards.ShardNotes`. `lost`: the processes of the block that are gone, and what they never
    sent; `workers`: those of this shard; `rows`: how many it recorded itself."""
    gone = [lost[worker] for worker in workers if worker in lost]
    engines = [state["facts"] for state in follower.reported if state["facts"] is not None]
    engine = merged(engines)["engine"] if engines else {}
    before, after = follower.before, follower.after
    known = before is not None and after is not None
    bounds = [(one.first, one.last) for one in gone if one.first is not None]
    return {
        "shard": follower.shard,
        "host": follower.facts["host"] if follower.facts is not None else "",
        "workers": list(workers),
        "offset_ns": before.offset_ns if before is not None else None,
        "offset_error_ns": before.error_ns if before is not None else None,
        "offset_after_ns": after.offset_ns if after is not None else None,
        "clock_error_ns": clock_error_ns(before, after) if known and before and after else None,
        "rows": rows,
        "lost": _why(follower) if gone else None,
        "never_sent": sum(one.slots for one in gone),
        "first_never_sent": min((first for first, _ in bounds), default=None),
        "last_never_sent": max((last for _, last in bounds if last is not None), default=None),
        **{name: engine.get(name) for name in ("added_p50_ms", "added_p99_ms", "schedule_error_p99_ms", "trustworthy")},
    }


def _why(follower: ShardFollower) -> str:
    """How a shard was lost, in a half sentence."""
    ended = next((state for state in follower.states if state["ended"]), None)
    return follower.lost or (f"its engine {ended['ended']}" if ended is not None else "it did not report")


def refuse_other_versions(own: HostFacts, hosts: Mapping[int, HostFacts]) -> None:
    """Raises ArgumentError for a host that would not send, or record, what this one would."""
    for shard, facts in hosts.items():
        for name in ("version", "code"):
            if facts[name] != own[name]:
                raise ArgumentError(
                    f"shard {shard} on {facts['host']} has luckyhit {_version(facts)}, and this host has "
                    f"{_version(own)}",
                    hint="Install the same version on all hosts, and start their workers again.",
                )


def refuse_other_schedules(schedules: Mapping[int, Mapping[str, Any]], hosts: Mapping[int, HostFacts]) -> None:
    """Raises ArgumentError unless all shards made the same schedule. Random numbers depend on the version of NumPy."""
    digests = {shard: str(schedule.get("digest")) for shard, schedule in schedules.items()}
    if len(set(digests.values())) > 1:
        listed = ", ".join(
            f"shard {shard} {digest} (NumPy {hosts[shard]['numpy']})" for shard, digest in digests.items()
        )
        raise ArgumentError(
            f"the hosts made different schedules of one case: {listed}",
            hint="Install the same versions of luckyhit and numpy on all hosts, and start their workers again.",
        )


def refuse_loopback(targets: Iterable[str], own: HostFacts, hosts: Mapping[int, HostFacts]) -> None:
    """Raises ArgumentError where a shard on another host would be sent to itself."""
    for url in targets:
        name = urlsplit(url).hostname or ""
        away = sorted({facts["host"] for facts in hosts.values() if facts["host"] != own["host"]})
        if name.startswith(LOOPBACK) and away:
            raise ArgumentError(
                f"{url} is this host alone, and shards would send from {', '.join(away)}",
                hint="Let the URL name this host as the others know it, and let the service listen there.",
            )


def refuse_vague_clocks(followers: Sequence[ShardFollower]) -> None:
    """Raises NotEnoughData where a host is so far away that its shard could not start with the others."""
    for follower in followers:
        error_ms = follower.before.error_ns / 1e6 if follower.before is not None else 0.0
        if error_ms > LARGEST_CLOCK_ERROR_MS:
            raise NotEnoughData(
                f"the clock of shard {follower.shard} is known to {error_ms:.1f} ms only, and it takes "
                f"{LARGEST_CLOCK_ERROR_MS:g} ms",
                hint="Use hosts nearer to this one, or less busy: half the shortest round trip is the error.",
            )


def raise_lost(followers: Sequence[ShardFollower]) -> None:
    """Raises NotEnoughData for a shard that is gone before the block began."""
    for follower in followers:
        silent: WorkerState | None = next(
            (one for one in follower.states if one["silent"] and not one["facts"] and not one["failure"]), None
        )
        if follower.lost or silent is not None:
            output = "".join(f"\n    | {line}" for line in silent["last_lines"]) if silent is not None else ""
            raise NotEnoughData(
                f"shard {follower.shard} was lost before the block began: {_why(follower)}{output}",
                hint="Nothing was sent. Look at that host, then start again.",
            )


def _version(facts: HostFacts) -> str:
    return f"{facts['version']} (code {facts['code']})"

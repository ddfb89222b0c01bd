"""What each cache on the way did, where there is more than one, or where no header names it.

A cache that answered was asked, and those further on were not: their statuses in the answer are of the moment when it
was stored, and don't count.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping

import pyarrow.compute as pc

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.records import Arm, CountOf, RunFinding

LONE = ("age", "date", "expires", "replay")
"""Layers without a header of their own (luckyhit.load.signals.response_history)."""
STATUSES = ("hit", "miss", "stale", "bypass")
FEWEST = 0.01
"""Less than this share of an arm's answers makes no second layer."""
MOST_LAYERS = 8

Chains = Mapping[str, int]
Layer = tuple[str, int]
"""Name, and how often it stands further on in the same chain."""


def layers(evidence: Evidence) -> RunFinding | None:
    by_arm = {arm: without_echoes(chains) for arm, chains in _chains(evidence).items()}
    if not any(_worth_naming(chains) for chains in by_arm.values()):
        return None
    counted = {arm: layer_counts(chains) for arm, chains in by_arm.items()}
    examples: list[Facts] = [
        {"arm": arm, "place": place, "layer": name, "lone": name in LONE, **{word: counts[word] for word in STATUSES}}
        for arm, of_arm in counted.items()
        for place, ((name, _), counts) in enumerate(list(of_arm.items())[:MOST_LAYERS], 1)
    ]
    facts: Facts = {f"layers_{arm}": len(of_arm) for arm, of_arm in counted.items()}
    return run_finding("layers", {arm: _nearest(chains) for arm, chains in by_arm.items() if chains}, facts, examples)


def without_echoes(chains: Chains) -> Chains:
    """The chains without layers whose status always equals that of the one before, hits included: that is one cache
    with two headers. A cache further on shows on a hit what it did at the fill, as a rule a miss."""
    rows: Counter[tuple[Layer, Layer]] = Counter()
    differing: Counter[tuple[Layer, Layer]] = Counter()
    hits: Counter[tuple[Layer, Layer]] = Counter()
    for chain, count in chains.items():
        layers = _layers(chain)
        for (nearer, status), (farther, other) in itertools.pairwise(layers):
            rows[nearer, farther] += count
            differing[nearer, farther] += count * (status != other)
            hits[nearer, farther] += count * (status == other == "hit")
    echoes = {pair[1] for pair in rows if hits[pair] and not differing[pair]}
    kept: Counter[str] = Counter()
    for chain, count in chains.items():
        kept[
            " ".join(f"{name}={status}" for (name, number), status in _layers(chain) if (name, number) not in echoes)
        ] += count
    return kept


def layer_counts(chains: Chains) -> dict[Layer, Counter[str]]:
    """What each layer did in the requests that reached it; the nearest first."""
    counted: dict[Layer, Counter[str]] = defaultdict(Counter)
    depth: Counter[Layer] = Counter()
    for chain, count in chains.items():
        asked = True
        for place, (layer, status) in enumerate(_layers(chain)):
            depth[layer] = max(depth[layer], place)
            counts = counted[layer]
            if asked and status in STATUSES:
                counts[status] += count
            asked = asked and status not in ("hit", "stale")
    return {layer: counted[layer] for layer in sorted(counted, key=lambda layer: (depth[layer], layer))}


def _chains(evidence: Evidence) -> dict[Arm, Chains]:
    """By arm, completed and measured requests by what the caches on their way did."""
    chains: dict[Arm, Counter[str]] = {arm: Counter() for arm in evidence.arms}
    for rows in evidence.in_parts("layers", "error") if evidence.has_values("layers") else ():
        which = pc.and_(pc.is_null(rows["error"]), pc.is_valid(rows["layers"]))
        rows = rows.filter(pc.and_(which, pc.equal(rows["phase"], "measure")))
        for group in rows.group_by(["arm", "layers"]).aggregate([([], "count_all")]).to_pylist():
            if group["layers"] and group["arm"] in chains:
                chains[group["arm"]][group["layers"]] += group["count_all"]
    return {arm: chains[arm] for arm in evidence.arms}


def _layers(chain: str) -> list[tuple[Layer, str]]:
    """Each layer and its status, the nearest first; those of one name are numbered from the farthest on, since a
    nearer one may come and go."""
    parts = _parts(chain)
    left = Counter(name for name, _ in parts)
    layers = []
    for name, status in parts:
        left[name] -= 1
        layers.append(((name, left[name]), status))
    return layers


def _parts(chain: str) -> list[tuple[str, str]]:
    return [(name, status) for name, _, status in (part.partition("=") for part in chain.split())]


def _worth_naming(chains: Chains) -> bool:
    total = sum(chains.values())
    several = sum(count for chain, count in chains.items() if len(_parts(chain)) > 1)
    lone = sum(count for chain, count in chains.items() if any(name in LONE for name, _ in _parts(chain)[:1]))
    return total > 0 and max(several, lone) >= FEWEST * total


def _nearest(chains: Chains) -> CountOf:
    """Hits of the layer nearest to the user."""
    hits = sum(count for chain, count in chains.items() if _parts(chain)[:1] and _parts(chain)[0][1] == "hit")
    return CountOf(count=hits, of=sum(chains.values()))

"""Whether the probe changes what the workload gets: control blocks without it, and what explains them otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from judged_evidence import BOTH, evidence, find, the_finding
from simulated_blocks import a_block, facts

from luckyhit.judge.evidence import Evidence
from luckyhit.records import REQUESTS
from tier import ALL

ID = "probe-changes-the-picture"


def controlled(
    hit: Sequence[tuple[float, float]],
    *,
    control: int | None = 2,
    seed: int = 1,
    own: float = 0.05,
    errors: float = 0.0,
    slow: float = 1.0,
    **probe: Any,
) -> Evidence:
    """Side by side: of each block the hit ratio of both arms. Block `control` has no probe, and the requests of the
    one before it."""
    tables, entries = [], []
    for block, ratios in enumerate(hit, 1):
        slower = {"hit_ms": 2 * slow, "miss_ms": 12 * slow} if block == control else {}
        rng = np.random.default_rng([seed, block - 1 if block == control else block])
        knobs = {
            arm: {"hit": ratio, "own": own, "errors": errors, **slower} for arm, ratio in zip(BOTH, ratios, strict=True)
        }
        tables.append(pa.Table.from_pandas(a_block(rng, block, knobs), preserve_index=False))
        noted_probe = {"requests": 600, "share": 0.5, "probes": 40, **probe}
        more: dict[str, Any] = {"control": True} if block == control else {"probe": noted_probe}
        entries.append(facts(block, "change", BOTH, pair=block, **more))
    table = pa.concat_tables(tables)
    for field in REQUESTS:
        if field.name not in table.column_names:
            table = table.append_column(field.name, pa.nulls(len(table), field.type))
    return evidence(table, blocks=entries)


def test_hits_that_come_with_the_probe_are_counted() -> None:
    finding = the_finding(ID, controlled([(0.9, 0.6), (0.5, 0.6), (0.9, 0.6), (0.9, 0.6)]))
    assert finding.before is not None and finding.before.of == finding.facts["hit_slots_before"]
    assert finding.before.count / finding.before.of == pytest.approx(0.9, abs=0.04)
    alone = float(finding.facts["hit_control_before"] or 0) / finding.before.of
    assert alone == pytest.approx(0.5, abs=0.06)


LOWER = [(0.9, 0.6), (0.5, 0.6), (0.9, 0.6)]
SAME = [(0.7, 0.7), (0.5, 0.7), (0.7, 0.7)]


@pytest.mark.parametrize(
    ("hit", "knobs", "named"),
    [
        (LOWER, {}, True),
        (LOWER, {"errors": 0.1}, False),
        (LOWER[:2], {"control": None}, False),
        (LOWER[:2], {}, False),
        ([*LOWER[:2], (0.4, 0.6), LOWER[2]], {}, False),
        (SAME, {}, True),
        (SAME, {"slow": 9.0}, False),
        (SAME, {"slow": 0.05}, False),
    ],
    ids=["named", "failed answers", "no control", "one block with the probe", "blocks differ anyway", "alike otherwise",
         "slower", "faster"],
)  # fmt: skip
def test_a_control_counts_where_nothing_else_explains_it(
    hit: Sequence[tuple[float, float]], knobs: dict[str, Any], named: bool
) -> None:
    assert (find(ID, controlled(hit, **knobs)) is not None) is named


def test_a_probe_without_influence_is_hardly_ever_named() -> None:
    many = 60 if ALL else 20
    named = [find(ID, controlled([(0.7, 0.6)] * 3, seed=seed, own=1.0)) is not None for seed in range(many)]
    assert sum(named) <= 2

"""METRICS is all that a metric needs: each row has its parts, and no part is left over."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from luckyhit.case.values.units import parse_amount
from luckyhit.judge.compare.effects import REQUEST_ESTIMATORS
from luckyhit.judge.compare.probe_effects import PROBE_ESTIMATORS
from luckyhit.judge.context.run_events import SERIES, metrics_of_series
from luckyhit.judge.power.goals import POWERS
from luckyhit.judge.stale.probe_pairs import PROBE_READS
from luckyhit.judge.table.request_values import VALUES
from luckyhit.records import (
    AMOUNTS,
    METRICS,
    NUMBER_COLUMNS,
    OF_REQUESTS,
    REQUESTS,
    UNITS,
    Estimator,
    EventMetric,
    MarginUnit,
    MetricName,
    ProbeReads,
    Unit,
    ValueKind,
)
from luckyhit.workflow.planning import PLANNED

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_all_its_parts(name: MetricName) -> None:
    kind = METRICS[name]
    assert kind.words and kind.counts and kind.estimator in POWERS
    assert UNITS[kind.unit].amount in kind.units and set(kind.units) <= set(AMOUNTS)
    assert ("quantile" in kind.estimator) == (kind.quantile is not None)
    if kind.column:
        assert kind.estimator in REQUEST_ESTIMATORS and kind.value in VALUES
        assert kind.column in REQUESTS.names and kind.unseen and kind.reads is None
    elif kind.reads is not None:
        assert kind.estimator == "probe-share" and kind.reads in PROBE_READS
    else:
        assert kind.estimator in PROBE_ESTIMATORS
    assert bool(kind.told) == bool(kind.told_by)
    for page in ("verdict.md", "measurement.md", "case-file.md"):
        table = [line for line in (DOCS / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        assert any(f"`{name}`" in line for line in table), page


def test_no_part_is_left_over() -> None:
    probe_share = {"probe-share"}
    assert set(get_args(MetricName)) == set(METRICS)
    assert set(get_args(Estimator)) == {kind.estimator for kind in METRICS.values()} == set(POWERS)
    assert set(get_args(Estimator)) == REQUEST_ESTIMATORS.keys() | PROBE_ESTIMATORS.keys() | probe_share
    assert set(get_args(ValueKind)) == VALUES.keys() == {kind.value for kind in METRICS.values()}
    assert set(get_args(ProbeReads)) == PROBE_READS.keys() == PLANNED.keys()
    assert set(get_args(EventMetric)) == SERIES.keys() and all(metrics_of_series(name) for name in SERIES)
    assert set(get_args(Unit)) == UNITS.keys() == {kind.unit for kind in METRICS.values()}
    assert set(get_args(MarginUnit)) == AMOUNTS.keys() == {"%", *(unit.amount for unit in UNITS.values())}
    assert set(NUMBER_COLUMNS) <= set(REQUESTS.names)


@pytest.mark.parametrize("unit", AMOUNTS)
def test_an_amount_is_written_as_it_is_read(unit: MarginUnit) -> None:
    kind = AMOUNTS[unit]
    amount = parse_amount(float(kind.example) if kind.bare else kind.example)
    assert amount.unit == unit and str(amount) == kind.example


def test_a_stream_tells_every_metric_of_requests(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    result = simulate(3, before={"errors": 0.02}).judge(case_with())
    visible = {name for name, metric in result.metrics.items() if metric.effect is not None}
    assert set(OF_REQUESTS) <= visible

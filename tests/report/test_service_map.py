"""The map of reads, writes and keys: by ids, from frames as a run has them."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from charted import texts

from luckyhit import records
from luckyhit.case.values.cache_key_templates import key_template
from luckyhit.judge.service_map import Edge, Node, ServiceMap, service_map
from luckyhit.report.figures.figure_rows import FIGURES
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.service_map_rows import service_map_rows


def _map(run: Recorded) -> ServiceMap:
    assert run.case is not None
    return service_map(run.case, *run.probe, run.probe_events.iloc[:0])


def test_without_events_the_keys_are_a_gap_not_none(recorded_run: Recorded) -> None:
    shown = _map(recorded_run)
    assert "events-off" in shown.gaps
    assert not shown.problems
    assert shown.of_kind("read")


def test_each_node_has_a_row_or_an_edge(recorded_run: Recorded) -> None:
    rows = service_map_rows(_map(recorded_run))
    cells = {cell for row in rows for cell in row}
    assert {node.label for node in _map(recorded_run).nodes} <= cells


def test_no_case_gives_an_empty_map(recorded_run: Recorded) -> None:
    module = FIGURES["service-map"].module
    assert module.is_empty(module.data(replace(recorded_run, case=None)))


def test_declared_templates_name_the_keys() -> None:
    assert key_template("v2:item:17", "17", ["v2:item:{id}"]) == "v2:item:{id}"
    assert key_template("v2:item:17", "17", []) == "v2:item:{key}"
    assert key_template("v2:item:171", "17", []) == "v2:item:171"


def test_a_faulty_write_is_never_grouped_away() -> None:
    writes = [Node("write", f"PUT /{number}") for number in range(20)]
    edges = [Edge(node.id, "key:a", "deletes", "recorded", 1, 1) for node in writes]
    faulty = ServiceMap([*writes, Node("key", "a")], edges, (), [("deletes-nothing", writes[-1].id)])
    module = FIGURES["service-map"].module
    shown = texts(module.draw(faulty))
    assert "PUT /19" in shown and "PUT /18" not in shown


def test_only_events_before_the_change_are_mapped(recorded_run: Recorded) -> None:
    row = {"arm": "after", "block": recorded_run.numbers("change")[0], "at_ns": 1, "key": "7"}
    row |= {"cache_key": "page:7", "event": "set", "ttl_ms": None}
    module = FIGURES["service-map"].module
    events = pa.Table.from_pylist([row], schema=records.EVENTS).to_pandas()
    after = module.data(replace(recorded_run, events=events))
    before = module.data(replace(recorded_run, events=events.assign(arm="before")))
    assert "events-off" in after.gaps and not after.edges
    assert any(edge.kind == "stores" for edge in before.edges)

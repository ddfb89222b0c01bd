"""`trace.json`: written, read again, and read as far as a damaged one goes."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from luckyhit.records.trace import (
    TRACE_SCHEMA,
    Trace,
    TracedRead,
    TracedRoute,
    TracedStatement,
    TracedWrite,
    UnknownId,
    load_trace,
    trace_document,
)
from luckyhit.text.trace_words import UNKNOWN_WORDS, unknown_sentence

ROUTE = TracedRoute(
    route="GET /items/{key}",
    requests=20,
    database_calls=0.5,
    hit_ratio=0.75,
    statements=[TracedStatement(text="SELECT product", calls=10)],
    cache_reads=[TracedRead(key="item:{id}", hits=15, misses=5)],
    cache_writes=[TracedWrite(key="item:{id}", verb="stored", calls=5)],
    unknown=["unwatched-cache:pymemcache"],
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["schema", "routes", "route", "database_calls", "key"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_a_written_trace_is_read_as_it_was() -> None:
    trace = Trace(routes=[ROUTE], libraries={"redis": "8.1.0"}, unknown=["background"])
    document = json.loads(json.dumps(trace_document(trace)))
    assert document["schema"] == TRACE_SCHEMA
    assert load_trace(document) == (trace, [])


def test_a_number_that_can_not_be_read_is_unknown() -> None:
    document = trace_document(Trace(routes=[ROUTE]))
    document["routes"][0] |= {"database_calls": -1, "hit_ratio": 7}
    trace, unread = load_trace(document)
    assert len(unread) == 2
    assert trace.routes[0].database_calls is None and trace.routes[0].hit_ratio is None
    assert trace.routes[0].statements == ROUTE.statements


@given(st.dictionaries(st.text(max_size=8), anything, max_size=4))
def test_any_document_is_read_without_an_error(document: dict[str, Any]) -> None:
    trace, _ = load_trace(document)
    assert isinstance(trace, Trace)


def test_each_reason_has_its_words() -> None:
    assert set(UNKNOWN_WORDS) == set(get_args(UnknownId))
    assert "pymongo" in unknown_sentence("unwatched-database:pymongo")
    assert unknown_sentence("of a newer version") == "of a newer version"

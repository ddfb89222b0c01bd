"""Answers of real proxies over each other (`tests/proxies`), with their headers in the order in which they came."""

from __future__ import annotations

import pytest

from luckyhit.load.signals import Signals

CALLS = "x-db-calls: 2"
VARNISH, SQUID = "Via: 1.1 varnish (Varnish/7.1)", "Via: 1.1 squid.test (squid/5.7)"
ATS = "Via: http/1.1 traffic_server (ApacheTrafficServer/9.2.9 [%s])"


@pytest.mark.parametrize(
    ("lines", "layers", "calls"),
    [
        # Squid 5.7: behind the service's own. Traffic Server 9.2.5 (xdebug): in its line. Apache 2.4.71: in its place.
        (["X-Cache: MISS", CALLS, "Age: 1", "X-Cache: HIT from squid.test", "X-Cache-Lookup: HIT from squid.test:3128", SQUID], "x-cache=hit x-cache=miss", 0),
        (["x-cache: MISS, hit-fresh", CALLS, "Age: 0"], "x-cache=hit x-cache=miss", 0),
        (["x-cache: HIT from apache.test", CALLS, "Age: 1"], "x-cache=hit", 0),
        (["x-cache: MISS from apache.test", CALLS], "x-cache=miss", 2),
        # Traffic Server 9.2.5, insert_response_via_str: not there, in memory, on disk, while it is being written.
        ([CALLS, "Age: 1", ATS % "uScMsSfWpSeN:t cCMp sS"], "via=miss", 2),
        ([CALLS, "Age: 1", ATS % "uScRs f p eN:t cCHp s "], "via=hit", 0),
        ([CALLS, "Age: 0", ATS % "uScHs f p eN:t cCHp s "], "via=hit", 0),
        ([CALLS, "Age: 0", ATS % "uScWs f p eN:t cCHp s "], "via=hit", 0),
        # Varnish 7.1.1 over itself: one Age, of the nearer.
        ([CALLS, "X-Varnish: 32773", VARNISH, "X-Varnish: 32787 6", "Age: 1", VARNISH], "x-varnish=hit x-varnish=miss", 0),
        # Over Traffic Server: an Age of 1 may be that of a new answer, one of 3 may not.
        ([CALLS, "X-Varnish: 32784", "Age: 1", VARNISH], "x-varnish=miss", 2),
        ([CALLS, "X-Varnish: 32784", "Age: 3", VARNISH], "x-varnish=miss age=hit", 0),
        # nginx 1.22.1 over HAProxy 2.6.12, which had it and which had not; over Varnish, whose Age stands still then.
        ([CALLS, "age: 4", "X-Cache-Status: MISS"], "x-cache-status=miss age=hit", 0),
        ([CALLS, "X-Cache-Status: MISS"], "x-cache-status=miss", 2),
        ([CALLS, "X-Varnish: 6", "Age: 0", VARNISH, "X-Cache-Status: HIT"], "x-cache-status=hit x-varnish=miss", 0),
        # HAProxy 2.6.12: its Age stands behind all others, behind a Via as well.
        (["x-cache: MISS", CALLS, "x-cache-status: MISS", "age: 1"], "age=hit x-cache-status=miss x-cache=miss", 0),
        ([CALLS, "x-cache: MISS from squid.test", "x-cache-lookup: MISS from squid.test:3128", "via: 1.1 squid.test (squid/5.7)", "age: 1"], "age=hit x-cache=miss", 0),
        ([CALLS, "cache-status: app; fwd=miss; stored", "age: 1"], "age=hit cache-status=miss", 0),
    ],
)  # fmt: skip
def test_layers_and_calls_of_a_recorded_answer(lines: list[str], layers: str, calls: int) -> None:
    pairs = (line.partition(": ") for line in lines)
    reading = Signals().read([(name.lower().encode(), value.encode()) for name, _, value in pairs])
    assert (reading.layers, reading.db_calls) == (layers, calls)

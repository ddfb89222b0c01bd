"""An answer that came before, byte for byte, makes the very row that it makes when it is looked into."""

from __future__ import annotations

from typing import Any

import pytest
from handled import ADDRESSES, Handled, handler
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Response, Route
from luckyhit.load.http1 import known_answers
from luckyhit.load.http1.known_answers import MOST_KNOWN, KnownAnswers
from luckyhit.load.http1.response import END, Head, Heads, HttpResponse, KnownAnswer
from tier import examples

SECOND = 1_000_000_000
ROUTES = [
    Route(name="page", path="/page/{number}"),
    Route(name="versioned", path="/v", version="$.v"),
    Route(name="write", path="/w/{number}", method="PUT", body={"v": "{number}"}, version="$.v"),
]  # fmt: skip
LINES = [
    "x-cache: HIT", "x-cache: MISS", "age: 0", "age: 7", "x-db-calls: 3", "x-varnish: 12", "x-varnish: 13 12",
    "date: Sun, 29 Nov 2026 16:12:01 GMT", "date: Sun, 29 Nov 2026 16:12:09 GMT", "content-encoding: gzip",
    "x-request-id: 0123456789abcdef0121",
]  # fmt: skip
BODIES = [b"", b'{"v": 4}', b'{"v": "wrong"}', f'{{"v": 4, "self": "{ADDRESSES[0]}"}}'.encode(), b"<h1>Oops</h1>"]
answer = st.tuples(
    st.sampled_from([200, 200, 200, 404]),
    st.lists(st.sampled_from(LINES), max_size=3, unique_by=lambda line: line.partition(":")[0]),
    st.sampled_from(BODIES),
)
step = st.tuples(st.integers(0, 5), st.sampled_from([0, 0, 0, 0, 1, 4, 16]), st.integers(0, 3))


def raw_answer(status: int, lines: list[str], body: bytes) -> bytes:
    head = [f"HTTP/1.1 {status} Some", *lines, f"content-length: {len(body)}"]
    return "\r\n".join(head).encode() + END + body


class Client:
    """What a connection does with a whole plain answer; with `known` ones at once."""

    def __init__(self, expected: Response | None, use_known: bool) -> None:
        self.handled: Handled = handler(*ROUTES, expected=expected, slots=200)
        self.heads, self.use_known, self.known_used = Heads(), use_known, 0

    def answered(self, slot: int, arm: int, at_ns: int, raw: bytes) -> None:
        responses, connection = self.handled.responses, slot % 4 + 1
        route = int(self.handled.schedule.route[slot])
        known = responses.known[arm][route]
        if self.use_known and known is not None and (answer := known.by_bytes.get(raw)) is not None:
            self.known_used += 1
            responses.record_known(slot, arm, at_ns, at_ns + 1, at_ns + 5, connection, answer)
            return
        text, _, body = raw.partition(END)
        head: Head | None = self.heads.known.get(text) or self.heads.read(text)
        assert head is not None and head.length == len(body)
        response = HttpResponse(
            at_ns + 1, at_ns + 5, at_ns + 5, head.status, None, head.headers, body, connection, head.length, False,
            head, at_ns,
        )  # fmt: skip
        response.raw = raw if self.use_known and known is not None and known.learns else None
        responses.record(slot, arm, response)

    def rows(self, count: int) -> list[dict[str, Any]]:
        self.handled.responses.finish()
        self.handled.recorder.end(count)
        return self.handled.recorder.table().to_pylist()


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(answer, min_size=1, max_size=4),
    st.lists(step, min_size=1, max_size=60),
    st.sampled_from([None, Response(status=200), Response(status=200, fields=["$.v"])]),
)
def test_known_answers_make_the_same_rows(
    answers: list[tuple[int, list[str], bytes]], steps: list[tuple[int, int, int]], expected: Response | None
) -> None:
    clients = Client(expected, True), Client(expected, False)
    at_ns = SECOND
    for slot, (which, later_s, arm) in enumerate(steps):
        at_ns += later_s * SECOND + 1000
        for client in clients:
            client.answered(slot, arm % 2, at_ns, raw_answer(*answers[which % len(answers)]))
    rows, looked_into = (client.rows(len(steps)) for client in clients)
    assert rows == looked_into
    first, second = (client.handled for client in clients)
    assert first.recorder.accounting() == second.recorder.accounting()
    assert first.responses.examples == second.responses.examples


def test_what_is_learnt_about_an_answer_is_kept() -> None:
    client = Client(Response(status=200), True)
    for slot in range(100):
        used = client.known_used
        client.answered(slot, 0, slot * SECOND + 1, raw_answer(200, ["content-type: text/plain"], b'{"v": 4}'))
        if slot >= 20:  # ten seconds show whether there is a layer without a header of its own
            is_write = client.handled.schedule.route[slot] == 2
            assert client.known_used == used + (not is_write)
    rows = client.rows(100)
    assert {row["status"] for row in rows} == {200} and len({row["body_hash"] for row in rows}) == 1


@pytest.mark.parametrize(("again", "learns"), [(0, False), (known_answers.FEWEST_AGAIN, True)])
def test_answers_that_never_come_again_are_not_kept(again: int, learns: bool) -> None:
    known = KnownAnswers()
    for number in range(MOST_KNOWN + 1):
        known.add(b"%d" % number, KnownAnswer(Head(200, 0, []), b"", b"", 0, True, again=number < again))
    assert known.learns is learns and len(known.by_bytes) == learns

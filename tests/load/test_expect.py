"""Whether an answer is as expected: for every byte a service may send, outside the timed part, and without secrets."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from luckyhit.case.workload import Response, Route, Workload
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY, expected_of, mismatch
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import KEPT_FOR_LATER, Answers
from luckyhit.load.schedule import closed_schedule
from luckyhit.load.signals import Signals

Headers = list[tuple[bytes, bytes]]


def headers(*lines: str) -> Headers:
    pairs = (line.partition(":") for line in lines)
    return [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]


EXPECTED = Response.model_validate(
    {"status": 200, "headers": {"Content-Type": "json"}, "fields": ["$.id", "$.data[1].price"]}
)


@pytest.mark.parametrize(
    ("line", "body", "wrong"),
    [
        ("content-type: \x07\x9b", b"{}", r"header Content-Type is '\x07\x9b', without 'json'"),
        ("content-type: json", b"", "a body that isn't JSON: b''"),
        ("content-type: json", b'{"id": NaN, "data": [0, {"price": 1}]}', "isn't JSON"),
        ("content-type: json", b"\x1b[31m\xe2\x80\xae", r"isn't JSON: b'\x1b[31m\xe2\x80\xae'"),
    ],
)
def test_a_mismatch_is_told_in_one_short_line_of_plain_letters(line: str, body: bytes, wrong: str) -> None:
    found = mismatch(EXPECTED, 200, headers(line), body)
    assert found is not None and wrong in found
    assert len(found) < 300 and found.isprintable() and found.isascii()


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("1", "1", True),
        ("1", "1.0", True),
        ("1.5", "15e-1", True),
        ("1", "true", False),
        ("true", "1", False),
        ("true", "true", True),
        ("false", "0", False),
        ("null", "null", True),
        ("null", "0", False),
        ("null", '""', False),
        ('"1"', "1", False),
        ('"ä"', '"\\u00e4"', True),
        ('"a"', '"A"', False),
        ("1", "[1]", False),
        ("9007199254740993", "9007199254740992.0", False),
        ("1", "1e999", False),
    ],
)
def test_values_are_equal_as_json_has_it(wanted: str, found: str, same: bool) -> None:
    expected = Response(values={"$.items[0].a": json.loads(wanted)})
    wrong = mismatch(expected, 200, [], b'{"items": [{"a": %s}]}' % found.encode())
    assert (wrong is None) is same


def test_a_wrong_value_is_told_beside_the_right_one_in_one_short_line() -> None:
    def wrong(found: Any, value: Any, name: str = "a") -> str | None:
        return mismatch(Response(values={f"$.{name}": value}), 200, [], json.dumps({name: found}).encode())

    assert wrong("\x1b[31m\u202e\n", "b") == r'$.a is "\u001b[31m\u202e\n" instead of "b"'
    assert wrong({"b": 1}, None) == "$.a is an object instead of null"
    assert wrong([1, 2], 1) == "$.a is a list of 2 instead of 1"
    assert len(wrong("x" * 10_000, "y" * 10_000) or "") < 300
    assert wrong("s3cret", "other", "api_token") == "$.api_token has another value"
    missing = mismatch(Response(values={"$.b": 1}), 200, [], b'{"a": 1}')
    assert missing == """no $.b in the body: b'{"a": 1}'"""


@pytest.mark.parametrize("name", ["Set-Cookie", "Authorization", "X-Api-Key"])
def test_the_value_of_a_secret_header_is_never_told(name: str) -> None:
    expected = Response(headers={name: "wanted-text"})
    found = mismatch(expected, 200, headers(f"{name}: session=s3cret"), b"")
    assert found == f"header {name} has another value"


BODY = b'{"id": 1}'
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    "given", [{"sha256": "abc"}, {"sha256": DIGEST.upper()}, {"values": {"id": 1}}, {"values": {"$.a": [1]}}]
)
def test_what_cannot_be_expected(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Response.model_validate(given)


answers_headers = st.lists(
    st.tuples(st.sampled_from([b"content-type", b"set-cookie", b"x-a"]), st.binary(max_size=60)), max_size=4
)


@given(st.integers(100, 599), answers_headers, st.binary(max_size=200))
def test_no_answer_is_ever_an_error(status: int, found: Headers, body: bytes) -> None:
    assert mismatch(EXPECTED, status, found, body) is not None
    values = Response(values={"$.a": 1}, sha256=DIGEST)
    assert mismatch(values, status, found, body) is not None


def test_an_answer_to_head_has_no_body() -> None:
    read = EXPECTED.model_copy(update={"values": {"$.id": 1}, "sha256": DIGEST})
    head = expected_of(Route(name="head", method="HEAD", path="/a"), read)
    assert mismatch(head, 200, headers("Content-Type: json"), b"") is None
    assert mismatch(head, 200, [], b"") == "no header Content-Type"


# Answers: checked one after the other, into rows.


def settled(expected: Response, *answers: HttpResponse, routes: int = 1, **settings: Any) -> Answers:
    """Answers to a closed loop of two slots, all of them settled."""
    given = [Route(name=f"r{number}", path=f"/{number}/{{number}}") for number in range(routes)]
    workload = Workload(seed=1, rate="1/s", routes=given)  # type: ignore[arg-type]
    schedule = closed_schedule(workload, 40 if routes > 1 else 2, 1)
    rows = RequestRecorder(schedule, ["before"], block=0, warmup_ns=0, directory=None, endless=True)
    templates = [[RouteTemplate(route, Origin.parse("http://h"), {}) for route in given]]
    checked = Answers(schedule, rows, ["before"], templates, Signals(), expected, **settings)
    for slot, answer in enumerate(answers):
        checked.settle(slot, 0, answer)
    checked.finish()
    rows.end(len(answers))
    return checked


def answer(body: bytes, *lines: str, status: int = 200, size: int | None = None) -> HttpResponse:
    whole = len(body) if size is None else size
    return HttpResponse(
        sent_ns=1,
        first_byte_ns=2,
        done_ns=3,
        status=status,
        connection=1,
        headers=headers(*lines),
        body=body,
        size=whole,
    )


def failed(checked: Answers) -> int:
    counts = checked.rows.accounting()["before"]
    assert counts.exact
    return counts.failed


def test_one_example_of_each_route_is_kept() -> None:
    wrong = [answer(b'{"id": %d, "name": "\xc3\xa4\x7f"}' % number) for number in range(40)]
    checked = settled(Response(values={"$.id": -1}), *wrong, routes=2)
    assert failed(checked) == 40
    assert [example["route"] for example in checked.examples] == ["r0", "r1"]
    assert json.loads(json.dumps(checked.examples)) == checked.examples
    (first,) = [example for example in checked.examples if example["wrong"] == "$.id is 0 instead of -1"]
    assert first["body"] == '{"id": 0, "name": "ä\\x7f"}'
    assert first["status"] == 200 and first["request"].startswith(f"GET /{first['route'][1]}/")
    assert checked.unexpected == f"arm before: {first['request']}: {first['wrong']}"


def test_an_example_shows_no_secret() -> None:
    body = b'{"password": "hunter22", "echo": "Basic s3cret-token", "id": 2, "session_token": "unfinished'
    checked = settled(Response(fields=["$.no"]), answer(body), secrets=["s3cret-token"])
    (example,) = checked.examples
    for secret in ("hunter22", "s3cret-token", "unfinished"):
        assert secret not in repr(example) and secret not in (checked.unexpected or "")
    assert '"id": 2' in example["body"] and "isn't JSON" in example["wrong"]


def test_an_example_is_short() -> None:
    (example,) = settled(Response(fields=["$.a"]), answer(b"\xe2\x82\xac" * 20_000)).examples
    assert example["body"] == "€" * 500


def test_bodies_are_decoded_before_they_are_looked_at() -> None:
    expected = Response(values={"$.id": 1}, sha256=DIGEST)
    right = [
        answer(BODY),
        answer(gzip.compress(BODY), "Content-Encoding: gzip"),
        answer(brotli.compress(BODY), "Content-Encoding: br"),
    ]
    assert failed(settled(expected, *right)) == 0
    checked = settled(expected, answer(brotli.compress(b'{"id": 2}'), "Content-Encoding: br"))
    assert failed(checked) == 1 and checked.examples[0]["body"] == '{"id": 2}'


def test_the_same_bytes_are_right_for_one_route_and_wrong_for_another_coding() -> None:
    zipped = gzip.compress(BODY)
    checked = settled(
        Response(values={"$.id": 1}), answer(zipped, "Content-Encoding: gzip"), answer(zipped), answer(BODY)
    )
    assert failed(checked) == 1


def large(number: int, padding: str = "x" * LARGEST_CHECKED_BODY) -> bytes:
    return json.dumps({"id": number, "padding": padding}).encode()


def test_large_json_is_checked_once_nothing_is_timed_any_more() -> None:
    bodies = [large(1), large(2), large(2), gzip.compress(large(1)), gzip.compress(large(3)), b"x" * len(large(1))]
    lines = [[], [], [], ["Content-Encoding: gzip"], ["Content-Encoding: gzip"], []]
    sent = [answer(body, *told) for body, told in zip(bodies, lines, strict=True)]
    checked = settled(Response(values={"$.id": 1}), *sent, later_bytes=KEPT_FOR_LATER)
    assert (failed(checked), checked.unchecked) == (4, 0)
    assert checked.examples[0]["wrong"] == "$.id is 2 instead of 1"


def test_the_same_large_bytes_are_another_body_where_they_are_coded() -> None:
    zipped = gzip.compress(large(1, random.Random(1).randbytes(400_000).hex()))
    sent = [answer(zipped), answer(zipped, "Content-Encoding: gzip"), answer(zipped)]
    assert failed(settled(Response(values={"$.id": 1}), *sent, later_bytes=KEPT_FOR_LATER)) == 2


def test_what_there_is_no_room_for_is_counted_but_its_hash_is_checked() -> None:
    expected = Response(values={"$.id": 1}, sha256=hashlib.sha256(large(2)).hexdigest())
    checked = settled(expected, answer(large(2)), answer(large(1)))
    assert (failed(checked), checked.unchecked) == (1, 2)  # the second by its hash
    room = len(large(2)) + 5000  # for one body, and a few rows
    checked = settled(
        Response(values={"$.id": 1}), answer(large(2)), answer(large(2)), answer(large(3)), later_bytes=room
    )
    assert (failed(checked), checked.unchecked) == (2, 1)


def test_a_body_that_was_not_kept_whole_is_not_judged() -> None:
    expected = Response(values={"$.id": 1}, sha256=DIGEST)
    checked = settled(expected, answer(b'{"id": 2', size=9), answer(b"", size=1 << 30), later_bytes=KEPT_FOR_LATER)
    assert (failed(checked), checked.unchecked) == (0, 2)
    bomb = gzip.compress(bytes(11 << 20))
    checked = settled(expected, answer(bomb, "Content-Encoding: gzip"), later_bytes=KEPT_FOR_LATER)
    assert (failed(checked), checked.unchecked) == (0, 1)


def test_a_large_hash_alone_is_checked_at_once() -> None:
    whole = bytes(range(256)) * (4 << 10)  # 1 MiB, no JSON
    expected = Response(sha256=hashlib.sha256(whole).hexdigest())
    checked = settled(expected, answer(whole), answer(whole[:-1]))
    assert (failed(checked), checked.unchecked) == (1, 0)


@pytest.mark.parametrize(
    ("statuses", "status", "body", "wrong"),
    [
        ([200, 409], 200, b'{"id": 1}', None),
        ([200, 409], 200, b"{}", "no $.id"),
        ([200, 409], 409, b"taken", None),  # a body of 2xx is what the fields are about
        ([200, 409], 404, b'{"id": 1}', "status 404 instead of 200 or 409"),
        ([404, 410], 410, b"gone", "a body that isn't JSON"),  # none of 2xx: it is about all of them
        (409, 409, b"taken", "a body that isn't JSON"),
        ([201], 201, b'{"id": 1}', None),
    ],
)
def test_several_statuses_may_be_right(statuses: Any, status: int, body: bytes, wrong: str | None) -> None:
    expected = Response(status=statuses, fields=["$.id"])
    told = mismatch(expected, status, [], body)
    assert (told is None) if wrong is None else wrong in (told or "")


@given(st.lists(st.integers(100, 599), min_size=1, max_size=6, unique=True), st.integers(100, 599))
def test_a_status_is_right_where_it_is_listed(statuses: list[int], status: int) -> None:
    for listed in (statuses, statuses[0]):
        told = mismatch(Response(status=listed), status, [], b"")
        assert (told is None) == (status in (listed if isinstance(listed, list) else [listed]))


@pytest.mark.parametrize("statuses", [[], [200, 200], [99], [600], ["200"], "200", True, None, [[200]], {}, 2.0])
def test_what_is_no_list_of_statuses(statuses: Any) -> None:
    with pytest.raises(ValidationError):
        Response.model_validate({"status": statuses})


def test_an_answer_with_another_right_status_is_not_looked_into() -> None:
    expected = Response(status=[200, 409], fields=["$.id"])
    checked = settled(expected, answer(b"taken", status=409), answer(b"{}"), answer(b"no", status=500))
    assert failed(checked) == 2

"""Whether a response is as expected: for every byte a service may send, outside the timed part, and without secrets."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from typing import Any

import brotli
import pytest
from handled import Handled, handle, headers, response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from luckyhit.case.workload import Response, Route
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY, Expectation, expected_of, mismatch
from luckyhit.load.responses import KEPT_FOR_LATER

EXPECTED = Response.model_validate(
    {"status": 200, "headers": {"Content-Type": "json"}, "fields": ["$.id", "$.data[1].price"]}
)
RIGHT = json.dumps({"id": None, "data": [{}, {"price": 0}]}).encode()
BODY = b'{"id": 1}'
DIGEST = hashlib.sha256(BODY).hexdigest()


def reason(expected: Response, status: int, lines: list[str], body: bytes) -> str | None:
    """What differs first; its text is one short line of printable ASCII."""
    expectation = Expectation(expected)
    wrong = expectation.head_mismatch(status, headers(*lines))
    if wrong is None and expectation.looks_into(status):
        wrong, _ = expectation.read_body(body)
    if wrong is None:
        return None
    assert len(wrong.text) < 300 and wrong.text.isprintable() and wrong.text.isascii()
    return wrong.reason


@pytest.mark.parametrize(
    ("status", "lines", "body", "wrong"),
    [
        (200, ["content-type: application/JSON"], RIGHT, None),
        (500, ["content-type: application/json"], RIGHT, "status"),
        (200, [], RIGHT, "header"),
        (200, ["content-type: text/html"], RIGHT, "header"),
        (200, ["content-type: \x07\x9b"], RIGHT, "header"),
        (200, ["content-type: json"], b'{"id": 1, "data": [1]}', "missing-field"),
        (200, ["content-type: json"], b"[1]", "missing-field"),
        (200, ["content-type: json"], b"", "not-json"),
        (200, ["content-type: json"], b"<html>", "not-json"),
        (200, ["content-type: json"], b"[" * 100_000, "not-json"),
        (200, ["content-type: json"], b"\xff", "not-json"),
        (200, ["content-type: json"], b'{"id": NaN, "data": [0, {"price": 1}]}', "not-json"),
        (200, ["content-type: json"], b"\x1b[31m\xe2\x80\xae", "not-json"),
    ],
)
def test_what_differs_first_is_the_reason(status: int, lines: list[str], body: bytes, wrong: str | None) -> None:
    assert reason(EXPECTED, status, lines, body) == wrong


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
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
        ('"a"', '"\\u001b[31m' + "x" * 10_000 + '"', False),
        ("1", "[1]", False),
        ("9007199254740993", "9007199254740992.0", False),
        ("1", "1e999", False),
    ],
)
def test_values_are_compared_as_json(expected: str, actual: str, same: bool) -> None:
    body = b'{"items": [{"a": %s}]}' % actual.encode()
    assert reason(Response(values={"$.items[0].a": json.loads(expected)}), 200, [], body) == (None if same else "value")
    assert reason(Response(values={"$.items[1].a": 1}), 200, [], body) == "missing-field"


def test_the_texts_of_mismatches() -> None:
    for name, actual, value, text in (
        ("a", "\x1b\u202e\n", "b", r'$.a is "\u001b\u202e\n" instead of "b"'),
        ("a", {"b": 1}, None, "$.a is an object instead of null"),
        ("a", [1, 2], 1, "$.a is a list of 2 instead of 1"),
        ("api_token", "s3cret", "other", "$.api_token has another value"),
    ):
        body = json.dumps({name: actual}).encode()
        assert mismatch(Response(values={f"$.{name}": value}), 200, [], body) == text
    wrong = mismatch(Response(sha256=DIGEST), 200, [], BODY + b" ")
    assert wrong is not None and DIGEST[:12] in wrong and "1} " in wrong


@pytest.mark.parametrize("name", ["Set-Cookie", "Authorization", "X-Api-Key"])
def test_the_value_of_a_secret_header_is_not_shown(name: str) -> None:
    wrong = mismatch(Response(headers={name: "wanted"}), 200, headers(f"{name}: session=s3cret"), b"")
    assert wrong is not None and name in wrong and "s3cret" not in wrong and "wanted" not in wrong


def test_the_hash_counts_if_a_body_is_too_large_or_unknown() -> None:
    assert mismatch(EXPECTED, 200, headers("content-type: json"), b"x" * (LARGEST_CHECKED_BODY + 1)) is None
    assert mismatch(Response(sha256=DIGEST), 200, [], None) is None


answered = st.tuples(
    st.integers(100, 599),
    st.lists(st.tuples(st.sampled_from([b"content-type", b"set-cookie", b"x-a"]), st.binary(max_size=60)), max_size=4),
    st.binary(max_size=200),
)


@given(answered)
def test_no_response_is_an_error(answer: tuple[int, list[tuple[bytes, bytes]], bytes]) -> None:
    assert mismatch(EXPECTED, *answer) is not None
    assert mismatch(Response(values={"$.a": 1}, sha256=DIGEST), *answer) is not None


def test_the_default_is_about_reads() -> None:
    whole = EXPECTED.model_copy(update={"values": {"$.id": 1}, "sha256": DIGEST})
    own = Response(status=204, fields=["$.a"])
    put = Route(name="put", method="PUT", path="/a")
    assert expected_of(put, whole) == Response(status=200)
    assert expected_of(put.model_copy(update={"response": own}), whole) == own
    assert expected_of(Route(name="get", path="/a"), whole) == whole
    head = expected_of(Route(name="head", method="HEAD", path="/a"), whole)
    assert (head.fields, head.values, head.sha256, head.headers) == ([], {}, None, whole.headers)


@pytest.mark.parametrize(
    ("statuses", "status", "body", "wrong"),
    [
        ([200, 409], 200, BODY, None),
        ([200, 409], 200, b"{}", "missing-field"),
        ([200, 409], 409, b"taken", None),  # the fields are about a body of 2xx
        ([200, 409], 404, BODY, "status"),
        ([404, 410], 410, b"gone", "not-json"),  # none of 2xx: they are about all of them
        (409, 409, b"taken", "not-json"),
        ([201], 201, BODY, None),
    ],
)
def test_several_statuses_may_be_right(statuses: Any, status: int, body: bytes, wrong: str | None) -> None:
    assert reason(Response(status=statuses, fields=["$.id"]), status, [], body) == wrong


@given(st.lists(st.integers(100, 599), min_size=1, max_size=6, unique=True), st.integers(100, 599))
def test_a_status_is_right_if_it_is_listed(statuses: list[int], status: int) -> None:
    assert (mismatch(Response(status=statuses), status, [], b"") is None) == (status in statuses)
    assert (mismatch(Response(status=statuses[0]), status, [], b"") is None) == (status == statuses[0])


@pytest.mark.parametrize(
    "facts",
    [
        *({"status": status} for status in ([], [200, 200], [99], [600], ["200"], "200", True, None, [[200]], {}, 2.0)),
        {"sha256": "abc"}, {"sha256": DIGEST.upper()}, {"values": {"id": 1}}, {"values": {"$.a": [1]}},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_expected(facts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Response.model_validate(facts)


# Recorded, one after the other.


def checked(expected: Response, *responses: Any, **settings: Any) -> Handled:
    return handle(responses, expected=expected, **settings)


def test_one_example_of_each_route_is_kept() -> None:
    routes = [Route(name=f"r{number}", path=f"/{number}/{{number}}") for number in range(2)]
    wrong = [response(b'{"id": %d, "name": "\xc3\xa4\x7f"}' % number) for number in range(40)]
    handled = handle(wrong, *routes, expected=Response(values={"$.id": -1}), slots=40)
    examples = handled.responses.examples
    assert handled.failed == 40
    assert [example["route"] for example in examples] == ["r0", "r1"]
    assert json.loads(json.dumps(examples)) == examples
    (first,) = [example for example in examples if example["body"].startswith('{"id": 0')]
    assert first["body"] == '{"id": 0, "name": "ä\\x7f"}' and first["reason"] == "value"
    assert first["status"] == 200 and first["request"].startswith(f"GET /{first['route'][1]}/")
    assert handled.responses.unexpected == f"arm before: {first['request']}: {first['wrong']}"


@pytest.mark.parametrize(
    ("body", "shown"),
    [(b"", "nothing"), ('{"name": "ä"}'.encode(), '{"name": "ä"}'), (b"<p>\n  a\x00\xff", "<p>\u240a  a\u2400\\xff")],
)
def test_a_body_is_quoted_as_text_in_one_line(body: bytes, shown: str) -> None:
    wrong = mismatch(Response(fields=["$.no"]), 200, [], body)
    assert wrong is not None and wrong.endswith(f": {shown}")


def test_an_example_is_short_and_shows_no_secret() -> None:
    body = b'{"password": "hunter22", "echo": "Basic s3cret-token", "id": 2, "session_token": "unfinished'
    handled = checked(Response(fields=["$.no"]), response(body), secrets=["s3cret-token"])
    (example,) = handled.responses.examples
    for secret in ("hunter22", "s3cret-token", "unfinished"):
        assert secret not in repr(example) and secret not in (handled.responses.unexpected or "")
    assert '"id": 2' in example["body"] and example["reason"] == "not-json"
    (example,) = checked(Response(fields=["$.a"]), response(b"\xe2\x82\xac" * 20_000)).responses.examples
    assert example["body"] == "€" * 500


def test_bodies_are_decoded_before_they_are_checked() -> None:
    expected = Response(values={"$.id": 1}, sha256=DIGEST)
    zipped, packed = gzip.compress(BODY), brotli.compress(BODY)
    right = [response(BODY), response(zipped, "Content-Encoding: gzip"), response(packed, "Content-Encoding: br")]
    assert checked(expected, *right).failed == 0
    wrong = checked(expected, response(brotli.compress(b'{"id": 2}'), "Content-Encoding: br"), response(zipped))
    assert wrong.failed == 2 and wrong.responses.examples[0]["body"] == '{"id": 2}'


def large(number: int, padding: str = "x" * LARGEST_CHECKED_BODY) -> bytes:
    return json.dumps({"id": number, "padding": padding}).encode()


def test_large_json_is_checked_after_the_block() -> None:
    zipped = gzip.compress(large(1, random.Random(1).randbytes(400_000).hex()))
    sent = [
        *(response(body) for body in (large(1), large(2), large(2), b"x" * len(large(1)))),
        *(response(gzip.compress(large(number)), "Content-Encoding: gzip") for number in (1, 3)),
        # The same bytes are another body if they are coded.
        response(zipped), response(zipped, "Content-Encoding: gzip"), response(zipped),
    ]  # fmt: skip
    handled = checked(Response(values={"$.id": 1}), *sent, later_bytes=KEPT_FOR_LATER)
    assert (handled.failed, handled.responses.unchecked) == (6, 0)
    assert [example["reason"] for example in handled.responses.examples] == ["value", "not-json"]


def test_beyond_the_room_only_hashes_are_checked() -> None:
    expected = Response(values={"$.id": 1}, sha256=hashlib.sha256(large(2)).hexdigest())
    handled = checked(expected, response(large(2)), response(large(1)))
    assert (handled.failed, handled.responses.unchecked) == (1, 2)
    room = len(large(2)) + 5000  # for one body, and a few rows
    sent = [response(large(number)) for number in (2, 2, 3)]
    handled = checked(Response(values={"$.id": 1}), *sent, later_bytes=room)
    assert (handled.failed, handled.responses.unchecked) == (2, 1)
    whole = bytes(range(256)) * (4 << 10)  # 1 MiB, not JSON
    handled = checked(Response(sha256=hashlib.sha256(whole).hexdigest()), response(whole), response(whole[:-1]))
    assert (handled.failed, handled.responses.unchecked) == (1, 0)


def test_a_body_that_was_not_kept_whole_is_not_judged() -> None:
    expected = Response(values={"$.id": 1}, sha256=DIGEST)
    bomb = response(gzip.compress(bytes(11 << 20)), "Content-Encoding: gzip")
    sent = [response(b'{"id": 2', size=9), response(b"", size=1 << 30), bomb]
    handled = checked(expected, *sent, later_bytes=KEPT_FOR_LATER)
    assert (handled.failed, handled.responses.unchecked) == (0, 3)


def test_a_body_is_checked_only_for_its_statuses() -> None:
    expected = Response(status=[200, 409], fields=["$.id"])
    assert checked(expected, response(b"taken", status=409), response(b"{}"), response(b"no", status=500)).failed == 2

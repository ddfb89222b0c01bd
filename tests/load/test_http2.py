"""HTTP/2 through the client, against a real server and against one that does everything wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http2_service import CANCEL, MAX_STREAMS, MEGABYTE, WINDOW, Http2Service
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from test_http1_client import ask as ask_by
from test_http1_client import with_client as with_client_by

from luckyhit.errors import ArgumentError
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines, request_bytes
from luckyhit.load.http1.response import HttpResponse, PendingRequest
from luckyhit.load.http2.frames import HEADERS, Frames, OverlongFrame, http2_from_http1
from luckyhit.load.http2.http2_connection import LAST_STREAM_ID, Http2Connection
from tier import examples, one_of_many


def with_client(url: str, use: Any, **options: Any) -> Any:
    return with_client_by(url, use, **{"http": "2", **options})


def ask(url: str, *paths: str, **options: Any) -> list[HttpResponse]:
    """The responses, one after the other, through one client."""
    return ask_by(url, *paths, **{"http": "2", **options})


def ask_at_once(url: str, *paths: str, timeout_s: float = 5.0, **options: Any) -> list[HttpResponse]:
    """The responses to requests that share a connection and are under way together."""

    async def use(client: Client) -> list[HttpResponse]:
        await client.warm(1)
        return await asyncio.gather(*(client.request("GET", path, timeout_s=timeout_s) for path in paths))

    return with_client(url, use, **options)


def post(url: str, path: str, body: bytes, timeout_s: float = 5.0) -> HttpResponse:
    async def use(client: Client) -> HttpResponse:
        response = await client.request("POST", path, body=body, timeout_s=timeout_s)
        await client.request("GET", "/ok", timeout_s=timeout_s)  # answered after all that was sent before
        return response

    return with_client(url, use)


@pytest.fixture(scope="module")
def shared() -> Iterator[Http2Service]:
    with Http2Service().running() as running:
        yield running
        assert running.broken == []


@pytest.fixture
def fresh() -> Iterator[Http2Service]:
    with Http2Service().running() as running:
        yield running
        assert running.broken == []


# A server as services have it


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/large":
        body = bytes(5 * MEGABYTE)
    status = 304 if scope["path"] == "/unchanged" else 200
    length = b"500" if status == 304 else b"%d" % len(body)
    headers = [
        (b"content-length", length), (b"x-version", scope["http_version"].encode()), (b"x-method", scope["method"].encode()),
        (b"x-query", scope["query_string"]), (b"x-asked", dict(scope["headers"]).get(b"x-ask", b"")),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" or status == 304 else body})


@contextlib.contextmanager
def hypercorn(certificate: Path | None) -> Iterator[str]:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    config = Config()
    config.bind = [f"fd://{bound.fileno()}"]
    config.errorlog = None
    if certificate is not None:
        config.certfile = config.keyfile = str(certificate)
    ready = threading.Event()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def main() -> None:
        ready.set()
        await serve(application, config, shutdown_trigger=over.wait)  # type: ignore[arg-type]

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        assert ready.wait(10)
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_real_server_gets_requests_and_responds(certificates: dict[str, Path], tls: bool) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        whole: Any = {"headers": {"X-Ask": "me"}, "timeout_s": 10.0}
        return [
            await client.request("POST", "/echo?a=1&b=%20", body=b"hello", **whole),
            await client.request("POST", "/echo", body=bytes(300_000), **whole),
            await client.request("GET", "/large", **whole),
            await client.request("HEAD", "/large", **whole),
            await client.request("GET", "/unchanged", **whole),
            *await asyncio.gather(*(client.request("GET", f"/?{n}", **whole) for n in range(50))),
        ]

    certificate = certificates["good"] if tls else None
    options = {"ssl_context": ssl.create_default_context(cafile=str(certificate))} if tls else {}
    with hypercorn(certificate) as url:
        responses = with_client(url, use, keep_body=1 * MEGABYTE, **options)
    assert {response.error for response in responses} == {None}
    assert {dict(response.headers)[b"x-version"] for response in responses} == {b"2"}
    echo, upload, large, head, unchanged, *many = responses
    sent = dict(echo.headers)
    assert (echo.body, sent[b"x-method"], sent[b"x-query"], sent[b"x-asked"]) == (
        b"hello",
        b"POST",
        b"a=1&b=%20",
        b"me",
    )
    assert upload.size == 300_000
    assert (large.size, len(large.body), large.truncated) == (5 * MEGABYTE, MEGABYTE, True)
    assert (head.status, head.size, dict(head.headers)[b"content-length"]) == (200, 0, b"%d" % (5 * MEGABYTE))
    assert (unchanged.status, unchanged.size) == (304, 0)
    assert [dict(response.headers)[b"x-query"] for response in many] == [b"%d" % n for n in range(50)]
    for response in responses:
        assert response.sent_ns and response.first_byte_ns and response.done_ns
        assert response.sent_ns <= response.first_byte_ns <= response.done_ns


def test_tls_leads_to_the_version_asked_for(certificates: dict[str, Path]) -> None:
    """`auto` takes what the server prefers: HTTP/2 here."""
    with hypercorn(certificates["good"]) as url:
        for http, version in (("auto", b"2"), ("1.1", b"1.1"), ("2", b"2")):
            context = ssl.create_default_context(cafile=str(certificates["good"]))
            (response,) = ask(url, "/", http=http, ssl_context=context)
            assert dict(response.headers)[b"x-version"] == version


# Responses, right and wrong

ENDS = [
    ("/ok", 200, None, 9), ("/trailers", 200, None, 3), ("/unchanged", 304, None, 0), ("/reset-behind", 200, None, 2),
    ("/too-short", 200, "protocol", 3), ("/status-in-words", None, "protocol", 2), ("/garbage", None, "protocol", 0),
    ("/overlong", None, "protocol", 0), ("/headers-bomb", None, "protocol", 0), ("/reset", 200, "reset", 3),
    ("/abort", None, "reset", 0), ("/big", 200, None, 40 * MEGABYTE),
]  # fmt: skip
MORE_ENDS = [
    ("/hints", 200, None, 2), ("/padded", 200, None, 3), ("/empty", 204, None, 0), ("/too-long", 200, "protocol", 6),
    ("/short-with-trailers", 200, "protocol", 3), ("/length-and-nothing", 200, "protocol", 0),
    ("/no-status", None, "protocol", 0), ("/status-5-digits", None, "protocol", 2), ("/length-in-words", None, "protocol", 0),
    ("/upper-case", None, "protocol", 0), ("/connection-header", None, "protocol", 0), ("/push", None, "protocol", 0),
    ("/bad-compression", None, "protocol", 0), ("/wrong-stream", None, "protocol", 0),
    ("/window-overflow", None, "protocol", 0), ("/small-bomb", None, "protocol", 0), ("/reset-first", None, "reset", 0),
    ("/cut", 200, "reset", 3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "error", "size"), [*ENDS, *(one_of_many(*row, quick=False) for row in MORE_ENDS)]
)
def test_each_response_ends_as_what_it_is(
    shared: Http2Service, path: str, status: int | None, error: str | None, size: int
) -> None:
    first, after = ask(shared.url, path, "/ok", keep_body=1000)
    assert (first.status, first.error, first.size) == (status, error, size)
    assert len(first.body) == min(size, 1000)
    assert first.sent_ns is not None and not first.retried
    assert (first.done_ns is not None) == (error is None)
    if path == "/big":
        assert first.first_byte_ns and first.done_ns and first.sent_ns < first.first_byte_ns < first.done_ns
    assert (after.status, after.error, after.body) == (200, None, b'{"id": 1}')


@pytest.mark.parametrize("path", ["/hang", "/hang-head", one_of_many("/hang-body", quick=False), "/endless"])
def test_a_timeout_leaves_the_connection_to_others(fresh: Http2Service, path: str) -> None:
    async def use(client: Client) -> tuple[HttpResponse, HttpResponse]:
        await client.warm(1)
        slow = await client.request("GET", path, timeout_s=0.3)
        return slow, await client.request("GET", "/ok", timeout_s=5.0)

    slow, after = with_client(fresh.url, use, keep_body=1000)
    assert (slow.error, slow.done_ns) == ("timeout", None)
    assert (slow.first_byte_ns is None) == (path == "/hang")
    assert len(slow.body) <= 1000
    if path != "/hang-head":  # the half of a frame keeps the others from coming
        assert (after.error, after.connection) == (None, slow.connection)
        assert (1, CANCEL) in fresh.resets


def test_headers_are_those_of_the_final_response(shared: Http2Service) -> None:
    for response in ask(shared.url, "/hints", "/trailers"):
        assert response.headers == [(b"cache-status", b"catalogue; hit")]
    (head,) = ask(shared.url, "/head", method="HEAD")
    assert (head.error, head.size) == (None, 0)


@pytest.mark.parametrize(
    ("paths", "errors"),
    [
        (("/too-short", "/together/1"), ["protocol", None]),  # wrong in itself, so it hurts no other
        (("/hang", "/last-words"), ["protocol", None]),  # whole before its connection broke
    ],
)
def test_one_bad_stream_leaves_others_whole(fresh: Http2Service, paths: tuple[str, str], errors: list[Any]) -> None:
    responses = ask_at_once(fresh.url, *paths)
    assert [response.error for response in responses] == errors
    assert len({response.connection for response in responses}) == 1


@pytest.mark.parametrize(
    ("settings", "greeting", "error"),
    [
        (None, b"", "timeout"),
        ({}, b"HTTP/1.1 400 Bad Request\r\n\r\n", "connect"),
        ({}, b"\x00\x00\x08\x07" + bytes(13), "connect"),  # it leaves at once
    ],
)
def test_without_http2_there_is_no_connection(settings: Any, greeting: bytes, error: str) -> None:
    with Http2Service(settings=settings, greeting=greeting).running() as service:
        (response,) = ask(service.url, "/ok", timeout_s=0.3)
        assert (response.error, response.status, response.sent_ns) == (error, None, None)


# Many at once


def test_requests_share_a_connection(fresh: Http2Service) -> None:
    responses = ask_at_once(fresh.url, *["/together/40"] * 40)
    assert {response.error for response in responses} == {None}
    assert (fresh.accepted, fresh.most_at_once) == (1, 40)
    assert fresh.settings_seen[2] == 0  # pushes are refused
    assert fresh.settings_seen[WINDOW] == fresh.widest == 16 * MEGABYTE
    assert [(one.error, one.connection) for one in ask(fresh.url, "/ok", "/ok", fresh=True)] == [(None, 1), (None, 2)]
    ask(fresh.url, "/ping", "/ok")
    assert fresh.pongs == [b"howareu?"]


@pytest.mark.parametrize(("allowed", "most"), [(3, 3), one_of_many(1000, 100, quick=False)])
def test_no_more_are_under_way_than_both_allow(allowed: int, most: int) -> None:
    with Http2Service(settings={MAX_STREAMS: allowed}).running() as service:
        responses = ask_at_once(service.url, *["/hang"] * (most + 5), timeout_s=1.0)
        assert {response.error for response in responses} == {"timeout"}
        assert service.most_at_once == most
        assert service.accepted == 1 + 5  # a request never waits for another


def test_a_service_may_allow_one_request_at_a_time(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        await client.request("GET", "/allow-one", timeout_s=5.0)
        return await asyncio.gather(*(client.request("GET", "/ok", timeout_s=5.0) for _ in range(3)))

    responses = with_client(fresh.url, use)
    assert {response.error for response in responses} == {None}
    assert len({response.connection for response in responses}) == 3


def test_a_barred_connection_is_used_again(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        barred = await client.request("GET", "/allow-none", timeout_s=5.0)
        (connection,) = client.idle_connections
        assert isinstance(connection, Http2Connection)
        elsewhere = await client.request("GET", "/ok", timeout_s=5.0)
        await client.request("GET", "/allow-again", timeout_s=5.0)
        while not connection.room:
            await asyncio.sleep(0)
        return [barred, elsewhere, await client.request("GET", "/ok", timeout_s=5.0)]

    barred, elsewhere, again = with_client(fresh.url, use)
    assert [barred.error, elsewhere.error, again.error] == [None] * 3
    assert barred.connection == again.connection != elsewhere.connection


def test_used_up_stream_ids_mean_another_connection(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        await client.warm(1)
        (connection,) = client.idle_connections
        assert isinstance(connection, Http2Connection)
        connection._next_id = LAST_STREAM_ID - 2
        assert connection.room == 2
        responses = [await client.request("GET", "/ok", timeout_s=5.0) for _ in range(4)]
        assert client.connections == 1  # the used up one is closed
        return responses

    responses = with_client(fresh.url, use)
    assert [response.error for response in responses] == [None] * 4
    assert [request.stream_id for request in fresh.requests] == [LAST_STREAM_ID - 2, LAST_STREAM_ID, 1, 3]


# Sent once more


@pytest.mark.parametrize(
    ("path", "method", "error", "retried"),
    [
        ("/refused", "GET", None, True),
        ("/refused-twice", "GET", "reset", True),
        ("/refused", "POST", "reset", False),
        ("/leave-at-once", "GET", "reset", True),
        ("/leave-at-once", "POST", "reset", False),
    ],
)
def test_a_refused_request_is_sent_once_more_if_safe(
    fresh: Http2Service, path: str, method: str, error: str | None, retried: bool
) -> None:
    (response,) = ask(fresh.url, path, method=method)
    assert (response.error, response.retried, fresh.seen[path[1:]]) == (error, retried, 1 + retried)


def test_a_leaving_service_answers_what_is_under_way(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        await client.warm(1)
        under_way = await asyncio.gather(*(client.request("GET", path, timeout_s=5.0) for path in ("/hang", "/leave")))
        return [*under_way, await client.request("GET", "/ok", timeout_s=5.0)]

    first, leaving, after = with_client(fresh.url, use)
    assert [first.error, leaving.error, after.error] == [None] * 3
    assert first.body == b"late"
    assert first.connection == leaving.connection != after.connection
    assert not any(response.retried for response in (first, leaving, after))


def test_a_dead_connection_takes_no_more_after_two_timeouts() -> None:
    with Http2Service(deaf_from=2).running() as service:
        whole, hanging, unheard, elsewhere = ask(service.url, "/ok", "/hang", "/ok", "/ok", timeout_s=0.3)
        assert (whole.error, hanging.error, unheard.error) == (None, "timeout", "timeout")
        assert whole.connection == hanging.connection == unheard.connection
        assert elsewhere.connection != whole.connection or elsewhere.sent_ns is None
        assert service.accepted == 2


def test_timeouts_of_one_route_leave_a_connection_alive(fresh: Http2Service) -> None:
    responses = ask(fresh.url, "/hang", "/hang", "/ok", timeout_s=0.5)
    assert [response.error for response in responses] == ["timeout", "timeout", None]
    assert fresh.accepted == 1


# Request bodies


@pytest.mark.parametrize("window", [1, 65535, *(one_of_many(size, quick=False) for size in (100, 1 << 20))])
def test_a_request_body_respects_the_services_window(window: int) -> None:
    body = bytes(range(256)) * (20 if window == 1 else 2000)
    with Http2Service(settings={WINDOW: window}).running() as service:
        response = post(service.url, "/digest", body, timeout_s=20.0)
        assert (response.error, response.body.decode()) == (None, hashlib.sha256(body).hexdigest())
        assert service.broken == []


def test_a_window_that_stays_shut_delays_nobody_else() -> None:
    async def use(client: Client) -> tuple[HttpResponse, HttpResponse]:
        await client.warm(1)
        stuck, right = await asyncio.gather(
            client.request("POST", "/digest", body=bytes(1000), timeout_s=0.5),
            client.request("GET", "/ok", timeout_s=5.0),
        )
        return stuck, right

    with Http2Service(settings={WINDOW: 10}, reads_bodies=False).running() as service:
        stuck, right = with_client(service.url, use)
        assert (stuck.error, right.error, stuck.connection) == ("timeout", None, right.connection)
        assert service.broken == []


@pytest.mark.parametrize(
    ("path", "status", "resets"), [("/early-window", 200, []), ("/early-answer", 413, [(1, CANCEL)])]
)
def test_a_body_ends_with_new_settings_or_a_response(path: str, status: int, resets: list[tuple[int, int]]) -> None:
    with Http2Service(settings={WINDOW: 10}, reads_bodies=False).running() as service:
        response = post(service.url, path, bytes(1000))
        assert (response.status, response.error, service.resets, service.broken) == (status, None, resets, [])


# Requests


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_nothing_can_be_smuggled_into_a_request(target: str, name: str, value: str) -> None:
    origin = Origin.parse("https://shop.example:8443")
    try:
        payload = request_bytes("POST", checked_target("/" + target), head_lines(origin, {name: value}), b"body")
    except ArgumentError as error:
        assert error.hint
        return
    headers, body = http2_from_http1(payload, "https")
    assert headers[:4] == [
        (b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"shop.example:8443"), (b":path", b"/" + target.encode()),
    ]  # fmt: skip
    others = dict(headers[4:])
    assert body == b"body" and others[b"content-length"] == b"4"
    assert others.get(name.lower().encode()) in (None, value.strip().encode("latin-1"))
    for key, text in headers:
        assert not set(key + text) & {0, 10, 13}
        assert not any(65 <= letter <= 90 for letter in key)
    assert not any(key.startswith(b":") for key in others)


def test_what_http1_says_of_the_connection_is_left_out() -> None:
    payload = b"GET /a HTTP/1.1\r\nhost: h\r\nTE: trailers\r\nKeep-Alive: 5\r\nx-a: b\r\n\r\n"
    headers, body = http2_from_http1(payload, "http")
    assert headers[2:] == [(b":authority", b"h"), (b":path", b"/a"), (b"x-a", b"b")]
    assert body == b""


# Frames


def frame(kind: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + stream_id.to_bytes(4) + payload


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9), st.binary(max_size=30)), min_size=1, max_size=6),
    st.lists(st.integers(1, 15), min_size=1),
)
def test_frames_begin_with_their_first_byte(wanted: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    wire = b"".join(frame(*one) for one in wanted)
    begins, at = [], 0
    for one in wanted:
        begins.append(at)
        at += len(frame(*one))
    frames, whole, at, turn = Frames(), [], 0, 0
    piece_of_byte: list[int] = []
    while at < len(wire):
        piece = wire[at : at + cuts[turn % len(cuts)]]
        piece_of_byte += [turn] * len(piece)
        for cut in frames.feed(piece, turn):
            assert cut.began_ns == piece_of_byte[begins[len(whole)]]
            if cut.whole:
                whole.append((cut.kind, cut.stream_id, cut.whole))
        at, turn = at + len(piece), turn + 1
    assert whole == [(kind, stream_id, frame(kind, stream_id, payload)) for kind, stream_id, payload in wanted]


def test_the_beginning_of_a_frame_is_reported() -> None:
    frames = Frames()
    (cut,) = frames.feed(frame(HEADERS, 5, b"abc")[:-1], 7)
    assert (cut.kind, cut.stream_id, cut.began_ns, cut.whole) == (HEADERS, 5, 7, b"")


def test_an_overlong_frame_is_refused_at_once() -> None:
    with pytest.raises(OverlongFrame):
        list(Frames().feed(b"HTTP/1.1 ", 0))


# Whatever comes


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda kind, flags, stream_id, payload: (
                    len(payload).to_bytes(3) + bytes([kind, flags]) + stream_id.to_bytes(4) + payload
                ),
                st.integers(0, 11), st.sampled_from([0, 1, 4, 5, 8, 13, 32, 255]), st.sampled_from([0, 1, 2, 3, 5, 1 << 31]),
                st.one_of(st.binary(max_size=20), st.sampled_from([b"\x88", b"\x88\x0f\x0d\x013", bytes(8), b"\0\0\0\x07" + bytes(4)])),
            ),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_whatever_bytes_come_each_request_ends_once(pieces: list[bytes]) -> None:
    """Nothing is raised into the loop, and no request is forgotten."""
    ends: list[tuple[int, str | None]] = []

    class Wire:
        closed = False

        def write(self, data: bytes) -> None: ...

        def abort(self) -> None:
            self.closed = True

        def is_closing(self) -> bool:
            return self.closed

    wire = Wire()
    client = Client("http://127.0.0.1:1", http="2")
    client.retry = lambda pending: ends.append((pending.tag, "again"))  # type: ignore[method-assign]
    connection = Http2Connection(client, 1, 100)
    connection.connection_made(wire)  # type: ignore[arg-type]
    connection.data_received(frame(4, 0, b""))
    for tag in (1, 3, 5):
        payload = b"POST / HTTP/1.1\r\nhost: a\r\n\r\nbody" if tag == 3 else b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        connection.start(
            PendingRequest(payload, lambda done, response: ends.append((done.tag, response.error)), tag=tag)
        )
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
    connection.connection_lost(None)
    assert sorted(tag for tag, _ in ends) == [1, 3, 5]

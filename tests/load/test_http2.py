"""HTTP/2 through the client, against a real server and against one that does everything wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from certificates import write_certificate
from http2_service import CANCEL, MAX_STREAMS, MEGABYTE, WINDOW, Http2Service
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse, PendingRequest
from luckyhit.load.http2.frames import HEADERS, Frames, OverlongFrame, http2_from_http1
from luckyhit.load.http2.http2_connection import LAST_STREAM_ID, Http2Connection, http2_request
from tier import examples

RUNNERS = {"uvloop": uvloop.run, "asyncio": asyncio.run}


def with_client(url: str, use: Callable[[Client], Awaitable[Any]], run: Any = uvloop.run, **options: Any) -> Any:
    async def main() -> Any:
        client = Client(url, **{"http": "2", **options})
        try:
            return await use(client)
        finally:
            await client.close()
            assert client.connections == 0

    return run(main())


def ask(url: str, *paths: str, method: str = "GET", timeout_s: float = 5.0, **options: Any) -> list[HttpResponse]:
    """The answers, one after the other, through one client."""

    async def use(client: Client) -> list[HttpResponse]:
        return [await client.request(method, path, timeout_s=timeout_s) for path in paths]

    return with_client(url, use, **options)


def ask_at_once(url: str, *paths: str, timeout_s: float = 5.0, **options: Any) -> list[HttpResponse]:
    """The answers to requests that share a connection and are under way together."""

    async def use(client: Client) -> list[HttpResponse]:
        await client.warm(1)
        return await asyncio.gather(*(client.request("GET", path, timeout_s=timeout_s) for path in paths))

    return with_client(url, use, **options)


@pytest.fixture(scope="module")
def service() -> Iterator[Http2Service]:
    with Http2Service().running() as running:
        yield running
        assert running.broken == []


@pytest.fixture
def fresh() -> Iterator[Http2Service]:
    with Http2Service().running() as running:
        yield running
        assert running.broken == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "good.pem")


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
    said = [
        (b"content-length", length), (b"x-version", scope["http_version"].encode()), (b"x-method", scope["method"].encode()),
        (b"x-query", scope["query_string"]), (b"x-asked", dict(scope["headers"]).get(b"x-ask", b"")),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": said})
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


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_server_gets_the_request_that_was_meant_and_its_answer_comes_back(
    certificate: Path, tls: bool, run: Any
) -> None:
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

    options = {"ssl_context": ssl.create_default_context(cafile=str(certificate))} if tls else {}
    with hypercorn(certificate if tls else None) as url:
        answers = with_client(url, use, run=run, keep_body=1 * MEGABYTE, **options)
    assert {answer.error for answer in answers} == {None}
    assert {dict(answer.headers)[b"x-version"] for answer in answers} == {b"2"}
    echo, upload, large, head, unchanged, *many = answers
    said = dict(echo.headers)
    assert (echo.body, said[b"x-method"], said[b"x-query"], said[b"x-asked"]) == (
        b"hello",
        b"POST",
        b"a=1&b=%20",
        b"me",
    )
    assert upload.size == 300_000
    assert (large.size, len(large.body), large.truncated) == (5 * MEGABYTE, MEGABYTE, True)
    assert (head.status, head.size, dict(head.headers)[b"content-length"]) == (200, 0, b"%d" % (5 * MEGABYTE))
    assert (unchanged.status, unchanged.size) == (304, 0)
    assert [dict(answer.headers)[b"x-query"] for answer in many] == [b"%d" % n for n in range(50)]
    for answer in answers:
        assert answer.sent_ns and answer.first_byte_ns and answer.done_ns
        assert answer.sent_ns <= answer.first_byte_ns <= answer.done_ns


def test_tls_that_offers_both_leads_to_the_version_asked_for(certificate: Path) -> None:
    """`auto` takes what the server prefers: HTTP/2 here."""
    found = {}
    with hypercorn(certificate) as url:
        for http in ("auto", "1.1", "2"):
            context = ssl.create_default_context(cafile=str(certificate))
            (answer,) = ask(url, "/", http=http, ssl_context=context)
            found[http] = dict(answer.headers)[b"x-version"]
    assert found == {"auto": b"2", "1.1": b"1.1", "2": b"2"}


# Answers, right and wrong


@pytest.mark.parametrize(
    ("path", "status", "error", "size"),
    [
        ("/ok", 200, None, 9),
        ("/hints", 200, None, 2),
        ("/trailers", 200, None, 3),
        ("/padded", 200, None, 3),
        ("/empty", 204, None, 0),
        ("/unchanged", 304, None, 0),
        ("/reset-behind", 200, None, 2),
        ("/big", 200, None, 40 * MEGABYTE),
        ("/too-short", 200, "protocol", 3),
        ("/too-long", 200, "protocol", 6),
        ("/short-with-trailers", 200, "protocol", 3),
        ("/length-and-nothing", 200, "protocol", 0),
        ("/status-in-words", None, "protocol", 2),
        ("/no-status", None, "protocol", 0),
        ("/status-5-digits", None, "protocol", 2),
        ("/length-in-words", None, "protocol", 0),
        ("/upper-case", None, "protocol", 0),
        ("/connection-header", None, "protocol", 0),
        ("/push", None, "protocol", 0),
        ("/bad-compression", None, "protocol", 0),
        ("/garbage", None, "protocol", 0),
        ("/overlong", None, "protocol", 0),
        ("/wrong-stream", None, "protocol", 0),
        ("/window-overflow", None, "protocol", 0),
        ("/headers-bomb", None, "protocol", 0),
        ("/small-bomb", None, "protocol", 0),
        ("/reset", 200, "reset", 3),
        ("/reset-first", None, "reset", 0),
        ("/abort", None, "reset", 0),
        ("/cut", 200, "reset", 3),
    ],
)
def test_each_answer_ends_as_what_it_is(
    service: Http2Service, path: str, status: int | None, error: str | None, size: int
) -> None:
    wrong, after = ask(service.url, path, "/ok", keep_body=1000)
    assert (wrong.status, wrong.error, wrong.size) == (status, error, size)
    assert len(wrong.body) == min(size, 1000)
    assert wrong.sent_ns is not None
    assert not wrong.retried
    assert (wrong.done_ns is not None) == (error is None)
    assert (after.status, after.error, after.body) == (200, None, b'{"id": 1}')


@pytest.mark.parametrize("path", ["/hang", "/hang-head", "/hang-body", "/endless"])
def test_an_exchange_that_times_out_leaves_its_connection_to_the_others(fresh: Http2Service, path: str) -> None:
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


def test_the_answers_headers_are_those_of_the_answer_proper(service: Http2Service) -> None:
    for answer in ask(service.url, "/hints", "/trailers"):
        assert answer.headers == [(b"cache-status", b"catalogue; hit")]


def test_first_and_last_byte_are_told_apart(service: Http2Service) -> None:
    (answer,) = ask(service.url, "/big")
    assert answer.sent_ns and answer.first_byte_ns and answer.done_ns
    assert answer.sent_ns < answer.first_byte_ns < answer.done_ns


def test_a_head_request_has_no_body_whatever_its_length_says(service: Http2Service) -> None:
    (answer,) = ask(service.url, "/head", method="HEAD")
    assert (answer.error, answer.size) == (None, 0)


def test_an_answer_that_is_wrong_in_itself_hurts_no_other(fresh: Http2Service) -> None:
    wrong, right = ask_at_once(fresh.url, "/too-short", "/together/1")
    assert (wrong.error, right.error) == ("protocol", None)
    assert wrong.connection == right.connection


def test_an_answer_that_was_whole_before_its_connection_broke_counts(fresh: Http2Service) -> None:
    hanging, whole = ask_at_once(fresh.url, "/hang", "/last-words")
    assert (whole.error, whole.status) == (None, 200)
    assert hanging.error == "protocol"


def test_a_silent_greeting_is_no_connection() -> None:
    with Http2Service(settings=None).running() as silent:
        (answer,) = ask(silent.url, "/ok", timeout_s=0.3)
        assert (answer.error, answer.sent_ns) == ("timeout", None)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x08\x07" + bytes(13)])
def test_a_service_that_speaks_no_http2_or_leaves_at_once_is_no_connection(greeting: bytes) -> None:
    with Http2Service(greeting=greeting).running() as service:
        (answer,) = ask(service.url, "/ok")
        assert (answer.error, answer.status) == ("connect", None)


# Many at once


def test_exchanges_share_a_connection_and_each_gets_its_own_answer(fresh: Http2Service) -> None:
    answers = ask_at_once(fresh.url, *["/together/40"] * 40)
    assert {answer.error for answer in answers} == {None}
    assert (fresh.accepted, fresh.most_at_once) == (1, 40)


@pytest.mark.parametrize(("allowed", "most"), [(3, 3), (1000, 100)])
def test_no_more_are_under_way_than_the_service_and_we_allow(allowed: int, most: int) -> None:
    with Http2Service(settings={MAX_STREAMS: allowed}).running() as service:
        answers = ask_at_once(service.url, *["/hang"] * (most + 5), timeout_s=1.0)
        assert {answer.error for answer in answers} == {"timeout"}
        assert service.most_at_once == most
        assert service.accepted == 1 + 5  # a request never waits for another


def test_a_service_that_allows_one_at_a_time_gets_one_at_a_time(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        await client.request("GET", "/allow-one", timeout_s=5.0)
        return await asyncio.gather(*(client.request("GET", "/ok", timeout_s=5.0) for _ in range(3)))

    answers = with_client(fresh.url, use)
    assert {answer.error for answer in answers} == {None}
    assert len({answer.connection for answer in answers}) == 3


def test_a_connection_that_was_barred_for_a_while_is_used_again(fresh: Http2Service) -> None:
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


def test_stream_ids_that_are_used_up_mean_another_connection(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        await client.warm(1)
        (connection,) = client.idle_connections
        assert isinstance(connection, Http2Connection)
        connection._next_id = LAST_STREAM_ID - 2
        assert connection.room == 2
        answers = [await client.request("GET", "/ok", timeout_s=5.0) for _ in range(4)]
        assert client.connections == 1  # the one that is used up is closed
        return answers

    answers = with_client(fresh.url, use)
    assert [answer.error for answer in answers] == [None] * 4
    assert [request.stream_id for request in fresh.requests] == [LAST_STREAM_ID - 2, LAST_STREAM_ID, 1, 3]


def test_fresh_connections_serve_once(fresh: Http2Service) -> None:
    answers = ask(fresh.url, "/ok", "/ok", "/ok", fresh=True)
    assert [(answer.error, answer.connection) for answer in answers] == [(None, 1), (None, 2), (None, 3)]
    assert fresh.accepted == 3


def test_a_ping_is_answered(fresh: Http2Service) -> None:
    ask(fresh.url, "/ping", "/ok")
    assert fresh.pongs == [b"howareu?"]


def test_pushes_are_refused_and_the_windows_are_wide(fresh: Http2Service) -> None:
    ask(fresh.url, "/ok")
    assert fresh.settings_seen[2] == 0
    assert fresh.settings_seen[WINDOW] == fresh.widest == 16 * MEGABYTE


# Sent once more


def test_a_request_that_was_refused_is_sent_once_more(fresh: Http2Service) -> None:
    refused, twice = ask(fresh.url, "/refused", "/refused-twice")
    assert (refused.error, refused.retried, fresh.seen["refused"]) == (None, True, 2)
    assert (twice.error, twice.retried, fresh.seen["refused-twice"]) == ("reset", True, 2)


def test_a_refused_post_is_not_sent_again(fresh: Http2Service) -> None:
    (answer,) = ask(fresh.url, "/refused", method="POST")
    assert (answer.error, answer.retried, fresh.seen["refused"]) == ("reset", False, 1)


def test_what_is_under_way_when_the_service_leaves_is_still_answered(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        await client.warm(1)
        under_way = await asyncio.gather(*(client.request("GET", path, timeout_s=5.0) for path in ("/hang", "/leave")))
        return [*under_way, await client.request("GET", "/ok", timeout_s=5.0)]

    first, leaving, after = with_client(fresh.url, use)
    assert [first.error, leaving.error, after.error] == [None] * 3
    assert first.body == b"late"
    assert first.connection == leaving.connection != after.connection
    assert not any(answer.retried for answer in (first, leaving, after))


def test_what_a_leaving_service_did_not_take_is_sent_once_more_elsewhere(fresh: Http2Service) -> None:
    (answer,) = ask(fresh.url, "/leave-at-once")
    assert (answer.error, answer.retried, fresh.accepted) == ("reset", True, 2)
    (posted,) = ask(fresh.url, "/leave-at-once", method="POST")
    assert (posted.error, posted.retried, fresh.accepted) == ("reset", False, 3)


def test_a_dead_connection_gets_no_more_requests_after_two_timeouts() -> None:
    with Http2Service(deaf_from=2).running() as service:

        async def use(client: Client) -> list[HttpResponse]:
            paths = ("/ok", "/hang", "/ok", "/ok")
            return [await client.request("GET", path, timeout_s=0.3) for path in paths]

        whole, hanging, unheard, elsewhere = with_client(service.url, use)
        assert (whole.error, hanging.error, unheard.error) == (None, "timeout", "timeout")
        assert whole.connection == hanging.connection == unheard.connection
        assert elsewhere.connection != whole.connection or elsewhere.sent_ns is None
        assert service.accepted == 2


def test_timeouts_of_one_route_do_not_make_a_living_connection_dead(fresh: Http2Service) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        hanging = [await client.request("GET", "/hang", timeout_s=0.5) for _ in range(2)]
        return [*hanging, await client.request("GET", "/ok", timeout_s=5.0)]

    assert [answer.error for answer in with_client(fresh.url, use)] == ["timeout", "timeout", None]
    assert fresh.accepted == 1


# Request bodies


@pytest.mark.parametrize("window", [1, 100, 65535, 1 << 20])
def test_a_request_body_respects_the_services_window(window: int) -> None:
    body = bytes(range(256)) * (20 if window == 1 else 2000)

    async def use(client: Client) -> HttpResponse:
        return await client.request("POST", "/digest", body=body, timeout_s=20.0)

    with Http2Service(settings={WINDOW: window}).running() as service:
        answer = with_client(service.url, use)
        assert service.broken == []
        assert (answer.error, answer.body.decode()) == (None, hashlib.sha256(body).hexdigest())


def test_a_window_that_never_opens_ends_in_a_timeout_and_keeps_nobody_else_waiting() -> None:
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


def test_a_window_that_new_settings_open_lets_the_body_through() -> None:
    async def use(client: Client) -> HttpResponse:
        return await client.request("POST", "/early-window", body=bytes(1000), timeout_s=5.0)

    with Http2Service(settings={WINDOW: 10}, reads_bodies=False).running() as service:
        answer = with_client(service.url, use)
        assert (answer.error, service.broken) == (None, [])


def test_an_answer_before_the_request_is_whole_counts_and_the_rest_is_not_sent() -> None:
    async def use(client: Client) -> list[HttpResponse]:
        return [
            await client.request("POST", "/early-answer", body=bytes(100_000), timeout_s=5.0),
            await client.request("GET", "/ok", timeout_s=5.0),
        ]

    with Http2Service(settings={WINDOW: 10}, reads_bodies=False).running() as service:
        early, after = with_client(service.url, use)
        assert (early.status, early.error, after.error) == (413, None, None)
        assert service.resets == [(1, CANCEL)]


# Requests


ORIGIN = Origin.parse("https://shop.example:8443")


def test_a_request_has_its_pseudo_headers_first_and_lower_case_names() -> None:
    request = http2_request("POST", "/a?b=%0a", ORIGIN, {"X-Ask": " me ", "Cookie": "a=1; b=2"}, b"body")
    assert request.headers[:4] == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"shop.example:8443"),
        (b":path", b"/a?b=%0a"),
    ]
    others = dict(request.headers[4:])
    assert (others[b"x-ask"], others[b"cookie"], others[b"content-length"]) == (b"me", b"a=1; b=2", b"4")
    assert not {b"host", b"connection"} & set(others)
    assert request.body == b"body"


@pytest.mark.parametrize("name", ["Connection", "keep-alive", "Upgrade", "TE", "Transfer-Encoding", "host", ":path"])
def test_headers_of_the_connection_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError):
        http2_request("GET", "/", ORIGIN, {name: "x"})


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=8))
def test_nothing_can_be_smuggled_into_a_request(target: str, name: str, value: str, method: str) -> None:
    try:
        request = http2_request(method, "/" + target, ORIGIN, {name: value})
    except ArgumentError as error:
        assert error.hint
        return
    assert dict(request.headers)[b":path"] == b"/" + target.encode()
    assert dict(request.headers)[name.lower().encode()] == value.strip().encode("latin-1")
    for key, said in request.headers:
        assert not set(key + said) & {0, 10, 13}
        assert key.islower() or not any(65 <= letter <= 90 for letter in key)
    assert [key for key, _ in request.headers if key.startswith(b":")] == [
        b":method",
        b":scheme",
        b":authority",
        b":path",
    ]


def test_what_http1_says_of_the_connection_is_left_out() -> None:
    request = http2_from_http1(b"GET /a HTTP/1.1\r\nhost: h\r\nTE: trailers\r\nKeep-Alive: 5\r\nx-a: b\r\n\r\n", "http")
    assert request.headers[2:] == [(b":authority", b"h"), (b":path", b"/a"), (b"x-a", b"b")]
    assert request.body is None


# Frames


def frame(kind: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + stream_id.to_bytes(4) + payload


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9), st.binary(max_size=30)), min_size=1, max_size=6),
    st.lists(st.integers(1, 15), min_size=1),
)
def test_frames_begin_when_their_first_byte_came_however_they_are_cut(
    wanted: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
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
        for found in frames.feed(piece, turn):
            assert found.began_ns == piece_of_byte[begins[len(whole)]]
            if found.whole:
                whole.append((found.kind, found.stream_id, found.whole))
        at, turn = at + len(piece), turn + 1
    assert whole == [(kind, stream_id, frame(kind, stream_id, payload)) for kind, stream_id, payload in wanted]


def test_the_beginning_of_a_frame_is_told_of_before_its_end() -> None:
    frames = Frames()
    (found,) = frames.feed(frame(HEADERS, 5, b"abc")[:-1], 7)
    assert (found.kind, found.stream_id, found.began_ns, found.whole) == (HEADERS, 5, 7, b"")


def test_a_frame_that_may_not_be_is_refused_before_it_is_whole() -> None:
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
def test_whatever_bytes_come_each_exchange_ends_once(pieces: list[bytes]) -> None:
    """Nothing is raised into the loop, and nobody is forgotten."""
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
    client.retry = lambda exchange: ends.append((exchange.tag, "again"))  # type: ignore[method-assign]
    connection = Http2Connection(client, 1, 100)
    connection.connection_made(wire)  # type: ignore[arg-type]
    connection.data_received(frame(4, 0, b""))
    for tag in (1, 3, 5):
        payload = b"POST / HTTP/1.1\r\nhost: a\r\n\r\nbody" if tag == 3 else b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        connection.start(PendingRequest(payload, lambda done, answer: ends.append((done.tag, answer.error)), tag=tag))
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
    connection.connection_lost(None)
    assert sorted(tag for tag, _ in ends) == [1, 3, 5]

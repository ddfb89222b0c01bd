"""The HTTP/1.1 client against services that do everything wrong."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hostile_service import HostileService
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.response import HttpResponse
from tier import examples


def with_client(url: str, use: Callable[[Client], Awaitable[Any]], kind: type[Client] = Client, **options: Any) -> Any:
    """Read as the load engine reads, unless the options say otherwise."""

    async def main() -> Any:
        client = kind(url, **{"reads_at_once": True, **options})
        try:
            return await use(client)
        finally:
            await client.close()
            assert client.connections == 0

    return uvloop.run(main())


def ask(
    url: str, *paths: str, method: str = "GET", timeout_s: float = 5.0, kind: type[Client] = Client, **options: Any
) -> list[HttpResponse]:
    """The responses, one after the other, through one client."""

    async def use(client: Client) -> list[HttpResponse]:
        return [await client.request(method, path, timeout_s=timeout_s) for path in paths]

    return with_client(url, use, kind, **options)


def ask_at_once(url: str, path: str, count: int, timeout_s: float = 5.0, **options: Any) -> list[HttpResponse]:
    async def use(client: Client) -> list[HttpResponse]:
        return await asyncio.gather(*(client.request("GET", path, timeout_s=timeout_s) for _ in range(count)))

    return with_client(url, use, **options)


# test_engine_faults has more of them.
@pytest.mark.parametrize("reads_at_once", [True, False])
@pytest.mark.parametrize(
    ("path", "status", "error", "size"),
    [
        ("/chunked", 200, None, 5),
        ("/to-the-end", 200, None, 13),
        ("/early-hints", 200, None, 2),
        ("/empty-with-body", 204, None, 0),
        ("/unchanged", 304, None, 0),
        ("/big", 200, None, 5_000_000),
        ("/too-long", 200, "protocol", 2),
        ("/too-short", 200, "reset", 6),
        ("/half-chunk", 200, "reset", 2),
        ("/half-head", None, "reset", 0),
        ("/reset", 200, "reset", 3),
        ("/garbage", None, "protocol", 0),
    ],
)
def test_each_response_ends_as_what_it_is(
    service: HostileService, path: str, status: int | None, error: str | None, size: int, reads_at_once: bool
) -> None:
    (response,) = ask(service.url, path, reads_at_once=reads_at_once)
    assert (response.status, response.error, response.size) == (status, error, size)
    assert response.sent_ns is not None
    assert (response.done_ns is not None) == (error is None)
    if response.first_byte_ns is not None:
        assert response.sent_ns <= response.first_byte_ns <= (response.done_ns or response.first_byte_ns)


@pytest.mark.parametrize("path", ["/hang", "/hang-body", "/drip"])
def test_no_response_outlives_its_timeout(service: HostileService, path: str) -> None:
    hung, fine = ask(service.url, path, "/ok", timeout_s=0.2)
    assert (hung.error, hung.done_ns) == ("timeout", None)
    assert (fine.error, fine.connection) == (None, 2)


def test_connections_that_cannot_be_made() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for url in (f"http://127.0.0.1:{closed.getsockname()[1]}", "http://no-such-host.invalid"):
            (response,) = ask(url, "/")
            assert (response.error, response.sent_ns, response.done_ns, response.connection) == ("connect", *[None] * 3)


def test_a_service_that_never_accepts_ends_in_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        responses = ask_at_once(f"http://127.0.0.1:{full.getsockname()[1]}", "/", 5, timeout_s=0.2)
    assert {response.error for response in responses} == {"timeout"}


def test_connections_are_reused_and_busy_ones_not_waited_for(service: HostileService) -> None:
    assert [response.connection for response in ask(service.url, "/ok", "/ok", "/ok")] == [1, 1, 1]
    assert sorted(response.connection or 0 for response in ask_at_once(service.url, "/slow", 4)) == [1, 2, 3, 4]
    assert [one.connection for one in ask(service.url, "/ok", "/ok", fresh=True, first_connection=7)] == [8, 9]
    assert [response.connection for response in ask(service.url, "/says-close", "/ok")] == [1, 2]


def test_at_the_limit_requests_are_dropped_and_never_sent(service: HostileService) -> None:
    responses = ask_at_once(service.url, "/slow", 5, limit=2)
    assert [response.error for response in responses] == [None, None, "dropped", "dropped", "dropped"]
    assert all(response.sent_ns is None for response in responses[2:])


@pytest.mark.parametrize(
    ("method", "retried", "error"), [("GET", True, None), ("PUT", True, None), ("POST", False, "reset")]
)
def test_a_kept_connection_that_closes_is_retried_if_safe(
    service: HostileService, method: str, retried: bool, error: str | None
) -> None:
    first, second = ask(service.url, "/flaky", "/flaky", method=method)
    assert first.error is None and not first.retried
    assert (second.error, second.retried) == (error, retried)
    assert service.seen["flaky"] == (3 if retried else 2)
    if retried:  # the time counts from the first send
        assert second.sent_ns is not None and second.first_byte_ns is not None
        assert second.connection == 2 and second.sent_ns < second.first_byte_ns


class ClosedAtOnce(Client):
    """What it opens for a second try is closed by the time it could be used."""

    async def _connection(self) -> Any:
        connection = await super()._connection()
        if self.retries:
            connection.abort()
        return connection


def test_a_retry_whose_connection_closes_was_sent_all_the_same(service: HostileService) -> None:
    first, second = ask(service.url, "/flaky", "/flaky", kind=ClosedAtOnce)
    assert service.seen["flaky"] == 2
    assert (second.error, second.retried) == ("reset", True)
    assert first.done_ns is not None and second.sent_ns is not None and second.sent_ns > first.done_ns


def test_a_service_that_is_gone_at_the_retry_reset_it(service: HostileService) -> None:
    async def use(client: Client) -> tuple[HttpResponse, HttpResponse]:
        await client.request("GET", "/ok", timeout_s=5)
        hanging = asyncio.ensure_future(client.request("GET", "/hang", timeout_s=5))
        while not service.seen["hang"]:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(service.stop)
        return await hanging, await client.request("GET", "/ok", timeout_s=5)

    broken, after = with_client(service.url, use)
    assert (broken.error, broken.sent_ns is None) == ("reset", False)
    assert (after.error, after.sent_ns) == ("connect", None)


def test_head_has_no_body_and_keeps_the_connection(service: HostileService) -> None:
    responses = ask(service.url, "/head", "/head", method="HEAD")
    assert [(one.status, one.error, one.size, one.connection) for one in responses] == [(200, None, 0, 1)] * 2


@pytest.mark.parametrize(("path", "method"), [("/empty-with-body", "GET"), ("/ok", "HEAD")])
def test_a_body_that_must_not_be_costs_its_connection(service: HostileService, path: str, method: str) -> None:
    first, second = ask(service.url, path, path, method=method)
    assert (first.error, first.connection, second.error, second.connection) == (None, 1, None, 2)


def test_bodies_are_decoded_capped_and_counted_as_they_came(service: HostileService) -> None:
    zipped, broken = ask(service.url, "/gzip", "/not-gzip")
    assert zipped.body == b'{"id": 1}' and zipped.size > len(zipped.body)
    assert broken.body == b"plain"
    (large,) = ask(service.url, "/big", keep_body=1000)
    assert (large.size, large.body, large.truncated) == (5_000_000, b"x" * 1000, True)


def test_headers_are_those_of_the_final_response(service: HostileService) -> None:
    chunked, hints, empty = ask(service.url, "/chunked", "/early-hints", "/empty")
    assert b"x" not in dict(chunked.headers) and chunked.body == b"abcde"  # a trailer
    assert b"link" not in dict(hints.headers) and hints.body == b"ok"
    assert (b"x-empty", b"") in empty.headers


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx: y", "a", "/ä", "", "/\x00", "http://other/"])
def test_a_path_cannot_add_a_line(service: HostileService, path: str) -> None:
    with pytest.raises(ArgumentError):
        ask(service.url, path)
    assert not service.heads


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://u:p@h", "http://h:99999", "nonsense", "http://h/a b"])
def test_invalid_urls_are_refused(url: str) -> None:
    with pytest.raises(ArgumentError):
        Client(url)


def test_a_request_as_the_service_gets_it(service: HostileService) -> None:
    async def use(client: Client) -> HttpResponse:
        return await client.request("PUT", "/ok?a=1", headers={"X-A": "b", "Accept": "c"}, body=b"{}", timeout_s=5)

    assert with_client(service.url + "/", use).error is None
    head = service.heads[0].decode()
    first, host, *_ = head.split("\r\n")
    assert first.split() == ["PUT", "/ok?a=1", "HTTP/1.1"] and host == f"host: 127.0.0.1:{service.port}"
    assert "\r\nX-A: b\r\n" in head and head.lower().count("\r\naccept: ") == 1
    assert service.bodies == [b"{}"]


def test_a_cancelled_request_leaves_nothing_behind(service: HostileService) -> None:
    async def use(client: Client) -> int:
        task = asyncio.ensure_future(client.request("GET", "/hang", timeout_s=30))
        while not service.seen["hang"]:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while client.connections:
            await asyncio.sleep(0.01)
        return client.connections

    assert with_client(service.url, use) == 0


@pytest.mark.parametrize(
    ("certificate", "trusted", "error"),
    [
        ("good", "good", None),
        ("good", None, "connect"),
        ("expired", "expired", "connect"),
        ("other host", "other host", "connect"),
    ],
)
def test_tls_is_verified(
    certificates: dict[str, Path], certificate: str, trusted: str | None, error: str | None
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[certificate])
    ours = ssl.create_default_context(cafile=certificates[trusted]) if trusted else None
    with HostileService(tls=context).running() as service:
        first, second = ask(service.url, "/ok", "/ok", ssl_context=ours)
    assert first.error == second.error == error and first.connection == second.connection
    assert first.body == (b"" if error else b'{"id": 1}')


def test_a_service_that_speaks_first_or_speaks_tls(certificates: dict[str, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["good"])
    with HostileService(context).running() as tls, HostileService(greeting=b"220 mail ready\r\n").running() as mail:
        for port in (tls.port, mail.port):
            (response,) = ask(f"http://127.0.0.1:{port}", "/hang")
            assert response.error in ("reset", "protocol") and response.status is None


def test_a_service_without_tls_never_agrees_to_it(service: HostileService) -> None:
    (response,) = ask(f"https://127.0.0.1:{service.port}", "/ok", timeout_s=0.2)
    assert (response.error, response.sent_ns) == ("timeout", None)


# A response in pieces


class Line(asyncio.Transport):
    """A connection whose other side sends `pieces` for the first request, a plain response for each later one."""

    def __init__(self, protocol: asyncio.Protocol, pieces: list[bytes]) -> None:
        super().__init__()
        self._protocol, self._pieces, self._closed = protocol, pieces, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, self._pieces)
        self._pieces = [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond"]

    def _deliver(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            if not self._closed:
                self._protocol.data_received(piece)

    def end(self) -> None:
        """The other side has nothing more to say."""
        if not self._closed:
            self._protocol.eof_received()
            self.abort()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    close = abort

    def is_closing(self) -> bool:
        return self._closed

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_write_buffer_size(self) -> int:
        return 0


class Lines(asyncio.SelectorEventLoop):
    """Connects to a `Line` instead of a network: what arrives together is the test's to say."""

    pieces: list[bytes]
    lines: list[Line]

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:  # type: ignore[override]
        protocol = protocol_factory()
        self.lines.append(
            Line(protocol, self.pieces if not self.lines else [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
        )
        protocol.connection_made(self.lines[-1])
        return self.lines[-1], protocol


@pytest.fixture(scope="module")
def lines() -> Iterator[Lines]:
    loop = Lines()
    yield loop
    loop.close()


def outcome(loop: Lines, pieces: list[bytes], method: str) -> tuple[Any, ...]:
    """The outcome of a request, and whether its connection served the next one."""
    loop.pieces, loop.lines = pieces, []

    async def main() -> tuple[Any, ...]:
        client = Client("http://127.0.0.1:1")
        asking = asyncio.ensure_future(client.request(method, "/", timeout_s=30))
        for _ in range(12):  # turns of the loop: to connect, to send, to hear, and to tell
            await asyncio.sleep(0)
        if not asking.done():
            loop.lines[0].end()
        first = await asking
        second = await client.request("GET", "/", timeout_s=30)
        await client.close()
        assert (first.done_ns is None) == (first.error is not None) and second.error is None
        headers = first.headers if first.error is None else []
        return first.error, first.status, first.size, first.body, headers, second.connection == first.connection

    return loop.run_until_complete(main())


SECOND = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
ODD = {
    "version": ["HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1", ""],
    "status": ["204", "205", "304", "100", "101", "999", "099", "20", "2000", ""],
    "reason": ["", " ", " a\tb", " \xe4", " \x00", " O\rK", " O\nK"],
    "name": ["CONTENT-LENGTH", "content-length ", "content_length", " content-length", "x"],
    "colon": [":  ", ":\t", " :", "", "::", ":\r\n "],
    "length": [
        "0", "1", "3", "00{}", "+{}", "{} ", "{}\t", "{},{}", "0x{}", "{}.0", "-1", "", "x", "{}\x0b", "9" * 15, "9" * 16,
        "9" * 20, "{}\r\ncontent-length: {}", "{}\r\ncontent-length: 3",
    ],
    "other": [
        f"{name}{value}"
        for name in ("x-a: ", "X-A:", "x-a :", "x a: ", "x\x00: ", ": ", "\xe4: ", " x: ", "x-a")
        for value in ("b", "", "b ", "\tb\t", "\xff\xfe", "b\x00", "b\x7f", "b\rc", "b\nc", "b\r\n folded", '"q: t"')
    ],
    "framing": [
        "connection: close", "Connection: Keep-Alive", "proxy-connection: close", "keep-alive: timeout=5", "upgrade: h2c",
        "transfer-encoding: chunked", "Transfer-Encoding: identity", "transfer-encoding: gzip, chunked", "trailer: x",
        "connection: upgrade\r\nupgrade: h2c", "content-encoding: gzip",
    ],
    "line": ["\n", "\r", "\r\r\n", "\r\n\n"],
    "end": ["\n", "\r\n\r\n", ""],
    "body": ["", "\r\n", "\r\n\r\n", SECOND, "2\r\nok\r\n0\r\n\r\n"],
    "excess": ["x", "\r\n", SECOND],
    "bytes": ["\x00", "\r", "\n", " ", ":", "0", ""],
}  # fmt: skip


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Responses as services send them, most with one or two faults."""
    names = st.sampled_from([*ODD, *["length", "other", "framing"] * 4])
    odd = {name: draw(st.sampled_from(ODD[name])) for name in draw(st.lists(names, max_size=2))}
    line, body = odd.get("line", "\r\n"), odd.get("body", draw(st.sampled_from(["ok", "{}", "a longer one"])))
    name = odd.get("name", draw(st.sampled_from(["content-length", "Content-Length"])))
    headers = [name + odd.get("colon", ": ") + odd.get("length", "{}"), "Cache-Status: a; hit"]
    headers += [odd[name] for name in ("other", "framing") if name in odd]
    first = f"{odd.get('version', 'HTTP/1.1')} {odd.get('status', '200')}{odd.get('reason', ' OK')}"
    head = line.join([first, *draw(st.permutations(headers))]).replace("{}", str(len(body)))
    raw = (head + line + odd.get("end", "\r\n") + body + odd.get("excess", "")).encode("latin-1")
    if "bytes" in odd:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + odd["bytes"].encode() + raw[at + draw(st.integers(0, 2)) :]
    return raw


@given(responses(), st.sampled_from(["GET", "GET", "HEAD", "POST"]), st.lists(st.integers(0, 120), max_size=4))
@settings(max_examples=examples(1000), deadline=None)
def test_a_response_is_the_same_in_any_pieces(lines: Lines, raw: bytes, method: str, cuts: list[int]) -> None:
    """At once it may be plain; in pieces never."""
    whole = outcome(lines, [raw], method)
    assert outcome(lines, [raw[:1], raw[1:]], method) == whole
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    for pieces in ([raw[a:b] for a, b in pairwise(places)], [raw[at : at + 1] for at in range(len(raw))]):
        cut = outcome(lines, pieces, method)
        if cut != whole:
            # Excess bytes are noticed only if they come with the response, and never make it another one.
            assert cut[0] is None and whole[0] in (None, "protocol") and cut[1:4] == whole[1:4]
            assert not cut[5]


def test_a_plain_response_keeps_its_connection(lines: Lines) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
    expected = (None, 200, 2, b"ok", [(b"x-a", b"b"), (b"content-length", b"2")], True)
    assert outcome(lines, [raw], "GET") == outcome(lines, [raw[:-1], raw[-1:]], "GET") == expected

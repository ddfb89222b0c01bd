"""The HTTP client against services that do everything wrong."""

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
from certificates import write_certificate
from hostile_service import HostileService
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.response import HttpResponse
from tier import examples


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "good.pem")


@pytest.fixture(scope="module")
def service() -> Iterator[HostileService]:
    with HostileService().running() as running:
        yield running


def with_client(url: str, use: Callable[[Client], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        client = Client(url, **settings)
        try:
            return await use(client)
        finally:
            await client.close()
            assert client.connections == 0

    return uvloop.run(main())


def ask(url: str, *paths: str, method: str = "GET", timeout_s: float = 5.0, **settings: Any) -> list[HttpResponse]:
    """The answers, one after the other, through one client."""

    async def use(client: Client) -> list[HttpResponse]:
        return [await client.request(method, path, timeout_s=timeout_s) for path in paths]

    return with_client(url, use, **settings)


@pytest.mark.parametrize(
    ("path", "status", "error", "size"),
    [
        ("/ok", 200, None, 9),
        ("/error", 500, None, 5),
        ("/chunked", 200, None, 5),
        ("/to-the-end", 200, None, 13),
        ("/early-hints", 200, None, 2),
        ("/empty", 204, None, 0),
        ("/empty-with-body", 204, None, 0),
        ("/unchanged", 304, None, 0),
        ("/redirect", 302, None, 0),
        ("/odd-bytes", 200, None, 2),
        ("/big", 200, None, 5_000_000),
        ("/not-gzip", 200, None, 5),
        ("/too-long", 200, "protocol", 2),
        ("/too-short", 200, "reset", 6),
        ("/half-chunk", 200, "reset", 2),
        ("/half-head", None, "reset", 0),
        ("/silence", None, "reset", 0),
        ("/reset", 200, "reset", 3),
        ("/garbage", None, "protocol", 0),
        ("/bad-chunk", 200, "protocol", 0),
        ("/upgrade", None, "protocol", 0),
        ("/headers", None, "protocol", 0),
    ],
)
def test_each_answer_ends_as_what_it_is(
    service: HostileService, path: str, status: int | None, error: str | None, size: int
) -> None:
    (answer,) = ask(service.url, path)
    assert (answer.status, answer.error, answer.size) == (status, error, size)
    assert answer.sent_ns is not None
    assert (answer.done_ns is not None) == (error is None)
    if answer.first_byte_ns is not None:
        assert answer.sent_ns <= answer.first_byte_ns <= (answer.done_ns or answer.first_byte_ns)


@pytest.mark.parametrize("path", ["/hang", "/hang-body", "/drip"])
def test_no_answer_outlives_its_timeout(service: HostileService, path: str) -> None:
    hung, fine = ask(service.url, path, "/ok", timeout_s=0.3)
    assert (hung.error, hung.done_ns) == ("timeout", None)
    assert (fine.error, fine.connection) == (None, 2)


def test_connections_that_cannot_be_made() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
            (answer,) = ask(url, "/")
            assert (answer.error, answer.sent_ns, answer.done_ns, answer.connection) == ("connect", None, None, None)


def test_a_service_that_never_accepts_ends_in_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)

        async def use(client: Client) -> list[HttpResponse]:
            return await asyncio.gather(*(client.request("GET", "/", timeout_s=0.3) for _ in range(5)))

        answers = with_client(f"http://127.0.0.1:{full.getsockname()[1]}", use)
    assert {answer.error for answer in answers} == {"timeout"}


def test_connections_are_reused_and_a_busy_one_is_not_waited_for(service: HostileService) -> None:
    async def use(client: Client) -> tuple[list[HttpResponse], list[HttpResponse]]:
        one_by_one = [await client.request("GET", "/ok", timeout_s=5) for _ in range(3)]
        return one_by_one, await asyncio.gather(*(client.request("GET", "/slow", timeout_s=5) for _ in range(4)))

    one_by_one, at_once = with_client(service.url, use)
    assert {answer.error for answer in one_by_one + at_once} == {None}
    assert [answer.connection for answer in one_by_one] == [1, 1, 1]
    assert sorted(answer.connection or 0 for answer in at_once) == [1, 2, 3, 4]


def test_at_the_limit_requests_are_dropped_and_never_sent(service: HostileService) -> None:
    async def use(client: Client) -> list[HttpResponse]:
        return await asyncio.gather(*(client.request("GET", "/slow", timeout_s=5) for _ in range(5)))

    answers = with_client(service.url, use, limit=2)
    assert [answer.error for answer in answers] == [None, None, "dropped", "dropped", "dropped"]
    assert all(answer.sent_ns is None for answer in answers[2:])


def test_fresh_connections(service: HostileService) -> None:
    assert [answer.connection for answer in ask(service.url, "/ok", "/ok", fresh=True, first_connection=7)] == [8, 9]


def test_an_answer_that_says_close_is_the_last_on_its_connection(service: HostileService) -> None:
    assert [answer.connection for answer in ask(service.url, "/says-close", "/ok")] == [1, 2]


@pytest.mark.parametrize(
    ("method", "retried", "error"), [("GET", True, None), ("PUT", True, None), ("POST", False, "reset")]
)
def test_a_kept_connection_closed_without_a_byte_is_retried_once_if_that_is_safe(
    method: str, retried: bool, error: str | None
) -> None:
    with HostileService().running() as service:
        first, second = ask(service.url, "/flaky", "/flaky", method=method)
        assert first.error is None and not first.retried
        assert (second.error, second.retried) == (error, retried)
        assert service.seen["flaky"] == (3 if retried else 2)


def test_the_time_of_a_retried_request_counts_from_the_first_send() -> None:
    with HostileService().running() as service:
        _, second = ask(service.url, "/flaky", "/flaky")
        assert second.retried and second.sent_ns is not None and second.first_byte_ns is not None
        assert second.connection == 2 and second.sent_ns < second.first_byte_ns


class ClosedAtOnce(Client):
    """What it opens for a second try is closed by the time it could be used."""

    async def _connection(self) -> Any:
        connection = await super()._connection()
        if self.retries:
            connection.abort()
        return connection


def test_a_retry_whose_connection_closes_at_once_was_sent_all_the_same() -> None:
    async def use() -> list[HttpResponse]:
        client = ClosedAtOnce(service.url)
        try:
            return [await client.request("GET", "/flaky", timeout_s=5) for _ in range(2)]
        finally:
            await client.close()

    with HostileService().running() as service:
        first, second = uvloop.run(use())
        assert service.seen["flaky"] == 2
    assert (second.error, second.retried) == ("reset", True)
    assert first.done_ns is not None and second.sent_ns is not None and second.sent_ns > first.done_ns


def test_a_service_that_is_gone_at_the_retry_reset_the_request() -> None:
    with HostileService().running() as service:

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
    answers = ask(service.url, "/head", "/head", method="HEAD")
    assert [(answer.status, answer.error, answer.size, answer.connection) for answer in answers] == [
        (200, None, 0, 1)
    ] * 2


def test_a_body_behind_an_answer_that_has_none_is_ignored_with_its_connection(service: HostileService) -> None:
    for path, method in (("/empty-with-body", "GET"), ("/ok", "HEAD")):
        first, second = ask(service.url, path, path, method=method)
        assert (first.error, first.connection, second.error, second.connection) == (None, 1, None, 2)


def test_bodies_are_decoded_and_counted_as_they_came(service: HostileService) -> None:
    zipped, broken = ask(service.url, "/gzip", "/not-gzip")
    assert zipped.body == b'{"id": 1}' and zipped.size > len(zipped.body)
    assert broken.body == b"plain"


def test_large_bodies_are_counted_whole_and_kept_in_part(service: HostileService) -> None:
    (answer,) = ask(service.url, "/big", keep_body=1000)
    assert (answer.size, answer.body, answer.truncated) == (5_000_000, b"x" * 1000, True)


def test_trailers_and_interim_answers_are_no_headers(service: HostileService) -> None:
    chunked, hints = ask(service.url, "/chunked", "/early-hints")
    assert b"x" not in dict(chunked.headers) and chunked.body == b"abcde"
    assert b"link" not in dict(hints.headers) and hints.body == b"ok"


def test_empty_header_values_stay_apart(service: HostileService) -> None:
    (answer,) = ask(service.url, "/empty")
    assert (b"x-empty", b"") in answer.headers


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx: y", "a", "/ä", "", "/\x00", "http://other/"])
def test_a_path_cannot_carry_another_line(service: HostileService, path: str) -> None:
    with pytest.raises(ArgumentError, match="can't be requested"):
        ask(service.url, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "secret\r\ny: z"},
        {"x\r\ny": "z"},
        {"x": "secret\n"},
        {"": "z"},
        {"x": "\x00"},
        {"Host": "other"},
        {"x": "€"},
    ],
)
def test_a_header_cannot_carry_another_line(service: HostileService, headers: dict[str, str]) -> None:
    async def use(client: Client) -> HttpResponse:
        return await client.request("GET", "/ok", headers=headers, timeout_s=5)

    with pytest.raises(ArgumentError) as refused:
        with_client(service.url, use)
    assert "secret" not in str(refused.value)


def test_what_a_request_looks_like() -> None:
    with HostileService().running() as service:

        async def use(client: Client) -> HttpResponse:
            return await client.request("PUT", "/ok?a=1", headers={"X-A": "b", "Accept": "c"}, body=b"{}", timeout_s=5)

        assert with_client(service.url + "/", use).error is None
        head = service.heads[0].decode()
        assert head.startswith("PUT /ok?a=1 HTTP/1.1\r\nhost: 127.0.0.1:")
        assert "\r\nX-A: b\r\n" in head and head.lower().count("\r\naccept: ") == 1
        assert service.bodies == [b"{}"]


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://u:p@h", "http://h:99999", "nonsense", "http://h/a b"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ArgumentError):
        Client(url)


def test_a_cancelled_request_leaves_nothing_behind(service: HostileService) -> None:
    async def use(client: Client) -> int:
        task = asyncio.ensure_future(client.request("GET", "/hang", timeout_s=30))
        before = service.seen["hang"]
        while service.seen["hang"] == before:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while client.connections:
            await asyncio.sleep(0.01)
        return client.connections

    assert with_client(service.url, use) == 0


class TestTls:
    def answer(self, certificate: Path, trusted: Path | None) -> HttpResponse:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        client_context = ssl.create_default_context(cafile=trusted) if trusted else None
        with HostileService(tls=context).running() as service:
            first, second = ask(service.url, "/ok", "/ok", ssl_context=client_context)
        assert first.error == second.error and (first.connection == second.connection)
        return first

    def test_trusted(self, certificate: Path) -> None:
        answer = self.answer(certificate, certificate)
        assert (answer.status, answer.error, answer.body) == (200, None, b'{"id": 1}')

    def test_unknown_authority(self, certificate: Path) -> None:
        assert self.answer(certificate, None).error == "connect"

    def test_expired(self, tmp_path: Path) -> None:
        expired = write_certificate(tmp_path / "expired.pem", expired=True)
        assert self.answer(expired, expired).error == "connect"

    def test_wrong_host(self, tmp_path: Path) -> None:
        other = write_certificate(tmp_path / "other.pem", bytes([127, 0, 0, 2]))
        assert self.answer(other, other).error == "connect"

    def test_no_tls_at_all(self, service: HostileService) -> None:
        (answer,) = ask(f"https://127.0.0.1:{service.port}", "/ok", timeout_s=0.3)
        assert (answer.error, answer.sent_ns) == ("timeout", None)


class Line(asyncio.Transport):
    """A connection whose other side sends `pieces` for the first request, a plain answer for each one after it."""

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
    """What came of a request, and whether its connection served the next one."""
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
def answers(draw: st.DrawFn) -> bytes:
    """Answers as services send them, most with a thing or two that isn't as it should be."""
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


@given(answers(), st.sampled_from(["GET", "GET", "HEAD", "POST"]), st.lists(st.integers(0, 120), max_size=4))
@settings(max_examples=examples(1000), deadline=None)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(
    lines: Lines, raw: bytes, method: str, cuts: list[int]
) -> None:
    """All at once, it may be read at a glance; in pieces never."""
    whole = outcome(lines, [raw], method)
    assert outcome(lines, [raw[:1], raw[1:]], method) == whole
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    for pieces in ([raw[a:b] for a, b in pairwise(places)], [raw[at : at + 1] for at in range(len(raw))]):
        found = outcome(lines, pieces, method)
        if found != whole:
            # More bytes than the answer has: seen as wrong only where they come with it, never as another answer.
            assert found[0] is None and whole[0] in (None, "protocol") and found[1:4] == whole[1:4]
            assert not found[5]


def test_a_plain_answer_is_whole_and_keeps_its_connection(lines: Lines) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
    expected = (None, 200, 2, b"ok", [(b"x-a", b"b"), (b"content-length", b"2")], True)
    assert outcome(lines, [raw], "GET") == outcome(lines, [raw[:-1], raw[-1:]], "GET") == expected

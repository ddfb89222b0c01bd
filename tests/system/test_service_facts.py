"""Parts of a service that need no process: its ports, its log as shown, what it is given."""

from __future__ import annotations

import random
import socket
import string
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.target import Start
from luckyhit.errors import ArgumentError
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import REDACTED
from luckyhit.scrub.sweep import scrub_log
from luckyhit.system import Settings, ports
from luckyhit.system.process import printable, tail
from luckyhit.system.start_settings import filled_command, filled_env

VALUES = {"port": 8000, "cache_url": "redis://cache", "workdir": "/work", "python": "/bin/python"}


def test_ports_are_free_and_given_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: ports.free_port(), range(40)))
    assert len(set(taken)) == 40 and all(map(ports.is_free, taken))
    for port in taken:
        ports.release(port)


def test_a_port_is_given_again_only_after_its_release() -> None:
    first = ports.free_port(random.Random(5))
    second = ports.free_port(random.Random(5))
    assert first != second
    ports.release(first)
    assert ports.free_port(random.Random(5)) == first
    ports.release(first)
    ports.release(second)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_somebody_listens_on_is_not_free(address: str) -> None:
    with socket.create_server((address, 0)) as taken:
        assert not ports.is_free(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("line", "reported"),
    [
        ("OSError: [Errno 98] Address already in use", True),
        ("[Errno 48] error while attempting to bind on address ('127.0.0.1', 80): address already in use", True),
        ("Error: listen EADDRINUSE: address already in use :::8000", True),
        ("[ERROR] Connection in use: ('127.0.0.1', 8000)", False),
        ("Warning: Could not create server TCP listening socket 127.0.0.1:1: bind: Address already in use", True),
        ("Port 8000 is in use by another program.", True),
        ("the table is in use; import of port 8000 codes done", False),
    ],
)
def test_reports_of_a_lost_port_are_recognised(line: str, reported: bool) -> None:
    assert ports.reported_taken(["starting", line]) is reported


@settings(max_examples=20)
@given(st.lists(st.text(string.digits, min_size=8, max_size=12), min_size=1, max_size=4), st.text(max_size=20))
def test_no_secret_survives_scrubbing(values: list[str], text: str) -> None:
    shown = Redactor(values).secrets(text.join(values))
    assert not any(value in shown for value in values)


def test_secrets_are_scrubbed_in_each_spelling() -> None:
    scrub = Redactor(['can/ary "1"', "line one\nline two", "1"]).secrets
    assert scrub('a can/ary "1" b can%2Fary%20%221%22 c can/ary \\"1\\"') == f"a {REDACTED} b {REDACTED} c {REDACTED}"
    assert scrub("x line two y") == f"x {REDACTED} y"
    assert scrub("status 1") == "status 1"
    assert Redactor([""]).secrets("nothing") == "nothing"


@given(st.binary(max_size=2000), st.integers(0, 5))
def test_any_log_can_be_shown(tmp_path_factory: pytest.TempPathFactory, data: bytes, count: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.log"
    path.write_bytes(data)
    lines = tail(path, count)
    assert len(lines) <= count
    assert all(line.isprintable() or " " in line or not line.isascii() for line in lines)
    assert not any(character in line for line in lines for character in "\x1b\r\n\x00\u202e\x9b")


def test_the_tail_of_a_long_log_has_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(path, 2) == ["line 99998", "line 99999"]
    assert tail(path, 100_000)[0].startswith("line ")
    assert tail(path, 5, offset=path.stat().st_size - len("line 99999\n")) == ["line 99999"]
    assert tail(tmp_path / "none.log", 5) == []
    assert printable("x" * 10_000) == "…" + "x" * 500


def test_a_log_is_scrubbed_in_place_only_if_needed(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_bytes(b"\xff token canary\nfine\n")
    before = path.stat().st_ino
    scrub_log(path, Redactor(["other-secret"]))
    assert path.stat().st_ino == before
    scrub_log(path, Redactor(["canary"]))
    assert path.read_bytes() == b"\xff token [redacted]\nfine\n"
    assert list(tmp_path.iterdir()) == [path]
    scrub_log(tmp_path / "none.log", Redactor(["canary"]))


def test_a_command_is_filled_in_and_its_argument_replaced() -> None:
    start = Start.model_validate({"command": ["{python}", "-m", "shop", "--port={port}", "{{x}}", "fast"]})
    assert filled_command(start, Settings(), VALUES, {}) == ["/bin/python", "-m", "shop", "--port=8000", "{x}", "fast"]
    changed = Settings(replace={"fast": "{workdir}/slow", "--port={port}": "-p{port}"})
    assert filled_command(start, changed, VALUES, {}) == ["/bin/python", "-m", "shop", "-p8000", "{x}", "/work/slow"]
    with pytest.raises(ArgumentError, match="0 times"):
        filled_command(start, Settings(replace={"--port=8000": "x"}), VALUES, {})
    with pytest.raises(ArgumentError, match=r"can't be filled in.*\{password\}"):
        filled_command(start, Settings(replace={"fast": "{password}"}), VALUES, {})


def test_an_environment_has_four_sources() -> None:
    start = Start.model_validate(
        {"command": ["x"], "env": {"A": "{port}", "HOME": "{workdir}", "C": "c"}, "pass_env": ["TOKEN"]}
    )
    environ = {"PATH": "/bin", "HOME": "/me", "TOKEN": "{t}", "OTHER": "no"}
    assert filled_env(start, Settings(env={"C": None, "D": "{cache_url}", "E": None}), VALUES, environ) == {
        "PATH": "/bin",
        "HOME": "/work",
        "PYTHONUNBUFFERED": "1",
        "TOKEN": "{t}",
        "A": "8000",
        "D": "redis://cache",
    }
    assert filled_env(Start.model_validate({"command": ["x"]}), Settings(), VALUES, {})["PATH"]

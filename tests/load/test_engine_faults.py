"""Whatever a service does, each scheduled request ends in one row that says what happened, and the engine goes on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from hostile_service import ANSWERS, MEGABYTE, Do, HostileService, Step, plain
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_block import check, declare, engines, measure, new_run, routed
from pydantic import ValidationError

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.load import selfcheck
from luckyhit.load.http1.client import Client
from luckyhit.load.selfcheck import quantile
from tier import ALL, one_of_many


def errors(rows: pd.DataFrame) -> set[str | None]:
    return {None if pd.isna(error) else str(error) for error in rows["error"]}


FAULTS: dict[str, str | None] = {
    # no connection that lasts
    "reset": "reset", "reset-first": "reset", "silence": "reset", "half-head": "reset",
    "too-short": "reset", "half-chunk": "reset", "half-closes-early": "reset",
    # no answer in time
    "hang": "timeout", "hang-head": "timeout", "hang-body": "timeout", "drip": "timeout", "byte-a-second": "timeout",
    "continue-and-hang": "timeout", "length-of-an-exabyte": "timeout",
    # no HTTP
    "garbage": "protocol", "tls-alert": "protocol", "no-head": "protocol", "version-9": "protocol",
    "status-4-digits": "protocol", "upgrade": "protocol", "twice": "protocol", "too-long": "protocol",
    "two-lengths": "protocol", "length-and-chunks": "protocol", "negative-length": "protocol",
    "length-in-words": "protocol", "length-beyond-64-bits": "protocol", "bad-chunk": "protocol",
    "chunk-too-long": "protocol", "chunk-beyond-64-bits": "protocol", "cr-in-header": "protocol",
    "nul-in-header": "protocol", "space-in-name": "protocol", "no-colon": "protocol", "headers": "protocol",
    # HTTP, but not what was expected
    "error": "unexpected", "not-json": "unexpected", "no-field": "unexpected", "redirect": "unexpected",
    "redirect-loop": "unexpected", "odd-bytes": "unexpected", "not-gzip": "unexpected", "leaves": "unexpected",
    "chunked": "unexpected", "early-hints": "unexpected", "to-the-end": "unexpected", "says-close": "unexpected",
    "empty": "unexpected", "no-reason": "unexpected",
    # nothing wrong
    "ok": None, "slow": None, "gzip": None, "half-closes": None,
}  # fmt: skip
WITHOUT_STATUS = {
    "reset-first", "silence", "half-head", "hang", "hang-head", "byte-a-second", "continue-and-hang",
    "garbage", "tls-alert", "no-head", "version-9", "status-4-digits", "upgrade", "two-lengths", "length-and-chunks",
    "negative-length", "length-in-words", "length-beyond-64-bits", "cr-in-header", "nul-in-header", "space-in-name",
    "no-colon", "headers",
}  # fmt: skip
STATUS = {"error": 500, "redirect": 302, "redirect-loop": 301, "empty": 204}


def test_each_fault_ends_in_the_right_row(run: CaseRun, service: HostileService) -> None:
    """All of them at once, through the same connections: none spoils the responses of another."""
    declare(run, workload=routed(*(f"/{name}" for name in FAULTS), rate="500/s", timeout="1500ms"))
    report = measure(run, service)
    rows = check(run, report)
    by_route = dict(list(rows.groupby("route", observed=True)))
    assert {name: errors(of_route) for name, of_route in by_route.items()} == {
        name: {error} for name, error in FAULTS.items()
    }
    for name, of_route in by_route.items():
        status = None if name in WITHOUT_STATUS else STATUS.get(str(name), 200)
        assert {None if pd.isna(value) else value for value in of_route["status"]} == {status}, name
    assert (rows["done_ns"].notna() == (rows["error"].isna() | (rows["error"] == "unexpected"))).all()
    assert rows["sent_ns"].notna().all()
    assert service.seen["redirect-loop"] == (rows["route"] == "redirect-loop").sum()  # not followed
    assert not any(b"evil" in head for head in service.heads)


def test_connections_that_cannot_be_made(run: CaseRun) -> None:
    declare(run, workload=routed("/ok", timeout="1s"))
    with HostileService().running() as gone:
        refusing = gone.url
    report = measure(run, refusing, "http://no-such-host.invalid:8080", warmup_s=0.1, measure_s=0.2)
    rows = check(run, report)
    assert errors(rows[rows["arm"] == "before"]) == {"connect"}
    unknown = errors(rows[rows["arm"] == "after"])
    assert "connect" in unknown and unknown <= {"connect", "timeout"}  # who is asked for the name may be slow
    assert rows["sent_ns"].isna().all() and rows["status"].isna().all()


def test_a_service_that_is_restarted(run: CaseRun) -> None:
    declare(run)
    first = HostileService()
    second = HostileService()

    def restart(done_s: float, total_s: float) -> None:
        if done_s >= 0.4 and first.seen["ok"] and not second.port:
            first.stop()
            second.port = first.port
        elif done_s >= 0.8 and second.port and not began:
            began.append(second.running())
            began[0].__enter__()

    began: list[Any] = []
    with first.running():
        plan = {"warmup_s": 0.0, "measure_s": 1.6, "on_progress": restart}
        report = measure(run, first, **plan)
    began[0].__exit__(None, None, None)
    rows = check(run, report).sort_values("slot")
    assert errors(rows) <= {None, "reset", "connect"} and "connect" in errors(rows)
    fine = rows["error"].isna()
    assert fine.iloc[0] and fine.iloc[-1] and first.seen["ok"] > 20 and second.seen["ok"] > 20
    assert abs(fine.sum() - first.seen["ok"] - second.seen["ok"]) <= 4  # an answer may be lost with its connection


def test_tls_that_cannot_be_trusted(
    run: CaseRun, certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One authority signed both: the arms differ in the fault alone."""
    declare(run)
    authorities = run.path / "authorities.pem"
    authorities.write_text(certificates["good"].read_text() + certificates["expired"].read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    contexts = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in ("good", "expired")}
    for name, context in contexts.items():
        context.load_cert_chain(certificates[name])
    with HostileService(contexts["good"]).running() as good, HostileService(contexts["expired"]).running() as bad:
        rows = check(run, measure(run, good, bad, warmup_s=0.1, measure_s=0.2))
        assert not bad.heads
    before, after = (rows[rows["arm"] == arm] for arm in ("before", "after"))
    assert errors(before) == {None} and set(before["status"]) == {200}
    assert errors(after) == {"connect"} and after["sent_ns"].isna().all()


LARGE = {"gigabyte": {None, "timeout"}, "endless": {"timeout"}, "bomb": {None, "unexpected"}, "headers": {"protocol"}}


def test_responses_of_any_size_take_bounded_memory(run: CaseRun, service: HostileService) -> None:
    routes = [{"name": name, "path": f"/{name}", "response": {"status": 200}} for name in LARGE]
    routes[2]["response"] = {"status": 200, "fields": ["$.id"]}
    declare(run, workload=routed(arrivals="constant", rate="20/s", timeout="2s") | {"routes": routes})
    used: list[int] = []

    def inspect(done_s: float, total_s: float) -> None:
        for engine in engines():
            with contextlib.suppress(psutil.Error):  # it may end just now
                used.append(engine.memory_info().rss)

    rows = check(run, measure(run, service, warmup_s=0.0, measure_s=0.5, on_progress=inspect))
    for name, allowed in LARGE.items():
        assert errors(rows[rows["route"] == name]) <= allowed, name
    assert set(rows["route"]) == set(LARGE) and rows["bytes"].max() > 50 * MEGABYTE
    assert max(used) < 400 * MEGABYTE


@pytest.mark.parametrize("descriptors", [one_of_many(40, quick=False), 64, one_of_many(300, quick=False)])
def test_too_few_descriptors_are_the_engines_own_fault(
    descriptors: int, run: CaseRun, service: HostileService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = tmp_path / "limited-python"
    limited.write_text(f'#!/bin/sh\nulimit -n {descriptors} && exec {shlex.quote(sys.executable)} "$@"\n')
    limited.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(limited))
    declare(run, workload=routed("/held", rate="1000/s", timeout="3s"))
    with HostileService(scripts={"held": (0.3, ANSWERS["ok"])}).running() as held:
        report = measure(run, held, warmup_s=0.0, measure_s=0.4)
        served = held.seen["held"]
    rows = check(run, report)
    assert errors(rows) == {None, "dropped"}
    assert rows["error"].isna().sum() == served > 5
    assert rows.loc[rows["error"] == "dropped", "sent_ns"].isna().all()


@pytest.mark.parametrize(
    "route",
    [
        {"path": "/ok/{key}\r\nX-Evil: 1"},
        {"path": "/ok/{key} HTTP/1.1\nX-Evil: 1"},
        {"path": "/ok/{key}", "headers": {"X-Key": "a\r\nX-Evil: 1"}},
        {"path": "/ok/{key}", "headers": {"X-Key: 1\r\nX-Evil": "1"}},
        {"path": "/ok/{key}", "headers": {"X-Key": "a\x00"}},
        {"path": "/ok/{key}", "headers": {"Transfer-Encoding": "chunked"}},
        one_of_many({"path": "/ok/{key}", "headers": {"content-length": "0"}}, quick=False),
    ],
)
def test_a_case_cannot_add_a_line_to_a_request(route: dict[str, Any], run: CaseRun, service: HostileService) -> None:
    """Refused where the case is read, or at the latest before the first request."""
    keyed = {"name": "item", "keys": {"first": 1, "last": 9}, **route}
    with pytest.raises((ArgumentError, ValidationError)):
        declare(run, workload=routed() | {"routes": [keyed]})
        measure(run, service)
    assert not service.heads


piece = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([
        plain(b"ok"), plain(b"ok", b"connection: close"), plain(b"", status=b"204 No Content"), ANSWERS["early-hints"],
        b"HTTP/1.1 200 OK\r\n", b"content-length: 4\r\n", b"transfer-encoding: chunked\r\n", b"\r\n", b"4\r\nbody\r\n",
        b"0\r\n\r\n", b"body", b"HTTP/1.1 100 Continue\r\n\r\n",
    ]),
)  # fmt: skip
script = st.lists(st.one_of(piece, piece, st.floats(0.0, 0.05), st.sampled_from(list(Do))), max_size=6)


@given(st.lists(script, min_size=12, max_size=12), st.sampled_from(["GET", "HEAD", "POST", "PUT"]))
@settings(max_examples=5 if ALL else 2, deadline=None)
def test_the_accounting_is_exact_whatever_is_answered(scripts: list[list[Step]], method: str) -> None:
    """Services that nobody thought of, beside routes that are right: those never suffer."""
    routes = [{"name": f"odd-{number}", "path": f"/odd-{number}", "method": method} for number in range(len(scripts))]
    routes += [{"name": "ok", "path": "/ok", "method": "GET", "weight": 8}]
    with tempfile.TemporaryDirectory() as place, HostileService().running() as odd, HostileService().running() as fine:
        odd.scripts.update({f"odd-{number}": steps for number, steps in enumerate(scripts)})
        run = new_run(Path(place))
        declare(run, workload=routed(rate="250/s", timeout="300ms") | {"routes": routes}, expected={"status": 200})
        rows = check(run, measure(run, odd, fine, warmup_s=0.1, measure_s=0.3))
    assert errors(rows[rows["arm"] == "after"]) == {None}
    before = rows[rows["arm"] == "before"]
    assert errors(before) <= {None, "timeout", "reset", "protocol", "unexpected"}
    assert before["sent_ns"].notna().all()
    assert before.loc[before["error"].isna(), "status"].eq(200).all()


def ask_in_this_process(url: str, timeout_s: float, loop: Callable[[], asyncio.AbstractEventLoop]) -> set[str | None]:
    """The errors of twenty requests at once."""

    async def main() -> set[str | None]:
        client = Client(url)
        responses = await asyncio.gather(*(client.request("GET", "/", timeout_s=timeout_s) for _ in range(20)))
        await client.close()
        return {response.error for response in responses}

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


class NoPortLeft(asyncio.SelectorEventLoop):
    async def create_connection(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")


def test_too_few_ports_are_this_machines_own_fault() -> None:
    assert ask_in_this_process("http://127.0.0.1:9", 3.0, NoPortLeft) == {"dropped"}


def test_an_unanswered_lookup_ends_in_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, over = [], threading.Event()

    def lookup(host: str, *_: Any, **__: Any) -> Any:
        looked_up.append(host)
        over.wait(20)
        raise socket.gaierror

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lookup)
        ended = ask_in_this_process("http://shop.example", 0.3, asyncio.SelectorEventLoop)
    over.set()
    assert ended == {"timeout"} and looked_up == ["shop.example"]  # one lookup for all who wait


@pytest.mark.measures
def test_a_freeze_is_measured_as_users_would_see_it(run: CaseRun) -> None:
    """Coordinated omission: a request that is due in the freeze waits for its end, and none is left out or put off."""
    # A process that stands still accepts nobody: those who come must fit into what the kernel holds for it.
    somaxconn = Path("/proc/sys/net/core/somaxconn")
    rate = min(500, (int(somaxconn.read_text()) if somaxconn.is_file() else 128) // 8)
    declare(
        run, workload=routed("/item", rate=f"{rate}/s", arrivals="constant", timeout="30s"), expected={"status": 200}
    )
    frozen_ns: list[int] = []
    command = [sys.executable, "-P", str(Path(selfcheck.__file__).with_name("echo.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:

        def freeze(done_s: float, total_s: float) -> None:
            now_ns = time.monotonic_ns() - run.manifest.origin_ns
            if done_s >= 0.4 and not frozen_ns:
                service.send_signal(signal.SIGSTOP)
                frozen_ns.append(now_ns)
            elif len(frozen_ns) == 1 and now_ns >= frozen_ns[0] + 2e9:
                frozen_ns.append(now_ns)
                service.send_signal(signal.SIGCONT)

        assert service.stdout is not None
        url = f"http://127.0.0.1:{int(service.stdout.readline())}"
        try:
            rows = check(run, measure(run, url, warmup_s=0.0, measure_s=3.0, on_progress=freeze))
        finally:
            service.kill()
    began_ns, ended_ns = frozen_ns
    waits = rows["due_ns"].between(began_ns, ended_ns)
    analytic_ms = ((ended_ns - rows["due_ns"]) / 1e6).where(waits, 0.0)
    measured_ms = (rows["done_ns"] - rows["due_ns"]) / 1e6
    assert len(rows) == 3 * rate and waits.sum() > 1.9 * rate and errors(rows) == {None}
    assert (rows["sent_ns"] < ended_ns)[waits].mean() > 0.99  # sent when due, not when the service was back
    # Nobody waits less than until the end of the freeze. How much longer, while both sides work off those who waited, is
    # for benchmarks/freeze.py to say.
    for q in (0.5, 0.75, 0.9, 0.95, 0.99, 0.999):
        assert quantile(measured_ms.to_numpy(), q) >= quantile(analytic_ms.to_numpy(), q) * (1 - 1e-9)

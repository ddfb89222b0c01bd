"""Purge an HTTP cache in front of the service: the calls that a case declares, and no others.

Each call goes to the cache's address of the case, with `{key}` filled in, and is journalled first. What is purged can't
be put back, and need not be: the next reader fetches it again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from luckyhit.case import Case
from luckyhit.case.cache_spec import Purge
from luckyhit.change.clearing.purge_calls import Call, calls_of, client_for, refusal, request_of
from luckyhit.change.journal import Journal
from luckyhit.errors import TargetError

PURGE = "purge"
_PARALLEL = 4
_ABSENT = {404, 410, 412}


@dataclass(frozen=True)
class PurgeReport:
    """What was purged. `calls`: sent and accepted; `statuses`: their number by status (a text, for JSON); `detail`: one
    sentence."""

    calls: int
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    detail: str = ""

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def purge(
    case: Case,
    base_url: str,
    journal: Journal,
    *,
    environ: Mapping[str, str],
    headers: Mapping[str, str],
    project: Path = Path(),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> PurgeReport:
    """Send every call of `case.cache.purge`, at most `cache.clear_rate` in a second.

    `base_url`: the target's address, where the case names no other. `headers`: the target's secret ones, sent to that
    address only. `project`: what `target.ca_file` is relative to.

    Raises GuardError where the journal can't be written (nothing is sent); ArgumentError for a variable that is not set
    or can't be a header; TargetError at the first call that the cache refuses: no further ones are sent.
    """
    if not case.cache.purge:
        return PurgeReport(0, detail="The case declares no purge.")
    groups = [calls_of(entry, base_url, environ, headers) for entry in case.cache.purge]
    count = sum(map(len, groups))
    detail = {
        "what": f"{count} purge {'call' if count == 1 else 'calls'}; not put back: the next reader fetches the pages",
        "calls": [_described(entry, calls) for entry, calls in zip(case.cache.purge, groups, strict=True)],
    }
    step = journal.intend(PURGE, detail, {})
    started, statuses = clock(), Counter[int]()
    pace = _Pace(case.cache.clear_rate, clock, sleep)
    for calls in groups:  # one after the other: a later one may rely on an earlier one

        def connect(call: Call = calls[0]) -> httpx.Client:
            return client_for(case, call, base_url, project)

        statuses.update(_send_all(connect, calls, pace, sum(statuses.values())))
    report = PurgeReport(
        calls=sum(statuses.values()),
        statuses={str(status): number for status, number in sorted(statuses.items())},
        seconds=round(clock() - started, 3),
        detail=_sentence(statuses),
    )
    journal.confirm(step, report.as_facts())
    return report


class _Pace:
    """Limits calls to a rate; without one, not at all."""

    def __init__(self, rate: float | None, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._gap_s = 1 / rate if rate else 0.0
        self._clock, self._sleep = clock, sleep
        self._due = clock()
        self._lock = threading.Lock()

    def wait(self) -> None:
        if not self._gap_s:
            return
        with self._lock:
            now = self._clock()
            due = max(self._due, now)
            self._due = due + self._gap_s
        if due > now:
            self._sleep(due - now)


def _send_all(connect: Callable[[], httpx.Client], calls: Sequence[Call], pace: _Pace, before: int) -> Counter[int]:
    """Send `calls`, a few at a time; returns their number by status. `before`: calls that succeeded earlier."""
    stop, lock, done = threading.Event(), threading.Lock(), Counter[int]()

    def send(call: Call) -> None:
        if stop.is_set():
            return
        pace.wait()
        if stop.is_set():
            return
        try:
            status = _send(client, call, connect)
        except TargetError:
            stop.set()
            raise
        with lock:
            done[status] += 1

    with connect() as client, ThreadPoolExecutor(_PARALLEL, thread_name_prefix="purge") as pool:
        try:
            for _ in pool.map(send, calls):
                pass
        except TargetError as error:
            succeeded = before + sum(done.values())
            calls_before = f" (after {succeeded} {'call' if succeeded == 1 else 'calls'} that succeeded)"
            message = error.message + (calls_before if succeeded else "")
            raise TargetError(message, hint=error.hint, refusal=error.refusal) from None
        finally:
            stop.set()  # after Ctrl-C as well: waiting calls are not sent
    return done


def _send(client: httpx.Client, call: Call, connect: Callable[[], httpx.Client]) -> int:
    """Returns the status. Raises TargetError unless the case accepts it."""
    try:
        try:
            response = client.send(request_of(client, call))
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # The cache closed the kept connection: once more on a new one, since a purge may be sent twice.
            with connect() as retry:
                response = retry.send(request_of(retry, call))
    except httpx.HTTPError as error:
        raise _unanswered(call, error) from None
    if response.status_code not in call.accepted:
        raise refusal(call, response)
    return response.status_code


def _unanswered(call: Call, error: httpx.HTTPError) -> TargetError:
    return TargetError(
        f"{call.method} {call.url} (cache.purge) gave no answer: {type(error).__name__}: {error}",
        hint="Check that the cache runs and can be reached from here, and cache.purge.url.",
    )


def _described(entry: Purge, calls: Sequence[Call]) -> dict[str, Any]:
    """For the journal: as in the case, so without the values of `headers_env`."""
    origin = calls[0].origin
    described: dict[str, Any] = {
        "method": entry.method,
        "url": f"{origin.scheme}://{origin.authority}{origin.prefix}",
        "path": entry.path,
        "calls": len(calls),
    }
    if entry.keys is not None:
        described["keys"] = [entry.keys.first, entry.keys.last]
    if entry.headers:
        described["headers"] = dict(entry.headers)
    return described


def _sentence(statuses: Counter[int]) -> str:
    count = sum(statuses.values())
    by_status = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
    sentence = f"{count} purge {'call' if count == 1 else 'calls'} answered ({by_status})."
    if set(statuses) <= _ABSENT:
        sentence += " Nothing was cached there, or no cache answers there."
    return sentence

"""What is done with an answer once its clock has stopped: decode, read the signals, hold it against the case, keep.

None of it is part of a latency, and it waits while a request is about to be due. Large JSON would delay the requests
around it all the same: it is kept, and parsed when the block is over (`finish`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.workload import Response
from luckyhit.measure.bodies import LARGEST_KEPT_BODY, decoded_body
from luckyhit.measure.connection import Answer
from luckyhit.measure.expect import LARGEST_CHECKED_BODY, Expectation, expected_of
from luckyhit.measure.rows import NO_VERSION, Rows
from luckyhit.measure.schedule import LARGEST_NUMBER, Schedule
from luckyhit.measure.shown import Shown
from luckyhit.measure.signals import Mark, Memory, Seen, Signals, service_ms
from luckyhit.measure.templates import RouteTemplate
from luckyhit.records import Arm

KEPT_FOR_LATER = 64 << 20
"""Bytes of large bodies to keep until the block is over, and to parse then: about a second's work."""
_ROW_BYTES = 1 << 10
_EXCERPT = 500
_SMALL_BODY, _MOST_KNOWN = 4 << 10, 512
_LONGEST_PATH = 200
_MOST_NUMBERS = LARGEST_NUMBER + 1


@dataclass(frozen=True)
class Example:
    """An answer that was not as expected, without secrets: `request` is its line, `wrong` half a sentence, `body` the
    first 500 characters."""

    arm: Arm
    route: str
    request: str
    status: int
    wrong: str
    body: str


@dataclass
class Answers:
    """Settles rows. Keeps one example of an answer that was not as expected for each route (`unexpected` is the first,
    in one sentence); `unchecked` counts bodies too large to be looked into.

    `later_bytes`: how much of large bodies may be kept for `finish`; whoever sets it has to call that. `secrets`: what
    no example may show.
    """

    schedule: Schedule
    rows: Rows
    arms: Sequence[Arm]
    templates: Sequence[Sequence[RouteTemplate]]  # by arm, then route
    signals: Signals
    default: Response | None  # None: whatever comes is right
    secrets: Collection[str] = ()
    later_bytes: int = 0
    unexpected: str | None = None
    unchecked: int = 0
    service_ms: NDArray[np.float64] | None = None  # where set, by slot: the service's own duration, as it tells it
    _expectations: list[Expectation] = field(default_factory=list)
    _examples: dict[int, Example] = field(default_factory=dict)
    _memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        if self.default is not None:
            self._expectations = [
                Expectation(expected_of(route, self.default), route.version if route.method == "GET" else None)
                for route in self.schedule.routes
            ]
        self._writing = {route for route, template in enumerate(self.templates[0]) if template.writes_number}
        # By route: None for one that does not read, else whether its URLs differ by their number.
        self._kinds = [
            "{number}" in str(route.path) if route.method in ("GET", "HEAD") else None for route in self.schedule.routes
        ]
        self._looks = bool(self._expectations or self._writing)
        self._known: list[dict[bytes, tuple[str | None, int]]] = [{} for _ in self._expectations]
        self._later: list[tuple[int, int, Answer, Seen, bytes]] = []
        self._bodies: dict[bytes, bytes] = {}

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Of each route that has one, an unexpected answer: the fields of `Example`."""
        return [asdict(self._examples[route]) for route in sorted(self._examples)]

    def settle(self, slot: int, arm: int, answer: Answer) -> None:
        """One answer, into its row."""
        head = answer.head
        memory = self._memory
        if head is None:
            seen, mark = self.signals.look(answer.headers)
            until_ns = 0
        else:
            # Of answers whose heads are the same, one has to be looked at.
            if head.seen is None:
                head.seen, head.mark = self.signals.look(answer.headers)
                head.until_ns = memory.silent_until_ns(head.seen, head.mark, answer.done_ns or 0)
            seen, mark, until_ns = head.seen, head.mark, head.until_ns
        if answer.status == 200 and (now_ns := answer.done_ns) is not None and (now_ns > until_ns or memory.watching):
            seen = self._in_their_light(slot, arm, seen, mark, now_ns)
        if self.service_ms is not None and not seen.replayed and (took_ms := service_ms(answer.headers)) is not None:
            self.service_ms[slot] = took_ms
        if not self._looks:
            self.rows.settle(slot, arm, answer, seen)
            return
        version: int | None = NO_VERSION
        if self._expectations and answer.error is None and answer.status is not None:
            version = self._checked(slot, arm, answer, answer.status, seen)
        if version is not None:
            self.rows.settle(slot, arm, answer, seen, self._written(slot, answer, version))

    def _in_their_light(self, slot: int, arm: int, reading: Seen, mark: Mark, done_ns: int) -> Seen:
        """What an answer shows beside those that the same URL gave before."""
        schedule, entry = self.schedule, slot % len(self.schedule)  # a closed loop goes round
        route = schedule.route.item(entry)
        kind = self._kinds[route]
        if kind is None:
            return reading
        url = schedule.key.item(entry) * _MOST_NUMBERS + (schedule.number.item(entry) if kind else 0)
        return self._memory.look(arm, route, url, reading, mark, done_ns)

    def finish(self) -> None:
        """Check what was too large before, and settle it: nothing is timed any more."""
        found: dict[tuple[int, bytes], tuple[str | None, int]] = {}
        left = KEPT_FOR_LATER
        for slot, arm, answer, seen, digest in self._later:
            route = int(self.schedule.route[slot % len(self.schedule)])
            known = (route, digest)
            if known not in found and left > 0:
                body = decoded_body(answer, LARGEST_KEPT_BODY + 1)
                left -= len(body)
                if len(body) <= LARGEST_KEPT_BODY:
                    found[known] = _told_by(self._expectations[route], body)
            wrong, version = found.get(known, (None, NO_VERSION))
            if known not in found:
                self.unchecked += self._expectations[route].checks_body
            if wrong is not None:
                self._told(slot, arm, answer, wrong)
            self.rows.settle(slot, arm, answer, seen, self._written(slot, answer, version))
        self._later.clear()
        self._bodies.clear()

    def _written(self, slot: int, answer: Answer, shown: int = NO_VERSION) -> int:
        """The version of one row: of a write what it sent, whether or not that was accepted, else what was `shown`.

        Of a write that was sent twice none: its first copy may still take effect when the second was answered."""
        if not self._writing:
            return shown
        entry = slot % len(self.schedule)
        if int(self.schedule.route[entry]) not in self._writing:
            return shown
        return NO_VERSION if answer.sent_ns is None or answer.retried else int(self.schedule.number[entry])

    def _checked(self, slot: int, arm: int, answer: Answer, status: int, seen: Seen) -> int | None:
        """Hold an answer against what is expected, and return the version that it shows (NO_VERSION: none). None: not
        yet, it is kept for `finish`."""
        route = int(self.schedule.route[slot % len(self.schedule)])  # a closed loop goes round
        expectation = self._expectations[route]
        wrong, version = expectation.head_mismatch(status, answer.headers), NO_VERSION
        if wrong is None and expectation.needs_body:
            if answer.truncated:
                self.unchecked += expectation.checks_body
                return NO_VERSION
            body = decoded_body(answer, LARGEST_CHECKED_BODY + 1 if expectation.needs_json else LARGEST_KEPT_BODY + 1)
            if expectation.needs_json and len(body) > LARGEST_CHECKED_BODY:
                if self._keep(slot, arm, answer, seen):
                    return None
                body = decoded_body(answer, LARGEST_KEPT_BODY + 1)
                self.unchecked += expectation.checks_body
                wrong = expectation.body_mismatch(body, parsed=False) if len(body) <= LARGEST_KEPT_BODY else None
            elif len(body) > LARGEST_KEPT_BODY:
                self.unchecked += 1
            else:
                wrong, version = self._read_body(route, body)
        if wrong is not None:
            self._told(slot, arm, answer, wrong)
        return version

    def _read_body(self, route: int, body: bytes) -> tuple[str | None, int]:
        """Services send the same few bodies again and again: small ones are remembered."""
        known = self._known[route]
        if body in known:
            return known[body]
        told = _told_by(self._expectations[route], body)
        if len(body) <= _SMALL_BODY:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[body] = told
        return told

    def _keep(self, slot: int, arm: int, answer: Answer, seen: Seen) -> bool:
        """Keep a large answer for `finish`, if there is room; the same body only once."""
        coding = b"".join(value for name, value in answer.headers if name == b"content-encoding")
        digest = hashlib.sha256(coding + b"\n" + answer.body).digest()
        more = _ROW_BYTES + (0 if digest in self._bodies else len(answer.body))
        if more > self.later_bytes:
            return False
        self.later_bytes -= more
        answer.body = self._bodies.setdefault(digest, answer.body)
        self._later.append((slot, arm, answer, seen, digest))
        return True

    def _told(self, slot: int, arm: int, answer: Answer, wrong: str) -> None:
        """Note an answer that is not as expected; the first of its route becomes the example."""
        answer.error = "unexpected"
        entry = slot % len(self.schedule)
        route = int(self.schedule.route[entry])
        if route in self._examples:
            return
        shown, template = Shown(self.secrets), self.templates[arm][route]
        path = template.path(int(self.schedule.key[entry]), int(self.schedule.number[entry]))
        request = f"{template.method} {shown.text(path)[:_LONGEST_PATH]}"
        body = shown.body(decoded_body(answer, 8 * _EXCERPT), _EXCERPT)
        example = Example(self.arms[arm], template.route.name, request, answer.status or 0, shown.text(wrong), body)
        self._examples[route] = example
        if self.unexpected is None:
            self.unexpected = f"arm {example.arm}: {request}: {example.wrong}"


def _told_by(expectation: Expectation, body: bytes) -> tuple[str | None, int]:
    """What differs in a body, and the version that it shows."""
    wrong, version = expectation.read_body(body)
    return wrong, NO_VERSION if version is None else version

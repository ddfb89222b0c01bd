"""What is done with an answer once its clock has stopped: decode, read the signals, hold it against the case, keep.

None of it is part of a latency, and it waits while a request is about to be due. Large JSON would delay the requests
around it all the same: it is kept, and parsed when the block is over (`finish`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.workload import Response
from luckyhit.load.bodies.decoding import LARGEST_KEPT_BODY, decoded_body
from luckyhit.load.bodies.examples import Example, Examples, Kind
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY, Expectation, Mismatch, expected_of
from luckyhit.load.bodies.hashes import BodyHashes, coding_of, hash_of
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import NO_HASH, NO_VERSION, RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.schedule import LARGEST_NUMBER, Schedule
from luckyhit.load.signals import MOST_WAITING, Mark, Memory, ResponseSource, Seen, service_ms
from luckyhit.records import Arm
from luckyhit.scrub.redactor import Redactor

KEPT_FOR_LATER = 64 << 20
"""Bytes of large bodies to keep until the block is over, and to parse then: about a second's work."""
AMENDED_AT_ONCE = 32
_ROW_BYTES = 1 << 10
EXCERPT = 500
_SMALL_BODY, _MOST_KNOWN = 4 << 10, 512
LONGEST_PATH = 200
_MOST_NUMBERS = LARGEST_NUMBER + 1


@dataclass
class Answers:
    """Settles rows. Keeps one example of each kind of answer that was not as expected (`unexpected` is the first, in
    one sentence); `unchecked` counts bodies too large to be looked into.

    `later_bytes`: how much of large bodies may be kept for `finish`; whoever sets it has to call that. `secrets`: what
    no example may show.
    """

    schedule: Schedule
    rows: RequestRecorder
    arms: Sequence[Arm]
    templates: Sequence[Sequence[RouteTemplate]]  # by arm, then route
    signals: ResponseSource
    default: Response | None  # None: whatever comes is right
    secrets: Collection[str] = ()
    later_bytes: int = 0
    unexpected: str | None = None
    unchecked: int = 0
    service_ms: NDArray[np.float64] | None = None  # where set, by slot: the service's own duration, as it tells it
    _expectations: list[Expectation] = field(default_factory=list)
    _examples: Examples = field(default_factory=Examples)
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
        names = [of_arm[0].authority for of_arm in self.templates]
        # A single word (`localhost` at its default port) may stand in a body for anything.
        self._addresses = [name.encode() if "." in name or ":" in name else b"" for name in names]
        self._hashes = BodyHashes(self._addresses)
        self._asks_head = {number for number, route in enumerate(self.schedule.routes) if route.method == "HEAD"}
        self._known: list[dict[bytes, tuple[Mismatch | None, int]]] = [{} for _ in self._expectations]
        self._later: list[tuple[int, int, HttpResponse, Seen, bytes]] = []
        self._bodies: dict[bytes, bytes] = {}

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Of each kind that there was, an unexpected answer: the fields of `Example`, and the `count` of the kind."""
        return self._examples.told()

    def settle(self, slot: int, arm: int, answer: HttpResponse) -> None:
        """One answer, into its row."""
        head = answer.head
        memory = self._memory
        if head is None:
            signals, mark = self.signals.look(answer.headers)
            until_ns = 0
        else:
            # Of answers whose heads are the same, one has to be looked at.
            if head.seen is None:
                head.seen, head.mark = self.signals.look(answer.headers)
                head.until_ns = memory.silent_until_ns(arm, head.seen, head.mark, answer.done_ns or 0)
            signals, mark, until_ns = head.seen, head.mark, head.until_ns
        clue = None
        if (
            answer.status == 200
            and (now_ns := answer.done_ns) is not None
            and (now_ns > until_ns or memory.watching or (memory.learns and not signals.settled))
        ):
            signals = self._in_their_light(slot, arm, signals, mark, now_ns)
            clue = memory.clue
            if memory.unsettled:
                self._amend(AMENDED_AT_ONCE)
        if self.service_ms is not None and not signals.replayed and (took_ms := service_ms(answer.headers)) is not None:
            self.service_ms[slot] = took_ms
        if not self._looks:
            body = answer.body
            # Nearly all answers are such: whole, and without a coding.
            if body and head is not None and not coding_of(head) and len(body) == answer.size and answer.error is None:
                body_hash: int | None = hash_of(body, self._addresses[arm])
            else:
                body_hash = NO_HASH if answer.error is not None else self._hashed(slot, arm, answer, signals)
            if body_hash is not None:
                self.rows.settle(slot, arm, answer, signals, NO_VERSION, body_hash)
                if clue is not None:
                    memory.wait(clue, self.rows.last())
            return
        shows: tuple[int, int] | None = NO_VERSION, NO_HASH
        if answer.error is None and answer.status is not None:
            shows = self._checked(slot, arm, answer, answer.status, signals)
        if shows is not None:
            self.rows.settle(slot, arm, answer, signals, self._written(slot, answer, shows[0]), shows[1])
            if clue is not None:
                memory.wait(clue, self.rows.last())

    def holds_rows(self, now_ns: int) -> bool:
        """Whether rows may still be told more of, and are not to be written yet: for seconds, while a block begins."""
        if self._memory.holds(now_ns):
            return True
        self._amend(MOST_WAITING)
        return False

    def _amend(self, most: int) -> None:
        """Let rows tell what other answers showed of them."""
        for _ in range(most):
            if (revised := self._memory.revised()) is None:
                return
            self.rows.amend(*revised)

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
        """Check and hash what was too large before, and settle it: nothing is timed any more."""
        self._amend(MOST_WAITING)
        known: dict[tuple[int, int, bytes, bool], tuple[Mismatch | None, int, int]] = {}
        left = KEPT_FOR_LATER
        for slot, arm, answer, signals, digest in self._later:
            route = int(self.schedule.route[slot % len(self.schedule)])
            checks = answer.error is None and bool(self._expectations)
            checks = checks and self._expectations[route].looks_into(answer.status)
            place = route, arm, digest, checks
            if place not in known and left > 0:
                body = decoded_body(answer, LARGEST_KEPT_BODY + 1)
                left -= len(body)
                if len(body) <= LARGEST_KEPT_BODY:
                    shows = _told_by(self._expectations[route], body) if checks else (None, NO_VERSION)
                    known[place] = *shows, hash_of(body, self._addresses[arm])
            wrong, version, body_hash = known.get(place, (None, NO_VERSION, NO_HASH))
            if checks and place not in known:
                self.unchecked += self._expectations[route].checks_body
            if wrong is not None:
                self._told(slot, arm, answer, signals, wrong)
            self.rows.settle(slot, arm, answer, signals, self._written(slot, answer, version), body_hash)
        self._later.clear()
        self._bodies.clear()

    def _written(self, slot: int, answer: HttpResponse, shown: int = NO_VERSION) -> int:
        """The version of one row: of a write what it sent, whether or not that was accepted, else what was `shown`.

        Of a write that was sent twice none: its first copy may still take effect when the second was answered."""
        if not self._writing:
            return shown
        entry = slot % len(self.schedule)
        if int(self.schedule.route[entry]) not in self._writing:
            return shown
        return NO_VERSION if answer.sent_ns is None or answer.retried else int(self.schedule.number[entry])

    def _hashed(self, slot: int, arm: int, answer: HttpResponse, signals: Seen) -> int | None:
        """The hash of the body (NO_HASH: none). None: not yet, it is kept for `finish`."""
        if not answer.body and int(self.schedule.route[slot % len(self.schedule)]) in self._asks_head:
            return NO_HASH
        body_hash = self._hashes.of(arm, answer)
        return NO_HASH if body_hash is None and not self._keep(slot, arm, answer, signals) else body_hash

    def _checked(self, slot: int, arm: int, answer: HttpResponse, status: int, signals: Seen) -> tuple[int, int] | None:
        """Hold an answer against what is expected. Returns the version that it shows (NO_VERSION: none) and the hash of
        its body (NO_HASH: none). None: not yet, it is kept for `finish`."""
        route = int(self.schedule.route[slot % len(self.schedule)])  # a closed loop goes round
        expectation = self._expectations[route] if self._expectations else None
        wrong = None if expectation is None else expectation.head_mismatch(status, answer.headers)
        if expectation is None or wrong is not None or not expectation.looks_into(status):
            if wrong is not None:
                self._told(slot, arm, answer, signals, wrong)
            body_hash = self._hashed(slot, arm, answer, signals)
            return None if body_hash is None else (NO_VERSION, body_hash)
        if answer.truncated:
            self.unchecked += expectation.checks_body
            return NO_VERSION, NO_HASH
        version = NO_VERSION
        body = decoded_body(answer, LARGEST_CHECKED_BODY + 1 if expectation.needs_json else LARGEST_KEPT_BODY + 1)
        if expectation.needs_json and len(body) > LARGEST_CHECKED_BODY:
            if self._keep(slot, arm, answer, signals):
                return None
            body = decoded_body(answer, LARGEST_KEPT_BODY + 1)
            self.unchecked += expectation.checks_body
            wrong = expectation.body_mismatch(body, parsed=False) if len(body) <= LARGEST_KEPT_BODY else None
        elif len(body) > LARGEST_KEPT_BODY:
            self.unchecked += 1
        else:
            wrong, version = self._read_body(route, body)
        if wrong is not None:
            self._told(slot, arm, answer, signals, wrong)
        return version, self._hashes.of_decoded(arm, body) if len(body) <= LARGEST_KEPT_BODY else NO_HASH

    def _read_body(self, route: int, body: bytes) -> tuple[Mismatch | None, int]:
        """Services send the same few bodies again and again: small ones are remembered."""
        known = self._known[route]
        if body in known:
            return known[body]
        result = _told_by(self._expectations[route], body)
        if len(body) <= _SMALL_BODY:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[body] = result
        return result

    def _keep(self, slot: int, arm: int, answer: HttpResponse, signals: Seen) -> bool:
        """Keep a large answer for `finish`, if there is room; the same body only once."""
        coding = b"".join(value for name, value in answer.headers if name == b"content-encoding")
        digest = hashlib.sha256(coding + b"\n" + answer.body).digest()
        more = _ROW_BYTES + (0 if digest in self._bodies else len(answer.body))
        if more > self.later_bytes:
            return False
        self.later_bytes -= more
        answer.body = self._bodies.setdefault(digest, answer.body)
        self._later.append((slot, arm, answer, signals, digest))
        return True

    def _told(self, slot: int, arm: int, answer: HttpResponse, signals: Seen, wrong: Mismatch) -> None:
        """Note an answer that is not as expected; the first of its kind becomes the example."""
        answer.error = "unexpected"
        route = int(self.schedule.route[slot % len(self.schedule)])
        kind = Kind(route, arm, wrong.reason, answer.status or 0, signals.cache)
        self._examples.note(kind, lambda: self._example(slot, kind, answer, wrong))
        first = self._examples.first
        if self.unexpected is None and first is not None:
            self.unexpected = f"arm {first.arm}: {first.request}: {first.wrong}"

    def _example(self, slot: int, kind: Kind, answer: HttpResponse, wrong: Mismatch) -> Example:
        entry = slot % len(self.schedule)
        redactor, template = Redactor(self.secrets), self.templates[kind.arm][kind.route]
        path = template.path(int(self.schedule.key[entry]), int(self.schedule.number[entry]))
        return Example(
            arm=self.arms[kind.arm],
            route=template.route.name,
            request=f"{template.method} {redactor.quoted(path)[:LONGEST_PATH]}",
            status=kind.status,
            wrong=redactor.quoted(wrong.text),
            body=redactor.excerpt(decoded_body(answer, 8 * EXCERPT), EXCERPT),
            reason=kind.reason,
            cache=kind.cache,
        )


def _told_by(expectation: Expectation, body: bytes) -> tuple[Mismatch | None, int]:
    """What differs in a body, and the version that it shows."""
    wrong, version = expectation.read_body(body)
    return wrong, NO_VERSION if version is None else version

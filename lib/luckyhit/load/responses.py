"""What is done with a response once its clock has stopped: decode, read the signals, check it against the case, record.

None of it is part of a latency, and it waits while a request is about to be due. Large JSON would still delay the
requests around it: it is kept, and parsed when the block is over (`finish`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.workload import Response
from luckyhit.load.bodies.decoding import LARGEST_KEPT_BODY, NO_HASH, BodyHashes, coding_of, decoded_body, hash_of
from luckyhit.load.bodies.examples import Example, ExampleKind, Examples
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY, Expectation, Mismatch, expected_of
from luckyhit.load.http1.known_answers import FOREVER_NS, KnownAnswers
from luckyhit.load.http1.response import Head, HttpResponse, KnownAnswer
from luckyhit.load.recorder import NO_VERSION, RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.schedule import LARGEST_NUMBER, Schedule
from luckyhit.load.signals import MOST_WAITING, Mark, ResponseHistory, ResponseSignals, ResponseSource, service_ms
from luckyhit.records import Arm
from luckyhit.scrub.redactor import Redactor

KEPT_FOR_LATER = 64 << 20
"""Bytes of large bodies to keep until the block is over, and to parse then: about a second's work."""
AMENDED_AT_ONCE = 32
_ROW_BYTES = 1 << 10
EXCERPT = 500
_SMALL_BODY, _MOST_KNOWN = 4 << 10, 512
LONGEST_PATH = 200
_NUMBERS_PER_KEY = LARGEST_NUMBER + 1


@dataclass
class ResponseHandler:
    """Records responses. Keeps one example of each kind of unexpected response (`unexpected` is the first, in one
    sentence); `unchecked` counts bodies too large to be checked.

    `later_bytes`: how many bytes of large bodies may be kept for `finish`, which has to be called then. `secrets`: what
    no example may show. `expected` None: any response is right.
    """

    schedule: Schedule
    recorder: RequestRecorder
    arms: Sequence[Arm]
    templates: Sequence[Sequence[RouteTemplate]]  # by arm, then route
    signals: ResponseSource
    expected: Response | None
    secrets: Collection[str] = ()
    later_bytes: int = 0
    unexpected: str | None = None
    unchecked: int = 0
    service_ms: NDArray[np.float64] | None = None  # if set, by slot: the duration that the service itself reports
    _expectations: list[Expectation] = field(default_factory=list)
    _examples: Examples = field(default_factory=Examples)
    _history: ResponseHistory = field(default_factory=ResponseHistory)

    def __post_init__(self) -> None:
        routes = self.schedule.routes
        if self.expected is not None:
            self._expectations = [
                Expectation(expected_of(route, self.expected), route.version if route.method == "GET" else None)
                for route in routes
            ]
        self._writing = {route for route, template in enumerate(self.templates[0]) if template.writes_number}
        # By route: None for one that does not read, else whether its URLs differ by their number.
        self._url_has_number = [
            "{number}" in str(route.path) if route.method in ("GET", "HEAD") else None for route in routes
        ]
        self._checks = bool(self._expectations or self._writing)
        names = [of_arm[0].authority for of_arm in self.templates]
        # A single word (`localhost` at its default port) in a body may mean anything.
        self._addresses = [name.encode() if "." in name or ":" in name else b"" for name in names]
        self._hashes = BodyHashes(self._addresses)
        self._head_routes = {number for number, route in enumerate(routes) if route.method == "HEAD"}
        self._known: list[dict[bytes, tuple[Mismatch | None, int]]] = [{} for _ in self._expectations]
        self._later: list[tuple[int, int, HttpResponse, ResponseSignals, bytes]] = []
        self._bodies: dict[bytes, bytes] = {}
        # By arm and route; None where not only the answer decides the row.
        self.known: list[list[KnownAnswers | None]] = [
            [
                None if route.method == "HEAD" or number in self._writing else KnownAnswers()
                for number, route in enumerate(routes)
            ]
            for _ in self.arms
        ]

    @property
    def examples(self) -> list[dict[str, Any]]:
        """An unexpected response of each kind: the fields of `Example`, and the `count` of the kind."""
        return self._examples.rows()

    def record(self, slot: int, arm: int, response: HttpResponse) -> None:
        """Record one response, now or in `finish`."""
        head = response.head
        history = self._history
        if head is None:
            signals, mark = self.signals.inspect(response.headers)
            until_ns = 0
        else:
            # Of responses with the same head, one is inspected.
            if head.signals is None:
                head.signals, head.mark = self.signals.inspect(response.headers)
                head.until_ns = history.silent_until_ns(arm, head.signals, head.mark, response.done_ns or 0)
            signals, mark, until_ns = head.signals, head.mark, head.until_ns
        clue = None
        if (
            response.status == 200
            and (now_ns := response.done_ns) is not None
            and (now_ns > until_ns or history.watching or (history.learns and not signals.settled))
        ):
            signals = self._with_history(slot, arm, signals, mark, now_ns)
            clue = history.clue
            if history.unsettled:
                self._amend(AMENDED_AT_ONCE)
        if (
            self.service_ms is not None
            and not signals.replayed
            and (took_ms := service_ms(response.headers)) is not None
        ):
            self.service_ms[slot] = took_ms
        version, body_hash = NO_VERSION, NO_HASH
        if not self._checks:
            body = response.body
            # Nearly all responses: whole, and without a coding.
            if (
                body
                and head is not None
                and not coding_of(head)
                and len(body) == response.size
                and response.error is None
            ):
                body_hash = hash_of(body, self._addresses[arm])
            elif response.error is None:
                hashed = self._hashed(slot, arm, response, signals)
                if hashed is None:
                    return
                body_hash = hashed
        else:
            if response.error is None and response.status is not None:
                checked = self._checked(slot, arm, response, response.status, signals)
                if checked is None:
                    return
                version, body_hash = checked
            version = self._written(slot, response, version)
        self.recorder.record(slot, arm, response, signals, version, body_hash)
        if clue is not None:
            history.wait(clue, self.recorder.last())
        elif response.raw is not None and head is not None and signals is head.signals and response.error is None:
            self._remember(slot, arm, response, response.raw, head, signals, version, body_hash)

    def record_known(
        self,
        slot: int,
        arm: int,
        due_ns: int | None,
        sent_ns: int | None,
        done_ns: int,
        connection: int,
        answer: KnownAnswer,
    ) -> None:
        """Record an answer that came before, byte for byte (instants are raw)."""
        history = self._history
        if done_ns <= answer.until_ns and answer.valid_at == history.changes:
            self.recorder.record_known(slot, arm, due_ns, sent_ns, done_ns, connection, answer.row)
        elif (
            done_ns > answer.until_ns
            or history.watching
            or (history.learns and not answer.settled)
            or (answer.unmarked and history.marked)
        ):
            self.record(slot, arm, answer.response(due_ns, sent_ns, done_ns, connection))
            head = answer.head
            if done_ns > answer.until_ns and head.signals and history.is_exhausted(head.signals, head.mark):
                answer.until_ns, answer.unmarked = FOREVER_NS, True
        else:
            answer.again, answer.valid_at = True, history.changes
            self.recorder.record_known(slot, arm, due_ns, sent_ns, done_ns, connection, answer.row)

    def _remember(
        self,
        slot: int,
        arm: int,
        response: HttpResponse,
        raw: bytes,
        head: Head,
        signals: ResponseSignals,
        version: int,
        body_hash: int,
    ) -> None:
        """Let the same bytes be known when they come again."""
        known = self.known[arm][self._route(slot)]
        if known is None or not known.learns or self.service_ms is not None or response.retried:
            return
        is_ok = head.status == 200  # the history looks at no others
        known.add(
            raw,
            KnownAnswer(
                head,
                response.body,
                self.recorder.packed(signals, head.status, response.size, version, body_hash),
                head.until_ns if is_ok else FOREVER_NS,
                signals.settled or not is_ok,
            ),
        )

    def holds_rows(self, now_ns: int) -> bool:
        """Whether recorded rows may still change, and are not to be written yet: in the first seconds of a block."""
        if self._history.holds(now_ns):
            return True
        self._amend(MOST_WAITING)
        return False

    def _amend(self, most: int) -> None:
        """Correct rows by what later responses have shown."""
        for _ in range(most):
            if (revised := self._history.revised()) is None:
                return
            self.recorder.amend(*revised)

    def _entry(self, slot: int) -> int:
        return slot % len(self.schedule)  # a closed loop starts the schedule again

    def _route(self, slot: int) -> int:
        return int(self.schedule.route[self._entry(slot)])

    def _with_history(self, slot: int, arm: int, signals: ResponseSignals, mark: Mark, done_ns: int) -> ResponseSignals:
        """What a response shows beside earlier ones of the same URL."""
        schedule, entry = self.schedule, slot % len(self.schedule)
        route = schedule.route.item(entry)
        has_number = self._url_has_number[route]
        if has_number is None:
            return signals
        url = schedule.key.item(entry) * _NUMBERS_PER_KEY + (schedule.number.item(entry) if has_number else 0)
        return self._history.inspect(arm, route, url, signals, mark, done_ns)

    def finish(self) -> None:
        """Check, hash and record what was too large before. Nothing is timed any more."""
        self._amend(MOST_WAITING)
        known: dict[tuple[int, int, bytes, bool], tuple[Mismatch | None, int, int]] = {}
        left = KEPT_FOR_LATER
        for slot, arm, response, signals, digest in self._later:
            route = self._route(slot)
            checks = response.error is None and bool(self._expectations)
            checks = checks and self._expectations[route].looks_into(response.status)
            place = route, arm, digest, checks
            if place not in known and left > 0:
                body = decoded_body(response, LARGEST_KEPT_BODY + 1)
                left -= len(body)
                if len(body) <= LARGEST_KEPT_BODY:
                    checked = _checked_body(self._expectations[route], body) if checks else (None, NO_VERSION)
                    known[place] = *checked, hash_of(body, self._addresses[arm])
            mismatch, version, body_hash = known.get(place, (None, NO_VERSION, NO_HASH))
            if checks and place not in known:
                self.unchecked += self._expectations[route].checks_body
            if mismatch is not None:
                self._note(slot, arm, response, signals, mismatch)
            self.recorder.record(slot, arm, response, signals, self._written(slot, response, version), body_hash)
        self._later.clear()
        self._bodies.clear()

    def _written(self, slot: int, response: HttpResponse, shown: int = NO_VERSION) -> int:
        """The version of one row: what a write sent, whether or not it was accepted; of a read what was `shown`.

        A write that was sent twice has none: its first copy may still take effect after the second was answered."""
        if not self._writing or self._route(slot) not in self._writing:
            return shown
        unknown = response.sent_ns is None or response.retried
        return NO_VERSION if unknown else int(self.schedule.number[self._entry(slot)])

    def _hashed(self, slot: int, arm: int, response: HttpResponse, signals: ResponseSignals) -> int | None:
        """The hash of the body (NO_HASH: none). None: not yet, it is kept for `finish`."""
        if not response.body and self._route(slot) in self._head_routes:
            return NO_HASH
        body_hash = self._hashes.of(arm, response)
        return NO_HASH if body_hash is None and not self._keep(slot, arm, response, signals) else body_hash

    def _checked(
        self, slot: int, arm: int, response: HttpResponse, status: int, signals: ResponseSignals
    ) -> tuple[int, int] | None:
        """Check a response. Returns the version that it shows (NO_VERSION: none) and the hash of its body (NO_HASH:
        none). None: not yet, it is kept for `finish`."""
        route = self._route(slot)
        expectation = self._expectations[route] if self._expectations else None
        mismatch = None if expectation is None else expectation.head_mismatch(status, response.headers)
        if expectation is None or mismatch is not None or not expectation.looks_into(status):
            if mismatch is not None:
                self._note(slot, arm, response, signals, mismatch)
            body_hash = self._hashed(slot, arm, response, signals)
            return None if body_hash is None else (NO_VERSION, body_hash)
        if response.truncated:
            self.unchecked += expectation.checks_body
            return NO_VERSION, NO_HASH
        version = NO_VERSION
        body = decoded_body(response, LARGEST_CHECKED_BODY + 1 if expectation.needs_json else LARGEST_KEPT_BODY + 1)
        if expectation.needs_json and len(body) > LARGEST_CHECKED_BODY:
            if self._keep(slot, arm, response, signals):
                return None
            body = decoded_body(response, LARGEST_KEPT_BODY + 1)
            self.unchecked += expectation.checks_body
            mismatch = expectation.read_body(body, parsed=False)[0] if len(body) <= LARGEST_KEPT_BODY else None
        elif len(body) > LARGEST_KEPT_BODY:
            self.unchecked += 1
        else:
            mismatch, version = self._read_body(route, body)
        if mismatch is not None:
            self._note(slot, arm, response, signals, mismatch)
        return version, self._hashes.of_decoded(arm, body) if len(body) <= LARGEST_KEPT_BODY else NO_HASH

    def _read_body(self, route: int, body: bytes) -> tuple[Mismatch | None, int]:
        """Services send the same few bodies again and again: small ones are remembered."""
        known = self._known[route]
        if body in known:
            return known[body]
        result = _checked_body(self._expectations[route], body)
        if len(body) <= _SMALL_BODY:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[body] = result
        return result

    def _keep(self, slot: int, arm: int, response: HttpResponse, signals: ResponseSignals) -> bool:
        """Keep a large response for `finish`, if there is room; the same body only once."""
        coding = b"".join(value for name, value in response.headers if name == b"content-encoding")
        digest = hashlib.sha256(coding + b"\n" + response.body).digest()
        more = _ROW_BYTES + (0 if digest in self._bodies else len(response.body))
        if more > self.later_bytes:
            return False
        self.later_bytes -= more
        response.body = self._bodies.setdefault(digest, response.body)
        self._later.append((slot, arm, response, signals, digest))
        return True

    def _note(self, slot: int, arm: int, response: HttpResponse, signals: ResponseSignals, mismatch: Mismatch) -> None:
        """Note an unexpected response; the first of its kind becomes the example."""
        response.error = "unexpected"
        kind = ExampleKind(self._route(slot), arm, mismatch.reason, response.status or 0, signals.cache)
        self._examples.note(kind, lambda: self._example(slot, kind, response, mismatch))
        first = self._examples.first
        if self.unexpected is None and first is not None:
            self.unexpected = f"arm {first.arm}: {first.request}: {first.wrong}"

    def _example(self, slot: int, kind: ExampleKind, response: HttpResponse, mismatch: Mismatch) -> Example:
        entry = self._entry(slot)
        redactor, template = Redactor(self.secrets), self.templates[kind.arm][kind.route]
        path = template.path(int(self.schedule.key[entry]), int(self.schedule.number[entry]))
        return Example(
            arm=self.arms[kind.arm],
            route=template.route.name,
            request=f"{template.method} {redactor.quoted(path)[:LONGEST_PATH]}",
            status=kind.status,
            wrong=redactor.quoted(mismatch.text),
            body=redactor.excerpt(decoded_body(response, 8 * EXCERPT), EXCERPT),
            reason=kind.reason,
            cache=kind.cache,
        )


def _checked_body(expectation: Expectation, body: bytes) -> tuple[Mismatch | None, int]:
    """What differs in a body, and the version that it shows."""
    mismatch, version = expectation.read_body(body)
    return mismatch, NO_VERSION if version is None else version

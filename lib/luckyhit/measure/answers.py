"""What is done with an answer once its clock has stopped: decode, read the signals, hold it against the case, keep.

None of it is part of a latency, and it waits while a request is about to be due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.model import Response
from luckyhit.measure.bodies import LARGEST_KEPT_BODY, decoded_body
from luckyhit.measure.connection import Answer
from luckyhit.measure.expect import LARGEST_CHECKED_BODY, Expectation, expected_of
from luckyhit.measure.rows import Rows
from luckyhit.measure.schedule import Schedule
from luckyhit.measure.signals import Signals, service_ms
from luckyhit.measure.templates import RouteTemplate
from luckyhit.records import Arm


@dataclass
class Answers:
    """Settles rows. `unexpected` is the first answer that was not as expected, told in one sentence, without secrets;
    `unchecked` counts bodies too large to be looked into."""

    schedule: Schedule
    rows: Rows
    arms: Sequence[Arm]
    templates: Sequence[Sequence[RouteTemplate]]  # by arm, then route
    signals: Signals
    default: Response | None  # None: whatever comes is right
    unexpected: str | None = None
    unchecked: int = 0
    service_ms: NDArray[np.float64] | None = None  # where set, by slot: the service's own duration, as it tells it
    _expectations: list[Expectation] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.default is not None:
            self._expectations = [Expectation(expected_of(route, self.default)) for route in self.schedule.routes]

    def settle(self, slot: int, arm: int, answer: Answer) -> None:
        """One answer, into its row."""
        head = answer.head
        if head is None:
            seen = self.signals.read(answer.headers)
        else:
            # Of answers whose heads are the same, one has to be looked at.
            seen = head.seen or self.signals.read(answer.headers)
            head.seen = seen
        if answer.error is None and answer.status is not None and self._expectations:
            self._check(slot, arm, answer, answer.status)
        if self.service_ms is not None and (took_ms := service_ms(answer.headers)) is not None:
            self.service_ms[slot] = took_ms
        self.rows.settle(slot, arm, answer, seen)

    def _check(self, slot: int, arm: int, answer: Answer, status: int) -> None:
        entry = slot % len(self.schedule)  # a closed loop goes round
        route = int(self.schedule.route[entry])
        expectation = self._expectations[route]
        body: bytes | None = b""
        if expectation.needs_body:
            most = LARGEST_CHECKED_BODY if expectation.needs_json else LARGEST_KEPT_BODY
            body = decoded_body(answer, most + 1)
            if answer.truncated or len(body) > most:
                self.unchecked += 1
                body = None
        wrong = expectation.mismatch(status, answer.headers, body)
        if wrong is None:
            return
        answer.error = "unexpected"
        if self.unexpected is None:
            template = self.templates[arm][route]
            path = template.path(int(self.schedule.key[entry]), int(self.schedule.number[entry]))
            self.unexpected = f"arm {self.arms[arm]}: {template.method} {path[:200]}: {wrong}"

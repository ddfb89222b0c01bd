"""What a command or a notebook asks for, in the words in which people write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.records import Arm
from luckyhit.whatif.answering import MOST_ROWS, WhatIfQuestion
from luckyhit.whatif.recorded.cache_recording import Recording
from luckyhit.whatif.settings_now import parse_size, parse_ttl, ttl_variable

BY = ("auto", "bytes", "entries")
ARMS: dict[str, Arm] = {"before": "before", "after": "after"}


@dataclass(frozen=True)
class WhatIfRequest:
    """Times to live such as `30s`, sizes such as `20000` or `8MB`; empty: by default. `policies`: beside LRU."""

    ttls: Sequence[str] = ()
    sizes: Sequence[str] = ()
    policies: Sequence[str] = ()
    rule: str = ""
    delay: str = ""
    now_ttl: str = ""
    now_size: str = ""
    by: str = "auto"
    arm: str = "before"
    variable: str = ""
    most_rows: int = MOST_ROWS

    def check(self) -> None:
        """Raise ArgumentError for what can be refused before anything is read."""
        if self.by not in BY:
            raise ArgumentError(f"unknown unit {self.by!r} for sizes", hint=f"Choose from {', '.join(BY)}.")
        if self.arm not in ARMS:
            raise ArgumentError(f"unknown arm {self.arm!r}", hint=f"Choose from {', '.join(ARMS)}.")
        if self.delay and self.rule != "delayed":
            raise ArgumentError("a delay belongs to the rule delayed", hint="Add that rule, or leave out the delay.")
        for text in (*self.ttls, *filter(None, (self.now_ttl, self.delay))):
            parse_ttl(text)

    def question(self, recording: Recording, run: CaseRun | None) -> WhatIfQuestion:
        """As numbers. Today's time to live: the one that is named; else that of the cache's own events, or of a
        variable of the case. Raises ArgumentError."""
        by_bytes = recording.trace.by_bytes
        now_ttl_s, now_ttl_from = self._ttl_now(recording, run)
        return WhatIfQuestion(
            ttls_s=[parse_ttl(text) for text in self.ttls],
            sizes=[parse_size(text, by_bytes=by_bytes) for text in self.sizes],
            policies=("lru", *self.policies),
            rule=self.rule,
            delay_s=parse_ttl(self.delay) if self.delay else None,
            now_ttl_s=now_ttl_s,
            now_ttl_from=now_ttl_from,
            now_size=parse_size(self.now_size, by_bytes=by_bytes) if self.now_size else None,
            most_rows=self.most_rows,
        )

    def _ttl_now(self, recording: Recording, run: CaseRun | None) -> tuple[float | None, str]:
        if self.now_ttl:
            return parse_ttl(self.now_ttl), "--now-ttl"
        if recording.ttl_s is not None or run is None:
            return None, ""
        arm = ARMS[self.arm]
        held = ttl_variable(run.case, arm, self.variable) or ttl_variable(run.case, arm)
        return (None, "") if held is None or held.ttl_s is None else (held.ttl_s, held.name)

"""All fingerprints of one run: the arms have to differ by the declared change, and by nothing else at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from luckyhit.case import Case
from luckyhit.change.fingerprints.collect import RUNS
from luckyhit.change.fingerprints.differences import OBSERVED, Fingerprint, difference_guard, differences, named
from luckyhit.change.fingerprints.normalize import hashed
from luckyhit.records import Arm, Guard
from luckyhit.scrub.redactor import Redactor

RESTARTED = "cache.process"


class _Deviation(NamedTuple):
    arm: Arm
    when: str
    differences: dict[str, tuple[str, str]]


class FingerprintHistory:
    """The fingerprints of a run by arm. `revisions`: full hashes of the arms, where the change is a revision.
    `redactor`: fingerprints are compared as they may be kept, so that one of an earlier notebook, from the manifest,
    can be compared with a new one; a secret that differs still differs."""

    def __init__(
        self, case: Case, *, revisions: Mapping[Arm, str] | None = None, redactor: Redactor | None = None
    ) -> None:
        self._redactor = redactor or Redactor()
        self.first: dict[Arm, dict[str, str]] = {}
        self._case, self._revisions = case, revisions
        self._kept: dict[Arm, dict[str, str]] = {}
        self._runs: dict[str, str] = {}
        self._deviations: list[_Deviation] = []
        self._count = 0

    def record(self, arm: Arm, current: Fingerprint, when: str) -> dict[str, tuple[str, str]]:
        """Record a fingerprint of `arm`; `when` is for messages ("at the end of block 3"). Returns what differs from
        the first one of that arm: name, first value, value now.

        A cache that is another process than before has lost its contents (`cache.process`). Only fingerprints of this
        process are compared for that: a later notebook may have a cache of its own.
        """
        self._count += 1
        shown = {self._redactor.text(name): self._shown(value) for name, value in current.items()}
        first = self.first.setdefault(arm, dict(current))
        changed = differences(self._kept.setdefault(arm, shown), shown)
        if not changed:
            # The first one may come from the manifest, redacted; the guard compares values with the case.
            observed = {name: value for name, value in first.items() if name.startswith(OBSERVED)}
            others = {name: value for name, value in current.items() if not name.startswith(OBSERVED)}
            self.first[arm] = {**others, **observed}
        if RUNS in current:
            # By stack: that of the arm "after" counts as "before" until its change.
            stack, _, now = current[RUNS].partition(": ")
            run = self._runs.setdefault(stack, now)
            if run != now:
                changed[RESTARTED] = (run, now)
        if changed:
            self._deviations.append(_Deviation(arm, when, changed))
        return changed

    def _shown(self, value: str) -> str:
        shown = self._redactor.text(value)
        return shown if self._redactor.secrets(value) == value else f"{hashed(value)}: {shown}"

    def guard(self) -> Guard:
        """Whether the arms differed by the declared change, and by nothing else at any time."""
        if self._deviations:
            return Guard(
                id="declared-difference-only",
                ok=False,
                detail=f"Something else changed during the run: {self._deviations_in_words()}",
                remedy="Find out who changed it, keep it unchanged during a run, then run again.",
            )
        before = self.first.get("before")
        after = self.first.get("after")
        if before is None or after is None:
            return Guard(
                id="declared-difference-only",
                ok=False,
                detail="Not both arms have a fingerprint.",
                remedy="Run again, to the end.",
            )
        guard = difference_guard(self._case, before, after, revisions=self._revisions)
        if not guard.ok:
            return guard
        return guard.model_copy(update={"detail": f"{guard.detail} Each arm was the same in all {self._count} looks."})

    def facts(self) -> dict[str, dict[str, str]]:
        """The first fingerprint of each arm, for the manifest."""
        return {
            str(arm): {name: value for name, value in values.items() if name != RUNS}
            for arm, values in self._kept.items()
        }

    def _deviations_in_words(self) -> str:
        """The first deviation, how many followed, and what else differed in those."""
        first, *later = self._deviations
        others = {name: values for deviation in later for name, values in deviation.differences.items()}
        others = {name: values for name, values in others.items() if name not in first.differences}
        parts = [f"{named(first.differences)}, {first.when} (arm {first.arm})."]
        if later:
            parts.append(f"Different in {len(later)} later {'look' if len(later) == 1 else 'looks'}, too.")
        if others:
            parts.append(f"Later also: {named(others)}.")
        return " ".join(parts)

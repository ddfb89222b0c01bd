"""All looks at the arms of one run: the declared difference between them, and nothing else at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from luckyhit.case import Case
from luckyhit.change.fingerprints.cache_facts import RUNS
from luckyhit.change.fingerprints.differences import OBSERVED, Fingerprint, difference_guard, differences, named
from luckyhit.change.fingerprints.normalize import hashed
from luckyhit.records import Arm, Guard
from luckyhit.scrub.redactor import Redactor

RESTARTED = "cache.process"


class _Stray(NamedTuple):
    arm: Arm
    when: str
    found: dict[str, tuple[str, str]]


class Looks:
    """The fingerprints of a run by arm; `revisions`: the full hashes of the arms, where the change is a revision.
    `redactor`: looks are compared as they may be kept, so that one of an earlier notebook, from the manifest, is like
    one of now. A secret that differs still differs."""

    def __init__(
        self, case: Case, *, revisions: Mapping[Arm, str] | None = None, redactor: Redactor | None = None
    ) -> None:
        self._redactor = redactor or Redactor()
        self.first: dict[Arm, dict[str, str]] = {}
        self._case, self._revisions = case, revisions
        self._kept: dict[Arm, dict[str, str]] = {}
        self._runs: dict[str, str] = {}
        self._strays: list[_Stray] = []
        self._count = 0

    def note(self, arm: Arm, current: Fingerprint, when: str) -> dict[str, tuple[str, str]]:
        """Note a look at `arm`; `when` is for the sentence ("at the end of block 3"). Returns what differs from the
        first look at that arm: name, first value, value now; {} where nothing does.

        A cache that is another process than before lost what it held (`cache.process`): that is told among the looks
        that this process took, since a later notebook may have a cache of its own.
        """
        self._count += 1
        shown = {self._redactor.text(name): self._shown(value) for name, value in current.items()}
        first = self.first.setdefault(arm, dict(current))
        changed = differences(self._kept.setdefault(arm, shown), shown)
        if not changed:
            # The first one may come from the manifest: the guard holds what is seen against what the case says.
            observed = {name: value for name, value in first.items() if name.startswith(OBSERVED)}
            others = {name: value for name, value in current.items() if not name.startswith(OBSERVED)}
            self.first[arm] = {**others, **observed}
        if RUNS in current:
            # By stack: before its change, that of the arm "after" is looked at as "before".
            stack, _, now = current[RUNS].partition(": ")
            run = self._runs.setdefault(stack, now)
            if run != now:
                changed[RESTARTED] = (run, now)
        if changed:
            self._strays.append(_Stray(arm, when, changed))
        return changed

    def _shown(self, value: str) -> str:
        without = self._redactor.secrets(value)
        shown = self._redactor.text(value)
        return shown if without == value else f"{hashed(value)}: {shown}"

    def guard(self) -> Guard:
        """Whether the arms differed by the declared change and by nothing else, at every look."""
        if self._strays:
            return Guard(
                id="declared-difference-only",
                ok=False,
                detail=f"Something else changed while it was measured: {self._told()}",
                remedy="Find out who changed it, and keep it still for the length of a run; then run again.",
            )
        before = self.first.get("before")
        after = self.first.get("after")
        if before is None or after is None:
            return Guard(
                id="declared-difference-only",
                ok=False,
                detail="Not both arms were looked at.",
                remedy="Run again, to the end.",
            )
        guard = difference_guard(self._case, before, after, revisions=self._revisions)
        if not guard.ok:
            return guard
        return guard.model_copy(update={"detail": f"{guard.detail} Each arm was the same in all {self._count} looks."})

    def facts(self) -> dict[str, dict[str, str]]:
        """The first look at each arm, for the manifest."""
        return {
            str(arm): {name: value for name, value in values.items() if name != RUNS}
            for arm, values in self._kept.items()
        }

    def _told(self) -> str:
        """What was otherwise, and when first; how often; and what else was, at later looks."""
        arm, when, changed = self._strays[0]
        more = len(self._strays) - 1
        later = f" Otherwise than at first in {more} later looks, too." if more > 1 else ""
        later = " Otherwise than at first in one later look, too." if more == 1 else later
        others = {name: values for stray in self._strays[1:] for name, values in stray.found.items()}
        others = {name: values for name, values in others.items() if name not in changed}
        also = f" Later also: {named(others)}." if others else ""
        return f"{named(changed)}, {when} (arm {arm}).{later}{also}"

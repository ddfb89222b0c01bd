"""All looks at the arms of one run: the declared difference between them, and nothing else at any time."""

from __future__ import annotations

from collections.abc import Mapping

from luckyhit.case import Case
from luckyhit.change.differences import DECLARED, Fingerprint, difference_guard, differences, named
from luckyhit.records import Arm, Guard

KEYSPACE = "observed."


class Looks:
    """The fingerprints of a run by arm; `revisions`: the full hashes of the arms, where the change is a revision."""

    def __init__(self, case: Case, *, revisions: Mapping[str, str] | None = None) -> None:
        self.first: dict[Arm, dict[str, str]] = {}
        self._case, self._revisions = case, revisions
        self._strays: list[tuple[Arm, str, dict[str, tuple[str, str]]]] = []
        self._count = 0

    def note(self, arm: Arm, seen: Fingerprint, when: str) -> dict[str, tuple[str, str]]:
        """Note a look at `arm`; `when` is for the sentence ("at the end of block 3"). Returns what differs from the
        first look at that arm: name, first value, value now; {} where nothing does."""
        self._count += 1
        first = self.first.setdefault(arm, dict(seen))
        found = differences(first, seen)
        if found:
            self._strays.append((arm, when, found))
        return found

    def guard(self) -> Guard:
        """Whether the arms differed by the declared change and by nothing else, at every look."""
        if self._strays:
            arm, when, found = self._strays[0]
            more = len(self._strays) - 1
            later = f" So in {more} later looks." if more > 1 else " So in one later look." if more else ""
            return Guard(
                name=DECLARED,
                ok=False,
                detail=f"Something else changed while it was measured: {named(found)}, {when} (arm {arm}).{later}",
                remedy="Find out who changed it, and keep it still for the length of a run; then run again.",
            )
        before = self.first.get("before")
        after = self.first.get("after")
        if before is None or after is None:
            return Guard(
                name=DECLARED, ok=False, detail="Not both arms were looked at.", remedy="Run again, to the end."
            )
        guard = difference_guard(self._case, before, after, revisions=self._revisions)
        if not guard.ok:
            return guard
        return guard.model_copy(update={"detail": f"{guard.detail} Each arm was the same in all {self._count} looks."})

    def facts(self) -> dict[str, dict[str, str]]:
        """The first look at each arm, for the manifest."""
        return {str(arm): dict(seen) for arm, seen in self.first.items()}

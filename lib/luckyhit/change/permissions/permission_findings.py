"""What was found about one group of rights: what is missing, how to get it, and what else one should know."""

from __future__ import annotations

from luckyhit.records import Guard, GuardId


class Findings:
    """Collects what is found, for one guard. Commands to copy stand in backticks, so that they are shown whole."""

    def __init__(self, id: GuardId) -> None:
        self.id = id
        self._problems: list[str] = []
        self._remedies: list[str] = []
        self._notes: list[str] = []

    @property
    def ok(self) -> bool:
        return not self._problems

    def problem(self, fault: str, remedy: str) -> None:
        """Something is missing: the guard fails. `fault` has no full stop; `remedy` is a sentence."""
        self._problems.append(fault)
        if remedy not in self._remedies:
            self._remedies.append(remedy)

    def note(self, sentence: str) -> None:
        """Something that holds, or that one should know."""
        self._notes.append(sentence)

    def guard(self) -> Guard:
        missing = [f"{'; '.join(self._problems)}."] if self._problems else []
        detail = " ".join([*missing, *self._notes])
        return Guard(id=self.id, ok=self.ok, detail=detail, remedy=" ".join(self._remedies))

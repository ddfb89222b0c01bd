"""The base class of all kinds of change as a case declares them: their facts and wording.

A kind is one file here (model, checks, wording), and one in `luckyhit.change.kinds` (how the change is made).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from luckyhit.case.part import Part
from luckyhit.records import Arm
from luckyhit.text.json_values import as_object

if TYPE_CHECKING:
    from luckyhit.case.findings import Finding
    from luckyhit.case.model import Case

STATE = "change.state"
"""The entry of the fingerprint with what `change.verify` shows."""
DASH = "–"
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Idempotent methods (RFC 9110, section 9.2.2)."""
Inverse = Mapping[str, Any]
"""How one step is undone, as the journal holds it."""
Check = Callable[[Any, "Case"], "Iterator[Finding]"]
"""A check of one kind of change: (change, case) to findings. Its docstring is the rule in the reference."""
Rows = list[tuple[str, str]]


class Sides(NamedTuple):
    """The values of a change before and after it, as texts."""

    before: str
    after: str


class ChangeSpec(Part):
    """Facts about a change, with the default of most kinds."""

    if TYPE_CHECKING:
        kind: str
        what: str
        smallest: str
        before: Any
        after: Any

    nothing: ClassVar[bool] = False
    """Whether nothing is changed."""
    needs_start: ClassVar[bool] = False
    """Whether it changes how the service is started, so that the run has to start it."""
    configured: ClassVar[bool] = False
    """Whether the service's own configuration (`target.config`) should show it."""
    diff_noted: ClassVar[bool] = False
    """Whether the run records a diff (`change.diff`)."""
    checks: ClassVar[tuple[Check, ...]] = ()
    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {}
    """By kind of inverse that it journals: what undoing such a step does."""

    @property
    def entry(self) -> str | None:
        """The entry of the fingerprint that differs between the arms; None if nothing is changed."""
        return None

    @property
    def variable(self) -> str | None:
        """The environment variable of the service that it sets."""
        return None

    @property
    def cache_setting(self) -> str | None:
        """The setting of the cache server that it sets."""
        return None

    @property
    def subject(self) -> tuple[str, str] | None:
        """(kind, name) of the thing that has the two values; None if the values are clear without it."""
        return None

    @property
    def word_for(self) -> str:
        """A clause on what is repeatable only by the case's declaration; empty if nothing is."""
        return ""

    def variables(self) -> Iterator[tuple[str, str]]:
        """(environment variable of this machine, field that names it)."""
        return iter(())

    def start_texts(self) -> list[str]:
        """Its texts that are filled in when the service is started."""
        return []

    def templates(self) -> list[str]:
        """Its texts that are filled in when the change is made."""
        return []

    def sides(self, revisions: Mapping[Arm, str]) -> Sides | None:
        """Both values; None if nothing is changed. `revisions`: the full hashes recorded in the run, by arm."""
        return None if self.nothing else Sides(value_text(self.before), value_text(self.after))

    def calls(self, case: Case) -> Rows:
        """What is sent or run to apply the change, to revert it, and to read its state."""
        return []

    def diff(self, case: Case) -> Rows:
        """The change as a diff: (sign, line); empty if there is none, or if the run records it."""
        return []


def value_text(value: str | None) -> str:
    """A value for a table."""
    return "(not set)" if value is None else value or "(empty)"


def field_text(inverse: Inverse, name: str) -> str:
    """A field of an inverse; a dash if it is missing."""
    value = inverse.get(name)
    return DASH if value is None or value == "" else str(value)


def part_of(inverse: Inverse, name: str) -> Inverse:
    """A mapping in an inverse; empty if there is none (journals of other versions are read too)."""
    return as_object(inverse.get(name))

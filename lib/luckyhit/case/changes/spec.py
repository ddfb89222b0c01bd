"""What all kinds of change have in common, as a case declares them: facts for the other rooms, and words.

A kind is one file here (the model, its checks, its words), and one in `luckyhit.change.kinds` (how it is made).
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
"""The entry of the fingerprint that has what `change.verify` shows."""
DASH = "–"
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be sent twice with the outcome of once (RFC 9110, section 9.2.2)."""
Inverse = Mapping[str, Any]
"""How one step is undone, as the journal holds it."""
Check = Callable[[Any, "Case"], "Iterator[Finding]"]
"""A check of one kind of change: (change, case) to what is wrong. Its docstring is the rule, for the reference."""
Rows = list[tuple[str, str]]


class Sides(NamedTuple):
    """The values of a change before and after it, as texts."""

    before: str
    after: str


class ChangeSpec(Part):
    """What other rooms ask of a change. Each fact has the answer that holds for most kinds."""

    if TYPE_CHECKING:
        kind: str
        what: str
        smallest: str
        before: Any
        after: Any
        # Of each kind that changes something: texts, or None where that is a value.

    nothing: ClassVar[bool] = False
    """Whether nothing is changed."""
    of_a_start: ClassVar[bool] = False
    """Whether it is another way to start the service, so that the run has to start it."""
    configured: ClassVar[bool] = False
    """Whether the service's own configuration (`target.config`) should show it."""
    diff_noted: ClassVar[bool] = False
    """Whether the run notes a diff of its own (`change.diff`)."""
    checks: ClassVar[tuple[Check, ...]] = ()
    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {}
    """By kind of inverse that it journals: what undoing such a step does, in words."""

    @property
    def entry(self) -> str | None:
        """The fingerprint's entry that differs between the arms; None where nothing is changed."""
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
        """(what kind of thing, its name) of what has the two values; None where they say it themselves."""
        return None

    @property
    def word_for(self) -> str:
        """What of it may be repeated by the case's word alone, as a clause; empty where nothing is."""
        return ""

    def variables(self) -> Iterator[tuple[str, str]]:
        """(environment variable of this machine, field that names it)."""
        return iter(())

    def start_texts(self) -> list[str]:
        """The texts of it that the service is started with."""
        return []

    def templates(self) -> list[str]:
        """The texts of it that are filled in when the change is made."""
        return []

    def sides(self, revisions: Mapping[Arm, str]) -> Sides | None:
        """Both values; None where nothing is changed. `revisions`: the full hashes that a run noted, by arm."""
        return None if self.nothing else Sides(value_text(self.before), value_text(self.after))

    def calls(self, case: Case) -> Rows:
        """What is sent or run to make the change, to take it back, and to see which of both holds."""
        return []

    def diff(self, case: Case) -> Rows:
        """The change as a diff: (sign, line); no lines where there is none, or where the run notes it."""
        return []


def value_text(value: str | None) -> str:
    """A value for a table."""
    return "(not set)" if value is None else value or "(empty)"


def field_text(inverse: Inverse, name: str) -> str:
    """A field of an inverse; a dash where it is missing."""
    value = inverse.get(name)
    return DASH if value is None or value == "" else str(value)


def part_of(inverse: Inverse, name: str) -> Inverse:
    """A mapping in an inverse; empty where there is none. Journals of other versions are read too."""
    return as_object(inverse.get(name))

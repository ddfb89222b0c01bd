"""The change by an SQL statement, such as an index, with the statement that reverts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import STATE, ChangeSpec, Check, Inverse, Rows, field_text
from luckyhit.case.findings import Finding
from luckyhit.case.values.texts import EnvName, Line, Text
from luckyhit.case.values.units import Duration, format_duration
from luckyhit.designs import DESIGNS, design_of

if TYPE_CHECKING:
    from luckyhit.case.model import Case

SQL = "sql"


def _one_database(change: SqlChange, case: Case) -> Iterator[Finding]:
    """A change by SQL is made in one database, so the design has to have one stack for both arms."""
    if design_of(case).isolated:
        shared = " or ".join(id for id, design in DESIGNS.items() if not design.isolated)
        expected = f"{shared}, since both arms use the database of change.url_env"
        yield Finding(("design",), f"{case.design} with a change of kind sql", expected)


def _run_back(inverse: Inverse) -> str:
    statement, query, database = (field_text(inverse, name) for name in ("statement", "verify", "database"))
    return f"Run `{statement}` in {database}, until `{query}` gives “{field_text(inverse, 'shows')}”."


class SqlChange(ChangeSpec):
    """An SQL statement, such as an index or a flag's row, with the statement that reverts it. Needs the extra `sql` and
    the driver of the database. A statement runs only if `verify` does not give the wanted value yet, in a transaction
    of its own."""

    kind: Literal["sql"] = Field(description="The kind of change: an SQL statement.")
    what: Line = Field(description="What the change does, in one line.")
    url_env: EnvName = Field(
        description="Name of the environment variable with the database's URL, as SQLAlchemy has it "
        "(`postgresql+psycopg://HOST/NAME`)."
    )
    apply: Text = Field(description="The statement that applies the change.")
    revert: Text = Field(description="The statement that reverts it.")
    verify: Text = Field(description="A query that gives one value, and changes nothing.")
    before: Line = Field(
        description="What `verify` gives before the change, as a text: `0`, `old`; `true`, `false`, `null` as in JSON."
    )
    after: Line = Field(description="What `verify` gives after the change.")
    within: Duration = Field(default=30.0, description="How long a statement may take.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    checks: ClassVar[tuple[Check, ...]] = (_one_database,)
    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {SQL: _run_back}

    @property
    def entry(self) -> str | None:
        return STATE

    def variables(self) -> Iterator[tuple[str, str]]:
        yield self.url_env, "change.url_env"

    def calls(self, case: Case) -> Rows:
        return [
            ("To apply it", self.apply),
            ("To revert it", self.revert),
            ("To see it", f"{self.verify} (within {format_duration(self.within)})"),
            ("Database", f"(from ${self.url_env})"),
        ]

    def diff(self, case: Case) -> Rows:
        return [
            (sign, line)
            for sign, statement, value in (("-", self.revert, self.before), ("+", self.apply, self.after))
            for line in (*statement.splitlines(), f"  -- {' '.join(self.verify.split())} gives {value}")
        ]

"""A finding from its counts in each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luckyhit.records import Arm, CountOf, RunFinding

Facts = dict[str, float | int | str | bool | None]


def run_finding(
    id_: str, counts: Mapping[Arm, CountOf], facts: Facts | None = None, examples: Sequence[Facts] = ()
) -> RunFinding:
    """An arm without counts was not visible."""
    return RunFinding(
        id=id_, before=counts.get("before"), after=counts.get("after"), facts=facts or {}, examples=list(examples)
    )

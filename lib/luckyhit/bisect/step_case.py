"""The case of one comparison: that of the search, with two revisions as its change, and the goals that decide."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import LONGEST_RUN_S
from luckyhit.case.declared_plan import MOST_BLOCKS
from luckyhit.case.load import parse_case
from luckyhit.case.values.units import parse_amount
from luckyhit.designs import design_of
from luckyhit.errors import CaseError
from luckyhit.records import AMOUNTS, OF_FRESHNESS, STALE_READS, GoalName
from luckyhit.records.bisection import BisectQuestion

LONGER: tuple[int, ...] = (2, 6)
"""By attempt: the most blocks of a comparison, as a multiple of the plan's. It ends as soon as its goals are decided; a
second attempt is made where the first one left them open."""
_OLD_DATA_BESIDE = "50 %"
_REQUESTS_BESIDE = 60
"""Requests of the baseline and of the block after the rollback, which a search doesn't judge."""


@dataclass(frozen=True)
class Effort:
    """How long a comparison may take, and how sure it has to be. `attempt`: from 1. `comparisons`: of the whole search,
    whose error rate they share."""

    attempt: int
    comparisons: int

    def error_rate(self, case: Case) -> float:
        """The probability of a false verdict that one attempt may have."""
        return case.plan.error_rate / (self.comparisons * len(LONGER))


def step_case(text: str, question: BisectQuestion, margins: Mapping[GoalName, str], effort: Effort) -> str:
    """The text of the case file of one comparison. `text`: of the case of the search, which is valid; `margins`: the
    goals that decide; empty: all of the case.

    No goal is expected to get better, and none has a hard limit: the question is whether the later revision is worse
    than the earlier one. There is no negative control, since a revision may touch anything.
    """
    case = parse_case(text)
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 10_000
    document = yaml.load(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    document["change"] = _change(question)
    document["goals"] = _goals(case, margins)
    document.pop("controls", None)
    for short in (True, False):
        document["plan"] = _plan(case, effort, short=short)
        stream = io.StringIO()
        yaml.dump(document, stream)
        try:
            parse_case(stream.getvalue())
        except CaseError:
            if not short:
                raise
            continue  # what the probe needs may not fit into the short blocks
        break
    return stream.getvalue()


def _change(question: BisectQuestion) -> dict[str, Any]:
    before, after = question.before, question.after
    return {
        "kind": "revision",
        "what": f"Revision {after[:12]} instead of {before[:12]}.",
        # Quoted: a hash may look like a number.
        "before": DoubleQuotedScalarString(before),
        "after": DoubleQuotedScalarString(after),
        "other_defaults": True,
        "smallest": "One comparison of a search for the revision that brought a fault.",
    }


def _goals(case: Case, margins: Mapping[GoalName, str]) -> dict[str, Any]:
    declared = {name: goal.model_dump(mode="json")["margin"] for name, goal in case.goals.items()}
    chosen = {name: _written(text) for name, text in margins.items()} or declared
    if margins and case.freshness is not None and not any(name in OF_FRESHNESS for name in margins):
        # Without a goal on it, a probed run goes on until it knows much about old data, which decides nothing here. The
        # probe stays: its writes may be what shows the fault.
        chosen[STALE_READS] = _OLD_DATA_BESIDE
    return {str(name): {"want": "no-worse", "margin": margin} for name, margin in chosen.items()}


def _written(text: str) -> str | float:
    """A margin as a case file has it: a bare number is not a text."""
    bare = text.replace(".", "", 1).isdigit()
    amount = parse_amount(float(text) if bare else text)
    return amount.amount if AMOUNTS[amount.unit].bare else str(amount)


def _plan(case: Case, effort: Effort, *, short: bool) -> dict[str, Any]:
    plan, design = case.plan, design_of(case)
    fields: dict[str, Any] = plan.model_dump(mode="json", exclude_unset=True)
    times = LONGER[effort.attempt - 1]
    if plan.auto:
        fields["at_most"] = f"{plan.ceiling * times:g}s"
    else:
        longest = int(LONGEST_RUN_S / 2 / (plan.warmup + plan.block) / design.blocks_in_pair)
        fields["blocks"] = max(min(plan.blocks * times, MOST_BLOCKS, longest), plan.blocks)
    if short and not plan.auto and case.workload.rate is not None:
        needed_s = max(1.0, _REQUESTS_BESIDE / case.workload.rate)
        fields["baseline"] = f"{min(plan.baseline, needed_s):.3g}s"
        fields["after_rollback"] = f"{min(plan.after_rollback, needed_s):.3g}s"
    if design.may_stop_early:
        fields["stop_early"] = True
    fields["error_rate"] = float(f"{effort.error_rate(case):.3g}")
    return fields

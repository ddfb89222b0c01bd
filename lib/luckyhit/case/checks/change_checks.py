"""Checks of a case's change: that it changes something, and that it can be made on the target and reverted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING

from luckyhit.case.changes import MODELS
from luckyhit.case.changes.spec import ChangeSpec, Check
from luckyhit.case.findings import Finding, shown

if TYPE_CHECKING:
    from luckyhit.case.model import Case


def _change_changes(case: Case) -> Iterator[Finding]:
    """The change's two values differ."""
    change = case.change
    if not change.nothing and change.before == change.after:
        actual = "no value, as before" if change.after is None else f"{shown(change.after)}, as before"
        yield Finding(("change", "after"), actual, "another value (kind: none changes nothing)")


def _change_needs_start(case: Case) -> Iterator[Finding]:
    """Changing an environment variable, an argument or a revision needs a service that the run starts."""
    if case.target.start is None and case.change.needs_start:
        others = [kind for kind, model in MODELS.items() if not model.needs_start]
        expected = f"{' or '.join(others)} (or target.start instead of target.url)"
        yield Finding(("change", "kind"), shown(case.change.kind), expected)


def _allowed(case: Case) -> Iterator[Finding]:
    """A running service (`target.url`) is changed only with `target.allow_change` and a named `environment`."""
    target = case.target
    if target.start is None and not case.change.nothing and not target.allow_change:
        expected = "allow_change: true with an environment (or change.kind: none, which only observes)"
        yield Finding(("target", "allow_change"), "false with a change of the service at target.url", expected)
    if target.allow_change and target.url is None:
        yield Finding(
            ("target", "allow_change"), "true without a url", "no allow_change: the run starts the service itself"
        )
    if target.allow_change and target.environment is None:
        yield Finding(
            ("target", "environment"), "no environment", "the name of the environment that is changed, such as staging"
        )


def _for_kind(model: type[ChangeSpec], check: Check) -> Callable[[Case], Iterator[Finding]]:
    @wraps(check)
    def check_case(case: Case) -> Iterator[Finding]:
        if isinstance(case.change, model):
            yield from check(case.change, case)

    return check_case


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _change_changes,
    _change_needs_start,
    _allowed,
    *(_for_kind(model, check) for model in MODELS.values() for check in model.checks),
)

"""The ways in which a stack is changed, by kind of change.

Another way to start the service (env, argument, revision) is a restart with other settings (`luckyhit.change.apply`);
every other kind is a way of its own here: `way_of` gives it for one stack, `undo` takes it back from the journal, in
another process, on another day.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.case import Case, changes
from luckyhit.change.ways import admin, commands, probed, revision, setting
from luckyhit.change.ways.revision import difference_of, revisions_of, worktrees
from luckyhit.change.ways.way import Again, Sleep, Way
from luckyhit.errors import TargetError
from luckyhit.target import Settings, Stack

if TYPE_CHECKING:
    from luckyhit.change.journal import Step

__all__ = [
    "KINDS",
    "STATE",
    "Again",
    "Way",
    "difference_of",
    "revisions_of",
    "shown_state",
    "undo",
    "way_of",
    "worktrees",
]

KINDS = (admin.HTTP, commands.COMMAND, setting.SETTING, revision.WORKTREE, probed.PROBED)
"""Kinds of inverse that `undo` knows."""
STATE = "change.state"


def way_of(stack: Stack, *, sleep: Sleep = time.sleep) -> Way | None:
    """How the change of the case of `stack` is made there; None where it is a restart, or nothing at all."""
    change = stack.case.change
    if isinstance(change, changes.AdminChange):
        return admin.Admin(stack, change, sleep)
    if isinstance(change, changes.CommandChange):
        return commands.Commands(stack, change, sleep)
    if isinstance(change, changes.SettingChange):
        return setting.Setting(stack, change, sleep)
    return None


def shown_state(stack: Stack, case: Case) -> dict[str, str]:
    """What the case's `change.verify` shows, as an entry of the fingerprint; {} for other kinds.

    What can't be seen says so: that differs from whatever was declared.
    """
    if not isinstance(case.change, (changes.AdminChange, changes.CommandChange)):
        return {}
    way = way_of(stack)
    try:
        state = way.state() if way is not None else None
    except TargetError as error:
        state = f"not visible: {error.message}"
    return {} if state is None else {STATE: state}


def undo(step: Step, again: Again) -> str:
    """Undo one journalled step of one of `KINDS`; says what was done. Safe to repeat.

    What was changed through a service that the run had started may outlive it (a flag in a database): that service is
    started once more for it. Raises an error of the tree, with what to do by hand.
    """
    kind = step.inverse.get("kind")
    if kind == setting.SETTING:
        return setting.undo(step, again)
    if kind == revision.WORKTREE:
        return revision.undo(step, again)
    if kind == probed.PROBED:
        return probed.undo(step, again, str(again.run.case.target.url))
    if kind == commands.COMMAND and step.inverse.get("gone_with_it"):
        return "what the commands changed is gone with the run's own service"
    needs_service = kind == admin.HTTP or bool(step.inverse.get("needs"))
    if needs_service and again.run.case.target.start is not None:
        with _started_once_more(again) as stack:
            return _undo(step, again, stack.base_url, stack.start_values)
    return _undo(step, again, str(step.inverse.get("base_url") or again.run.case.target.url), {})


def _undo(step: Step, again: Again, base_url: str, values: Mapping[str, object]) -> str:
    if step.inverse.get("kind") == admin.HTTP:
        return admin.undo(step, again, base_url)
    return commands.undo(step, again, {**values, "base_url": base_url})


@contextmanager
def _started_once_more(again: Again) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="luckyhit-revert-") as folder:
        stack = Stack(
            again.run.case, "revert", Path(folder), project=again.project, settings=Settings(), environ=again.environ
        )
        with stack:
            yield stack

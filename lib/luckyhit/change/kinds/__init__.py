"""The kinds of change, as they are made: a row for each (its model is in `luckyhit.case.changes`).

`kind_of` gives the kind for one stack; `UNDO` takes a step back from the journal, in another process, on another day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from luckyhit.case.changes.revision import WORKTREE
from luckyhit.case.changes.spec import STATE
from luckyhit.change import worktrees
from luckyhit.change.journal import Step
from luckyhit.change.kinds.argument_kind import ArgumentKind
from luckyhit.change.kinds.cache_setting_kind import CacheSettingKind
from luckyhit.change.kinds.command_kind import CommandKind
from luckyhit.change.kinds.env_kind import EnvKind
from luckyhit.change.kinds.http_kind import HttpKind
from luckyhit.change.kinds.kind import ChangeKind, UndoContext
from luckyhit.change.kinds.none_kind import NoneKind
from luckyhit.change.kinds.revision_kind import RevisionKind
from luckyhit.change.kinds.sql_kind import SqlKind
from luckyhit.change.waiting import Sleep
from luckyhit.errors import TargetError
from luckyhit.system import Stack

CHANGE_KINDS: dict[str, type[ChangeKind[Any]]] = {
    "env": EnvKind,
    "argument": ArgumentKind,
    "revision": RevisionKind,
    "cache-setting": CacheSettingKind,
    "http": HttpKind,
    "command": CommandKind,
    "sql": SqlKind,
    "none": NoneKind,
}
"""By `change.kind`."""

UNDO: dict[str, Callable[[Step, UndoContext], str]] = {
    **{kind.inverse_kind: kind.revert for kind in CHANGE_KINDS.values() if kind.inverse_kind},
    WORKTREE: lambda step, _: worktrees.undo(step),
}
"""By kind of inverse, of those that a change journals: what undoes such a step. Each may be repeated, says what was
done, and raises an error of the tree with what to do by hand."""


def kind_of(stack: Stack, *, sleep: Sleep = time.sleep) -> ChangeKind[Any]:
    """How the change of the case of `stack` is made there."""
    return CHANGE_KINDS[stack.case.change.kind](stack, sleep)


def shown_state(stack: Stack) -> dict[str, str]:
    """What the case's `change.verify` shows, as an entry of the fingerprint; {} for kinds that have none.

    What can't be seen says so: that differs from whatever was declared.
    """
    try:
        state = kind_of(stack).state()
    except TargetError as error:
        state = f"not visible: {error.message}"
    return {} if state is None else {STATE: state}


__all__ = ["CHANGE_KINDS", "UNDO", "ChangeKind", "UndoContext", "kind_of", "shown_state"]

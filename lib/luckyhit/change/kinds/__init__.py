"""The kinds of change, as they are made: a row for each (its model is in `luckyhit.case.changes`).

`kind_of`: the kind for one stack. `UNDO`: undoes a step by the journal alone, in another process, on another day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from luckyhit.caches.base import UndoResult
from luckyhit.case.changes.revision import WORKTREE
from luckyhit.case.changes.spec import STATE
from luckyhit.change import worktrees
from luckyhit.change.journal import Step
from luckyhit.change.kinds.argument_kind import ArgumentKind
from luckyhit.change.kinds.cache_setting_kind import CacheSettingKind
from luckyhit.change.kinds.command_kind import CommandKind
from luckyhit.change.kinds.env_kind import EnvKind
from luckyhit.change.kinds.http_kind import HttpKind
from luckyhit.change.kinds.kind import ChangeKind, UndoContext, outcome_of
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

UNDO: dict[str, Callable[[Step, UndoContext], str | UndoResult]] = {
    **{kind.inverse_kind: kind.revert for kind in CHANGE_KINDS.values() if kind.inverse_kind},
    WORKTREE: lambda step, _: worktrees.undo(step),
}
"""By kind of inverse: what undoes such a step of a change. Each may be repeated, returns what was done, and raises an
error of the tree with what to do by hand."""


def kind_of(stack: Stack, *, sleep: Sleep = time.sleep) -> ChangeKind[Any]:
    """The kind of change of the case of `stack`, on that stack."""
    return CHANGE_KINDS[stack.case.change.kind](stack, sleep)


def shown_state(stack: Stack) -> dict[str, str]:
    """What `change.verify` shows, as an entry of the fingerprint; {} for kinds without one. A state that can't be read
    differs from every declared one."""
    try:
        state = kind_of(stack).state()
    except TargetError as error:
        state = f"not visible: {error.message}"
    return {} if state is None else {STATE: state}


__all__ = ["CHANGE_KINDS", "UNDO", "ChangeKind", "UndoContext", "kind_of", "outcome_of", "shown_state"]

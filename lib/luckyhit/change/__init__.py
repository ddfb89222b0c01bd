"""The only code that may alter a target: fingerprint, apply, scoped clear, journal, revert."""

from luckyhit.caches.base import Notifications
from luckyhit.change.apply import (
    apply,
    clear_declared,
    in_place,
    prepare,
    reset_block,
    roll_back,
    set_sides,
    settings_of,
    start_stacks,
    take_fingerprints,
)
from luckyhit.change.clearing.clear import clear
from luckyhit.change.fingerprints.differences import Fingerprint, difference_guard, same_guard
from luckyhit.change.fingerprints.history import FingerprintHistory
from luckyhit.change.journal import Journal
from luckyhit.change.lock import target_identities, target_lock
from luckyhit.change.notify import watching_events
from luckyhit.change.permissions.permission_checks import check_permissions, summary
from luckyhit.change.revert import close_steps, revert_run
from luckyhit.change.worktrees import copied, difference_of, repository_of_case, revisions_of, worktrees

__all__ = [
    "Fingerprint",
    "FingerprintHistory",
    "Journal",
    "Notifications",
    "apply",
    "check_permissions",
    "clear",
    "clear_declared",
    "close_steps",
    "copied",
    "difference_guard",
    "difference_of",
    "in_place",
    "prepare",
    "repository_of_case",
    "reset_block",
    "revert_run",
    "revisions_of",
    "roll_back",
    "same_guard",
    "set_sides",
    "settings_of",
    "start_stacks",
    "summary",
    "take_fingerprints",
    "target_identities",
    "target_lock",
    "watching_events",
    "worktrees",
]

"""The only code that may alter a target: fingerprint, apply, scoped clear, journal, revert."""

from luckyhit.caches.base import Notifications
from luckyhit.caches.restore import Restored, restore
from luckyhit.change.apply import (
    apply,
    clear_declared,
    in_place,
    look_at,
    prepare,
    reset_block,
    roll_back,
    settings_of,
    start_stacks,
)
from luckyhit.change.clearing.clear import ClearReport, clear
from luckyhit.change.clearing.purge import PurgeReport, purge
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.differences import Fingerprint, difference_guard, same_guard
from luckyhit.change.fingerprints.history import Looks
from luckyhit.change.identity import target_identities
from luckyhit.change.journal import Journal
from luckyhit.change.lock import target_lock
from luckyhit.change.notify import watching_events
from luckyhit.change.permissions.permission_checks import check_rights, summary
from luckyhit.change.revert import revert_run, settle
from luckyhit.change.worktrees import difference_of, revisions_of, worktrees
from luckyhit.records.journal import Step

__all__ = [
    "ClearReport",
    "Fingerprint",
    "Journal",
    "Looks",
    "Notifications",
    "PurgeReport",
    "Restored",
    "Step",
    "apply",
    "check_rights",
    "clear",
    "clear_declared",
    "difference_guard",
    "difference_of",
    "fingerprint",
    "in_place",
    "look_at",
    "prepare",
    "purge",
    "reset_block",
    "restore",
    "revert_run",
    "revisions_of",
    "roll_back",
    "same_guard",
    "settings_of",
    "settle",
    "start_stacks",
    "summary",
    "target_identities",
    "target_lock",
    "watching_events",
    "worktrees",
]

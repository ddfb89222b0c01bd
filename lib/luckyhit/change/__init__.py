"""The only code that may alter a target: fingerprint, apply, scoped clear, journal, revert."""

from luckyhit.change.apply import apply, reset_block, roll_back, settings_of, start_stacks
from luckyhit.change.backup import Restored, restore
from luckyhit.change.clear import ClearReport, clear
from luckyhit.change.differences import difference_guard, same_guard
from luckyhit.change.fingerprint import fingerprint
from luckyhit.change.journal import Journal, Step
from luckyhit.change.lock import target_lock
from luckyhit.change.notify import Notifications, watching_events
from luckyhit.change.permissions import check_permissions
from luckyhit.change.revert import revert_run, settle

__all__ = [
    "ClearReport",
    "Journal",
    "Notifications",
    "Restored",
    "Step",
    "apply",
    "check_permissions",
    "clear",
    "difference_guard",
    "fingerprint",
    "reset_block",
    "restore",
    "revert_run",
    "roll_back",
    "same_guard",
    "settings_of",
    "settle",
    "start_stacks",
    "target_lock",
    "watching_events",
]

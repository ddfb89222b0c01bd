"""Every permission that a run needs, checked without changing anything."""

from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.permissions.running_target import free_guard, target_guard

__all__ = ["Findings", "free_guard", "target_guard"]

"""Every right that a run will need, group by group: looked at without changing anything."""

from luckyhit.change.rights.findings import Findings
from luckyhit.change.rights.target import free_guard, target_guard

__all__ = ["Findings", "free_guard", "target_guard"]

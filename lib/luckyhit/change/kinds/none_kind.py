"""No change: both arms are the same service."""

from __future__ import annotations

from luckyhit.case.changes.none import NoChange
from luckyhit.change.kinds.kind import ChangeKind
from luckyhit.change.permissions.permission_findings import Findings


class NoneKind(ChangeKind[NoChange]):
    """Nothing is applied, journalled or taken back."""

    def look(self, findings: Findings) -> None:
        findings.note("Nothing will be changed: the service is compared with itself.")

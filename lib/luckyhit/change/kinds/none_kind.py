"""No change: both arms are the same service."""

from __future__ import annotations

from luckyhit.case.changes.none import NoChange
from luckyhit.change.kinds.kind import ChangeKind
from luckyhit.change.permissions.permission_findings import Findings


class NoneKind(ChangeKind[NoChange]):
    """Nothing is applied, journalled or taken back."""

    def check(self, findings: Findings) -> None:
        findings.note("No change: the service is compared with itself.")

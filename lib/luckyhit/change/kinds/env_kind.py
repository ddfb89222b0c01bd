"""An environment variable of the service: a restart with another value."""

from __future__ import annotations

from collections.abc import Mapping

from luckyhit.case.changes.env import EnvChange
from luckyhit.change.fingerprints.normalize import as_declared, echoes_values, shown_env, words
from luckyhit.change.kinds.kind import UNSET, Fingerprint, RestartKind, Sides
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.waiting import shown
from luckyhit.records import Arm
from luckyhit.system import Settings


class EnvKind(RestartKind[EnvChange]):
    """One environment variable of a service that the run starts."""

    def settings(self, arm: Arm) -> Settings:
        change = self._change
        return Settings(env={change.name: change.before if arm == "before" else change.after})

    def check(self, findings: Findings) -> None:
        before, after = (
            UNSET if value is None else shown(value) for value in (self._change.before, self._change.after)
        )
        findings.note(f"{self._change.name}: {before} before, {after} after a restart.")

    @classmethod
    def declared(
        cls, change: EnvChange, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        old, new = (
            UNSET if value is None else shown_env(change.name, as_declared(value))
            for value in (change.before, change.after)
        )
        return {f"env.{change.name}": (old, new)}

    @classmethod
    def echoes(cls, change: EnvChange, name: str, values: Sides) -> bool:
        """Also an entry named like the variable, or like its last words."""
        leaf = words(name.rsplit(".", 1)[-1])
        named = name.startswith("config.") and bool(leaf) and words(change.name)[-len(leaf) :] == leaf
        return named or echoes_values((change.before, change.after), name, values)

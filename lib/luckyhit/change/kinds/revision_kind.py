"""Another Git revision of the service: a restart out of another worktree (see `luckyhit.change.worktrees`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from luckyhit.case.changes.revision import RevisionChange
from luckyhit.change.fingerprints.normalize import names_a_version
from luckyhit.change.kinds.kind import UNSET, Fingerprint, RestartKind, Sides
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.worktrees import git, revisions_of
from luckyhit.errors import GuardError
from luckyhit.records import Arm
from luckyhit.system import Settings
from luckyhit.system.start_settings import source_directory

_REVISION = "git.revision"
_LEFT_BY_A_BUILD = frozenset({"git.untracked", "git.ignored"})
"""In a worktree that was made for the run, nothing else can have left such files."""


class RevisionKind(RestartKind[RevisionChange]):
    """The service of each arm runs in a worktree of its own; `stack.sources` has its settings."""

    def settings(self, arm: Arm) -> Settings:
        return self._stack.sources.get(arm, Settings())

    def check(self, findings: Findings) -> None:
        """Whether both revisions exist and a worktree of each can be made. Nothing is made."""
        case, project, change = self._stack.case, self._stack.project, self._change
        cwd = source_directory(case.target.start, project).resolve()
        try:
            revisions = revisions_of(case, project)
            before, after = revisions["before"], revisions["after"]
            files = _git(cwd, "diff", "--name-only", before, after).splitlines()
            uncommitted = _git(cwd, "status", "--porcelain", "--untracked-files=no", "--", ".").splitlines()
            common = Path(cwd, _git(cwd, "rev-parse", "--git-common-dir").rstrip("\n"))
            _git(cwd, "worktree", "list")
            submodules = _git(cwd, "ls-tree", "--name-only", "--full-tree", after, ".gitmodules").strip()
        except GuardError as error:
            findings.problem(error.message, error.hint)
            return
        for folder in (common, common / "worktrees"):
            if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
                findings.problem(
                    f"no worktree can be made: {folder} is not writable",
                    f"Make it writable for this user, for example: `sudo chown -R $USER {folder}`.",
                )
        if findings.ok:
            findings.note(
                f"{change.before} is {before[:12]}, {change.after} is {after[:12]}: {_files(len(files))} changed. A "
                "worktree of each can be made."
            )
        if uncommitted:
            paths = ", ".join(line[3:] for line in uncommitted[:3]) + (", ..." if len(uncommitted) > 3 else "")
            findings.note(f"Uncommitted changes are in neither arm: {_files(len(uncommitted))} ({paths}).")
        if submodules:
            findings.note("The repository has submodules: the worktrees are made without them.")

    @classmethod
    def declared(
        cls, change: RevisionChange, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        old, new = before.get(_REVISION, UNSET), after.get(_REVISION, UNSET)
        return {_REVISION: (_as_wanted(old, revisions.get("before")), _as_wanted(new, revisions.get("after")))}

    @classmethod
    def echoes(cls, change: RevisionChange, name: str, values: Sides) -> bool:
        """Another revision may show as another version; as other settings only where the case says so."""
        if change.other_defaults and (name in _LEFT_BY_A_BUILD or name.startswith(("config.", "header."))):
            return True
        return name == "header.server" or (
            name.startswith(("config.", "header.")) and names_a_version(name.rsplit(".", 1)[-1])
        )


def _as_wanted(shown: str, wanted: str | None) -> str:
    """The wanted revision, as short as the fingerprint shows it."""
    return shown if wanted is None or wanted.startswith(shown) else wanted[: len(shown)]


def _git(where: Path, *arguments: str) -> str:
    """`--no-optional-locks`: reading the status must not even refresh the index."""
    return git(where, "--no-optional-locks", *arguments)


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"

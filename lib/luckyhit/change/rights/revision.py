"""Whether both revisions of a change are there, and a worktree of each can be made: Git is asked, nothing is made."""

from __future__ import annotations

import os
from pathlib import Path

from luckyhit.case import Case
from luckyhit.case.changes import RevisionChange
from luckyhit.change.rights.findings import Findings
from luckyhit.change.ways.revision import git, revisions_of
from luckyhit.errors import GuardError
from luckyhit.target.settings import source_directory


def look_at_revisions(case: Case, project: Path, found: Findings) -> None:
    """Hold a change of kind revision against the repository of the service."""
    change = case.change
    assert isinstance(change, RevisionChange) and case.target.start is not None
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
        found.problem(error.message, error.hint)
        return
    for folder in (common, common / "worktrees"):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            found.problem(
                f"no worktree can be made: {folder} can't be written to",
                f"Make it writable for this user, for example: `sudo chown -R $USER {folder}`.",
            )
    if found.ok:
        found.note(
            f"{change.before} is {before[:12]}, {change.after} is {after[:12]}: {_files(len(files))} differ. A "
            "worktree of each can be made."
        )
    if uncommitted:
        paths = ", ".join(line[3:] for line in uncommitted[:3]) + (", ..." if len(uncommitted) > 3 else "")
        found.note(f"What is not committed is in neither arm: {_files(len(uncommitted))} ({paths}).")
    if submodules:
        found.note("The repository has submodules: a worktree is made without them.")


def _git(where: Path, *arguments: str) -> str:
    """`--no-optional-locks`: a look at the status must not even refresh the index."""
    return git(where, "--no-optional-locks", *arguments)


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"

"""The service's repository as a search sees it: the line of candidates, and what Git knows of one commit. Read only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from luckyhit.case import Case
from luckyhit.change.worktrees import git, repository_of_case
from luckyhit.errors import ArgumentError, TargetError
from luckyhit.records.bisection import RevisionFacts

MOST_CANDIDATES = 100_000
_FIELDS = "%H%x00%an%x00%aI%x00%s%x00%B%x00%P"


@dataclass(frozen=True)
class Repository:
    """The repository with the service's source. `inside`: the service's working directory below `root`."""

    root: Path
    inside: Path

    @classmethod
    def of(cls, case: Case, project: Path) -> Repository:
        """Raises GuardError where `target.start.cwd` lies in no repository."""
        return cls(*repository_of_case(case, project))

    def full_hash(self, name: str, option: str) -> str:
        """The commit that a name stands for. Raises ArgumentError, which names the command line's option."""
        try:
            if not name.strip() or name.startswith("-"):
                raise TargetError("not a name")
            return self._read("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except TargetError:
            raise ArgumentError(
                f"the repository {self.root.name} has no revision {name!r} ({option})",
                hint="Fetch it first, or look at `git log --oneline`, `git branch -a` and `git tag`.",
            ) from None

    def candidates(self, good: str, bad: str) -> list[str]:
        """Full hashes of the revisions after `good` up to `bad`, oldest first: the first parents that descend from
        `good`. Of a branch that was merged on the way only the merge is a candidate.

        Raises ArgumentError where both are the same, or `good` is not an ancestor of `bad`.
        """
        if good == bad:
            raise ArgumentError(
                f"--good and --bad are the same revision ({good[:12]})", hint="Name two revisions that differ."
            )
        base = self._read("merge-base", "--all", good, bad).split() if self._related(good, bad) else []
        if good not in base:
            swapped = bad in base
            raise ArgumentError(
                f"--good ({good[:12]}) is not an ancestor of --bad ({bad[:12]})",
                hint="They seem to be swapped: the good one has to be the older one."
                if swapped
                else f"Name an older revision that both share: {base[0][:12]}."
                if base
                else "They share no history here (is it a shallow clone? `git fetch --unshallow`).",
            )
        # Each option alone: together they would miss a good revision that lies on a merged branch.
        descends = set(self._read("rev-list", "--ancestry-path", f"{good}..{bad}").split())
        first_parents = self._read("rev-list", "--first-parent", "--reverse", f"{good}..{bad}").split()
        line = [revision for revision in first_parents if revision in descends]
        if len(line) > MOST_CANDIDATES:
            raise ArgumentError(
                f"{len(line):,} revisions lie between --good and --bad; at most {MOST_CANDIDATES:,} are searched",
                hint="Name a newer good revision.",
            )
        return line

    def uncommitted(self) -> int:
        """How many tracked files below the service's directory are not as committed."""
        status = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--", ".")
        return len(git(self.root / self.inside, *status).splitlines())

    def has_directory(self, revision: str) -> bool:
        """Whether a revision has the service's working directory."""
        try:
            self._read("cat-file", "-e", f"{revision}:{self.inside.as_posix() if self.inside.parts else ''}")
        except TargetError:
            return False
        return True

    def subject(self, revision: str) -> str:
        """The first line of a commit's message."""
        return self._read("show", "-s", "--no-show-signature", "--format=%s", revision).strip()

    def facts(self, revision: str) -> RevisionFacts:
        """One commit: its author, date and message, and what a merge brought. `diff` is left to the caller."""
        shown = self._read("show", "-s", "--no-show-signature", f"--format={_FIELDS}", revision)
        full, author, date, subject, message, parents = shown.rstrip("\n").split("\0")
        first = next(iter(parents.split()), None)
        merged: list[str] = []
        if len(parents.split()) > 1:
            merged = self._read("log", "--oneline", "--no-decorate", f"{first}..{full}").splitlines()[1:]
        return RevisionFacts(
            revision=full,
            author=author,
            date=date,
            subject=subject,
            message=message.strip(),
            parent=first,
            merged=merged,
        )

    def difference(self, before: str, after: str) -> str:
        """A summary by file, then the whole difference."""
        return self._read(
            "diff", "--stat=100", "--patch", "--no-color", "--no-ext-diff", "--no-textconv", before, after
        )

    def _related(self, good: str, bad: str) -> bool:
        try:
            self._read("merge-base", good, bad)
        except TargetError:
            return False
        return True

    def _read(self, *words: str) -> str:
        return git(self.root, "--no-optional-locks", *words)

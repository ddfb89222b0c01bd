"""The change by another Git revision of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import ChangeSpec, Check, Inverse, Sides, field_text
from luckyhit.case.findings import Finding, shown
from luckyhit.case.values.texts import Line, Revision, Text
from luckyhit.records import Arm

if TYPE_CHECKING:
    from luckyhit.case.model import Case

WORKTREE = "worktree"
_HASH_LENGTH = 12


def _of_source(change: RevisionChange, case: Case) -> Iterator[Finding]:
    """A revision needs `target.start.cwd` to be in the service's repository, not in `{workdir}`."""
    if case.target.start is not None and case.target.start.in_workdir:
        expected = "a directory of the service's repository (kind revision makes a worktree of it)"
        yield Finding(("target", "start", "cwd"), shown(case.target.start.cwd), expected)


def _worktree_removed(inverse: Inverse) -> str:
    path, repository = field_text(inverse, "path"), field_text(inverse, "repository")
    return f"Remove the worktree {path} and its entry in the repository {repository}."


class RevisionChange(ChangeSpec):
    """Another Git revision of a service that the case starts: each arm runs in a worktree of its own."""

    kind: Literal["revision"] = Field(description="The kind of change: a Git revision of the service.")
    what: Line = Field(description="What the change does, in one line.")
    before: Revision = Field(
        default="HEAD",
        description="A revision of the repository that `target.start.cwd` lies in: a branch, a tag or a hash. What is "
        "not committed is in neither arm.",
    )
    after: Revision = Field(description="The revision with the change.")
    other_defaults: bool = Field(
        default=False,
        description="True if the revisions may differ in what the service shows of itself (`target.config`, response "
        "headers) and in files that a build leaves beside the source. Otherwise such a difference is a second change.",
    )
    smallest: Text = Field(description="Why this is the smallest safe change.")

    needs_start: ClassVar[bool] = True
    diff_noted: ClassVar[bool] = True
    checks: ClassVar[tuple[Check, ...]] = (_of_source,)
    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {WORKTREE: _worktree_removed}

    @property
    def entry(self) -> str | None:
        return "git.revision"

    def sides(self, revisions: Mapping[Arm, str]) -> Sides | None:
        return Sides(
            _with_hash(self.before, revisions.get("before", "")), _with_hash(self.after, revisions.get("after", ""))
        )


def _with_hash(name: str, full_hash: str) -> str:
    short = full_hash[:_HASH_LENGTH]
    return f"{name} ({short})" if short and not name.startswith(short) else name

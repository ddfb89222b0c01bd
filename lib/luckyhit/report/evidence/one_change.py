"""The one change of a case, of any kind: its two values, its diff, and what is sent or run for it.

Values of headers that come from the environment are never here: a case holds only the names of their variables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luckyhit.case import Case
    from luckyhit.case.changes.spec import Sides
    from luckyhit.records.manifest import Manifest
    from luckyhit.run import Run

DIFF = "change.diff"
MOST_LINES = 300
"""Lines of a diff that are shown; more are counted."""
LONGEST_LINE = 400


def sides(case: Case, manifest: Manifest | None = None) -> Sides | None:
    """Both values; None where nothing is changed. `manifest`: of a run, which knows the revisions."""
    revisions = manifest.revisions if manifest is not None else None
    return case.change.sides(revisions or {})


def change(case: Case, manifest: Manifest | None = None) -> list[tuple[str, str]]:
    """What is changed and how, why that is the smallest safe change, and what may be cleared."""
    spec, values = case.change, sides(case, manifest)
    rows = [("Change", spec.what)]
    if spec.subject is not None:
        rows.append(spec.subject)
    if values is not None:
        rows += [("Before", values.before), ("After", values.after)]
    return [
        *rows,
        *spec.calls(case),
        ("Smallest safe change", spec.smallest),
        *may_be_cleared(case),
        ("Rollback", case.rollback.note),
    ]


def may_be_cleared(case: Case) -> list[tuple[str, str]]:
    """What the run may clear from the caches, and nothing beyond."""
    rows = [("Keys that may be cleared", ", ".join(case.cache.clear) or _nothing_to_clear(case))]
    return [*rows, *([("Pages that are purged", "; ".join(_purges(case)))] if case.cache.purge else [])]


def _purges(case: Case) -> list[str]:
    return [
        f"{purge.method} {purge.url or ''}{purge.path}"
        + (f" for {{key}} {purge.keys.first} to {purge.keys.last}" if purge.keys is not None else "")
        for purge in case.cache.purge
    ]


@dataclass(frozen=True)
class RevisionDiff:
    """A diff between two revisions: Git's summary by file, the (sign, line) of the first lines, and how many `more`
    there are. `problem`: why there is none."""

    stat: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    more: int = 0
    problem: str = ""


def revision_diff(run: Run, *, most: int = MOST_LINES) -> RevisionDiff:
    """Read the run's change.diff; never raises for what is in it, or missing."""
    path = run.path / DIFF
    stat: list[str] = []
    lines: list[tuple[str, str]] = []
    more, in_hunk, in_patch = 0, False, False
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for raw in file:
                line = raw.rstrip("\n")
                in_patch = in_patch or line.startswith("diff --git ")
                if not in_patch:
                    stat.append(line[:LONGEST_LINE])
                    continue
                if line.startswith(("diff --git ", "@@ ")):
                    in_hunk = line.startswith("@@ ")
                if len(lines) >= most:
                    more += 1
                    continue
                signed = in_hunk and line[:1] in ("+", "-", " ")
                shown = line[1:] if signed else line
                if len(shown) > LONGEST_LINE:
                    shown = f"{shown[:LONGEST_LINE]}… ({len(shown) - LONGEST_LINE:,} more characters)"
                lines.append((line[0] if signed else "", shown))
    except FileNotFoundError:
        return RevisionDiff(problem="The run left no change.diff, so the revisions can't be compared here.")
    except OSError as error:
        return RevisionDiff(problem=f"change.diff can't be read: {error.strerror}.")
    if len(stat) > most:
        stat[most:] = [f"… ({len(stat) - most:,} more lines)"]
    return RevisionDiff("\n".join(stat).strip("\n"), tuple(lines), more)


def _nothing_to_clear(case: Case) -> str:
    return (
        "none: the only cache is inside the service, which is restarted before each block"
        if case.caches_inside
        else "none"
    )

"""Prune old runs by the rules given, and never one that is still needed.

A run is kept while it is in progress, holds a lock, or has not rolled back its change; also where its journal or
manifest can't be read. A pinned run is kept, and so is one that judged a change, unless these are asked for too. Runs
that ended early are counted on their own, so that they never push out a whole one. Only directories that look like a
run, lie where runs lie, and are not links are touched; what links inside a run point to is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from luckyhit.change.journal import Journal
from luckyhit.change.lock import locks_folder, steps_left_open
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.report.html_files import report_name
from luckyhit.run import Run, runs
from luckyhit.text.json_values import as_object
from luckyhit.workflow.unattended.interruptions import lock_of

SILENT_S = 86_400.0
"""An unfinished run that wrote nothing for this long has died. Shorter pauses are normal between two notebooks."""
_AGE = re.compile(r"([0-9]{1,5})\s*([hdw])")
_UNITS_S = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_REMOVED = ".removed"


@dataclass(frozen=True)
class PrunableRun:
    """A run to remove: its directory, its report if it has one, and the bytes of both. `incomplete`: it ended early."""

    run: Run
    case: str
    started: datetime
    size: int
    report: Path | None
    incomplete: bool = False


@dataclass(frozen=True)
class PrunePlan:
    """The runs to remove, and those old enough that are kept all the same: (run, reason); `judged`: those kept for
    their verdict."""

    removable: list[PrunableRun]
    kept: list[tuple[Run, str]]
    judged: list[Run] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(removable.size for removable in self.removable)


def parse_age(text: str) -> float:
    """Seconds of `90d`, `12w` or `36h`. Raises ArgumentError for anything else."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ArgumentError(f"invalid age {text!r} (expected for example 90d, 12w or 36h)")
    return int(match[1]) * _UNITS_S[match[2]]


def plan(
    runs_dir: Path,
    reports_dir: Path,
    *,
    keep: int | None,
    older_than_s: float | None,
    now: datetime,
    verdicts: bool = False,
) -> PrunePlan:
    """Which runs to remove. The newest `keep` of each case are kept, as many that ended early, and all younger than
    `older_than_s`; a rule that is not given keeps nothing. `verdicts`: also runs that judged a change, which are kept
    otherwise. Raises ArgumentError without any rule, and for a negative `keep`."""
    if keep is None and older_than_s is None:
        raise ArgumentError("--prune needs --keep or --older-than", hint="For example: --keep 20 --older-than 90d.")
    if keep is not None and keep < 0:
        raise ArgumentError(f"--keep must be 0 or more (got {keep})")
    held = _held()
    by_case: dict[Path, list[Run]] = {}
    for run in runs(runs_dir):
        if _is_ours(run.path, runs_dir):
            by_case.setdefault(run.path.parent, []).append(run)
    removable: list[PrunableRun] = []
    kept: list[tuple[Run, str]] = []
    judged: list[Run] = []
    for of_case in by_case.values():
        newest_first = sorted(of_case, key=lambda run: run.id, reverse=True)
        early = {run for run in newest_first if ended_early(run, now=now)}
        whole = [run for run in newest_first if run not in early]
        for run in [*whole[keep or 0 :], *[run for run in newest_first if run in early][keep or 0 :]]:
            started = _started(run, now)
            if older_than_s is not None and (now - started).total_seconds() < older_than_s:
                continue
            reason = why_needed(run, now=now, held=held)
            if run is newest_first[0] and lock_of(runs_dir, run.path.parent.name) in held:
                reason = "a run of its case is in progress, and may be this one"
            if reason:
                kept.append((run, reason))
                continue
            if not verdicts and run not in early and judged_a_change(run):
                judged.append(run)
                continue
            report = _report(run, reports_dir)
            size = _size(run.path) + (report.stat().st_size if report is not None else 0)
            removable.append(PrunableRun(run, run.path.parent.name, started, size, report, run in early))
    return PrunePlan(sorted(removable, key=lambda removable: removable.run.id), kept, judged)


def remove(removable: PrunableRun, runs_dir: Path, *, now: datetime) -> None:
    """Remove one run and its report, unless it became needed meanwhile.

    Raises ArgumentError for a directory that is not a run of `runs_dir`, or is needed; OSError where removal fails.
    """
    path = removable.run.path
    if not _is_ours(path, runs_dir):
        raise ArgumentError(f"{path} is not a run directory of {runs_dir}", hint="Nothing was removed.")
    if reason := why_needed(removable.run, now=now, held=_held()):
        raise ArgumentError(f"kept run {removable.run.id}: {reason}")
    # Renamed first, so that a half-removed directory is never taken for a run.
    doomed = path.with_name(f".{path.name}{_REMOVED}")
    path.rename(doomed)
    shutil.rmtree(doomed)
    if removable.report is not None:
        removable.report.unlink(missing_ok=True)


def sweep(runs_dir: Path) -> None:
    """Finish removals that were interrupted."""
    for path in runs_dir.glob(f"*/.*{_REMOVED}"):
        name = path.name.removeprefix(".").removesuffix(_REMOVED)
        if _is_ours(path.with_name(name), runs_dir, really=path):
            shutil.rmtree(path)


def why_needed(run: Run, *, now: datetime, held: set[str]) -> str:
    """Why a run has to be kept, whatever its age; empty if it can go."""
    if run.id in held:
        return "it holds a lock"
    try:
        manifest = run.manifest
        journal = run.path / "journal.jsonl"
        if journal.exists() and steps_left_open(Journal(journal)):
            return f"its change is not rolled back; roll it back with `luckyhit revert {run.called}`"
    except (LuckyHitError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its journal or manifest can't be read ({type(error).__name__})"
    if manifest.pinned:
        return f"it is pinned; `luckyhit runs --unpin {run.called}` ends that"
    rollback = manifest.rollback
    if manifest.changed or (rollback is not None and not rollback.confirmed):
        return f"its rollback is not confirmed; check the target, then `luckyhit revert {run.called}`"
    if manifest.state not in ("finished", "failed") and now.timestamp() - _last_sign_s(run) < SILENT_S:
        return "it is in progress"
    return ""


def ended_early(run: Run, *, now: datetime) -> bool:
    """Whether a run failed, was interrupted, or fell silent while measuring; False for one that can't be read."""
    try:
        manifest = run.manifest
    except LuckyHitError:
        return False
    silent = manifest.state == "measuring" and now.timestamp() - _last_sign_s(run) >= SILENT_S
    return bool(manifest.incomplete) or silent


def judged_a_change(run: Run) -> bool:
    """Whether a run has a verdict on a change; also where its result can't be read: it may be the only trace of one."""
    try:
        return run.result is not None and bool(run.manifest.stage("change"))
    except LuckyHitError:
        return True


def _is_ours(path: Path, runs_dir: Path, *, really: Path | None = None) -> bool:
    """Whether `path` (or `really`, while it has another name) is a real directory at RUNS/CASE/RUN with a run's
    manifest in it. Neither it nor its case's folder may be a link."""
    resolved = really or path
    if path.parent.parent != runs_dir or path.parent.is_symlink() or resolved.is_symlink() or not resolved.is_dir():
        return False
    if resolved.resolve() != runs_dir.resolve() / path.parent.name / resolved.name:
        return False
    if not re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", path.name):
        return False
    manifest = resolved / "manifest.json"
    return really is not None or (manifest.is_file() and not manifest.is_symlink())


def _held() -> set[str]:
    """Ids of the runs that hold a lock now, and names of what is locked."""
    held = set()
    for path in _locks():
        with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = as_object(json.load(file))
                held |= {str(holder.get("run")), str(holder.get("target"))} if holder else set()
    return held


def _locks() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from sorted(locks_folder().glob("*.lock"))


def _started(run: Run, now: datetime) -> datetime:
    """When the run started, by its manifest, else by its name."""
    with contextlib.suppress(LuckyHitError, ValueError):
        started = datetime.fromisoformat(run.manifest.started)
        return started if started.tzinfo is not None else started.replace(tzinfo=now.tzinfo)
    with contextlib.suppress(ValueError):
        return datetime.strptime(run.id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=now.tzinfo)
    return now  # unknown: treated as new


def _report(run: Run, reports_dir: Path) -> Path | None:
    try:
        path = reports_dir / report_name(run, run.manifest)
    except LuckyHitError:
        return None
    return path if path.is_file() and not path.is_symlink() else None


def _size(folder: Path) -> int:
    """Bytes of all files in the folder; links are not followed."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - a run may hold thousands
    return total


def _last_sign_s(run: Run) -> float:
    """When the run last wrote anything, in seconds since 1970."""
    times = [0.0]
    for name in ("progress.jsonl", "manifest.json", "journal.jsonl", "requests"):
        with contextlib.suppress(OSError):
            times.append((run.path / name).stat().st_mtime)
    return max(times)

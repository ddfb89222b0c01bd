"""The index of all runs: `index.html` beside the reports, rebuilt each time from all folders of runs that reported
here, and from the metadata of reports whose runs are gone, or on another machine; then pages that are no reports."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from luckyhit.case.values.variables import mentioned_secrets
from luckyhit.errors import LuckyHitError, ReportNotWritten
from luckyhit.records import Result
from luckyhit.records.manifest import Manifest
from luckyhit.report.html_files import environment, link_to, report_name, write_page
from luckyhit.report.page_metadata import GoalNumbers, PageMetadata, metadata_of_reports, of_metrics, of_observation
from luckyhit.report.recorded import Recorded, manifest_of
from luckyhit.report.run_folders import note_folder, run_folders
from luckyhit.report.tables import observed
from luckyhit.report.tables.metric_rows import key_numbers
from luckyhit.report.tables.other_pages import other_pages
from luckyhit.report.trends import BaselinePoint, trends_of
from luckyhit.run import Run, runs
from luckyhit.scrub.redactor import Redactor, project_roots

SILENT_S = 600.0
"""A run that measures notes its progress every few seconds; one that was silent this long has died."""
MOST_RUNS = 1000


@dataclass(frozen=True)
class IndexEntry:
    """One run in the list, with links to its report and its data. `elsewhere`: its report is here, its data are in none
    of the known folders of runs. `folder`: the name of its folder of runs, where several report here. `label`: the
    verdict, or what the run's own report has in its place."""

    metadata: PageMetadata
    report: str | None = None
    data: str | None = None
    baseline: BaselinePoint | None = None
    elsewhere: bool = False
    folder: str = ""
    label: str = "NO VERDICT"


def write_index(runs_dir: Path, reports_dir: Path, *, now_s: float | None = None) -> Path:
    """Rebuild `reports_dir/index.html`. Runs of other folders that reported here stay listed, and so do reports without
    their run. Safe when several runs end at once: each waits for its turn, and reads the run directories after that.
    `now_s`: seconds since 1970 (default: the clock). Raises ReportNotWritten."""
    now_s = time.time() if now_s is None else now_s
    path = reports_dir / "index.html"
    with _turn(reports_dir):
        folders = run_folders(reports_dir, runs_dir)
        by_id = {run.id: run for folder in reversed(folders) for run in runs(folder)}
        newest_first = sorted(by_id.values(), key=lambda run: run.id, reverse=True)
        elsewhere = metadata_of_reports(reports_dir, set(by_id))
        several = len(folders) > 1
        entries = [_entry(run, reports_dir, now_s, several=several) for run in newest_first[:MOST_RUNS]]
        entries += [
            IndexEntry(metadata, quote(os.fsencode(name)), elsewhere=True, label=metadata.verdict or "INCOMPLETE")
            for name, metadata in elsewhere.items()
        ]
        entries = sorted(entries, key=lambda entry: entry.metadata.run, reverse=True)[:MOST_RUNS]
        secrets = set().union(*(mentioned_secrets(run.path / "case.yml") for run in newest_first[:MOST_RUNS]))
        roots = project_roots(*(folder / "x" for folder in folders), reports_dir / "x")
        roots |= {folder.absolute(): "data/runs" for folder in folders}
        template = environment(Redactor(secrets, roots=roots)).get_template("index.html.j2")
        baselines = [entry.baseline for entry in reversed(entries) if entry.baseline is not None]
        older = max(len(newest_first) + len(elsewhere) - MOST_RUNS, 0)
        pages = other_pages(folders, reports_dir)
        write_page(path, template.render(entries=entries, older=older, pages=pages, trends=trends_of(baselines)))
        note_folder(reports_dir, runs_dir)
    return path


def refresh_index(runs_dir: Path, reports_dir: Path, say: Callable[[str], None]) -> None:
    """Rebuild it after a page beside the reports was written: where that fails, the page is there all the same, and
    `say` is told why."""
    try:
        write_index(runs_dir, reports_dir)
    except ReportNotWritten as error:
        say(error.message)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Lock the folder itself, so that no lock file is left. On a file system without locks, go on without."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield  # writing will say what is wrong
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _State(NamedTuple):
    """How far a run got, and that in words."""

    id: Literal["unreadable", "died", "running", "measured", "finished", "unknown"]
    words: str


_FINISHED = _State("finished", "finished")


def _entry(run: Run, reports_dir: Path, now_s: float, *, several: bool) -> IndexEntry:
    problems: list[str] = []
    manifest = manifest_of(run, problems)
    result = _result(run, problems)
    name = report_name(run, manifest)
    reported = (reports_dir / name).is_file()
    state = _state(run, manifest, problems, now_s)
    if result is not None and reported and state.id == "measured":
        state = _FINISHED  # the manifest says so a moment after the report is written
    # A run that ended early may have been judged by hand: its verdict does not count.
    judged = None if state.id == "died" else result
    verdict, reason, goals = "", "", list[GoalNumbers]()
    if judged is not None and observed.only(manifest, judged):
        verdict, reason = observed.headline(judged), observed.reason_of(judged)
        goals = of_observation(observed.key_numbers(judged))
    elif judged is not None:
        verdict, reason, goals = judged.verdict, judged.reason, of_metrics(key_numbers(Recorded(result=judged)))
    case, started = manifest.case or run.path.parent.name, (manifest.started or "unknown")[:16].replace("T", " ")
    return IndexEntry(
        PageMetadata(run.id, case, started, verdict, state.words, reason, tuple(goals)),
        report=quote(name) if reported else None,
        data=link_to(run.path, reports_dir),
        baseline=_baseline(manifest, judged),
        folder=_name_of(run.path.parents[1]) if several else "",
        label=verdict or ("INCOMPLETE" if state.id == "died" else "NO VERDICT"),
    )


def _name_of(folder: Path) -> str:
    """`data/runs`: the last two names tell folders of runs apart, and no more of the machine."""
    return "/".join(folder.resolve().parts[-2:]).lstrip("/")


def _baseline(manifest: Manifest, result: Result | None) -> BaselinePoint | None:
    """What the run measured without the change; None where a guard says that its numbers can't be trusted."""
    if result is None or result.verdict == "INVALID":
        return None
    values = {name: metric.before for name, metric in result.metrics.items() if metric.before is not None}
    alone = all(metric.after is None for metric in result.metrics.values())
    return BaselinePoint(result.case or manifest.case, manifest.started[:16], alone, values)


def _result(run: Run, problems: list[str]) -> Result | None:
    try:
        return run.result
    except LuckyHitError as error:
        problems.append(error.message)
    except OSError as error:
        problems.append(f"result.json can't be read: {error.strerror}")
    return None


def _state(run: Run, manifest: Manifest, problems: list[str], now_s: float) -> _State:
    if problems:
        return _State("unreadable", f"unreadable: {problems[0]}")
    state = manifest.state
    if state == "failed":
        message = manifest.failure.message if manifest.failure else ""
        return _State("died", f"incomplete: {message or 'no reason was noted'}")
    if state == "measuring":
        if now_s - _last_sign_s(run) < SILENT_S:
            return _State("running", "running")
        return _State("died", "incomplete: it went silent while measuring")
    if state == "measured":
        return _State("measured", "measured, without a report")
    return _FINISHED if state == "finished" else _State("unknown", f"unknown state {state}")


def _last_sign_s(run: Run) -> float:
    """When the run last wrote anything, in seconds since 1970."""
    times = [0.0]
    for name in ("progress.jsonl", "manifest.json", "journal.jsonl", "requests"):
        with contextlib.suppress(OSError):
            times.append((run.path / name).stat().st_mtime)
    return max(times)

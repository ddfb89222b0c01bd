"""How a run ended, for other programs: the facts of the summary and the JUnit file, scrubbed like the report."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.atomic import write_atomically
from luckyhit.case.values.variables import mentioned_secrets
from luckyhit.errors import CaseError, LuckyHitError, ReportNotWritten
from luckyhit.judge.facade import old_data_text
from luckyhit.project import case_name
from luckyhit.records import Result
from luckyhit.records.manifest import Manifest
from luckyhit.report.html_files import redactor_for
from luckyhit.report.recorded import manifest_of
from luckyhit.report.tables.finding_sentences import finding_lines
from luckyhit.report.tables.observed import as_lines
from luckyhit.scrub.characters import visible
from luckyhit.scrub.redactor import Redactor, project_roots

if TYPE_CHECKING:
    from luckyhit.case_run import CaseRun

STDOUT = "-"
LONGEST = 2000
"""Characters of one text."""


@dataclass(frozen=True)
class RunOutcome:
    """`incomplete`: why the run has no result, or ended early. `unreported`: why a run that was measured to its end has
    no HTML report. `clean` scrubs a text. `started`: local time, ISO 8601. `seconds`: how long it took, or 0."""

    case: str
    run: str = ""
    title: str = ""
    result: Result | None = None
    incomplete: str = ""
    hint: str = ""
    report: str = ""
    unreported: str = ""
    started: str = ""
    seconds: float = 0.0
    clean: Callable[[str], str] = field(default=lambda text: visible(text, longest=LONGEST))

    @property
    def verdict(self) -> str:
        """The headline; a run that ended early has no verdict."""
        return self.result.verdict if self.result is not None and not self.incomplete else "INCOMPLETE"

    @property
    def reason(self) -> str:
        return self.incomplete or (self.result.reason if self.result is not None else "")

    @property
    def old_data(self) -> str:
        """That the run did not look for old data, or has no goal for it; empty if it has, or only observed."""
        return old_data_text(self.result.old_data) if self.result is not None and not self.result.earlier else ""

    @property
    def findings(self) -> list[str]:
        """What the run shows besides its metrics, scrubbed."""
        return [self.clean(line) for line in finding_lines(self.result)] if self.result is not None else []


def lines_of(result: Result) -> list[str]:
    """What the command line prints below the verdict."""
    findings = [f"  - {visible(line, longest=LONGEST)}" for line in finding_lines(result)]
    findings += [text for text in (old_data_text(result.old_data),) if text and result.earlier is None]
    if result.earlier is not None:
        return [*findings, *as_lines(result)]
    return [*findings, result.naive.sentence] if result.naive.sentence else findings


def outcome_of_run(
    run: CaseRun,
    result: Result | None,
    reports_dir: Path,
    *,
    incomplete: str = "",
    hint: str = "",
    report: Path | None = None,
    unreported: str = "",
    seconds: float = 0.0,
) -> RunOutcome:
    """Of any run, however it ended; `report`: the path of its HTML report."""
    manifest = manifest_of(run)
    try:
        case = run.case
    except (LuckyHitError, OSError):
        case = None
    redactor = redactor_for(run, reports_dir)
    return RunOutcome(
        case=manifest.case or run.path.parent.name,
        run=run.id,
        title=case.title if case is not None else "",
        result=result,
        incomplete=incomplete,
        hint=hint,
        report=str(report) if report is not None else "",
        unreported=unreported,
        started=_local(manifest),
        seconds=seconds,
        clean=_cleaner(redactor),
    )


def outcome_of_records(result: Result, folder: Path) -> RunOutcome:
    """Of records that are no run (see `luckyhit.judge.records_only`)."""
    redactor = Redactor(mentioned_secrets(folder / "case.yml"), roots={folder.absolute(): folder.name})
    return RunOutcome(case=result.case or folder.name, result=result, clean=_cleaner(redactor))


def outcome_of_error(case_file: Path, error: LuckyHitError, folders: Sequence[Path]) -> RunOutcome:
    """Of an error before there is a run. `folders`: whose paths must not be shown (runs, reports)."""
    roots: dict[str | Path, str] = {**project_roots(*(folder / "x" for folder in folders))}
    redactor = Redactor(mentioned_secrets(case_file), roots=roots)
    message = "; ".join(map(str, error.problems)) if isinstance(error, CaseError) else error.message
    return RunOutcome(case=case_name(case_file), incomplete=message, hint=error.hint, clean=_cleaner(redactor))


def _cleaner(redactor: Redactor) -> Callable[[str], str]:
    return lambda text: visible(redactor.text(text[: 4 * LONGEST]), longest=LONGEST)


def _local(manifest: Manifest) -> str:
    match = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", manifest.started)
    return match[0] if match else ""


def publish(text: str, where: str) -> None:
    """Write `text` to the file `where`, whole or not at all; `-` prints it. Devices and pipes are written to directly.
    Raises ReportNotWritten."""
    if where == STDOUT:
        print(text, end="" if text.endswith("\n") else "\n")
        sys.stdout.flush()
        return
    path = Path(os.path.realpath(Path(where).expanduser()))  # what a link points to is replaced, not the link
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8", errors="replace")
        else:
            write_atomically(path, text.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        raise ReportNotWritten(
            f"{where} could not be written: {error.strerror or type(error).__name__}",
            hint="Name a file in a folder that you may write to. The run directory still has all measurements.",
        ) from None

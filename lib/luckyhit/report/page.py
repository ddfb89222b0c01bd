"""The HTML report: one self-contained file, whatever the run left; whole under its final name, or not there at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luckyhit.errors import ReportNotWritten
from luckyhit.records import Result, Rollback
from luckyhit.report.recorded import Recorded, journal_of, recorded
from luckyhit.report.redact import Redactor, known_secrets, mentioned_secrets, project_roots, visible
from luckyhit.run import write_atomically

if TYPE_CHECKING:
    from jinja2 import Environment

    from luckyhit.run import Run

TEMPLATES = Path(__file__).parent / "templates"
LONGEST = 5000
"""Characters of one text that are shown; what is longer is cut off, and counted."""
LONGEST_TITLE = 180
LONGEST_CASE_FILE = 60_000
MOST_NOTES = 60
MOST_CLEARS = 40


class Long(str):
    """A text that may be longer than others: the case file."""

    __slots__ = ()


def render(run: Run, result: Result | None, reports_dir: Path, *, incomplete: str | None = None) -> Path:
    """Write the report of a run as `YYYY-MM-DD-<case>-<run>.html`, and the index beside it. Returns its path.

    `incomplete` (a reason), or a missing result, gives a report with a banner that shows what there is; nothing that
    is missing or damaged in the run's directory stops it. Raises ReportNotWritten where the file can't be written:
    then there is no file, or still the one from before.
    """
    from luckyhit.report.index import write_index

    found = recorded(run, result)
    if result is None and not incomplete:
        incomplete = "the run was not judged"
    page = page_of(run, found, reports_dir, incomplete=incomplete)
    path = reports_dir / report_name(run, found.manifest)
    write_page(path, page)
    write_index(run.path.parents[1], reports_dir)
    return path


def report_name(run: Run, manifest: Mapping[str, Any]) -> str:
    """The name of a run's report: date, case and run, whatever a foreign manifest says."""
    started = str(manifest.get("started") or "")[:10]
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", started):
        digits = run.id[:8]
        started = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if re.fullmatch(r"\d{8}", digits) else "0000-00-00"
    case = str(manifest.get("case") or run.path.parent.name)
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip(".-")[:80] or "unnamed" for part in (case, run.id)]
    return f"{started}-{parts[0]}-{parts[1]}.html"


def write_page(path: Path, page: str) -> None:
    """Write under a temporary name, then rename. Raises ReportNotWritten."""
    try:
        write_atomically(path, page.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ReportNotWritten(
            f"{path.name} could not be written: {reason}; no part of it was left behind",
            hint=f"Make room in, or rights to, the folder {path.parent}, then `luckyhit report` the run again.",
        ) from None


def environment(redactor: Redactor) -> Environment:
    """Jinja that escapes everything, knows every name it is asked for, and scrubs each text on its way out."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        if not isinstance(value, str) or isinstance(value, Markup):
            return value
        longest = LONGEST_CASE_FILE if isinstance(value, Long) else LONGEST
        # Cut generously before scrubbing (it takes time on a megabyte), and to size after it.
        text = value if len(value) <= 4 * longest else value[: 4 * longest]
        scrubbed = visible(redactor.text(text), longest=longest)
        return scrubbed if len(text) == len(value) else f"{scrubbed}… (cut off)"

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clip"] = lambda text, longest: visible(redactor.text(str(text)[: 4 * longest]), longest=longest)
    return made


def redactor_for(run: Run, found: Recorded, reports_dir: Path) -> Redactor:
    """Knows the secrets of the run's case and the folders of this run."""
    roots: dict[str | Path, str] = {
        **project_roots(run.path, reports_dir),
        run.path.parents[1].absolute(): "data/runs",
        reports_dir.absolute(): "reports",
    }
    secrets = known_secrets(found.case) if found.case else mentioned_secrets(run.path / "case.yml")
    return Redactor(secrets, roots=roots)


def page_of(run: Run, found: Recorded, reports_dir: Path, *, incomplete: str | None = None) -> str:
    """The report's HTML."""
    redactor = redactor_for(run, found, reports_dir)
    return environment(redactor).get_template("report.html.j2").render(context(run, found, reports_dir, incomplete))


def context(run: Run, found: Recorded, reports_dir: Path, incomplete: str | None) -> dict[str, Any]:
    """Everything that the template shows."""
    from luckyhit.judge.verdict import RULES
    from luckyhit.report import checklist, contents, freshness_tables, gallery
    from luckyhit.report.data_files import data_files

    case, result, manifest = found.case, found.result, found.manifest
    name = str(manifest.get("case") or run.path.parent.name)
    return {
        "title": case.title if case else f"Case {name}",
        "name": name,
        "run": run.id,
        "date": str(manifest.get("started") or run.id[:8])[:10],
        "version": _version(),
        "case": case,
        "result": result,
        "incomplete": incomplete,
        "hint": _hint(manifest) if incomplete else "",
        "problems": list(found.problems)[:MOST_NOTES],
        "invalid": result is not None and result.verdict == "INVALID",
        "changed": found.changed,
        "observed": case is not None and case.target.start is None,
        "declared": contents.declared(case)[2:] if case else [],
        "goals": contents.goals(case) if case else [],
        "change": dict(contents.change(case)) if case else {},
        "setting": contents.setting,
        "diff": contents.change_diff(case) if case else [],
        "key_numbers": contents.key_numbers(found),
        "naive": contents.naive_rows(result) if result else [],
        "baseline": contents.baseline(found),
        "not_seen": contents.not_seen(found)[:MOST_NOTES],
        "metrics": contents.metrics(result) if result else [],
        "confidence": _confidence(found),
        "cleared": contents.cleared(found)[:MOST_CLEARS],
        "figures": _figures(found),
        "last_of_freshness": gallery.OF_A_PROBE[-1] if found.probed else "freshness",
        "readers": _attempted(freshness_tables.readers, found),
        "cache_story": _attempted(freshness_tables.cache_story, found),
        "probed_keys": freshness_tables.probed_keys(found),
        "guards": contents.guards(found),
        "rules": RULES,
        "notes": (result.notes if result else [])[:MOST_NOTES],
        "checklist": checklist.checklist(found, journal_of(run)),
        "rollback": result.rollback if result else _rollback(manifest),
        "commands": _commands(name, run.id, manifest),
        "environment": contents.environment(manifest),
        "files": data_files(run),
        "case_file": _case_file(run),
        "data_link": link_to(run.path, reports_dir),
        "index": "index.html",
    }


def _version() -> str:
    from luckyhit import __version__

    return __version__


def _hint(manifest: Mapping[str, Any]) -> str:
    failure = manifest.get("failure")
    return str(failure.get("hint") or "") if isinstance(failure, Mapping) else ""


def _rollback(manifest: Mapping[str, Any]) -> Rollback | None:
    try:
        return Rollback.model_validate(manifest["rollback"])
    except (KeyError, ValueError):
        return None


def _confidence(found: Recorded) -> str:
    from luckyhit.judge.wording import percent

    return percent(1 - found.case.plan.error_rate) if found.case else "the declared"


@dataclass(frozen=True)
class Shown:
    """One figure on the page; `wide` and `narrow` are data URIs, or None where there is nothing to see."""

    name: str
    title: str
    sentence: str
    wide: Any
    narrow: Any


def _figures(found: Recorded) -> list[Shown]:
    from markupsafe import Markup

    from luckyhit.report.gallery import GALLERY, OF_A_PROBE, drawn

    shown = []
    for name, piece in GALLERY.items():
        if (name == "forest" and found.result is None) or (name in OF_A_PROBE and not found.probed):
            continue
        try:
            figure = drawn(name, found)
        except Exception as error:  # whatever is wrong with the records, the rest of the report has to be there
            sentence = f"This figure could not be drawn from the records ({type(error).__name__})."
            shown.append(Shown(name, piece.title, sentence, None, None))
            continue
        uris = [None if uri is None else Markup(uri) for uri in (figure.wide, figure.narrow)]
        shown.append(Shown(name, figure.title, figure.sentence, *uris))
    return shown


def _attempted(table: Callable[[Recorded], Any], found: Recorded) -> Any:
    """The table, or nothing where it can't be made: whatever is wrong with the records, the rest has to be there."""
    try:
        return table(found)
    except Exception:
        return None


def _commands(name: str, run_id: str, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    revision = str(manifest.get("revision") or "")
    checkout = re.match(r"[0-9a-f]{7,40}\b", revision)
    rows = [(f"git checkout {checkout[0]}", "the code that measured this")] if checkout else []
    return [
        *rows,
        (f"luckyhit check {name}", "is the case right, and does the target answer? Touches nothing"),
        (str(manifest.get("command") or f"luckyhit run {name}"), "measure again: a new run with the same requests"),
        (f"luckyhit judge {run_id}", "judge these records again; no target is needed"),
        (f"luckyhit report {run_id}", "make this page again"),
        (f"luckyhit revert {run_id}", "roll back whatever this run may have left; safe to repeat"),
    ]


def _case_file(run: Run) -> Long | None:
    try:
        with (run.path / "case.yml").open(encoding="utf-8", errors="replace") as file:
            return Long(file.read(4 * LONGEST_CASE_FILE))
    except OSError:
        return None


def link_to(path: Path, reports_dir: Path) -> str | None:
    """A relative link from the reports to a path nearby; None for one far away, which would tell the machine's
    folders, and lead nowhere for anybody else."""
    from urllib.parse import quote

    relative = os.path.relpath(path.resolve(), reports_dir.resolve())
    return None if relative.count("../") > 2 else quote(relative)

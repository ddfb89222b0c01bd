"""HTML files: their names, links between them, templates that scrub what they show, and whole writes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from luckyhit.atomic import write_atomically
from luckyhit.case_run import CaseRun
from luckyhit.errors import ReportNotWritten
from luckyhit.records.manifest import Manifest
from luckyhit.run import Run
from luckyhit.scrub.characters import visible
from luckyhit.scrub.redactor import Redactor, project_roots
from luckyhit.text.messages import guard_title

TEMPLATES = Path(__file__).parent / "templates"
LONGEST = 5000
"""Characters of one text; the rest is cut off, and counted."""
LONGEST_CASE_FILE = 60_000
LONGEST_IN_CHART = 200
SCRIPT = (TEMPLATES / "page.js").read_text(encoding="utf-8")
"""The pages are whole without it; it adds values under the pointer, zoom, sorting, copying and filters."""
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
"""Nothing is asked of any network, and no other script runs, whatever a text of a case holds."""
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|points?|seconds?)(?![\w]))")
"""The space between a number and its unit: a line must not end there."""


class Long(str):
    """A text that may be longer than others: the case file."""

    __slots__ = ()


def report_name(run: Run, manifest: Manifest) -> str:
    """`<date>-<case>-<run>.html`, safe whatever a foreign manifest says."""
    started = manifest.started[:10]
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", started):
        digits = run.id[:8]
        started = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if re.fullmatch(r"\d{8}", digits) else "0000-00-00"
    case = manifest.case or run.path.parent.name
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip(".-")[:80] or "unnamed" for part in (case, run.id)]
    return f"{started}-{parts[0]}-{parts[1]}.html"


def write_page(path: Path, page: str) -> None:
    """Write under a temporary name, then rename. Raises ReportNotWritten."""
    try:
        write_atomically(path, page.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ReportNotWritten(
            f"{path.name} could not be written: {reason}; no part of it is left",
            hint=f"Free space in, or get permission to write to, {path.parent}; then `luckyhit report` the run again.",
        ) from None


def environment(redactor: Redactor) -> Environment:
    """Jinja that escapes everything, rejects unknown names, and scrubs each text on output."""

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
    made.globals.update(script=Markup(SCRIPT), policy=Markup(POLICY))
    made.filters["guard_title"] = guard_title
    made.filters["whole"] = lambda text: _UNIT.sub("\u00a0", redactor.text(str(text)))
    return made


def chart_text(redactor: Redactor) -> Callable[[str], str]:
    """What a text in a chart, or among its numbers, is shown as."""
    return lambda text: visible(redactor.text(text[: 4 * LONGEST_IN_CHART]), longest=LONGEST_IN_CHART)


def redactor_for(run: CaseRun, reports_dir: Path) -> Redactor:
    """With the secrets of the run's case, as they are set now, and the folders of the run and its report."""
    return run.new_redactor().with_roots({**project_roots(reports_dir), reports_dir.absolute(): "reports"})


def link_to(path: Path, reports_dir: Path) -> str | None:
    """A relative link from the reports to a path nearby; None for one far away, which would disclose the machine's
    folders, and lead nowhere for anybody else."""
    from urllib.parse import quote

    relative = os.path.relpath(path.resolve(), reports_dir.resolve())
    return None if relative.count("../") > 2 else quote(os.fsencode(relative))

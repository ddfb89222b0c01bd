"""What to type to repeat a run: each line works as it is printed, in the project's folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from luckyhit.records import Repeat
from luckyhit.run import Run


def commands(run: Run, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(line for a shell, what it is for), in the order in which one would type them."""
    noted = Repeat.of(manifest.get("repeat"))
    name = noted.case or shlex.quote(str(manifest.get("case") or run.path.parent.name))
    runs_dir = f" --runs-dir {noted.runs_dir}" if noted.runs_dir else ""
    reports_dir = f" --reports-dir {noted.reports_dir}" if noted.reports_dir else ""
    checkout = re.match(r"[0-9a-f]{7,40}\b", str(manifest.get("revision") or ""))
    rows = [(f"git checkout {checkout[0]}", "the code that measured this")] if checkout else []
    rows += [(line, purpose) for line, purpose in _exports(noted, manifest.get("variables")) if line]
    return [
        *rows,
        (f"luckyhit check {name}", "is the case right, and does the target answer? Touches nothing"),
        (str(manifest.get("command") or f"luckyhit run {name}"), "measure again: a new run with the same requests"),
        (f"luckyhit judge {run.id}{runs_dir}", "judge these records again; no target is needed"),
        (f"luckyhit report {run.id}{runs_dir}{reports_dir}", "make this page again"),
        (f"luckyhit revert {run.id}{runs_dir}", "roll back whatever this run may have left; safe to repeat"),
    ]


def _exports(noted: Repeat, variables: Any) -> list[tuple[str, str]]:
    """Lines that hand variables on; those in the paths of requests with their values, which are no secrets."""
    shown = {name: str(value) for name, value in variables.items()} if isinstance(variables, Mapping) else {}
    valued = " ".join(f"{name}={shlex.quote(shown[name])}" for name in noted.variables if name in shown)
    others = " ".join(name for name in noted.variables if name not in shown)
    return [
        (valued and f"export {valued}", "as it was when this was measured"),
        (others and f"export {others}", "set them in the shell before; their values are not kept here"),
    ]

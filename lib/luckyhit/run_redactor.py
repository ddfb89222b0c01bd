"""The redactor of one run: it knows the secrets that its case names, as they are set now, and the run's folders."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from luckyhit.case import load_case
from luckyhit.case.values.variables import known_secrets, mentioned_secrets
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.project import Project
from luckyhit.scrub.redactor import Redactor, project_roots


def secrets_of(case_file: Path) -> set[str]:
    """What a case names as secret, also one that can't be read as a whole."""
    try:
        return known_secrets(load_case(case_file))
    except (LuckyHitError, OSError):
        return mentioned_secrets(case_file)


def redactor_of(run: Path, secrets: Collection[str] | None = None) -> Redactor:
    """A new redactor of the run in this directory; `secrets`: of its case, where they are known already."""
    roots = project_roots(run)
    with suppress(ArgumentError, OSError):
        roots[Project.find().root] = "."
    roots[run.absolute().parents[1]] = "data/runs"
    known = secrets_of(run / "case.yml") if secrets is None else set(secrets)
    return Redactor(known - {run.name, run.parent.name}, roots=roots)

"""A case file that has the value of a secret in it is refused: it is committed, and copied into each run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from luckyhit.case import Case
from luckyhit.case.variables import named_secrets
from luckyhit.errors import ArgumentError
from luckyhit.scrub.secrets import SecretValues


def refuse_quoted(case_file: Path, case: Case, environ: Mapping[str, str]) -> None:
    """Raise ArgumentError where a case file has the value of a secret that it names, however it is written there."""
    lines = case_file.read_text(encoding="utf-8", errors="replace").splitlines()
    for name, where, value in named_secrets(case, environ):
        known = SecretValues({value})
        for number, line in enumerate(lines, 1):
            if known.hidden(line) != line:
                raise ArgumentError(
                    f"{case_file.name}:{number}: the value of {name} (named in {where}) stands in the case file",
                    hint="Take it out: a case is committed, and copied into each run. A value that is no secret needs "
                    "no variable: write it in target.start.env, or name the variable for what it holds.",
                )

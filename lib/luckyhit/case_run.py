"""A run with its case, which is loaded once: what steps, judge and report work on.

Everything written here passes the run's redactor first, which removes the secrets that the case names and the paths of
this machine. Rows and logs are scrubbed when a step has ended (`luckyhit.scrub.sweep`), never while measuring.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from luckyhit.atomic import write_atomically
from luckyhit.case import Case, load_case
from luckyhit.case.values.variables import known_secrets, mentioned_secrets
from luckyhit.errors import ArgumentError, LuckyHitError, RunUnreadable
from luckyhit.project import Project, case_name
from luckyhit.records import SCHEMA_VERSION, Result, Stage
from luckyhit.records.manifest import written, written_block
from luckyhit.records.schemas import SCHEMAS
from luckyhit.run import Run, find_run
from luckyhit.scrub.redactor import Redactor, project_roots


@dataclass(frozen=True, eq=False)
class CaseRun(Run):
    """One run directory with its case and its redactor."""

    @classmethod
    def create(cls, runs_dir: Path, case_file: Path, *, now: datetime, manifest: dict[str, Any]) -> CaseRun:
        """Make the directory of a new run, with a copy of the case file in it."""
        name = case_name(case_file)
        known = _secrets_of_file(case_file)  # before the directory exists: it is not a run without a manifest
        for _ in range(100):
            path = runs_dir / name / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                continue
            except OSError as error:
                raise ArgumentError(
                    f"no run can be kept in {runs_dir}: {error.strerror or type(error).__name__}",
                    hint="Free space in, or get permission to write to, that folder, or name another one (--runs-dir).",
                ) from None
        else:
            raise ArgumentError(f"no free run directory under {runs_dir / name}")
        for table in SCHEMAS:
            (path / table).mkdir()
        (path / "notebooks").mkdir()
        write_atomically(path / "case.yml", case_file.read_text(encoding="utf-8"))
        run = cls(path)
        run._write_manifest(
            {
                "schema": SCHEMA_VERSION,
                "case": name,
                "run": path.name,
                "started": now.isoformat(timespec="seconds"),
                "origin_ns": time.monotonic_ns(),
                "origin_s": time.time(),
                "state": "measuring",
                "blocks": [],
                "case_sha256": run.case_sha256,
                **written(manifest),
            },
            _redactor(path, known),
        )
        return run

    @classmethod
    def find(cls, runs_dir: Path, wanted: str, nth: int = -1) -> CaseRun:
        """As `luckyhit.run.find_run`."""
        return cls(find_run(runs_dir, wanted, nth).path)

    @cached_property
    def case(self) -> Case:
        """Variables in the paths of its requests are filled in with the values recorded in the run."""
        variables: dict[str, str] = {}
        with suppress(RunUnreadable):
            variables = self.manifest.variables
        return load_case(self.path / "case.yml", variables=variables)

    def replace_case(self, text: str) -> None:
        """Replace the run's case file, after `auto` has chosen numbers of its plan; update its checksum."""
        write_atomically(self.path / "case.yml", text)
        self.__dict__.pop("case", None)
        self.update(case_sha256=self.case_sha256)

    @cached_property
    def redactor(self) -> Redactor:
        """Knows the secrets that the case names, and the folders of this run. It may learn more during the run."""
        return self.new_redactor()

    def new_redactor(self) -> Redactor:
        """With the secrets as they are set now."""
        try:
            known = known_secrets(self.case, public=self.manifest.variables)
        except (LuckyHitError, OSError):
            known = mentioned_secrets(self.path / "case.yml")
        return _redactor(self.path, known)

    def _write_manifest(self, manifest: dict[str, Any], redactor: Redactor | None = None) -> None:
        shown = (redactor or self.redactor).document(manifest)
        write_atomically(self.path / "manifest.json", json.dumps(shown, indent=2, sort_keys=True) + "\n")

    def update(self, **fields: Any) -> None:
        """Set fields of the manifest; other fields are kept. Raises ValidationError for an unknown field or an invalid
        value."""
        self._write_manifest({**self.document(), **written(fields)})

    def add_block(self, block: int, stage: Stage, arms: list[str], **facts: Any) -> None:
        """Record a finished block: its number, its stage, its arms, and its facts."""
        document = self.document()
        noted = written_block({"block": block, "stage": stage, "arms": arms, **facts})
        self._write_manifest({**document, "blocks": [*document["blocks"], noted]})

    def redacted(self, result: Result) -> Result:
        """A result as it may be shown."""
        document = self.redactor.document(result.model_dump(mode="json", by_alias=True))
        return Result.model_validate_json(json.dumps(document))

    def write_result(self, result: Result) -> None:
        text = self.redacted(result).model_dump_json(by_alias=True, indent=2)
        write_atomically(self.path / "result.json", text + "\n")

    def progress(
        self, text: str, *, done: float | None = None, total: float | None = None, stays: bool = False
    ) -> None:
        """Append one line to `progress.jsonl`: the current activity, and the seconds measured. `stays`: a message that
        stays on the console."""
        event = {"at": time.time(), "text": self.redactor.text(text), "done": done, "total": total, "stays": stays}
        with (self.path / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def _secrets_of_file(case_file: Path) -> set[str]:
    """The secrets that a case names, also of an invalid case."""
    try:
        return known_secrets(load_case(case_file))
    except (LuckyHitError, OSError):
        return mentioned_secrets(case_file)


def _redactor(run: Path, known: set[str]) -> Redactor:
    roots = project_roots(run)
    with suppress(ArgumentError, OSError):
        roots[Project.find().root] = "."
    roots[run.absolute().parents[1]] = "data/runs"
    return Redactor(known - {run.name, run.parent.name}, roots=roots)

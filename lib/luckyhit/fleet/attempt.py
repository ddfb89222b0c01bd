"""One start of a case in a fleet: its folder, what is asked for, and how it ended.

    RUNS/.fleet/<fleet>/<case>.<number>/
        request.json    what was asked for
        held            locked while anything of the attempt lives
        output, log     standard output and standard error of `luckyhit run`
        outcome.json    how it ended; written once, whole

The folder is on the machine that carries the attempt out. Whoever sees it later can say how it ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from luckyhit.atomic import write_atomically
from luckyhit.errors import RunUnreadable
from luckyhit.text.json_values import is_object

FOLDER = ".fleet"
REQUEST, OUTCOME, HELD, OUTPUT, LOG = "request.json", "outcome.json", "held", "output", "log"
Stop = Literal["lease", "asked", "time-limit", "killed", "not-reported"]
"""What ended an attempt before its end. lease: its owner was gone. asked: somebody stopped the fleet. time-limit: it
went beyond its limit. killed: it did not stop when it was asked to, or was killed from outside. not-reported: nothing
that could say how it ended is left."""
STOPS: tuple[Stop, ...] = get_args(Stop)
NOT_CONFIRMED = 5
INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """What one attempt is asked for. `case`: as on the command line in the project's folder; `sha256`: of its file.
    `words`: options of `luckyhit run`. `timeout_s`: after it the run stops by itself; `grace_s`: how long it may take
    to roll back once it was asked to stop. `runs_dir`, `reports_dir`: absolute, or empty for the project's own.
    `results`: a URL where its run directory is kept. `outlives`: whether its change would outlive the machine it runs
    on. `luckyhit`: the words that start the command, where they are not this Python's. `host`: the machine that began
    it."""

    fleet: str
    name: str
    number: int
    case: str
    sha256: str
    words: tuple[str, ...] = ()
    timeout_s: float | None = None
    grace_s: float = 120.0
    runs_dir: str = ""
    reports_dir: str = ""
    results: str = ""
    outlives: bool = False
    luckyhit: tuple[str, ...] = ()
    host: str = ""

    @property
    def id(self) -> str:
        """`<case>.<number>`, unique in its fleet."""
        return f"{self.name}.{self.number}"

    def folder(self, runs_dir: Path) -> Path:
        """Its folder on a machine whose runs are in `runs_dir`."""
        return runs_dir / FOLDER / self.fleet / self.id

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From its document. Raises TypeError for one that is none."""
        known = {name: document[name] for name in (field.name for field in fields(cls)) if name in document}
        for name in ("words", "luckyhit"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended. `exit_code`: of the run; None where it is not known. `changed`: whether anything outside of
    the run's own processes was changed, and so whether it may be tried again; None: not known. `run`: the id of its
    directory, or empty. `result`: `result.json`, or None. `report`: the name of its page. `seconds`: how long the case
    ran; `overhead_s`: what the attempt took on top of that."""

    exit_code: int | None
    run: str = ""
    reason: str = ""
    hint: str = ""
    report: str = ""
    stopped: Stop | None = None
    changed: bool | None = None
    result: dict[str, Any] | None = None
    seconds: float = 0.0
    overhead_s: float = 0.0
    host: str = ""
    kept: str = ""
    notes: tuple[str, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From its document; fields of a later version are left out."""
        known = {name: document[name] for name in (field.name for field in fields(cls)) if name in document}
        known["notes"] = tuple(known.get("notes", ()))
        return cls(**{"exit_code": None, **known})

    @property
    def lost(self) -> bool:
        """Whether something else than the case itself ended it, and nobody had asked for that."""
        return self.stopped in ("lease", "killed", "not-reported")

    @property
    def may_repeat(self) -> bool:
        """Whether it may be tried again: it was lost, and certainly before anything was changed."""
        return self.lost and self.changed is False


def read_request(folder: Path) -> Request:
    """What the attempt in `folder` was asked for. Raises RunUnreadable."""
    return Request.of(_document(folder / REQUEST))


def read_outcome(folder: Path) -> AttemptOutcome | None:
    """How the attempt in `folder` ended; None where that is not written yet. Raises RunUnreadable."""
    path = folder / OUTCOME
    return AttemptOutcome.of(_document(path)) if path.is_file() else None


def write_outcome(folder: Path, outcome: AttemptOutcome) -> None:
    write_atomically(folder / OUTCOME, json.dumps(outcome.document(), indent=1))


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunUnreadable(
            f"{path.name} of the attempt {path.parent.name} can't be read: {error}",
            hint="`luckyhit runs` lists its run, if it had begun one; `luckyhit revert RUN` rolls that back.",
        ) from None
    if not is_object(document):
        raise RunUnreadable(f"{path.name} of the attempt {path.parent.name} is not an object")
    return document

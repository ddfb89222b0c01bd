"""The tree of all errors that Lucky Hit raises itself.

    LuckyHitError                    base: `message`, `hint` (what to do), `exit_code`, `refusal` (by the target)
    ├── InputError                   2  invalid input; nothing was started
    │   ├── CaseError                2  the case file is invalid: problems with file, line and field
    │   └── ArgumentError            2  invalid command-line argument or notebook parameter, or no such run
    ├── GuardError                   3  a guard stopped the run before anything changed
    │   ├── TargetError              3  the service under test, or its cache, can't be used
    │   │   ├── ServiceNotReady      3  the service did not pass its ready check; has its last log lines
    │   │   ├── ServiceStopped       3  the service exited while it was needed; has its last log lines
    │   │   ├── PortTaken            3  the port the case asks for is in use
    │   │   ├── CacheUnreachable     3  the cache does not answer, or refuses the credentials
    │   │   └── ResponseUnexpected   3  the route does not answer as the case expects
    │   ├── ScopeRefused             3  a clear would touch more than the case allows
    │   └── TargetBusy               3  another run holds the target, or left a step open in its journal
    ├── NotEnoughData                4  the run ended without the data a verdict needs
    │   ├── LimitExceeded            4  the load was stopped to protect the target's users (target.limits)
    │   ├── NoRoom                   4  the disk is full, or the run's directory is not writable
    │   └── RunUnreadable            4  the run directory is damaged, not a run, or from a newer version
    ├── ReportNotWritten             1  the report could not be written; the measurements are kept
    └── RollbackNotConfirmed         5  the change may still be in place; the hint says what to do

The exit codes are the contract of the command line. An error *after* the change was applied and rolled back exits with
4: exit code 3 promises that nothing was changed.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

__all__ = [
    "REFUSALS",
    "ArgumentError",
    "CacheUnreachable",
    "CaseError",
    "GuardError",
    "InputError",
    "LimitExceeded",
    "LuckyHitError",
    "NoRoom",
    "NotEnoughData",
    "PortTaken",
    "Problem",
    "RefusalId",
    "ReportNotWritten",
    "ResponseUnexpected",
    "RollbackNotConfirmed",
    "RunUnreadable",
    "ScopeRefused",
    "ServiceNotReady",
    "ServiceStopped",
    "TargetBusy",
    "TargetError",
    "naming_a_full_disk",
    "refusal_of",
]


RefusalId = Literal["credentials", "permission"]
"""What the target refused: the credentials, or the permission."""
REFUSALS: tuple[RefusalId, ...] = get_args(RefusalId)


def refusal_of(status: int | None) -> RefusalId | None:
    """What an HTTP status refuses; None for any other."""
    return "credentials" if status == 401 else "permission" if status == 403 else None


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_FULL_WORDS = ("no space left on device", "disk is full", "disk full", "disk quota exceeded")
"""What programs say of a full disk, in lower case: the system, SQLite, PostgreSQL."""


class LuckyHitError(Exception):
    """An error with a message and a hint; `str(error)` has both, on separate lines."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", refusal: RefusalId | None = None) -> None:
        self.message = message
        self.hint = hint
        self.refusal = refusal
        super().__init__(message)

    def with_hint(self, hint: str) -> Self:
        """The same error with another hint."""
        error = copy(self)
        error.hint = hint
        return error

    def __str__(self) -> str:
        return f"{self.message}\n  what to do: {self.hint}" if self.hint else self.message

    def reword(self, do: Callable[[str], str]) -> None:
        """Pass each text of the error through `do`, in place."""
        self.message, self.hint = do(self.message), do(self.hint)
        self.args = (self.message,)

    def _render_traceback_(self) -> list[str]:
        """Shown in a notebook in place of a traceback, which would be about our code and not about the input."""
        return f"{type(self).__name__}: {self}".splitlines()


class InputError(LuckyHitError):
    """Invalid input; nothing was started."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a case file: where it is, what is there, what was expected."""

    file: str
    line: int
    field: str
    actual: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.actual}; expected {self.expected}"


class CaseError(InputError):
    """An invalid case file. `problems` are in the order of the file."""

    def __init__(self, problems: Sequence[Problem], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(str(problem) for problem in self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the case file:\n{lines}", hint=hint)


class ArgumentError(InputError):
    """An invalid command-line argument or notebook parameter, or a run that doesn't exist."""


class GuardError(LuckyHitError):
    """A guard stopped the run before anything changed."""

    exit_code = 3


class TargetError(GuardError):
    """The service under test, or its cache, can't be used."""

    def __init__(
        self, message: str, *, hint: str = "", log: Sequence[str] = (), refusal: RefusalId | None = None
    ) -> None:
        self.log = tuple(log)
        super().__init__(message, hint=hint, refusal=refusal)

    def reword(self, do: Callable[[str], str]) -> None:
        super().reword(do)
        self.log = tuple(map(do, self.log))

    def __str__(self) -> str:
        text = super().__str__()
        if self.log:
            text += "\n  its last log lines:\n" + "\n".join(f"    | {line}" for line in self.log)
        return text


class ServiceNotReady(TargetError):
    """The service did not pass its ready check."""


class ServiceStopped(TargetError):
    """The service exited while it was needed."""


class PortTaken(TargetError):
    """The port the case asks for is in use."""


class CacheUnreachable(TargetError):
    """The cache doesn't answer, or refuses the credentials."""


class ResponseUnexpected(TargetError):
    """The route doesn't answer as the case expects."""


class ScopeRefused(GuardError):
    """A clear that would touch more than the case allows."""


class TargetBusy(GuardError):
    """Another run holds the target, or left a step open in its journal."""


class NotEnoughData(LuckyHitError):
    """The run ended without the data a verdict needs."""

    exit_code = 4


class LimitExceeded(NotEnoughData):
    """A limit of the target was exceeded, and the load was stopped. `report`: the BlockReport of that block (see
    luckyhit.load.block), whose rows are written."""

    def __init__(self, message: str, *, hint: str = "", report: Any = None) -> None:
        self.report = report
        super().__init__(message, hint=hint)


class NoRoom(NotEnoughData):
    """A file of the run could not be written: the disk is full, or the folder is not writable."""

    @classmethod
    def of(cls, error: OSError) -> NoRoom | None:
        """The error for a full or unwritable disk; None for another OSError."""
        if error.errno not in _NO_ROOM:
            return None
        name = Path(error.filename).name if isinstance(error.filename, str) else ""
        return cls(
            f"{name or 'a file'} could not be written: {os.strerror(error.errno)}",
            hint="Free disk space or fix the permissions of the folders of runs, reports and temporary files, then "
            "start again. What was written so far is kept.",
        )

    @classmethod
    def in_log(cls, message: str, lines: Sequence[str]) -> NoRoom | None:
        """The error for a service that failed with `message` since it met a full disk, by its log; None if its log says
        nothing of one."""
        line = next((line for line in reversed(lines) if any(words in line.lower() for words in _FULL_WORDS)), None)
        if line is None:
            return None
        return cls(
            f"{message}: its disk is full ({line.strip()})", hint="Free disk space for the service, then start again."
        )

    @classmethod
    def of_text(cls, text: str) -> NoRoom | None:
        """The same of an OSError that another process raised, by its text: `[Errno 28] No space left on device`."""
        match = re.search(r"\[Errno (\d+)\]", text)
        return cls.of(OSError(int(match[1]), text)) if match else None


@contextmanager
def naming_a_full_disk() -> Iterator[None]:
    """Raise NoRoom in place of the OSError of a full or unwritable disk."""
    try:
        yield
    except OSError as error:
        if (known := NoRoom.of(error)) is None:
            raise
        raise known from error


class RunUnreadable(NotEnoughData):
    """The run directory is damaged, not a run, or from a newer version."""


class ReportNotWritten(LuckyHitError):
    """The report could not be written (full disk, missing permission). The measurements are in the run directory."""


class RollbackNotConfirmed(LuckyHitError):
    """The change may still be in place; the hint says what to do by hand."""

    exit_code = 5

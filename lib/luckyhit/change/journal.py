"""The journal: what is going to be done to a target and how to undo it, on the disk before it is done.

`journal.jsonl` in the run directory, one JSON object a line, appended and fsynced:

    {"event": "intent",  "id": 3, "at": ..., "step": "apply", "detail": {...}, "inverse": {...}}
    {"event": "confirm", "id": 3, "at": ..., "detail": {...}}      it was done (repeated: what is known now)
    {"event": "undone",  "id": 3, "at": ..., "detail": {...}}      its inverse was done, or nothing is left of it

If the intent can't be written, the step must not be taken. `luckyhit.records.journal` says when a step is open.

It holds no secret and no path of this machine: texts pass the run's redactor. An inverse does not, since it has to be
done as it was meant, by another process on another day; it comes from the case, which has no secrets, and its paths are
made portable: `⟦run/../../../..⟧/shop` leads from the run's directory, `⟦home⟧`, `⟦tmp⟧` and `⟦python⟧` are folders
that the reading process has too. A `⟦` of the text itself is written `⟦⟧`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from luckyhit.errors import GuardError, RunUnreadable
from luckyhit.records.journal import Step, load_journal
from luckyhit.scrub.redactor import Redactor
from luckyhit.text.json_values import map_texts

Detail = Mapping[str, Any]


class Journal:
    """The journal at `path`, created with the first intent; several threads and processes may use it. `redactor`:
    scrubs what is written (default: one that knows the folders of this machine, and no secret)."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, redactor: Redactor | None = None) -> None:
        self.path = Path(path)
        self._clock = clock
        self._redactor, self._paths = redactor or Redactor(), PortablePaths(self.path.parent)
        self._lock = threading.Lock()

    def intend(self, step: str, detail: Detail | None = None, inverse: Detail | None = None) -> int:
        """Write down what is going to be done and how to undo it. Returns the step's id once that is on the disk.
        Raises GuardError where it can't be written: the step must not be taken then."""
        with self._exclusive() as file:
            number = max((known.id for known in self._steps(file)), default=0) + 1
            self._append(
                file,
                {
                    "event": "intent",
                    "id": number,
                    "step": step,
                    "detail": self.as_kept(detail or {}),
                    "inverse": self._paths.encode(inverse or {}),
                },
            )
        return number

    def confirm(self, id: int, detail: Detail | None = None) -> None:
        """The step was done. May be called again: later details are added to earlier ones."""
        self._note("confirm", id, detail)

    def undo(self, id: int, detail: Detail | None = None) -> None:
        """The step's inverse was done, or it is certain that nothing of the step is left. Closes the step."""
        self._note("undone", id, detail)

    def as_kept(self, detail: Detail) -> dict[str, Any]:
        """`detail` as the journal holds it."""
        kept: dict[str, Any] = json.loads(json.dumps(self._redactor.document(detail)))
        return kept

    def steps(self) -> list[Step]:
        """All steps, oldest first; none without a journal. A torn last line is skipped: what was never wholly on the
        disk was never relied on. Raises RunUnreadable for damage anywhere else."""
        try:
            with self.path.open("rb") as file:
                return self._steps(file)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunUnreadable(
                f"the journal {self.path} can't be read: {error}", hint="Make it readable, then try again."
            ) from None

    def open_steps(self) -> list[Step]:
        """The steps that may have left something on the target, oldest first."""
        return [step for step in self.steps() if step.open]

    def _note(self, event: str, id: int, detail: Detail | None) -> None:
        with self._exclusive() as file:
            if id not in {step.id for step in self._steps(file)}:
                raise KeyError(f"the journal {self.path} has no step {id}")
            self._append(file, {"event": event, "id": id, "detail": self.as_kept(detail or {})})

    @contextmanager
    def _exclusive(self) -> Iterator[Any]:
        """The file, opened for reading and appending, locked against other threads and processes."""
        with self._lock:
            try:
                new = not self.path.exists()
                file = self.path.open("a+b", buffering=0)
            except OSError as error:
                raise self._unwritable(error) from None
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
                if new:
                    try:
                        self._sync_directory()
                    except OSError as error:
                        raise self._unwritable(error) from None
                yield file

    def _append(self, file: Any, event: dict[str, Any]) -> None:
        line = json.dumps({**event, "at": self._clock()}, sort_keys=True).encode() + b"\n"
        end = _whole_lines(file)
        try:
            file.truncate(end)  # removes a torn line of an earlier crash, never a whole one
            if file.write(line) != len(line):
                raise OSError("only a part of the line was written (is the disk full?)")
            os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # otherwise a torn line stays, which readers skip
                file.truncate(end)
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> GuardError:
        return GuardError(
            f"the journal {self.path} can't be written: {error}",
            hint="No step is taken before it is journalled. Free space on the disk, or make the directory writable.",
        )

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _steps(self, file: Any) -> list[Step]:
        file.seek(0)
        known = load_journal(file.read())
        for line in known.damaged[:1]:
            raise RunUnreadable(
                f"line {line.number} of the journal {self.path} is damaged: {line.reason}",
                hint="Undo the open steps by hand: each one's inverse is in its line with the event `intent`.",
            )
        return [replace(step, inverse=dict(self._paths.decode(step.inverse))) for step in known.steps]


def _whole_lines(file: Any) -> int:
    """Bytes up to and including the last line break."""
    file.seek(0)
    return int(file.read().rfind(b"\n")) + 1


_LEAST_PARTS = 2
"""A folder such as `/srv` reveals nothing, and half of all paths begin with it."""
_ENCODED = re.compile(r"⟦(?:run(?P<up>(?:/\.\.)*)⟧|(?P<name>\w+)⟧|⟧)")


class PortablePaths:
    """Paths relative to the directory of a run, and to the folders of the process that reads them."""

    def __init__(self, run: Path) -> None:
        self._run = run.resolve()
        self._folders = {"tmp": Path(tempfile.gettempdir()), "python": Path(sys.prefix)}
        with contextlib.suppress(RuntimeError):
            self._folders["home"] = Path.home()
        tokens = {str(folder): f"⟦{name}⟧" for name, folder in self._folders.items() if len(folder.parts) > 1}
        for up, folder in enumerate((self._run, *self._run.parents)):
            if len(folder.parts) > _LEAST_PARTS:
                tokens[str(folder)] = f"⟦run{up * '/..'}⟧"
        self._tokens = {path: token for path, token in tokens.items() if path not in ("/usr", "/usr/local")}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        # `/var/tmp` isn't below `/tmp`; `-I/tmp` is an option with its path.
        begins = r"(?:(?<![\w.-])|(?<=[\s\"'=]-[A-Za-z]))"
        self._pattern = re.compile(rf"⟦|{begins}(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")

    def encode(self, value: Any) -> Any:
        """A JSON value with portable paths."""
        return map_texts(value, lambda text: self._pattern.sub(lambda match: self._tokens.get(match[0], "⟦⟧"), text))

    def decode(self, value: Any) -> Any:
        """The value that was encoded, with paths of this process."""
        return map_texts(value, lambda text: _ENCODED.sub(self._folder, text))

    def _folder(self, match: re.Match[str]) -> str:
        if match["up"] is not None:
            parents = (self._run, *self._run.parents)
            up = len(match["up"]) // len("/..")
            # Nearer to the root than where it was written, the path may lead out of the tree: it stays encoded.
            return str(parents[up]) if up < len(parents) else match[0]
        if match["name"]:
            return str(self._folders[match["name"]]) if match["name"] in self._folders else match[0]
        return "⟦"

"""The requests of a run under way, read on from look to look: a part file never changes once it has its name, so a look
reads what was measured since the last one. The rows are those of reading all files at once."""

from __future__ import annotations

from luckyhit.errors import RunUnreadable
from luckyhit.judge.table.columns import JUDGED, Coming
from luckyhit.judge.table.samples import RequestTable
from luckyhit.records.parquet import part_files
from luckyhit.run import Run


class RowsSoFar:
    """Of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begin()

    def _begin(self) -> None:
        self._coming = Coming()
        self._files: dict[str, tuple[int, int]] = {}

    def rows(self) -> RequestTable | None:
        """The requests of all part files that there are; None where one can't be read, which the judge reports then."""
        try:
            files = {path.name: path.stat() for path in part_files(self._run.path / "requests")}
            now = {name: (status.st_size, status.st_mtime_ns) for name, status in files.items()}
            if any(now.get(name) != known for name, known in self._files.items()):
                self._begin()
            self._coming.extend(self._run.parts("requests", JUDGED, without=self._files))
        except (RunUnreadable, OSError):
            self._begin()
            return None
        self._files = now
        return self._coming.all()

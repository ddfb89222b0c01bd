"""A whole fleet: from its cases to the digest, the alarms and the exit code."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.fleet.admission import BudgetLimits
from luckyhit.fleet.attempt import FOLDER, Request
from luckyhit.fleet.digest.night_page import markdown, redactor_of, write_digest
from luckyhit.fleet.digest.night_record import night_of
from luckyhit.fleet.digest.nightly import Night
from luckyhit.fleet.dispatch import Dispatcher, FleetStanding
from luckyhit.fleet.fleet_file import FLEET_FILE, FleetCase, FleetFile, load_fleet_file
from luckyhit.fleet.job import Job, jobs_of
from luckyhit.fleet.live_table import shown
from luckyhit.fleet.local_places import LocalPlaces
from luckyhit.fleet.on_dask.dask_places import DaskPlaces
from luckyhit.fleet.places import Places
from luckyhit.fleet.settling import settle_earlier
from luckyhit.project import Project
from luckyhit.report.run_index import write_index
from luckyhit.workflow.unattended.interruptions import Interruptions, interruptions_of, one_at_a_time


@dataclass(frozen=True)
class NightEnd:
    """The record of a fleet that ended; the path of its page, or None where it could not be written, and then why."""

    night: Night
    page: Path | None
    error: LuckyHitError | None = None

    def _repr_markdown_(self) -> str:
        """The digest, where it is the value of a notebook's cell."""
        return markdown(self.night)


@dataclass
class Fleet:
    """What is run, and where. `jobs`: cases at a time on this machine, without `dask`; `dask`: a scheduler's address.
    `luckyhit`: the words of the command, where they are not this Python's."""

    project: Project
    file: FleetFile
    jobs: int = 1
    dask: str = ""
    quiet: bool = False
    luckyhit: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: f"{dt.datetime.now():%Y%m%d-%H%M%S}-fleet-{secrets.token_hex(2)}")

    def run(self) -> NightEnd:
        """Run it to its end. Raises ArgumentError for an unknown case, TargetError without a cluster, TargetBusy where
        another fleet runs in this folder of runs; then nothing was begun."""
        jobs = jobs_of(self.file, self.project)
        with one_at_a_time(self.project.runs, "(a fleet)"), _interruptions() as interruptions:
            return self._run(jobs, interruptions)

    def _run(self, jobs: Sequence[Job], interruptions: Interruptions) -> NightEnd:
        started, began_s = dt.datetime.now().astimezone(), time.monotonic()
        news: list[str] = []
        settled = settle_earlier(self.project.runs, but=self.id)
        with self._places() as places, shown(quiet=self.quiet) as (show, say):
            for text in settled:
                say(f"rolled back for an earlier fleet: {text}")
            if isinstance(places, DaskPlaces) and places.cluster.dashboard:
                say(f"Dask's dashboard: {places.cluster.dashboard}")

            def show_all(standing: FleetStanding) -> None:
                for text in places.news():
                    news.append(text)
                    say(text)
                show(standing)

            ends = self._dispatcher(jobs, places, interruptions, show_all).run()
            settled += places.cluster.settled if isinstance(places, DaskPlaces) else []
        night = night_of(
            self.id,
            ends,
            self.project,
            started=started,
            seconds=time.monotonic() - began_s,
            chosen=self.file.fail_on,  # type: ignore[arg-type]
            interrupted=interruptions.count > 0,
            news=news,
            settled=settled,
        )
        return self._written(night)

    def _dispatcher(
        self, jobs: Sequence[Job], places: Places, interruptions: Interruptions, show: Callable[[FleetStanding], None]
    ) -> Dispatcher:
        budget = self.file.budget
        return Dispatcher(
            jobs,
            places,
            self._request,
            limits=BudgetLimits(budget.elapsed, budget.case_time),
            attempts=self.file.attempts,
            interrupted=lambda: interruptions.count,
            show=show,
        )

    def _request(self, job: Job, number: int) -> Request:
        grace_s, results = self.file.grace, self.file.results
        request = job.request(self.id, number, grace_s=grace_s, project=self.project, results=results)
        return Request.of({**request.document(), "luckyhit": self.luckyhit})

    @contextmanager
    def _places(self) -> Iterator[LocalPlaces | DaskPlaces]:
        if not self.dask:
            yield LocalPlaces(self.project, self.jobs)
            return
        places = DaskPlaces(self.dask, self.project, self.id)
        try:
            yield places
        finally:
            places.close()

    def _written(self, night: Night) -> NightEnd:
        """The record is kept beside the attempts, too: the next digest takes the place of this one."""
        with contextlib.suppress(OSError):
            write_atomically(
                self.project.runs / FOLDER / self.id / "nightly.json", night.model_dump_json(by_alias=True)
            )
        try:
            files = [self.project.case_file(entry.case) for entry in self.file.cases if "*" not in entry.case]
            files += [path for path in self.project.case_files() if path not in files]
            page = write_digest(night, self.project, redactor_of(self.project, files))
            write_index(self.project.runs, self.project.reports)
        except LuckyHitError as error:
            return NightEnd(night, None, error)
        return NightEnd(night, page)


def fleet_file_of(project: Project, names: Sequence[str], path: str) -> FleetFile:
    """The fleet that the command line asks for: the cases that are named, else those of `fleet.yml`. With `path` and
    names, only these of the file. Raises ArgumentError."""
    if names and not path:
        return FleetFile(cases=[FleetCase(case=name) for name in names])
    file = load_fleet_file(Path(path).expanduser() if path else project.root / FLEET_FILE)
    if not names:
        return file
    known = {entry.case: entry for entry in file.cases}
    for name in names:
        if name not in known:
            raise ArgumentError(f"no entry {name!r} in {path}", hint=f"Its entries: {', '.join(known)}.")
    return file.model_copy(update={"cases": [known[name] for name in names]})


def run_fleet(*cases: str, file: str = "", jobs: int = 1, dask: str = "", observe: bool = False) -> NightEnd:
    """A fleet from a notebook, in the project around the working directory: a table shows what runs, and interrupting
    the kernel stops and rolls back all. Words as those of `luckyhit fleet`. Raises what Fleet.run raises."""
    project = Project.find()
    settings = fleet_file_of(project, cases, file)
    if observe:
        settings = settings.model_copy(update={"observe": True})
    return Fleet(project, settings, jobs=jobs, dask=dask).run()


@contextmanager
def _interruptions() -> Iterator[Interruptions]:
    """Signals are counted where this is the main thread; elsewhere nothing can be sent to it."""
    if threading.current_thread() is not threading.main_thread():
        yield Interruptions()
        return
    with interruptions_of() as interruptions:
        yield interruptions

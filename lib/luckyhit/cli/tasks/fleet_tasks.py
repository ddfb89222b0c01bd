"""`luckyhit fleet`: the fleet, its digest on the terminal, and who is notified."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from luckyhit.cli.app import print_json
from luckyhit.cli.tasks.case_tasks import duration
from luckyhit.errors import ArgumentError
from luckyhit.fleet.digest import night_words
from luckyhit.fleet.digest.night_page import group_of
from luckyhit.fleet.digest.nightly import ALARMS, Night
from luckyhit.fleet.fleet_file import FleetFile
from luckyhit.fleet.night import Fleet, NightEnd, fleet_file_of
from luckyhit.project import Project
from luckyhit.scrub.characters import visible
from luckyhit.workflow.unattended.notify_command import command_words, notify

_LONGEST = 500
_TOLD = {"case", "state", "exit_code", "run", "verdict", "reason", "report", "alarms"}
"""What `--notify-command` gets of each case."""


def fleet(
    cases: Sequence[str],
    *,
    file: str,
    jobs: int,
    dask: str,
    observe: bool,
    timeout: str,
    fail_on: str,
    notify_command: str,
    as_json: bool,
    runs_dir: str,
    reports_dir: str,
) -> int:
    """Run the fleet and print its digest. Gives the exit code."""
    if dask and jobs != 1:
        raise ArgumentError("--jobs and --dask can't be combined", hint="A worker takes as many as it offers `target`.")
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    settings = fleet_file_of(project, cases, file)
    changed: dict[str, Any] = {"observe": True} if observe else {}
    changed |= {"timeout": duration(timeout, "--timeout")} if timeout else {}
    changed |= {"fail_on": chosen_alarms(fail_on)} if fail_on else {}
    changed |= {"notify_command": notify_command} if notify_command else {}
    settings = settings.model_copy(update=changed)
    words = command_words(settings.notify_command)
    end = Fleet(project, settings, jobs=jobs, dask=dask).run()
    if as_json:
        print_json(end.night.model_dump(mode="json", by_alias=True))
    else:
        print_digest(end.night)
    if words and (problem := notify(words, message_of(end, settings))):
        print(f"--notify-command: {visible(problem, longest=_LONGEST)}", file=sys.stderr)
    if end.error is not None:
        print(f"error: {end.error}", file=sys.stderr)
        return end.night.exit_code or end.error.exit_code
    if not as_json:
        print(end.page)
    return end.night.exit_code


def chosen_alarms(text: str) -> list[str]:
    """The alarms that `--fail-on` names. Raises ArgumentError for an unknown one."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ALARMS:
            near = difflib.get_close_matches(name, ALARMS, n=1)
            raise ArgumentError(
                f"unknown alarm for --fail-on: {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""),
                hint=f"Choose from {', '.join(ALARMS)}.",
            )
    return names


def print_digest(night: Night) -> None:
    """The headline, then every case that asks for attention."""
    print()
    print(night_words.headline(night))
    if text := night_words.by_chance_text(night):
        print(f"  {text}")
    for case in night.cases:
        if group_of(case) == "quiet":
            continue
        print(f"  {case.case}: {night_words.label(case) or night_words.STATES[case.state]}")
        if alarms := night_words.alarms_text(case, night):
            print(f"    alarm: {alarms}")
        if case.before is not None:
            print(f"    was {case.before} in the run before")
        lines = [night_words.departure_text(departure) for departure in case.outside]
        lines += [night_words.shift_text(shift) for shift in case.shifts if shift.new]
        lines += [night_words.why(case)] if case.state != "finished" else []
        lines += [f"what to do: {case.hint}"] if case.hint and case.state != "finished" else []
        for line in lines:
            print(f"    {visible(' '.join(line.split()), longest=_LONGEST)}")
    sys.stdout.flush()


def message_of(end: NightEnd, settings: FleetFile) -> dict[str, Any]:
    """What `--notify-command` gets of a fleet."""
    night = end.night
    return {
        "kind": "fleet",
        "fleet": night.fleet,
        "exit_code": night.exit_code,
        "alarm": any(set(case.alarms) & set(settings.fail_on) for case in night.cases) or night.exit_code != 0,
        "verdict": dict(Counter(case.verdict or "NO VERDICT" for case in night.cases)),
        "reason": night_words.headline(night),
        "report": str(end.page) if end.page is not None else None,
        "cases": [case.model_dump(mode="json", include=_TOLD) for case in night.cases],
    }

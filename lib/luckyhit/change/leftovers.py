"""What an earlier run may have left on a target: the open steps of its journal that mean something still."""

from __future__ import annotations

from luckyhit.change import processes
from luckyhit.change.journal import Journal
from luckyhit.records.journal import AT_REST, Step

WITH_THE_PROCESSES = ("end-processes", "restart")
"""Kinds of inverse of steps of which nothing is left once the run's own processes are gone."""


def still_open(journal: Journal) -> list[Step]:
    """The steps of which something is left indeed: those about processes only count while one of them lives, and those
    at rest don't."""
    open_runs = []
    for step in journal.open_steps():
        if step.inverse.get("kind") in WITH_THE_PROCESSES:
            if processes.living(step.outcome.get("processes", ())):
                open_runs.append(step)
        elif step.inverse and not step.outcome.get(AT_REST):
            open_runs.append(step)
    return open_runs

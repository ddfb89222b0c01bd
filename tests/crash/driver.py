"""A run without notebooks, as a program that is going to be killed.

    python driver.py PROJECT measure CASE [ENVIRONMENT]     the baseline and the change
    python driver.py PROJECT revert RUN                     what `luckyhit revert` does

Told on standard output, one JSON object a line: `{"run": path}`, and `{"step": N, "side": "before" | "after", "event":
..., "of": ...}` around each line that the journal gets, `{"failed": what, "hint": ..., "exit_code": ...}`. It waits for
a line on standard input after each of these where CRASH_STEPS is set: so it can be killed at exactly that moment.
CRASH_LIGHT: each block asks for some products, and is not measured. Between two lines of the journal the load engine
changes nothing that has to be taken back, and it takes most of a run's time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
from crash_world import ASKED

from luckyhit.case_run import CaseRun
from luckyhit.change import revert_run
from luckyhit.change.journal import Journal
from luckyhit.errors import LuckyHitError
from luckyhit.load.block import BlockPlan, BlockReport
from luckyhit.load.engine_config import EngineCheck
from luckyhit.project import Project
from luckyhit.records import Accounting
from luckyhit.workflow import measuring
from luckyhit.workflow.steps import measure_baseline, measure_change
from luckyhit.workflow.unattended.run_case import new_run

_telling = threading.Lock()
_append = Journal._append


def tell(**event: Any) -> None:
    """One line, and wait until it was read where somebody wants that: nothing else of this program is told then."""
    with _telling:
        print(json.dumps(event), flush=True)
        if "CRASH_STEPS" in os.environ and not sys.stdin.readline():
            os._exit(1)  # whoever watched it is gone


def ask_some(run: CaseRun, plan: BlockPlan, **_: Any) -> BlockReport:
    """In place of a measured block: the shop refills its cache, and one price is changed."""
    with httpx.Client(trust_env=False) as client:
        for url in plan.targets.values():
            for number in range(ASKED[0], ASKED[1] + 1):
                client.get(f"{url}/products/{number}").raise_for_status()
            client.put(f"{url}/products/3/price", json={"price": plan.block + 2}).raise_for_status()
    none = Accounting(scheduled=0, completed=0, failed=0, timed_out=0, dropped=0)
    unchecked = EngineCheck(None, None, None, trustworthy=True, detail="not measured")
    probe = {"put_back": dict.fromkeys(plan.targets, 0), "not_put_back": dict.fromkeys(plan.targets, 0)}
    return BlockReport(dict.fromkeys(plan.targets, none), unchecked, None, probe, 0, 0, 0, 0)


class Steps:
    """Counts what the journal gets. A step's number is the same before and after it."""

    def __init__(self) -> None:
        self._count = 0
        self._counting = threading.Lock()

    def append(self, journal: Journal, file: Any, event: dict[str, Any]) -> None:
        with self._counting:
            self._count += 1
            number = self._count
        of = event.get("step") or next((step.step for step in journal._steps(file) if step.id == event["id"]), "?")
        tell(step=number, side="before", event=event["event"], of=of)
        _append(journal, file, event)
        tell(step=number, side="after", event=event["event"], of=of)


def main() -> None:
    root, what, *words = sys.argv[1:]
    project = Project(Path(root), Path(root) / "data" / "runs", Path(root) / "reports")
    steps = Steps()
    if "CRASH_LIGHT" in os.environ:
        measuring.measure_block = ask_some
    Journal._append = lambda journal, file, event: steps.append(journal, file, event)  # type: ignore[method-assign]
    try:
        if what == "revert":
            revert_run(CaseRun(Path(words[0])), project=project.root)
        else:
            run = new_run(project, Path(words[0]), environment=words[1] if words[1:] else "")
            tell(run=str(run.path))
            measure_baseline(run, project, lambda *_: None)
            measure_change(run, project, lambda *_: None)
    except LuckyHitError as error:
        tell(failed=f"{type(error).__name__}: {error.message}", hint=error.hint, exit_code=error.exit_code)
        sys.exit(error.exit_code)
    tell(ended=True)


if __name__ == "__main__":
    main()

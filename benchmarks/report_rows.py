"""How long does it take from the last sample of a long run to its report?

    python benchmarks/report_rows.py                  ten million requests
    python benchmarks/report_rows.py --rows 2000000

The run directory is that of `judge_rows`. What comes after the last sample is done as the notebooks do it, cell by
cell, in a process that has its imports behind it, as the notebooks' kernel has by then: the rows are scrubbed, the last
cells of 2-change, all of 3-report. What papermill takes for itself (about a second) is not in it. A run of the demo's
size is told beside it: what hardly depends on the rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from judge_rows import Stopwatch, a_run

DEMO = 10_000
"""Rows of a run of the demo, roughly."""
FIGURES = ("forest", "hit-ratio", "latency-spectrum", "latency-split", "freshness")


def to_the_report(path: Path, reports: Path) -> dict[str, dict[str, float]]:
    """The steps, each with its seconds and the most memory held by then."""
    from luckyhit import workflow
    from luckyhit.case_run import CaseRun
    from luckyhit.scrub.sweep import sweep
    from luckyhit.workflow.steps import imported_meanwhile

    with imported_meanwhile():
        pass
    steps = {}
    clock = Stopwatch()

    def done(name: str) -> None:
        nonlocal clock
        steps[name] = clock.stop()
        clock = Stopwatch()

    run = CaseRun.open(path)
    sweep(run.path, run.redactor, closed=True)
    done("scrub")
    given = {"runs_dir": str(path.parents[1]), "reports_dir": str(reports)}
    changed = workflow.change(path.name, **given)
    changed.cleared(), changed.figure("hit-ratio"), changed.reading("hit-ratio"), changed.figure("freshness")
    changed.guards(), changed.actions(), changed.rolled_back()
    done("2-change, the cells behind the measuring")
    del changed  # the next notebook finds nothing of it
    book = workflow.report(path.name, **given)
    book.judge()
    done("judge")
    for name in FIGURES:
        book.figure(name), book.reading(name)
    done("figures")
    book.metrics(), book.readers(), book.guards(), book.checklist()
    done("tables")
    book.export()
    done("export")
    return steps


CHILD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import report_rows
print("steps", json.dumps(report_rows.to_the_report(Path(sys.argv[2]), Path(sys.argv[3]))))
"""


def measured(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, reports = a_run(Path(folder) / "runs", rows), Path(folder) / "reports"
        command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(run.path), str(reports)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        line = next(line for line in told.stdout.splitlines() if line.startswith("steps "))
        steps = json.loads(line.removeprefix("steps "))
        (report,) = (path for path in reports.glob("*.html") if path.name != "index.html")
        size = report.stat().st_size / 1e6
    print(f"{rows:,} requests")
    for name, spent in steps.items():
        print(f"  {name:42} {spent['wall']:6.2f} s   CPU {spent['cpu']:6.2f} s   peak so far {spent['peak']:6,.0f} MB")
    wall = sum(spent["wall"] for spent in steps.values())
    print(f"  {'from the last sample to the report':42} {wall:6.2f} s   a report of {size:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds from the last sample of a run to its report.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    for count in sorted({DEMO, rows}):
        measured(count)


if __name__ == "__main__":
    main()

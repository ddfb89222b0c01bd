"""What notebooks and scripts import: the runs there are, one of them opened, two of them side by side.

    import luckyhit

    luckyhit.runs()                                 # a frame: a row for every run
    run = luckyhit.open_run("stale-price")          # the newest run of a case; ("stale-price", -2): the one before
    measured = run.requests.query("phase == 'measure'")
    measured.groupby(["stage", "arm", "cache"], observed=True).latency_ms.quantile([0.5, 0.99])
    luckyhit.compare(run, run)                      # their numbers, and what was different between them

Nothing here measures, judges or writes.
"""

from luckyhit.api.compared_runs import ComparedRuns, compare
from luckyhit.api.opened_run import OpenedRun, open_run
from luckyhit.api.run_list import runs

__all__ = ["ComparedRuns", "OpenedRun", "compare", "open_run", "runs"]

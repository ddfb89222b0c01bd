"""Records without a run: a directory with `case.yml` and `requests/*.parquet`, and nothing more.

Effects and intervals can be computed. But nothing shows that only one thing was changed, or that the client could be
trusted, so the verdict is INVALID and says so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from luckyhit.case import Case, load_case
from luckyhit.designs import BOTH, design_of, pair_numbers
from luckyhit.errors import RunUnreadable
from luckyhit.judge.decision import RunHeader, decide
from luckyhit.judge.guards.run_guards import records_guard
from luckyhit.records import READS, WRITES, Arm, Guard, Result
from luckyhit.records.manifest import NotedBlock
from luckyhit.run import Run
from luckyhit.text.wording import note

MEASURED = "measure"


def is_records_only(path: Path) -> bool:
    """Whether this directory holds a case and requests, but is no run."""
    has_records = (path / "case.yml").is_file() and any((path / "requests").glob("*.parquet"))
    return has_records and not os.path.lexists(path / "manifest.json")


def judge_records_only(path: Path) -> Result:
    """Judge such a directory; writes nothing. Raises CaseError where the case can't be read; damaged part files are
    named in the result."""
    path = path.resolve()
    run = Run(path)
    damaged: list[RunUnreadable] = []
    case = load_case(path / "case.yml")
    frames: dict[str, pd.DataFrame] = {}
    for name in ("requests", "reads", "writes"):
        try:
            frames[name] = run.table(name)
        except RunUnreadable as error:
            frames[name] = pd.DataFrame()
            damaged.append(error)
    blocks = blocks_of(frames["requests"], case)
    result = decide(
        frames["requests"],
        frames["reads"] if len(frames["reads"]) else READS.empty_table().to_pandas(),
        frames["writes"] if len(frames["writes"]) else WRITES.empty_table().to_pandas(),
        case,
        blocks,
        [readable] if (readable := records_guard(damaged)) is not None else [],
        header=RunHeader(path.name, notes=[note("no-manifest")]),
    )
    if any((path / table).is_dir() for table in ("reads", "writes")):
        return result
    return result.model_copy(update={"guards": [_without_probe(guard) for guard in result.guards]})


def _without_probe(guard: Guard) -> Guard:
    """Where the probe's records were not kept, nothing says that it wrote too little."""
    if guard.id != "the-probes-writes-are-seen":
        return guard
    detail = "the records of the probe are missing, so stale reads are not visible"
    remedy = "" if guard.ok else "Put reads/ and writes/ beside requests/, if they were kept."
    return guard.model_copy(update={"detail": detail, "remedy": remedy})


def blocks_of(requests: pd.DataFrame, case: Case) -> list[NotedBlock]:
    """Each block from its rows: its arms, its stage and, where arms took turns, its pair.

    Side by side, blocks of both arms are the change's. Else the first block of the before arm without a partner is the
    baseline, and the last is the one after the rollback.
    """
    if requests.empty:
        return []
    measured = requests[requests["phase"] == MEASURED]
    arms_of_block = measured.groupby("block", observed=True)["arm"].unique().sort_index()
    arms: dict[int, list[Arm]] = {
        int(block): [arm for arm in BOTH if arm in set(names)] for block, names in arms_of_block.items()
    }
    if design_of(case).arms_together:
        changed = [block for block, names in arms.items() if len(names) == 2]
    else:
        before, after = ([block for block, names in arms.items() if names == [arm]] for arm in BOTH)
        if len(before) > len(after):
            before = before[1:]
        changed = sorted([*before[: len(after)], *after])
    pairs = dict(zip(changed, pair_numbers([arms[block] for block in changed]), strict=True))
    first = min(pairs, default=None)
    blocks = []
    for block, names in arms.items():
        stage = "change" if block in pairs else "baseline" if first is None or block < first else "after-rollback"
        blocks.append(NotedBlock(block=block, stage=stage, arms=names, pair=pairs.get(block, 0)))
    return blocks

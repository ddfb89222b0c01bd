"""What the manifest says of a run, held against what is there: the case, the blocks, the probe's records, the end.

A file that lost some of its rows reads as well as a whole one. Only what was noted while it was written tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
from pydantic import ValidationError

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.table.rows import ARMS, Rows
from luckyhit.records import Guard, GuardId, Preflight, Rollback, Stage
from luckyhit.run import Run
from luckyhit.text.numbers import listed

MOST_BLOCKS = 1_000_000
MOST_TOLD = 4
AT_ONCE = 1 << 20
_AGAIN = "Records are damaged or incomplete: put back what is missing, or measure again."
_STAGES: tuple[str, ...] = get_args(Stage)

Manifest = Mapping[str, Any]


def ended_early(manifest: Manifest) -> str:
    """Why the run ended before its time, as it was noted; empty where it was not."""
    failure = manifest.get("failure")
    if not failure:
        return ""
    return str((failure.get("message") if isinstance(failure, Mapping) else "") or "no reason was noted")


def not_finished(manifest: Manifest) -> str:
    """Why this is not the record of a run that got to its end; empty where it is."""
    state = manifest.get("state")
    if ended := ended_early(manifest):
        return ended
    if state == "measuring":
        return "it is still being measured, or died without a word"
    known = isinstance(state, str) and state in ("measured", "finished")
    return "" if known else f"the manifest notes no state of a run that is over ({str(state)[:40]!r})"


def rollback_of(manifest: Manifest) -> Rollback | None:
    try:
        return Rollback.model_validate(manifest["rollback"])
    except (KeyError, ValidationError):
        return None


def preflight_of(manifest: Manifest) -> Preflight:
    """What was met before anything was measured; nothing, where that was not noted."""
    try:
        return Preflight.model_validate(manifest["preflight"])
    except (KeyError, ValidationError):
        return Preflight()


def guards_of(manifest: Manifest) -> list[Guard]:
    """The guards that were noted while measuring."""
    noted = manifest.get("guards")
    guards = []
    for entry in noted if isinstance(noted, list) else []:
        try:
            guards.append(Guard.model_validate(entry))
        except ValidationError:
            detail = f"{str(entry)[:200]!r} is no guard"
            guards.append(Guard(id="guards-readable", ok=False, detail=detail, remedy="Measure again."))
    return guards


def blocks_of(manifest: Manifest) -> list[Mapping[str, Any]]:
    """The noted blocks that can be understood, each once; `blocks_guard` names the others."""
    found: dict[int, Mapping[str, Any]] = {}
    for entry in _entries(manifest):
        if isinstance(entry, Mapping) and _number(entry.get("block")) and entry["block"] not in found:
            pair = entry.get("pair")
            found[entry["block"]] = entry if pair is None or _number(pair) else {**entry, "pair": None}
    return list(found.values())


def case_guard(run: Run, manifest: Manifest) -> Guard | None:
    """Whether case.yml is the one that was run; None for a run of an older version, which kept no checksum."""
    design, checksum = manifest.get("design"), manifest.get("case_sha256")
    problem = ""
    if checksum is not None and checksum != run.case_sha256:
        problem = "case.yml was changed after the run: its goals and plan are not those that were measured for"
    elif design is not None and design != run.case.design:
        problem = f"the run was measured as {str(design)[:40]!r}, and case.yml declares {run.case.design!r}"
    elif checksum is None:
        return None
    remedy = "Put the case back as it was run and judge that, or make a new run of the edited case."
    return Guard(
        id="case-as-it-was-run",
        ok=not problem,
        detail=problem or "case.yml is the case that was run",
        remedy=remedy if problem else "",
    )


def rollback_guard(manifest: Manifest) -> Guard | None:
    """Whether the change is out again; None where none was made."""
    measured = any(entry.get("stage") == "change" for entry in blocks_of(manifest))
    if not measured and not manifest.get("changed"):
        return None
    rollback = rollback_of(manifest) or Rollback()
    ok = rollback.confirmed and not manifest.get("changed")
    detail = "" if ok else "nothing confirms that the change was taken back"
    return Guard(
        id="rolled-back",
        ok=ok,
        detail=": ".join(text for text in (detail, rollback.detail) if text) or "confirmed",
        remedy="" if ok else "`luckyhit revert RUN` takes it back, or says what to do by hand. Then measure again.",
    )


def blocks_guard(manifest: Manifest, rows: Rows, case: Case, *, going_on: bool) -> Guard:
    """Whether the blocks that were noted are those that have rows, arm by arm. `going_on`: the run did not get to its
    end, so the block it was in has rows already, and is not noted."""
    counts = _counts(rows)
    problems = list(_of_entries(manifest, case))
    noted = {entry["block"]: _arms(entry) for entry in blocks_of(manifest)}
    for block, arms in noted.items():
        for code, arm in enumerate(ARMS):
            there = counts.get((block, code), 0)
            if arm in arms and not there:
                problems.append(f"no request of block {block}, {arm}, is there")
            elif there and arm not in arms:
                problems.append(f"block {block} has {there:,} requests {arm}, which was not measured in it")
    under_way = max(noted, default=-1) + 1 if going_on else None
    for block in sorted({block for block, _ in counts} - set(noted)):
        if block >= 0 and block != under_way:
            found = sum(counts.get((block, code), 0) for code in range(-1, len(ARMS)))
            problems.append(f"{found:,} requests are of block {block}, which was not noted")
    if not noted and not problems and not going_on:
        problems.append("no block was noted")
    return _guard(
        "blocks-as-noted", problems, f"the {len(noted)} blocks that were noted, with the arms of each, have their rows"
    )


def probe_guard(manifest: Manifest, reads: pd.DataFrame, writes: pd.DataFrame, *, going_on: bool) -> Guard | None:
    """Whether the probe's writes and reads are those that it counted, each once; None where there are none, and none
    were counted."""
    blocks = blocks_of(manifest)
    under_way = max((entry["block"] for entry in blocks), default=-1) + 1 if going_on else None
    problems, miscounted, told, uncounted = [], [], 0, 0
    for name, frame in (("writes", writes), ("reads", reads)):
        by_block = frame["block"].value_counts()
        for entry in blocks:
            probe = entry.get("probe")
            counted = probe.get(name) if isinstance(probe, Mapping) else None
            found, where = int(by_block.get(entry["block"], 0)), f"block {entry['block']}"
            if not isinstance(counted, int) or isinstance(counted, bool):
                uncounted += bool(found)
                continue
            told += counted
            if found != counted:
                miscounted.append(f"{where}: the probe counted {counted:,} {name}, {found:,} are there")
        if not len(frame):
            continue
        known = frame["block"].isin([entry["block"] for entry in blocks] + [under_way])
        strange = int(np.count_nonzero(~(known & frame["arm"].astype(str).isin(ARMS)).to_numpy(dtype=bool)))
        if strange:
            problems.append(f"{strange:,} {name} are of no block that was noted, or of no arm")
        if twice := int(frame.duplicated().sum()):
            problems.append(f"{twice:,} {name} are there more than once")
        later = frame["acked_ns" if name == "writes" else "done_ns"] < frame["sent_ns"]
        if backwards := int(later.fillna(False).sum()):
            problems.append(f"{backwards:,} {name} were answered before they were sent")
    problems += miscounted
    if not told and not len(reads) and not len(writes):
        return None
    open_ = "; how many there were was not noted in every block" if uncounted else ", as many as the probe counted"
    return _guard(
        "the-probes-records-are-whole", problems, f"{len(writes):,} writes and {len(reads):,} reads, each once{open_}"
    )


def _of_entries(manifest: Manifest, case: Case) -> Iterator[str]:
    """What is wrong with the list itself."""
    if not isinstance(manifest.get("blocks"), list):
        yield "the manifest has no list of blocks"
    places = Counter(
        entry["block"] for entry in _entries(manifest) if isinstance(entry, Mapping) and _number(entry.get("block"))
    )
    nameless = len(_entries(manifest)) - places.total()
    if nameless:
        yield f"{nameless} of the blocks in the manifest have no number that a block can have"
    for block, times in places.items():
        if times > 1:
            yield f"block {block} is noted {times} times"
    for entry in blocks_of(manifest):
        arms, stage, where = _arms(entry), entry.get("stage"), f"block {entry['block']}"
        if not isinstance(stage, str) or stage not in _STAGES:
            yield f"{where} is of no stage that there is ({str(stage)[:40]!r})"
        elif not arms:
            yield f"{where} names no arms"
        elif stage in ("baseline", "after-rollback") and arms != ("before",):
            yield f"{where} ({stage}) was measured with the change in place"
        elif stage == "change" and len(arms) != design_of(case).arms_in_block:
            yield f"{where} was measured {listed(list(arms))}, which is not {case.design}"


def _guard(id: GuardId, problems: Sequence[str], detail: str) -> Guard:
    more = [f"{len(problems) - MOST_TOLD} more of this kind"] if len(problems) > MOST_TOLD else []
    told = "; ".join([*problems[:MOST_TOLD], *more])
    return Guard(id=id, ok=not problems, detail=told or detail, remedy=_AGAIN if problems else "")


def _counts(rows: Rows) -> dict[tuple[int, int], int]:
    """How many rows each block and arm has; without rows that name no block."""
    block, arm = rows.block, rows.arm
    width, found = len(ARMS) + 1, Counter[int]()
    for first in range(0, len(rows), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        code = block[part].astype(np.int64) * width + arm[part] + 1
        if not len(code) or code.min() < 0 or code.max() > width * MOST_BLOCKS:
            numbers, times = np.unique(code, return_counts=True)
        else:
            counted = np.bincount(code)
            numbers = np.flatnonzero(counted)
            times = counted[numbers]
        for number, count in zip(numbers.tolist(), times.tolist(), strict=True):
            found[number] += count
    return {(code // width, code % width - 1): count for code, count in found.items() if code >= 0}


def _entries(manifest: Manifest) -> list[Any]:
    noted = manifest.get("blocks")
    return noted if isinstance(noted, list) else []


def _arms(entry: Mapping[str, Any]) -> tuple[str, ...]:
    told = entry.get("arms")
    return tuple(arm for arm in ARMS if arm in told) if isinstance(told, list) else ()


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_BLOCKS


__all__ = [
    "blocks_guard", "blocks_of", "case_guard", "ended_early", "guards_of",
    "not_finished", "probe_guard", "rollback_guard", "rollback_of",
]  # fmt: skip

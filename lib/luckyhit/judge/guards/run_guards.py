"""Guards on what the manifest notes of a run: the case, the blocks, the end, compared with the files.

A file that lost some of its rows reads as well as a whole one: only what was noted while it was written shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.errors import RunUnreadable
from luckyhit.judge.table.rows import ARMS, RequestTable
from luckyhit.records import Guard, GuardId, Rollback, UnreadPart
from luckyhit.records.manifest import Manifest
from luckyhit.records.parts.block_numbers import next_block, next_stretch
from luckyhit.run import Run
from luckyhit.text.numbers import block_name, listed, plural

MOST_NAMED = 4
_BLOCK_PATH = ("blocks",)


def ended_early(manifest: Manifest) -> str:
    """Why the run ended early, as it was noted; empty where it did not."""
    failure = manifest.failure
    return "" if not failure else failure.message or "no reason was noted"


def not_finished(manifest: Manifest, problems: Sequence[UnreadPart] = ()) -> str:
    """Why this is not the record of a finished run; empty where it is."""
    if ended := ended_early(manifest):
        return ended
    if manifest.state == "measuring":
        return "the run is still in progress, or was killed"
    noted = next((problem.value for problem in problems if problem.path == ("state",)), repr(manifest.state))
    return "" if manifest.ended else f"its manifest notes no final state ({noted[:40]})"


def unread_guards(problems: Sequence[UnreadPart]) -> list[Guard]:
    """A failed guard for each of the noted guards that can't be read."""
    entries = {problem.path[:2]: problem.value for problem in problems if problem.path[:1] == ("guards",)}
    return [
        Guard(id="guards-readable", ok=False, detail=f"can't read {value} as a guard", remedy="Measure again.")
        for path, value in entries.items()
        if len(path) == 2
    ]


def records_guard(damaged: Sequence[RunUnreadable]) -> Guard | None:
    """A failed guard where a part file can't be read; `damaged`: what reading each table raised."""
    if not damaged:
        return None
    remedies = dict.fromkeys(error.hint for error in damaged)
    return Guard(
        id="records-readable",
        ok=False,
        detail="; ".join(error.message for error in damaged),
        remedy=" ".join(remedies),
    )


def difference_guard(collected: Sequence[Guard], ended: str) -> Guard | None:
    """A failed guard where what the change changed was not compared; None where that was collected while measuring.
    `ended`: why the run ended early."""
    if any(guard.id == "declared-difference-only" for guard in collected):
        return None
    reason = f", since the run ended early: {ended}" if ended else ""
    return Guard(id="declared-difference-only", ok=False, detail=f"what the change changed was not compared{reason}")


def case_guard(run: Run, manifest: Manifest, case: Case) -> Guard | None:
    """Whether case.yml is the one that was run; None for a run of an older version, which kept no checksum."""
    design, checksum = manifest.design, manifest.case_sha256
    problem = ""
    if checksum is not None and checksum != run.case_sha256:
        problem = "case.yml was changed after the run: its goals and plan are not those that were measured for"
    elif design is not None and design != case.design:
        problem = f"the run was measured as {design[:40]!r}, and case.yml declares {case.design!r}"
    elif checksum is None:
        return None
    return Guard(
        id="case-as-it-was-run",
        ok=not problem,
        detail=problem or "case.yml is the case that was run",
    )


def rollback_guard(manifest: Manifest) -> Guard | None:
    """Whether the change is out again; None where none was made."""
    if not manifest.stage("change") and not manifest.changed:
        return None
    rollback = manifest.rollback or Rollback()
    ok = rollback.confirmed and not manifest.changed
    detail = "" if ok else "nothing confirms that the change was taken back"
    return Guard(
        id="rolled-back",
        ok=ok,
        detail=": ".join(text for text in (detail, rollback.detail) if text) or "confirmed",
    )


def blocks_guard(
    manifest: Manifest, unread: Sequence[UnreadPart], rows: RequestTable, case: Case, *, interim: bool
) -> Guard:
    """Whether the blocks that were noted are those that have rows, arm by arm. `unread`: what of the manifest can't be
    read. `interim`: the run is not finished, so the block it is in has rows already, and is not noted."""
    counts = _counts(rows)
    problems = [*_unread_blocks(manifest, unread), *_unplanned(manifest, case)]
    noted = {block.block: block.arms for block in manifest.blocks}
    for block, arms in noted.items():
        for code, arm in enumerate(ARMS):
            requests = counts.get((block, code), 0)
            if arm in arms and not requests:
                problems.append(f"{block_name(block)} has no requests {arm}, which was measured in it")
            elif requests and arm not in arms:
                problems.append(f"{block_name(block)} has {requests:,} requests {arm}, which was not measured in it")
    under_way = {next_block(noted), next_stretch(noted)} if interim else set()
    for block in sorted({block for block, _ in counts} - set(noted)):
        if block >= 0 and block not in under_way:
            requests = sum(counts.get((block, code), 0) for code in range(-1, len(ARMS)))
            problems.append(f"{block_name(block)} has {requests:,} requests, and was not noted")
    if not noted and not problems and not interim:
        problems.append("no block was noted")
    stretches = sum(block.stage == "wash-out" for block in manifest.blocks)
    beside = f" and {plural(stretches, 'stretch', 'stretches')} of wash-outs" if stretches else ""
    detail = (
        f"the {plural(len(noted) - stretches, 'block')}{beside} that were noted, with the arms of each, have their rows"
    )
    return guard_of_problems("blocks-as-noted", problems, detail)


def _unread_blocks(manifest: Manifest, unread: Sequence[UnreadPart]) -> Iterator[str]:
    """Which entries of the list of blocks can't be read, or are there twice."""
    if "blocks" not in manifest.model_fields_set:
        yield "the manifest has no list of blocks"
    of_blocks = [problem for problem in unread if problem.path[:1] == _BLOCK_PATH and len(problem.path) == 2]
    if nameless := sum(not problem.repeated for problem in of_blocks):
        yield f"{nameless} of the blocks in the manifest have no valid number"
    for block, times in Counter(problem.number for problem in of_blocks if problem.repeated).items():
        yield f"block {block} is noted {times + 1} times"


def _unplanned(manifest: Manifest, case: Case) -> Iterator[str]:
    """Blocks that no run of this case has."""
    for block in manifest.blocks:
        arms, stage, where = block.arms, block.stage, block_name(block.block)
        if stage is None:
            yield f"{where} has no known stage"
        elif not arms:
            yield f"{where} names no arms"
        elif stage in ("baseline", "after-rollback") and arms != ["before"]:
            yield f"{where} ({stage}) was measured with the change in place"
        elif stage == "change" and len(arms) != design_of(case).arms_in_block:
            yield f"{where} was measured {listed(list(arms))}, which is not {case.design}"


def guard_of_problems(id: GuardId, problems: Sequence[str], detail: str) -> Guard:
    more = [f"{len(problems) - MOST_NAMED} more of this kind"] if len(problems) > MOST_NAMED else []
    text = "; ".join([*problems[:MOST_NAMED], *more])
    return Guard(id=id, ok=not problems, detail=text or detail)


def _counts(rows: RequestTable) -> dict[tuple[int, int], int]:
    """How many rows each block and arm has, without rows that name no block. Rows are in order, so in few runs."""
    runs, counts = rows.runs(), Counter[tuple[int, int]]()
    for number, code, count in zip(runs.block.tolist(), runs.arm.tolist(), runs.rows.tolist(), strict=True):
        if number >= 0:
            counts[number, code] += count
    return counts

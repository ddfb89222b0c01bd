"""After the death of a run: it is reverted, and everything is looked at. Each check gives sentences; none is good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from crash_world import Look, World
from victim import Victim

from luckyhit.caches.backup import read_backup
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, revert_run, target_lock
from luckyhit.errors import LuckyHitError, TargetBusy
from luckyhit.run import Table, runs

LUCKYHIT = Path(sys.executable).with_name("luckyhit")
OF_OTHERS = frozenset({"restore", "notify", "setting", "http", "command", "probe"})
"""Kinds of inverse of what is done to something that outlives the run."""


def problems_after(victim: Victim, first: Look, *, by_command: bool = False) -> list[str]:
    """Revert what a killed run left, twice, and look at everything. `by_command`: by `luckyhit revert`, as a user
    would; otherwise by what that calls."""
    world, problems = victim.world, list[str]()
    # It may have died before it could tell where its directory is.
    paths = [victim.run] if victim.run else [run.path for run in runs(world.project / "data" / "runs")]
    run = CaseRun.open(paths[0]) if paths else None
    if run is not None:
        problems += _refusal(world, run)
        problems += _reverted_twice(world, run, by_command=by_command)
    problems += [f"still running: {words}" for words in victim.left_running()]
    problems += world.differences(first, ended_well=run is not None and run.state == "measured")
    if run is not None:
        problems += [*_samples(run), *_left_in_the_directory(run), *_next_run_is_let_in(world, run)]
    return problems


def open_on_the_target(run: CaseRun) -> list[str]:
    """Steps that the journal has open, of what outlives the run: read from its lines, not by the code that wrote
    them. Nobody has to wait for a clear that came to its end with a finished baseline (`at_rest`)."""
    steps: dict[int, str] = {}
    path = run.path / "journal.jsonl"
    for line in path.read_text().split("\n")[:-1] if path.is_file() else []:
        event = json.loads(line)
        if event["event"] == "intent" and event["inverse"].get("kind") in OF_OTHERS:
            steps[event["id"]] = event["step"]
        elif event["event"] == "undone" or event["detail"].get("at_rest"):
            steps.pop(event["id"], None)
    return list(steps.values())


def _refusal(world: World, run: CaseRun) -> Iterator[str]:
    """Another run on the same target is refused, with the command that helps, exactly where something is left there."""
    refused = _refused(world, run)
    left = open_on_the_target(run)
    if left and refused is None:
        yield f"another run was let in, though {', '.join(left)} are open"
    elif refused is not None and not left:
        yield f"another run was refused, though nothing is open: {refused.message}"
    elif refused is not None and f"luckyhit revert {run.id}" not in refused.hint:
        yield f"another run was refused, and not told about `luckyhit revert {run.id}`: {refused.hint}"


def _next_run_is_let_in(world: World, run: CaseRun) -> Iterator[str]:
    if (refused := _refused(world, run)) is not None:
        yield f"after the revert, another run is refused: {refused.message}"


def _refused(world: World, run: CaseRun) -> TargetBusy | None:
    try:
        with target_lock(run.case, world.project / "data" / "runs", environ=world.environ):
            return None
    except TargetBusy as error:
        return error


def _reverted_twice(world: World, run: CaseRun, *, by_command: bool) -> Iterator[str]:
    journal, lines = run.path / "journal.jsonl", list[str]()
    for _ in range(2):
        code, text = _by_command(world, run) if by_command else _in_process(world, run)
        if code:
            yield f"revert ended with {code}: {text}"
            return
        lines.append(journal.read_text() if journal.is_file() else "")
    if lines[0] != lines[1]:
        yield f"the second revert did something: {text}"


def _in_process(world: World, run: CaseRun) -> tuple[int, str]:
    try:
        return 0, revert_run(run, project=world.project, environ=world.environ).detail
    except LuckyHitError as error:
        return error.exit_code, f"{error.message} {error.hint}"


def _by_command(world: World, run: CaseRun) -> tuple[int, str]:
    done = subprocess.run(
        [LUCKYHIT, "revert", run.id], cwd=world.project, env={**os.environ, **world.environ}, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _samples(run: CaseRun) -> Iterator[str]:
    """Every part file can be read, and each block that was noted as measured has all its rows."""
    try:
        tables = {name: run.table(name) for name in get_args(Table)}
        requests = tables["requests"]
        for block in run.manifest.blocks:
            for arm, counts in block.accounting.items():
                rows = len(requests[(requests.block == block.block) & (requests.arm == arm)])
                if rows != counts.scheduled:
                    yield f"block {block.block}, {arm}: {rows} rows of {counts.scheduled}"
    except LuckyHitError as error:
        yield f"samples can't be read: {error.message}"


def _left_in_the_directory(run: CaseRun) -> Iterator[str]:
    """No open step; and nothing of what the cache held is kept any longer."""
    for step in Journal(run.path / "journal.jsonl").open_steps():
        yield f"step {step.id} ({step.step}) is still open"
    for path in run.path.glob("*.backup"):
        kept = sum(1 for _ in read_backup(path))
        if kept:
            yield f"{path.name} still holds {kept} keys"

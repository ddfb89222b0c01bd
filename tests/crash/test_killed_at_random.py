"""SIGKILL at random moments of a run with load: `benchmarks/crash.py` does it 200 times and more."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from aftermath import problems_after
from scenarios import ALL, HTTP
from victim import start_run
from world import World

from luckyhit.run import Run

LONGEST_S = 11.0
"""About what an undisturbed run takes here; a moment behind its end is one, too."""


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_a_random_moment(seed: int, world: World) -> None:
    rng = random.Random(seed)
    first = world.look()
    run = start_run(world, HTTP)
    run.live_for(rng.uniform(0.5, LONGEST_S / 2))
    run.kill()
    assert problems_after(run, first, by_command=True) == []


def test_the_next_run_is_refused_until_the_revert_and_goes_through_then(world: World) -> None:
    first = world.look()
    run = start_run(world, HTTP, steps=True)
    assert run.upto_event("confirm", "notify", "after") and run.run is not None
    run.kill()
    refused = start_run(world, HTTP)
    assert not refused.upto_event("intent", "clear", "before")
    assert refused.told[-1]["failed"].startswith("TargetBusy") and refused.told[-1]["exit_code"] == 3
    assert f"luckyhit revert {Run(run.run).id}" in refused.told[-1]["hint"]
    assert problems_after(run, first, by_command=True) == []
    again = start_run(world, HTTP, light=True)
    assert again.upto(None) and again.told[-1] == {"ended": True}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ALL.values(), ids=list(ALL))
def test_killed_at_random_moments(scenario: object, new_world: Callable[[], World], tmp_path: Path) -> None:
    rng, found = random.Random(str(scenario)), list[str]()
    for number in range(3):
        world = new_world()
        first = world.look()
        run = start_run(world, scenario)  # type: ignore[arg-type]
        seconds = rng.uniform(0.2, LONGEST_S)
        run.live_for(seconds)
        whom = rng.choice(["tree", "main"])
        run.kill(whom)  # type: ignore[arg-type]
        found += [f"{number}, {whom} after {seconds:.3f} s: {problem}" for problem in problems_after(run, first)]
        world.stop()
    assert found == []

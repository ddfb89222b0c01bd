"""SIGKILL at random moments of a run with load: `benchmarks/crash.py` does it 200 times and more."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from aftermath import problems_after
from crash_world import World
from scenarios import ALL, HTTP, Scenario
from victim import Whom, start_run

from luckyhit.case_run import CaseRun

LONGEST_S = 12.0
"""About what an undisturbed run takes; a moment behind its end is one, too."""


def test_killed_in_the_middle_of_the_load(world: World) -> None:
    first = world.look()
    run = start_run(world, HTTP)
    run.live_for(random.Random(1).uniform(2, 4))
    run.kill()
    assert problems_after(run, first, by_command=True) == []


@pytest.mark.slow
def test_a_moment_behind_the_end_is_one_too(world: World) -> None:
    first = world.look()
    run = start_run(world, HTTP, light=True)
    run.upto(None)
    run.kill()
    assert run.events[-1] == {"ended": True}
    assert problems_after(run, first) == []


@pytest.mark.slow
def test_next_run_is_refused_until_the_revert(world: World) -> None:
    first = world.look()
    run = start_run(world, HTTP, steps=True)
    assert run.upto_event("confirm", "notify", "after") and run.run is not None
    run.kill()
    refused = start_run(world, HTTP)
    assert not refused.upto_event("intent", "clear", "before")
    assert refused.events[-1]["failed"].startswith("TargetBusy") and refused.events[-1]["exit_code"] == 3
    assert f"luckyhit revert {CaseRun(run.run).id}" in refused.events[-1]["hint"]
    assert problems_after(run, first, by_command=True) == []
    again = start_run(world, HTTP, light=True)
    assert again.upto(None) and again.events[-1] == {"ended": True}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ALL.values(), ids=list(ALL))
def test_killed_at_random_moments(scenario: Scenario, new_world: Callable[[], World]) -> None:
    rng, failures = random.Random(scenario.name), list[str]()
    kinds: tuple[Whom, ...] = ("tree", "main", "tree")
    for whom in kinds:
        world = new_world()
        first, seconds = world.look(), rng.uniform(0.2, LONGEST_S)
        run = start_run(world, scenario)
        run.live_for(seconds)
        run.kill(whom)
        failures += [f"{whom} after {seconds:.3f} s: {problem}" for problem in problems_after(run, first)]
        world.stop()
    assert failures == []

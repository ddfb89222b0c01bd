"""SIGKILL right before and right after every line of the journal: `luckyhit revert` brings everything back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from aftermath import problems_after
from crash_world import World
from scenarios import ALL, HTTP, Scenario
from victim import Moment, Victim, Whom, start, start_run

SLICES = 6


def moments_of(scenario: Scenario, world: World) -> list[Moment]:
    """All there are, as one undisturbed run shows them."""
    run = start_run(world, scenario, steps=True, light=True)
    assert run.upto(None) and run.events[-1] == {"ended": True}, run.events[-1]
    return [
        Moment(events["step"], events["side"], events["event"], events["of"])
        for events in run.events
        if "step" in events
    ]


def problems(
    world: World, scenario: Scenario, moment: Moment, whom: Whom = "tree", *, by_command: bool = False
) -> Iterator[str]:
    first = world.look()
    run = start_run(world, scenario, steps=True, light=True)
    if not run.upto(moment):
        yield f"{moment}: the run did not get there, but {run.events[-1]}"
        return
    run.kill(whom)
    for problem in problems_after(run, first, by_command=by_command):
        yield f"{moment}: {problem}"


@pytest.mark.parametrize(
    ("scenario", "event", "of", "side"),
    [
        ("http", "confirm", "apply", "before"),
        ("revision", "confirm", "worktree", "before"),
        pytest.param("env", "confirm", "apply", "after", marks=pytest.mark.slow),
        pytest.param("cache-setting", "confirm", "apply", "after", marks=pytest.mark.slow),
    ],
)
def test_what_was_being_done_is_taken_back(scenario: str, event: str, of: str, side: str, world: World) -> None:
    first = world.look()
    run = start_run(world, ALL[scenario], steps=True, light=True)
    assert run.upto_event(event, of, side), run.events[-1]
    run.kill()
    assert problems_after(run, first) == []


@pytest.mark.slow
def test_the_command_line_takes_back_what_the_kernel_killed(world: World) -> None:
    """The main process alone, as where memory runs out: the others have to notice."""
    first = world.look()
    run = start_run(world, HTTP, steps=True, light=True)
    assert run.upto_event("confirm", "apply", "after"), run.events[-1]
    run.kill("main")
    assert problems_after(run, first, by_command=True) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_revert_that_is_killed_is_finished_by_the_next_one(new_world: Callable[[], World]) -> None:
    def killed_run(world: World) -> Victim:
        run = start_run(world, HTTP, steps=True, light=True)
        assert run.upto_event("confirm", "notify", "after") and run.upto_event("confirm", "notify", "after")
        run.kill()
        return run

    world = new_world()
    whole = start(world, "revert", str(killed_run(world).run), steps=True)
    whole.upto(None)
    moments = [Moment(events["step"], events["side"]) for events in whole.events if "step" in events]
    assert len(moments) >= 8
    for moment in moments:
        world = new_world()
        first = world.look()
        run = killed_run(world)
        revert = start(world, "revert", str(run.run), steps=True)
        assert revert.upto(moment)
        revert.kill()
        assert problems_after(run, first) == [], moment
        world.stop()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("scenario", ALL.values(), ids=list(ALL))
def test_killed_at_every_step(scenario: Scenario, part: int, new_world: Callable[[], World]) -> None:
    failures = []
    for moment in moments_of(scenario, new_world())[part::SLICES]:
        world = new_world()
        failures += problems(world, scenario, moment)
        world.stop()
    assert failures == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ALL.values(), ids=list(ALL))
def test_the_main_process_killed_at_some_steps(scenario: Scenario, new_world: Callable[[], World]) -> None:
    failures = []
    for moment in moments_of(scenario, new_world())[1::9]:
        world = new_world()
        failures += problems(world, scenario, moment, "main", by_command=True)
        world.stop()
    assert failures == []

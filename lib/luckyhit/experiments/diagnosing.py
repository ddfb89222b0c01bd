"""A diagnosis from its start to its record: one experiment after the other, each until its outcome is beyond chance.

The stack is the diagnosis's own: service, cache and working directory end with it, however it ends, and with them all
that it wrote. A service that somebody else runs is never written to, and no experiment is made on it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from luckyhit import change as changing
from luckyhit.caches.base import Capability
from luckyhit.case import Case
from luckyhit.errors import ArgumentError, ServiceStopped, TargetError
from luckyhit.experiments.experiment_table import EXECUTED
from luckyhit.experiments.means.bench import Bench
from luckyhit.experiments.means.calls import Requester
from luckyhit.experiments.means.command_relay import CommandRelay
from luckyhit.experiments.means.routes import Routes, routes_of
from luckyhit.experiments.means.traced import CacheView
from luckyhit.experiments.needs import durations_s, met_needs
from luckyhit.judge.diagnosis.elimination import Elimination, eliminate
from luckyhit.judge.diagnosis.experiment import Experiment
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.next_experiment import End, Means, answered_within, looks, next_experiment
from luckyhit.judge.diagnosis.outcome import Decided, Observations, RowReference, Undecided, outcome_of
from luckyhit.judge.diagnosis.written import experiment_record, written_diagnosis
from luckyhit.load.signals.signal_sources import headers_source, signals_of
from luckyhit.records.diagnosis import Diagnosis, DiagnosisEnd, ExperimentRecord
from luckyhit.system import Stack
from luckyhit.system.control import client_options

BUDGET_S = 90.0
_FIRST_TRIALS = 4
"""An outcome that no healthy service has is often beyond chance after so few."""
_MOST_ROUNDS, _MOST_IF_FAULTY = 3, 6
"""The second where an outcome that no healthy service has was seen, and is not beyond chance yet."""
_LOOK_TRIALS = 6
_RESERVED = 0.75
"""Of the time that is left, what an experiment may usually take: some need more rounds."""
_LONG_S = 9.0
_WHOLE_SAMPLE = 30
"""An experiment that takes so long, or counts so many trials together, makes them all at once."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Diagnosed:
    """The record, and the rows that it refers to, as `EXPERIMENT_REQUESTS` has them."""

    diagnosis: Diagnosis
    rows: list[tuple[Any, ...]]


@dataclass
class _State:
    """What is known so far."""

    seed: int
    budget_s: float
    case: str = ""
    run: str = ""
    begun_s: float = field(default_factory=time.monotonic)
    needs: Collection[str] = ()
    durations: Mapping[str, float] = field(default_factory=dict)
    outcomes: list[Decided] = field(default_factory=list)
    records: list[ExperimentRecord] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

    @property
    def means(self) -> Means:
        left_s = self.budget_s - (time.monotonic() - self.begun_s)
        return Means(self.needs, max(0.0, left_s * _RESERVED), self.durations, tuple(self.tried), self.seed)

    @property
    def elimination(self) -> Elimination:
        return eliminate(self.outcomes)


def diagnose(
    case: Case,
    *,
    project: Path,
    name: str = "",
    run: str = "",
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
    budget_s: float = BUDGET_S,
    seed: int | None = None,
    outage: bool = False,
    baseline: Sequence[Observations] = (),
    progress: Progress = lambda text: None,
) -> Diagnosed:
    """Start the case's service on a stack of its own, as it is before the change, and find out what is wrong with it.

    `name`, `run`: of the case and of the run, for the record. `baseline`: what the records of that run say already;
    of a service that somebody else runs there is nothing more. `headers`: secret ones of each request. `budget_s`:
    seconds of experiments. `seed`: of keys and of the order; the workload's without one. `outage`: whether the cache
    may be cut off during a write. What was found out before an interruption is kept. Raises TargetError where the
    service can't be started, ArgumentError for a case without a route to ask.
    """
    routes = routes_of(case)
    state = _State(case.workload.seed if seed is None else seed, budget_s, name, run)
    if not routes.reads:
        raise ArgumentError(
            "this case has no GET route to diagnose", hint="Add one to workload.routes, or a read to freshness.reads."
        )
    for observations in baseline:
        state.needs = {"baseline"}
        state.tried.append(observations.experiment)
        result = outcome_of(EXPERIMENTS[observations.experiment], observations)
        _record(state, observations.experiment, result, observations, None)
    ended: End | DiagnosisEnd
    if case.target.start is None or case.cache.url_env is not None:
        # Experiments write, empty caches and restart: nothing of that is done to what others use.
        return Diagnosed(_written(state, "needs-missing", routes, routes.reads[0].name), [])
    with ExitStack() as opened:
        progress("starting the service with a cache of its own")
        bench = opened.enter_context(_bench(case, routes, project, headers or {}, environ, state.seed))
        try:
            ended = _experiments(bench, state, progress, outage=outage)
        except KeyboardInterrupt:
            ended = "interrupted"
        except (ServiceStopped, TargetError) as error:
            if bench.stack.alive:
                raise
            progress(f"the service stopped: {error.message}")
            ended = "service-stopped"
        return Diagnosed(_written(state, ended, routes, bench.route.template), bench.calls.rows)


@contextmanager
def _bench(
    case: Case, routes: Routes, project: Path, headers: Mapping[str, str], environ: Mapping[str, str], seed: int
) -> Iterator[Bench]:
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="luckyhit-diagnose-"))
        stack = Stack(case, "diagnosis", Path(folder), project=project, environ=environ)
        relays: list[CommandRelay] = []

        def front(url: str) -> str:
            """One relay for all starts of the service, so that its address stays."""
            if not url.startswith("redis://"):
                return url
            if not relays:
                relays.append(opened.enter_context(CommandRelay(url)))
            return relays[0].url

        stack.cache_front = front
        stack.settings = changing.settings_of(stack, "before")
        opened.enter_context(stack)
        declared = signals_of(case.target)
        calls = Requester(
            stack.base_url, headers, client_options(case.target, stack.base_url, project), case.workload.timeout,
            headers_source(declared), case.target.worker_header,
        )  # fmt: skip
        opened.callback(calls.close)
        cache = stack.cache if stack.cache is not None and Capability.COMMANDS in stack.cache.can else None
        yield Bench(
            case, stack, calls, routes, CacheView(cache) if cache is not None else None,
            relays[0] if relays else None, seed,
        )  # fmt: skip


def _experiments(bench: Bench, state: _State, progress: Progress, *, outage: bool) -> End:
    if bench.cache is not None:
        # First of all: what others stored is gone as soon as the cache is emptied once.
        _make(bench, state, EXPERIMENTS["read-stored-entries"], progress)
    bench.calls.experiment = "getting-to-know"
    _choose_route(bench)
    bench.learn()
    state.needs = {*state.needs, *met_needs(bench, outage=outage)}
    state.durations = durations_s(bench)
    for look in looks(state.means):
        if look.id in EXECUTED and state.means.budget_s > look.seconds:
            _make(bench, state, look, progress)
    while True:
        step = next_experiment(state.elimination, state.means)
        if isinstance(step, End):
            return step
        experiment = EXPERIMENTS[step.experiment]
        if experiment.id not in EXECUTED:
            state.tried.append(experiment.id)
            continue
        _make(bench, state, experiment, progress)
        bench.stack.check()


def _choose_route(bench: Bench) -> None:
    """The read that is diagnosed: the first in which old data stays after a write; else the first that is cached."""
    candidates = bench.routes.diagnosable or bench.routes.reads[:1]
    cached = []
    for route in candidates:
        bench.route = route
        bench.learn(3)
        costs = bench.costs
        differs = costs.calls is not None and costs.floor is not None and costs.calls > costs.floor
        if differs or costs.tells_status or (bench.cache is not None and bench.traced_read(bench.take())[0].stored):
            cached.append(route)
    bench.route = (cached or list(candidates))[0]
    if bench.routes.write is None or len(candidates) == 1:
        return
    for route in cached or candidates:
        bench.route = route
        observations = EXECUTED["delete-the-read-key"](bench, 2)[0] if bench.cache is not None else None
        if observations is not None and set(observations.trials) & {"fresh-after", "still-stale"}:
            return
    bench.route = (cached or list(candidates))[0]


def _make(bench: Bench, state: _State, experiment: Experiment, progress: Progress) -> None:
    """Repeat one experiment until its outcome is beyond chance, or no more trials are allowed."""
    progress(experiment.id)
    bench.calls.experiment = experiment.id
    bench.renew()
    begun_s = time.monotonic()
    gathered: dict[str, Observations] = {}
    exact = any(outcome.exact for outcome in experiment.outcomes)
    brief = exact and experiment.seconds < _LONG_S and experiment.trials < _WHOLE_SAMPLE
    trials = min(_FIRST_TRIALS, experiment.trials) if brief else experiment.trials
    if experiment.look:
        trials = _LOOK_TRIALS
    result: Decided | Undecided | None = None
    for number in range(_MOST_IF_FAULTY):
        for observations in EXECUTED[experiment.id](bench, trials):
            earlier = gathered.get(observations.experiment)
            gathered[observations.experiment] = _together(earlier, observations)
        own = gathered.get(experiment.id, Observations(experiment.id))
        result = outcome_of(experiment, own)
        if isinstance(result, Decided) and not _too_few(experiment, result):
            break
        if number + 1 >= _MOST_ROUNDS and not (isinstance(result, Undecided) and _seen_faulty(experiment, own)):
            break
        wanted = result.more_trials if isinstance(result, Undecided) else experiment.trials
        trials = min(wanted, max(experiment.trials - own.count, 2 * _FIRST_TRIALS))
        if number + 1 >= _MOST_ROUNDS:
            trials = min(wanted, experiment.trials)
        if trials <= 0 or state.means.budget_s <= 0:
            break
    for within in answered_within(experiment, state.means):
        execute = EXECUTED.get(within.id, EXECUTED[experiment.id])
        if execute is not EXECUTED[experiment.id] and within.id not in state.tried:
            for observations in execute(bench, within.trials):
                gathered.setdefault(observations.experiment, observations)
    seconds = round(time.monotonic() - begun_s, 2)
    state.tried.append(experiment.id)
    _record(state, experiment.id, result, gathered.get(experiment.id), seconds)
    for name, observations in gathered.items():
        if name != experiment.id and name not in state.tried:
            other = outcome_of(EXPERIMENTS[name], observations)
            if isinstance(other, Decided):
                state.tried.append(name)
                _record(state, name, other, observations, None)


def _too_few(experiment: Experiment, decided: Decided) -> bool:
    """A healthy outcome of few trials: what is rare would not have been seen."""
    return decided.outcome in experiment.healthy and not experiment.look and decided.total < experiment.trials


def _seen_faulty(experiment: Experiment, observations: Observations) -> bool:
    """Whether an outcome was seen that is exact: a few more trials tell how often."""
    return any(outcome.exact and observations.trials.get(outcome.id) for outcome in experiment.outcomes)


def _together(earlier: Observations | None, later: Observations) -> Observations:
    """The trials of two rounds; the rows of the later one where it has the worse outcome, else of the earlier one."""
    if earlier is None or not earlier.count:
        return later
    if not later.count:
        return earlier
    order = [outcome.id for outcome in EXPERIMENTS[earlier.experiment].outcomes]
    counts = {name: earlier.trials.get(name, 0) + later.trials.get(name, 0) for name in order}
    worst = [max(order.index(name) for name in one.trials) for one in (earlier, later)]
    shown = later if worst[1] > worst[0] else earlier
    rows: tuple[RowReference, ...] = shown.rows
    return Observations(
        earlier.experiment, {name: number for name, number in counts.items() if number}, rows, shown.facts
    )


def _record(
    state: _State,
    name: str,
    result: Decided | Undecided | None,
    observations: Observations | None,
    seconds: float | None,
) -> None:
    if isinstance(result, Decided):
        state.outcomes.append(result)
        state.records.append(experiment_record(result, seconds))
        return
    state.records.append(
        ExperimentRecord(
            id=name,
            total=observations.count if observations is not None else 0,
            seconds=seconds,
            lacking=list(observations.lacking) if observations is not None else [],
            facts=dict(observations.facts) if observations is not None else {},
        )
    )


def _written(state: _State, ended: End | DiagnosisEnd, routes: Routes, read: str) -> Diagnosis:
    write = routes.write
    return written_diagnosis(
        state.elimination,
        replace(state.means, budget_s=state.budget_s),
        ended,
        state.records,
        case=state.case,
        run=state.run,
        read=f"GET {read}",
        write=f"{write.method} {write.path}" if write is not None else None,
    )

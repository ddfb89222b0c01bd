"""A write that the service refuses changes nothing: the old value is the right one, and no reader of it is a victim."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from experiments.pretended import Pretended
from luckyhit.experiments import restarts
from luckyhit.experiments.means.bench import Written
from luckyhit.experiments.means.routes import Key
from luckyhit.judge.diagnosis.outcome import Observations


class Refusing(Pretended):
    """Writes of two things in five are refused; `keeps`: what is accepted stays in the cache as it was."""

    def __init__(self, *, keeps: bool = False) -> None:
        super().__init__(env={"WORKERS": "2"})
        self.stack.settings = self.stack.settings.__class__({"WORKERS": "2"})
        self.relay = SimpleNamespace(cut_subscribers=lambda: 1, refuse=lambda refusing: None)
        self.keeps = keeps

    def write(self, key: Key, version: int | None = None) -> Written:
        if int(key) % 5 in (2, 3):
            return Written(next(self._numbers), time.monotonic(), False, next(self._rows), 409, 1.0)
        entry = self.stored.get(key)
        written = super().write(key, version)
        if self.keeps and entry is not None:
            self.stored[key] = entry
        return written


EXPERIMENTS = {
    "restart": restarts.restart,
    "one-worker": restarts.one_worker,
    "cut-the-signal": restarts.cut_the_signal,
    "stop-cache-during-write": restarts.stop_cache_during_write,
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "_RECONNECTS_WITHIN_S", 0.0)


def seen(experiment: str, bench: Refusing, trials: int) -> Observations:
    (observations,) = EXPERIMENTS[experiment](bench, trials)
    return observations


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_old_value_after_a_refusal_is_not_stale(experiment: str) -> None:
    trials = seen(experiment, Refusing(), 8).trials
    assert trials and not [outcome for outcome in trials if outcome.startswith("stale") or outcome == "write-fails"]


@pytest.mark.parametrize(
    ("experiment", "trials"),
    # Things 3 to 10, behind a first look at two, and 1 to 8.
    [("cut-the-signal", {"stale-as-before": 5}), ("restart", {"stale-after-restart": 4})],
)
def test_each_accepted_write_counts_once(experiment: str, trials: dict[str, int]) -> None:
    """Beside refused ones the fault still shows, by as many trials as there were."""
    assert seen(experiment, Refusing(keeps=True), 8).trials == trials

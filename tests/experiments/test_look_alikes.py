"""What looks like a fault, and is none; and the fault beside it, which still shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from experiments.pretended import Pretended
from luckyhit.experiments import lifetimes
from luckyhit.experiments.after_writes import unrelated_write, write_then_read
from luckyhit.experiments.answers import answers_when_loaded, read_stored_entries
from luckyhit.experiments.lifetimes import entry_lifetime
from luckyhit.experiments.means.bench import Costs, Trial
from luckyhit.experiments.means.settings_in_force import scaled, ttl_setting
from luckyhit.experiments.overlaps import overlapping_reads
from luckyhit.experiments.repeats import repeat_request
from luckyhit.experiments.surroundings import databases_in_use
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.outcome import Observations, Undecided, outcome_of

CONDITIONAL = "write-then-conditional-read"


def outcomes(observations: list[Observations], experiment: str) -> set[str]:
    return set(next(one for one in observations if one.experiment == experiment).trials)


@pytest.mark.parametrize(
    ("bench", "outcome"),
    [
        (Pretended(), "still-hit"),
        (Pretended(lives_s=0.01), "misses-anyway"),
        (Pretended(writes_empty=True), "miss"),
    ],
)
@pytest.mark.parametrize("tells", [True, False])
def test_a_write_is_blamed_for_its_own_misses(bench: Pretended, outcome: str, tells: bool) -> None:
    """Also where no answer tells whether it was loaded."""
    bench.costs = Costs(calls=1, floor=0) if tells else Costs()
    assert outcomes(unrelated_write(bench, 3), "unrelated-write") == {outcome}


@pytest.mark.parametrize(
    ("bench", "outcome"),
    [
        (Pretended(beside=("asked",)), "one-key"),
        (Pretended(beside=("asked",), lives_s=0.0), "stored-again"),
    ],
)
def test_what_a_hit_stores_beside_is_no_entry(bench: Pretended, outcome: str) -> None:
    assert outcomes(repeat_request(bench, 3), "keys-of-a-repeat") == {outcome}


@pytest.mark.parametrize(("kept", "expected"), [(True, {"as-plain", "conditional-stale"}), (False, {"as-plain"})])
def test_a_validator_is_asked_before_a_plain_read(kept: bool, expected: set[str]) -> None:
    """A plain answer puts its own validator in the place of the old one, so behind it nothing is old."""
    observations = write_then_read(Pretended(etags_kept=kept), 4)
    assert outcomes(observations, "write-then-read") == {"fresh"}
    assert outcomes(observations, CONDITIONAL) == expected


def _obeying(bench: Pretended) -> Pretended:
    def on_restart(env: Mapping[str, str]) -> None:
        bench.lives_s = float(env.get("ITEM_TTL_S", 600))

    bench.on_restart = on_restart
    return bench


def test_an_end_that_stands_in_the_value_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "_BRIEF_S", 1.0)
    bench = _obeying(Pretended(lives_s=600, env={"ITEM_TTL_S": "600"}))
    assert outcomes(entry_lifetime(bench, 4), "entry-lifetime") == {"as-declared"}
    assert bench.lives_s == 600


def test_a_time_of_something_else_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "_LATE_S", 0.1)
    (observations,) = entry_lifetime(Pretended(env={"SESSION_TTL_S": "600"}), 4)
    assert not observations.trials and observations.lacking


def test_a_promise_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "_LATE_S", 0.1)
    for lives_s, outcome in ((1.0, "as-declared"), (600.0, "no-ttl")):
        bench = Pretended(lives_s=lives_s, bound_s=1.0)
        bench.left_by_writes = True
        assert outcomes(entry_lifetime(bench, 4), "entry-lifetime") == {outcome}


def test_nothing_declared_is_nothing_wrong() -> None:
    assert outcomes(entry_lifetime(Pretended(), 4), "entry-lifetime") == {"undeclared"}


def test_one_variable_of_the_case_is_the_setting() -> None:
    bench = Pretended(env={"ITEM_TTL_S": "60"})
    bench.configured = {"TTL": "60", "TTL_S": "61"}
    assert ttl_setting(bench) == ("ITEM_TTL_S", 60.0)
    assert scaled(bench, "ITEM_TTL_S", 0.5) == "30"
    assert scaled(bench, "ITEM_TTL_S", 0.001) == "1"


@pytest.mark.parametrize(
    ("begun_ms", "outcome"),
    [
        ([-20.0, -15.0, -11.0, -9.0, -5.0, -1.0], "stale-after-overlap"),
        ([-3.0, -2.0, -1.0, 0.0], "raced"),
        ([-9.0, 9.0], "raced"),
    ],
)
def test_an_instant_of_a_load_is_no_slow_loader(
    begun_ms: list[float], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty readers are aimed at the time of a load and a write; when those began that are old tells its window."""
    bench = Pretended()
    bench.costs.load_ms = 30.0
    made = [Trial("stale-after-overlap", facts={"begun_ms": at_ms}) for at_ms in begun_ms]
    made += [Trial("fresh")] * (30 - len(made))
    monkeypatch.setattr(bench, "each", lambda *_, **__: made)
    assert outcomes(overlapping_reads(bench, 30), "overlapping-reads") == {"fresh", outcome}


def test_what_storing_makes_of_a_number_is_told() -> None:
    """Right as it is loaded, a text once it was read back."""
    bench = Pretended()
    bench.routes.workload_keys = range(1, 9)
    for spoilt, outcome in ((False, "as-expected"), (True, "wrong-when-read-again")):
        bench.spoils_hits = spoilt
        assert outcomes(answers_when_loaded(bench, 6), "answers-when-loaded") == {outcome}


def test_an_empty_cache_is_no_first_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, no trial is counted, and no class is excluded by what nobody read."""
    bench = Pretended()
    monkeypatch.setattr(bench, "read", lambda *_, **__: pytest.fail("a request was sent"))
    (observations,) = read_stored_entries(bench, 6)
    assert (observations.count, observations.rows, observations.lacking) == (0, (), ("stored-entries",))
    assert outcome_of(EXPERIMENTS[observations.experiment], observations) == Undecided(
        "read-stored-entries", 0, ("stored-entries",)
    )


def test_a_database_is_known_by_how_it_begins(tmp_path: Path) -> None:
    """Whatever its name; notes beside it are none."""
    bench = Pretended()
    bench.cache = None
    bench.stack.workdir, bench.stack.service_pid, bench.stack.base_url = tmp_path, None, "http://127.0.0.1:1"
    for name in ("items", "items.replica"):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            database.execute("CREATE TABLE item (id INTEGER)")
    (tmp_path / "notes.txt").write_text("SQLite is used here")
    (observations,) = databases_in_use(bench, 1)
    assert set(observations.trials) == {"several-databases"} and observations.facts["databases"] == 2

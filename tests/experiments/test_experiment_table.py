"""Each experiment of the table is made, or needs what no stack of our own can give."""

from __future__ import annotations

from luckyhit.experiments.experiment_table import EXECUTED
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS

OUT_OF_REACH = {
    "baseline",
    "database-relay",
    "front-layer",
    "origin-fault",
    "replica-setting",
}


def test_only_experiments_of_the_table_are_made() -> None:
    assert set(EXECUTED) <= set(EXPERIMENTS)


def test_what_is_not_made_needs_what_can_not_be_had() -> None:
    missing = {name: set(EXPERIMENTS[name].needs) for name in set(EXPERIMENTS) - set(EXECUTED)}
    assert all(needs & OUT_OF_REACH for needs in missing.values()), missing
    assert not any(set(EXPERIMENTS[name].needs) & OUT_OF_REACH for name in EXECUTED)


def test_what_another_answers_is_made_by_the_same_function() -> None:
    for name in EXECUTED:
        if (parent := EXPERIMENTS[name].within) and name != "keys-read-and-deleted":
            assert EXECUTED[name] is EXECUTED[parent]

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from luckyhit.caches import cache_identity
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change.journal import Journal
from luckyhit.change.lock import target_identities, target_lock
from luckyhit.change.processes import myself
from luckyhit.errors import TargetBusy

URL_TARGET = {"url": "http://shop.test:8080"}
OBSERVED = {"design": "crossover", "change": {"kind": "none", "what": "compare with itself"}}


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case(target=URL_TARGET, cache={"clear": ["a:{id}"], "url_env": "SHOP_CACHE"}, **OBSERVED)


ENVIRON = {"SHOP_CACHE": "redis://me:hunter2@Cache.test/3"}


def test_names_of_a_target_have_no_secrets(case: Case, make_case: Callable[..., Case]) -> None:
    assert target_identities(case, ENVIRON) == ["cache cache.test:6379/3", "service shop.test:8080"]
    assert target_identities(make_case(), ENVIRON) == []
    assert cache_identity("rediss://x:1/0") != cache_identity("rediss://x:1/1")


def test_two_runs_never_meet(case: Case, tmp_path: Path) -> None:
    with target_lock(case, tmp_path, run="one", environ=ENVIRON):
        busy = pytest.raises(TargetBusy, match=rf"run one, process {os.getpid()}")
        with busy as raised, target_lock(case, tmp_path, environ=ENVIRON):
            raise AssertionError("two runs on one target")
        assert "hunter2" not in str(raised.value)
    with target_lock(case, tmp_path, environ=ENVIRON):
        pass


def test_one_shared_part_is_enough(case: Case, make_case: Callable[..., Case], tmp_path: Path) -> None:
    other = make_case(target={"url": "http://other.test"}, cache={"clear": ["b"], "url_env": "SHOP_CACHE"}, **OBSERVED)
    with target_lock(case, tmp_path, environ=ENVIRON):
        with (
            pytest.raises(TargetBusy, match=r"cache cache\.test:6379/3"),
            target_lock(other, tmp_path, environ=ENVIRON),
        ):
            pass
        with target_lock(other, tmp_path, environ={"SHOP_CACHE": "redis://elsewhere.test"}):
            pass


def test_runs_that_share_nothing_run_side_by_side(make_case: Callable[..., Case], tmp_path: Path) -> None:
    case = make_case()
    with target_lock(case, tmp_path) as names, target_lock(case, tmp_path):
        assert names == []


def test_a_fixed_port_is_shared(make_case: Callable[..., Case], tmp_path: Path) -> None:
    start = {"command": ["serve", "{cache_url}"], "port": 8123}
    case = make_case(target={"start": start}, design="crossover")
    with target_lock(case, tmp_path), pytest.raises(TargetBusy, match="port 8123"), target_lock(case, tmp_path):
        pass


def test_a_run_that_is_killed_lets_go(case: Case, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from luckyhit.change.lock import _held\n"
        "with _held('service shop.test:8080', Path(sys.argv[1]), 'killed'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            with pytest.raises(TargetBusy, match="run killed"), target_lock(case, tmp_path, environ=ENVIRON):
                pass
        finally:
            other.send_signal(signal.SIGKILL)
    with target_lock(case, tmp_path, environ=ENVIRON):
        pass


def test_target_with_an_open_step_is_refused(case: Case, run: CaseRun, tmp_path: Path) -> None:
    runs_dir = run.path.parents[1]
    journal = Journal(run.path / "journal.jsonl")
    inverse = {"kind": "restore", "backup": "b", "cache": "cache.test:6379/3", "url_env": "SHOP_CACHE"}
    step = journal.intend("clear", {}, inverse)
    with pytest.raises(TargetBusy) as raised, target_lock(case, runs_dir, environ=ENVIRON):
        pass
    assert f"luckyhit revert {run.id}" in raised.value.hint and "cache cache.test:6379/3" in raised.value.message
    with target_lock(case, runs_dir, run=run.id, environ=ENVIRON):
        pass
    with target_lock(case, runs_dir, environ={"SHOP_CACHE": "redis://elsewhere.test"}):
        pass
    journal.undo(step)
    with target_lock(case, runs_dir, environ=ENVIRON):
        pass


def test_runs_kept_elsewhere_meet_too(case: Case, run: CaseRun, tmp_path: Path) -> None:
    with target_lock(case, run.path.parents[1], run=run.id, environ=ENVIRON):
        busy = pytest.raises(TargetBusy, match=f"run {run.id}")
        with busy, target_lock(case, tmp_path / "other-runs", environ=ENVIRON):
            pass
        inverse = {"kind": "restore", "backup": "b", "cache": "cache.test:6379/3", "url_env": "SHOP_CACHE"}
        journal = Journal(run.path / "journal.jsonl")
        step = journal.intend("clear", {}, inverse)
    for _ in range(2):  # it is not forgotten by being met once
        with pytest.raises(TargetBusy) as raised, target_lock(case, tmp_path / "other-runs", environ=ENVIRON):
            pass
        assert f"luckyhit revert {run.path}" in raised.value.hint
    journal.undo(step)
    with target_lock(case, tmp_path / "other-runs", environ=ENVIRON):
        pass


def test_an_unreadable_journal_counts_as_open(case: Case, run: CaseRun) -> None:
    (run.path / "journal.jsonl").write_bytes(b"\0\n")
    with (
        pytest.raises(TargetBusy, match="journal"),
        target_lock(case, run.path.parents[1], environ=ENVIRON),
    ):
        pass


@pytest.mark.parametrize("lives", [False, True])
def test_service_counts_as_open_while_it_lives(lives: bool, make_case: Callable[..., Case], run: CaseRun) -> None:
    start: dict[str, Any] = {"command": ["serve", "{cache_url}"], "port": 8123}
    case = make_case(target={"start": start}, design="crossover")
    journal = Journal(run.path / "journal.jsonl")
    step = journal.intend("start", {"target": ["port 8123"]}, {"kind": "end-processes"})
    service = {**myself(), "what": "service"}
    journal.confirm(step, {"processes": [service if lives else {**service, "created": service["created"] - 1000}]})
    refused = pytest.raises(TargetBusy, match="port 8123") if lives else nullcontext()
    with refused, target_lock(case, run.path.parents[1]):
        pass

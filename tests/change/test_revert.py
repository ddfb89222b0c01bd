from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import redis

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case_run import CaseRun
from luckyhit.change import processes
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.change.lock import steps_left_open
from luckyhit.change.revert import close_steps, revert_run
from luckyhit.errors import RollbackNotConfirmed, TargetBusy
from tier import one_of_many

SPEC = {"clear": ["a:{id}"], "url_env": "SHOP_CACHE", "dedicated": True, "rebuildable": True}


@pytest.fixture
def environ(cache: Any) -> dict[str, str]:
    return {"SHOP_CACHE": cache.url}


@pytest.fixture
def start() -> Iterator[Callable[..., psutil.Process]]:
    """Start a process that sleeps; `env` is added to its environment."""
    with contextlib.ExitStack() as started:

        def go(**env: str) -> psutil.Process:
            code = "import time; print('up', flush=True); time.sleep(60)"
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, **env})
            started.enter_context(process)
            started.callback(process.kill)
            assert process.stdout is not None and process.stdout.readline() == b"up\n"
            return psutil.Process(process.pid)

        yield go


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def cleared(cache: Any, journal: Journal) -> Any:
    return clear(cache, CacheSpec.model_validate(SPEC), journal)


def started(journal: Journal, *recorded: dict[str, Any]) -> int:
    step = journal.intend("start", {}, {"kind": "end-processes"})
    journal.confirm(step, {"processes": list(recorded)})
    return step


def test_run_without_a_journal_is_reverted(run: CaseRun) -> None:
    assert revert_run(run).confirmed and not (run.path / "journal.jsonl").exists()


def test_processes_of_the_run_are_ended_and_no_others(
    run: CaseRun, journal: Journal, start: Callable[..., psutil.Process]
) -> None:
    workdir = run.path / "work" / "after"
    workdir.mkdir(parents=True)
    recorded, bystander, recycled = start(), start(), start()
    # Started right before a crash, so not recorded; and a shell that was once in the run's directory.
    unrecorded, shell = start(DATABASE=f"sqlite:///{workdir}/shop.db"), start(OLDPWD=str(workdir))
    # The pid of a process that was created at another time: the recorded one is long gone.
    wrong = {**processes.identify(recycled, "service"), "created": recycled.create_time() - 1000}
    started(journal, processes.identify(recorded, "service"), wrong)
    journal.intend("apply", {"stack": "before"}, {"kind": "restart", "settings": {}})
    assert revert_run(run).confirmed and journal.open_steps() == []
    assert [gone(process) for process in (recorded, unrecorded, bystander, recycled, shell)] == [True] * 2 + [False] * 3
    steps = journal.steps()
    assert revert_run(run).confirmed and journal.steps() == steps


def test_run_in_progress_is_not_reverted(run: CaseRun, journal: Journal, start: Callable[..., psutil.Process]) -> None:
    runner, service = start(), start()
    inverse = {"kind": "restart", "settings": {}}
    step = journal.intend("apply", {"run_process": processes.identify(runner, "run")}, inverse)
    journal.confirm(step, {"processes": [processes.identify(service, "service")]})
    with pytest.raises(TargetBusy, match=str(runner.pid)):
        revert_run(run)
    assert not gone(service)
    runner.kill()
    runner.wait()
    assert revert_run(run).confirmed and gone(service)


def test_cleared_keys_come_back_once(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    client.set("a:1", "x", ex=500)
    client.set("a:2", "y")
    report = cleared(cache, journal)
    assert client.dbsize() == 0
    assert revert_run(run, environ=environ).confirmed and journal.steps()[0].outcome["restored"] == 2
    assert (client.get("a:1"), client.get("a:2"), client.pttl("a:2")) == (b"x", b"y", -1)
    assert abs(client.pttl("a:1") - 500_000) < 5_000
    assert not (run.path / str(report.backup)).exists()
    client.delete("a:1")
    assert revert_run(run, environ=environ).confirmed and not client.exists("a:1")


@pytest.mark.parametrize("database", [None, 5], ids=["not set", "another cache"])
def test_keys_are_written_to_no_other_cache(
    database: int | None, run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    client.set("a:1", "x", ex=500)
    cleared(cache, journal)
    elsewhere = cache.url.removesuffix("/0") + "/5"
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, environ={} if database is None else {"SHOP_CACHE": elsewhere})
    assert "Export SHOP_CACHE" in failed.value.hint
    with redis.Redis.from_url(elsewhere) as other:
        assert other.dbsize() == 0
    assert revert_run(run, environ=environ).confirmed and client.get("a:1") == b"x"


def test_unreachable_cache_is_tried_again(run: CaseRun, journal: Journal) -> None:
    inverse = {"kind": "restore", "backup": "none.backup", "cache": "127.0.0.1:1/0", "url_env": "SHOP_CACHE"}
    journal.intend("clear", {}, inverse)
    writer = BackupWriter(run.path / "none.backup")
    writer.add([BackupEntry(b"a:1", b"payload", 0)])
    writer.close()
    pauses: list[float] = []
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, environ={"SHOP_CACHE": "redis://127.0.0.1:1/0"}, sleep=pauses.append)
    assert len(pauses) == 2 and failed.value.hint
    assert len(journal.open_steps()) == 1 and (run.path / "none.backup").exists()


def test_one_failure_does_not_stop_the_other_steps(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str],
    start: Callable[..., psutil.Process],
) -> None:  # fmt: skip
    service = start()
    started(journal, processes.identify(service, "service"))
    client.set("a:1", "x", ex=500)
    cleared(cache, journal)
    unknown = journal.intend("teleport", {}, {"kind": "beam-back", "to": "before"})
    with pytest.raises(RollbackNotConfirmed, match="teleport") as raised:
        revert_run(run, environ=environ)
    assert "beam-back" in raised.value.hint
    assert gone(service) and client.get("a:1") == b"x"
    assert [step.id for step in journal.open_steps()] == [unknown]


def test_unreadable_journal_is_an_error(run: CaseRun) -> None:
    (run.path / "journal.jsonl").write_bytes(b"{}\n")
    with pytest.raises(RollbackNotConfirmed, match="line 1"):
        revert_run(run)


def test_run_that_ended_well_keeps_its_clears(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str],
    start: Callable[..., psutil.Process],
) -> None:  # fmt: skip
    service = start()
    step = started(journal, processes.identify(service, "service"))
    change = journal.intend("apply", {}, {"kind": "restart"})
    client.set("a:1", "x", ex=500)
    report = cleared(cache, journal)
    close_steps(journal)
    assert {step.id for step in journal.open_steps()} == {step, change}
    service.kill()
    service.wait()
    journal.undo(change)
    close_steps(journal)
    assert journal.open_steps() == [] and not (run.path / str(report.backup)).exists()
    assert revert_run(run, environ=environ).confirmed and client.dbsize() == 0


def test_first_clear_of_a_run_is_what_comes_back(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    client.set("a:1", "from before", ex=500)
    cleared(cache, journal)
    client.mset({"a:1": "by the first block", "a:2": "by the first block"})
    cleared(cache, journal)
    client.set("a:3", "by the second block", ex=500)
    assert revert_run(run, environ=environ).confirmed
    assert client.get("a:1") == b"from before" and 495 <= client.ttl("a:1") <= 500
    assert client.get("a:3") == b"by the second block"
    assert journal.open_steps() == [] and list(run.path.glob("*.backup")) == []


def test_clears_between_two_steps_are_at_rest_and_revertible(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    client.set("a:1", "from before", ex=500)
    cleared(cache, journal)
    close_steps(journal, final=False)
    assert steps_left_open(journal) == [] and list(run.path.glob("*.backup"))
    client.set("a:2", "by the baseline", ex=500)
    cleared(cache, journal)  # the next step, which is killed
    assert steps_left_open(journal)
    assert revert_run(run, environ=environ).confirmed and client.get("a:1") == b"from before"
    assert list(run.path.glob("*.backup")) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from luckyhit.caches import backup, cache_at
from luckyhit.case.cache_spec import Cache
from luckyhit.change import clear, journal

moment, run, url = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying(function, when, count=1):
    calls = [0]
    def wrapped(*args, **kwargs):
        calls[0] += 1
        if calls[0] == count and when == "before":
            die()
        answer = function(*args, **kwargs)
        if calls[0] == count and when == "after":
            die()
        return answer
    return wrapped

def torn(self, file, event, original=journal.Journal._append):
    if event["event"] == "confirm":
        file.write(b'{"event": "confi')
        die()
    original(self, file, event)

moments = {
    "before the backup": (backup.BackupWriter, "add", dying(backup.BackupWriter.add, "before")),
    "in the backup": (backup.BackupWriter, "add", dying(backup.BackupWriter.add, "after", 2)),
    "before the intent": (journal.Journal, "intend", dying(journal.Journal.intend, "before")),
    "after the intent": (journal.Journal, "intend", dying(journal.Journal.intend, "after")),
    "before the confirmation": (journal.Journal, "confirm", dying(journal.Journal.confirm, "before")),
    "in the confirmation": (journal.Journal, "_append", torn),
    "after the confirmation": (journal.Journal, "confirm", dying(journal.Journal.confirm, "after")),
}
if moment in moments:
    owner, name, replacement = moments[moment]
    setattr(owner, name, replacement)
on_progress = (lambda done, total: die() if done >= 40 else None) if moment == "between two batches" else None
spec = Cache.model_validate({"clear": ["a:{id}"], "url_env": "SHOP_CACHE", "dedicated": True, "rebuildable": True})
clear(cache_at(url), spec, journal.Journal(run / "journal.jsonl"), on_progress=on_progress)
"""
MOMENTS = [
    "before the backup", "in the backup", "before the intent", "after the intent", "between two batches",
    "before the confirmation", "in the confirmation", "after the confirmation",
]  # fmt: skip


@pytest.mark.parametrize("moment", [one_of_many(one, quick=place % 3 == 1) for place, one in enumerate(MOMENTS)])
def test_clear_killed_at_any_step_can_be_reverted(
    moment: str, run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    ttl_s = {f"a:{number}".encode(): 1000 + number if number % 3 else None for number in range(100)}
    for key, seconds in ttl_s.items():
        client.set(key, key + b"\xff", ex=seconds)
    client.mset({f"session:{number}": "s" for number in range(10)})
    command = [sys.executable, "-c", KILLED, moment, str(run.path), cache.url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert revert_run(run, environ=environ).confirmed and revert_run(run, environ=environ).confirmed
    assert client.dbsize() == 110 and journal.open_steps() == []
    for key, seconds in ttl_s.items():
        assert client.get(key) == key + b"\xff"
        left_ms = client.pttl(key)
        # Some seconds may have gone by; a time to live that began anew would be whole.
        assert left_ms == -1 if seconds is None else 900_000 < left_ms <= seconds * 1000

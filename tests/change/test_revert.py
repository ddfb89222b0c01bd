from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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
from luckyhit.change.leftovers import still_open
from luckyhit.change.revert import revert_run, settle
from luckyhit.errors import RollbackNotConfirmed, TargetBusy
from tier import one_of_many

SPEC = {"clear": ["a:{id}"], "url_env": "SHOP_CACHE", "dedicated": True, "rebuildable": True}


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


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


def test_a_run_that_changed_nothing(run: CaseRun) -> None:
    rollback = revert_run(run)
    assert rollback.confirmed and "Nothing was changed" in rollback.detail
    assert not (run.path / "journal.jsonl").exists()


def test_processes_of_a_killed_run_are_ended_and_no_others(
    run: CaseRun, journal: Journal, start: Callable[..., psutil.Process]
) -> None:
    service, bystander, recycled = start(), start(), start()
    step = journal.intend("start", {"stack": "before"}, {"kind": "end-processes"})
    # The third entry has the pid of a process that was created at another time: the recorded one is long gone.
    wrong = {**processes.identify(recycled, "service"), "created": recycled.create_time() - 1000}
    journal.confirm(step, {"processes": [processes.identify(service, "service"), wrong]})
    apply = journal.intend("apply", {"stack": "before"}, {"kind": "restart", "settings": {}})
    rollback = revert_run(run)
    assert rollback.confirmed and "2 open steps closed (apply, start)" in rollback.detail
    assert "1 processes" in rollback.detail
    assert gone(service) and not gone(bystander) and not gone(recycled)
    assert journal.open_steps() == [] and apply
    again = revert_run(run)
    assert again.confirmed and "Nothing was left to undo" in again.detail


def test_a_process_that_was_not_yet_recorded_is_found_by_its_working_directory(
    run: CaseRun, journal: Journal, start: Callable[..., psutil.Process]
) -> None:
    workdir = run.path / "work" / "after"
    workdir.mkdir(parents=True)
    unrecorded = start(DATABASE=f"sqlite:///{workdir}/shop.db")
    shell = start(OLDPWD=str(workdir))
    journal.intend("start", {"stack": "after"}, {"kind": "end-processes"})
    assert revert_run(run).confirmed
    assert gone(unrecorded) and not gone(shell)


def test_a_run_that_still_goes_on_is_not_reverted_under_its_feet(
    run: CaseRun, journal: Journal, start: Callable[..., psutil.Process]
) -> None:
    runner, service = start(), start()
    step = journal.intend(
        "apply", {"run_process": processes.identify(runner, "run")}, {"kind": "restart", "settings": {}}
    )
    journal.confirm(step, {"processes": [processes.identify(service, "service")]})
    with pytest.raises(TargetBusy, match=f"still goes on in process {runner.pid}"):
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
    report = clear(cache, CacheSpec.model_validate(SPEC), journal)
    assert client.dbsize() == 0
    rollback = revert_run(run, environ=environ)
    assert rollback.confirmed and "2 cleared keys put back" in rollback.detail
    assert (client.get("a:1"), client.get("a:2"), client.pttl("a:2")) == (b"x", b"y", -1)
    assert abs(client.pttl("a:1") - 500_000) < 5_000
    assert not (run.path / str(report.backup)).exists()
    client.delete("a:1")
    assert "Nothing was left" in revert_run(run, environ=environ).detail
    assert client.dbsize() == 1


def test_where_the_cache_can_not_be_told_nothing_is_written_anywhere(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, server: Any, environ: dict[str, str]
) -> None:
    client.set("a:1", "x", ex=500)
    clear(cache, CacheSpec.model_validate(SPEC), journal)
    with pytest.raises(RollbackNotConfirmed, match="SHOP_CACHE, which holds the cache's URL, is not set") as raised:
        revert_run(run, environ={})
    assert "Export SHOP_CACHE" in raised.value.hint and f"luckyhit revert {run.path}" in raised.value.hint
    elsewhere = f"redis://127.0.0.1:{server.port}/5"
    with pytest.raises(RollbackNotConfirmed, match=r"names 127.0.0.1:\d+/5, but the keys were cleared from"):
        revert_run(run, environ={"SHOP_CACHE": elsewhere})
    with redis.Redis.from_url(elsewhere) as other:
        assert other.dbsize() == 0
    assert revert_run(run, environ=environ).confirmed and client.get("a:1") == b"x"


def test_a_cache_that_is_away_is_tried_again_then_told(run: CaseRun, journal: Journal) -> None:
    inverse = {"kind": "restore", "backup": "none.backup", "cache": "127.0.0.1:1/0", "url_env": "SHOP_CACHE"}
    journal.intend("clear", {}, inverse)
    writer = BackupWriter(run.path / "none.backup")
    writer.add([BackupEntry(b"a:1", b"payload", 0)])
    writer.close()
    pauses: list[float] = []
    with pytest.raises(RollbackNotConfirmed, match="does not answer") as raised:
        revert_run(run, environ={"SHOP_CACHE": "redis://127.0.0.1:1/0"}, sleep=pauses.append)
    assert len(pauses) == 2 and "Check that it runs" in raised.value.hint
    assert len(journal.open_steps()) == 1 and (run.path / "none.backup").exists()


def test_everything_else_is_undone_before_it_gives_up(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str],
    start: Callable[..., psutil.Process],
) -> None:  # fmt: skip
    service = start()
    step = journal.intend("start", {}, {"kind": "end-processes"})
    journal.confirm(step, {"processes": [processes.identify(service, "service")]})
    client.set("a:1", "x", ex=500)
    clear(cache, CacheSpec.model_validate(SPEC), journal)
    unknown = journal.intend("teleport", {}, {"kind": "beam-back", "to": "before"})
    with pytest.raises(RollbackNotConfirmed, match="does not know how to undo 'teleport'") as raised:
        revert_run(run, environ=environ)
    assert "beam-back" in raised.value.hint
    assert gone(service) and client.get("a:1") == b"x"
    assert [step.id for step in journal.open_steps()] == [unknown]


def test_an_unreadable_journal_is_said_not_skipped(run: CaseRun) -> None:
    (run.path / "journal.jsonl").write_bytes(b"{}\n")
    with pytest.raises(RollbackNotConfirmed, match="line 1"):
        revert_run(run)


def test_a_run_that_ended_well_keeps_its_clears_and_no_backups(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str],
    start: Callable[..., psutil.Process],
) -> None:  # fmt: skip
    service = start()
    step = journal.intend("start", {}, {"kind": "end-processes"})
    journal.confirm(step, {"processes": [processes.identify(service, "service")]})
    change = journal.intend("apply", {}, {"kind": "restart"})
    client.set("a:1", "x", ex=500)
    report = clear(cache, CacheSpec.model_validate(SPEC), journal)
    settle(journal)
    assert {step.id for step in journal.open_steps()} == {step, change}
    service.kill()
    service.wait()
    journal.undo(change)
    settle(journal)
    assert journal.open_steps() == [] and not (run.path / str(report.backup)).exists()
    assert "Nothing was left" in revert_run(run, environ=environ).detail and client.dbsize() == 0


# --- killed at every step ----------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("moment", [one_of_many(one, quick=place % 2 == 0) for place, one in enumerate(MOMENTS)])
def test_a_clear_killed_at_any_step_can_be_reverted(
    moment: str,
    run: CaseRun,
    journal: Journal,
    cache: Any,
    client: redis.Redis,
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    ttl_s = {f"a:{number}".encode(): 1000 + number if number % 3 else None for number in range(100)}
    started = time.monotonic()
    for key, seconds in ttl_s.items():
        client.set(key, key + b"\xff", ex=seconds)
    client.mset({f"session:{number}": "s" for number in range(10)})
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    done = subprocess.run([sys.executable, script, moment, run.path, cache.url], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert revert_run(run, environ=environ).confirmed
    assert revert_run(run, environ=environ).confirmed
    elapsed_s = time.monotonic() - started
    assert client.dbsize() == 110
    for key, seconds in ttl_s.items():
        assert client.get(key) == key + b"\xff"
        left_ms = client.pttl(key)
        if seconds is None:
            assert left_ms == -1
        else:
            assert (seconds - elapsed_s - 1) * 1000 <= left_ms <= seconds * 1000
    assert journal.open_steps() == []


def test_what_was_there_before_the_run_comes_back_and_not_what_the_run_had_put_there(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    spec = CacheSpec.model_validate(SPEC)
    client.set("a:1", "from before", ex=500)
    clear(cache, spec, journal)
    client.set("a:1", "by the first block", ex=500)
    client.set("a:2", "by the first block", ex=500)
    clear(cache, spec, journal)
    client.set("a:3", "by the second block", ex=500)
    rollback = revert_run(run, environ=environ)
    assert client.get("a:1") == b"from before" and 495 <= client.ttl("a:1") <= 500
    assert client.get("a:3") == b"by the second block"
    assert rollback.confirmed and journal.open_steps() == [] and list(run.path.glob("*.backup")) == []


def test_between_two_steps_of_a_run_its_clears_can_be_undone_and_are_in_nobodys_way(
    run: CaseRun, journal: Journal, cache: Any, client: redis.Redis, environ: dict[str, str]
) -> None:
    client.set("a:1", "from before", ex=500)
    clear(cache, CacheSpec.model_validate(SPEC), journal)
    settle(journal, final=False)
    assert still_open(journal) == [] and list(run.path.glob("*.backup"))
    client.set("a:2", "by the baseline", ex=500)
    clear(cache, CacheSpec.model_validate(SPEC), journal)  # the next step, which is killed
    assert still_open(journal)
    assert revert_run(run, environ=environ).confirmed and client.get("a:1") == b"from before"
    assert list(run.path.glob("*.backup")) == []

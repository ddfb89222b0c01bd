"""The change by an HTTP call, a command and a cache's setting, on live parts that somebody else runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flag_service import FlagService

from luckyhit.atomic import write_atomically
from luckyhit.caches.same_setting import same_value
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, apply, in_place, prepare, reset_block, revert_run, roll_back
from luckyhit.change.kinds import shown_state
from luckyhit.errors import GuardError, RollbackNotConfirmed, TargetError
from luckyhit.probe.undo_log import Ledger, ledger_of
from luckyhit.records.journal import Step
from luckyhit.system import Stack

ON, OFF = {"path": "/flags/new-keys", "body": {"on": True}}, {"path": "/flags/new-keys", "body": {"on": False}}
BY_HTTP = {
    "kind": "http",
    "what": "Read and delete the new keys",
    "apply": ON,
    "revert": OFF,
    "verify": {"path": "/flags", "value": "$.flags['new-keys']"},
    "before": "false",
    "after": "true",
    "within": "2s",
    "smallest": "One flag.",
}
BY_SETTING = {
    "kind": "cache-setting",
    "what": "Keep small hashes small",
    "name": "hash-max-listpack-entries",
    "before": "512",
    "after": "64",
    "smallest": "One setting.",
}


@pytest.fixture
def service() -> Iterator[FlagService]:
    with FlagService() as service:
        yield service


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


@pytest.fixture
def live(
    make_case: Callable[..., Case], run: CaseRun, service: FlagService, server: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Stack]:
    """`live(change)`: the service and the cache that run already, as a stack that may be changed. The run's directory
    holds that case."""
    monkeypatch.setenv("SHOP_CACHE", f"redis://127.0.0.1:{server.port}/0")
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-token")

    def make(change: dict[str, Any], *, parts: dict[str, Any] | None = None, **target: Any) -> Stack:
        case = make_case(
            **(parts or {}),
            change=change,
            design="crossover",
            target={"url": service.url, "allow_change": True, "environment": "staging", **target},
            cache={"clear": ["product:{id}:v1"], "url_env": "SHOP_CACHE", "dedicated": True},
        )
        write_atomically(run.path / "case.yml", case.model_dump_json(exclude_defaults=True))
        stack = Stack(case, "before", run.path / "work" / "before", project=run.path, allow_change=True)
        stack.start()
        return stack

    return make


@pytest.fixture
def admin(server: Any) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as client:
        client.config_set("hash-max-listpack-entries", 512)
        client.config_set("maxmemory", 0)
        yield client
        client.config_set("hash-max-listpack-entries", 512)
        client.config_set("maxmemory", 0)


def entries(client: redis.Redis) -> str:
    return client.config_get("hash-max-listpack-entries")["hash-max-listpack-entries"]


# By an HTTP call


def test_blocks_switch_the_flag_and_never_more_often_than_needed(
    live: Callable[..., Stack], service: FlagService, journal: Journal
) -> None:
    stack = live(BY_HTTP)
    for arm, on in (("before", False), ("after", True), ("after", True), ("before", False)):
        reset_block({arm: stack}, stack.case, journal)
        assert service.on is on and in_place(stack, journal) is on
    assert [asked.split()[-1] for asked in service.asked] == ["true}", "true}", "false}"]


def test_a_call_that_was_accepted_without_effect_is_no_change(
    live: Callable[..., Stack], service: FlagService, journal: Journal
) -> None:
    stack = live({**BY_HTTP, "within": "50ms"})
    service.deaf = True
    with pytest.raises(TargetError):
        apply(stack, journal)
    assert in_place(stack, journal)  # nobody knows: so it is taken back
    assert roll_back(stack, journal).confirmed and not in_place(stack, journal)


def test_a_flag_that_takes_a_moment_is_waited_for(
    live: Callable[..., Stack], service: FlagService, journal: Journal
) -> None:
    stack = live(BY_HTTP)
    service.slow = 4
    apply(stack, journal)
    assert shown_state(stack) == {"change.state": "true"}
    assert roll_back(stack, journal).confirmed


def test_a_refused_call_says_what_the_service_said(
    live: Callable[..., Stack], service: FlagService, journal: Journal
) -> None:
    service.refuse = [503]
    with pytest.raises(TargetError, match=r"answered 503 .*not now"):
        apply(live(BY_HTTP), journal)
    assert not service.on


def test_a_refused_inverse_is_sent_again(
    live: Callable[..., Stack], service: FlagService, journal: Journal, run: CaseRun
) -> None:
    apply(live(BY_HTTP), journal)
    service.refuse = [500, 502]
    assert revert_run(run, project=run.path, sleep=lambda _: None).confirmed and not service.on


def test_an_inverse_that_fails_says_what_to_do_by_hand_and_can_be_tried_again(
    live: Callable[..., Stack], service: FlagService, journal: Journal, run: CaseRun
) -> None:
    stack = live(BY_HTTP, headers_env={"X-Token": "SHOP_TOKEN"})
    apply(stack, journal)
    service.refuse = [500] * 3
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, project=run.path, sleep=lambda _: None)
    by_hand = f"curl --fail -X PUT {service.url}/flags/new-keys -d '{{\"on\": false}}'"
    assert failed.value.exit_code == 5 and by_hand in failed.value.hint and "$SHOP_TOKEN" in failed.value.hint
    assert service.on
    assert revert_run(run, project=run.path).confirmed and not service.on


def test_secrets_stay_out_of_the_journal(
    live: Callable[..., Stack], service: FlagService, journal: Journal, run: CaseRun
) -> None:
    service.token = "s3cret-token"
    apply(live(BY_HTTP, headers_env={"X-Token": "SHOP_TOKEN"}), journal)
    assert service.on and "s3cret" not in journal.path.read_text()
    assert revert_run(run, project=run.path).confirmed


def test_a_state_that_is_not_there_is_said(live: Callable[..., Stack], journal: Journal) -> None:
    stack = live({**BY_HTTP, "verify": {"path": "/flags", "value": "$.flags.old"}})
    with pytest.raises(TargetError, match=r"nothing at \$.flags.old"):
        prepare(stack)
    assert "not visible" in shown_state(stack)["change.state"]


# By a setting of the cache


def test_what_somebody_else_set_meanwhile_is_left_alone(
    live: Callable[..., Stack], admin: redis.Redis, journal: Journal, run: CaseRun
) -> None:
    apply(live(BY_SETTING), journal)
    admin.config_set("hash-max-listpack-entries", 99)
    rollback = revert_run(run, project=run.path)
    assert "somebody changed" in rollback.detail and entries(admin) == "99"


def test_a_size_is_the_same_in_any_spelling(live: Callable[..., Stack], admin: redis.Redis, journal: Journal) -> None:
    change = {**BY_SETTING, "name": "maxmemory", "before": "0", "after": "100mb"}
    stack = live(change)
    prepare(stack)
    apply(stack, journal)
    assert admin.config_get("maxmemory")["maxmemory"] == str(100 * 2**20)
    assert roll_back(stack, journal).confirmed and admin.config_get("maxmemory")["maxmemory"] == "0"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("100mb", "104857600", True), ("1k", "1000", True), ("NoEviction", "noeviction", True), ("1", "2", False),
     ("1kb", "1000", False), ("", "0", False)],
)  # fmt: skip
def test_spellings_of_a_setting(one: str, other: str, same: bool) -> None:
    assert same_value(one, other) is same


def test_a_value_that_the_server_refuses_changes_nothing(
    live: Callable[..., Stack], admin: redis.Redis, journal: Journal
) -> None:
    stack = live({**BY_SETTING, "after": "many"})
    with pytest.raises(TargetError, match="does not take 'many'"):
        apply(stack, journal)
    assert entries(admin) == "512" and roll_back(stack, journal).confirmed


def test_a_setting_that_is_not_as_declared_is_refused(
    live: Callable[..., Stack], admin: redis.Redis, journal: Journal
) -> None:
    with pytest.raises(GuardError, match="shows '512'; the case says '128'"):
        prepare(live({**BY_SETTING, "before": "128"}))
    with pytest.raises(GuardError, match="already"):
        prepare(live({**BY_SETTING, "before": None, "after": "512"}))
    assert journal.steps() == []


def test_a_cache_that_is_gone_says_what_to_do_by_hand(
    live: Callable[..., Stack], admin: redis.Redis, journal: Journal, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(live(BY_SETTING), journal)
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, project=run.path, environ={}, sleep=lambda _: None)
    assert "redis-cli CONFIG SET hash-max-listpack-entries '512'" in failed.value.hint
    assert revert_run(run, project=run.path).confirmed and entries(admin) == "512"


# By a command


def by_command(folder: Path, **more: Any) -> dict[str, Any]:
    """A switch in a file, set by one Python program."""
    program = "import pathlib, sys; f = pathlib.Path('switch'); a = sys.argv[1:]\nif a: f.write_text(a[0])\n"
    program += "print(f.read_text(), file=sys.stdout)\nprint('noise', file=sys.stderr)"
    (folder / "switch.py").write_text(program)
    (folder / "switch").write_text("old")
    tool = [sys.executable, "switch.py"]
    return {
        "kind": "command",
        "what": "Switch",
        "apply": [*tool, "new"],
        "revert": [*tool, "old"],
        "verify": tool,
        "before": "old",
        "after": "new",
        "within": "10s",
        "smallest": "One word.",
        **more,
    }


def test_a_command_that_half_succeeds_is_taken_back(live: Callable[..., Stack], journal: Journal, run: CaseRun) -> None:
    half = "import pathlib, sys; pathlib.Path('switch').write_text('half'); sys.exit('disk on fire')"
    stack = live(by_command(run.path, apply=[sys.executable, "-c", half]))
    with pytest.raises(TargetError, match="ended with exit code 1") as failed:
        apply(stack, journal)
    assert "disk on fire" in failed.value.log[-1] and in_place(stack, journal)
    assert roll_back(stack, journal).confirmed and (run.path / "switch").read_text() == "old"


def test_a_command_that_hangs_is_ended_with_its_children(
    live: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    hang = f"import os, pathlib, subprocess, sys; p = subprocess.Popen([{sys.executable!r}, '-c', 'input()'], "
    hang += "stdin=subprocess.PIPE); pathlib.Path('child').write_text(str(p.pid)); p.wait()"
    stack = live(by_command(run.path, apply=[sys.executable, "-c", hang], within="1s"))
    with pytest.raises(TargetError, match="did not end within 1s"):
        apply(stack, journal)
    with pytest.raises(ProcessLookupError):
        os.kill(int((run.path / "child").read_text()), 0)
    assert roll_back(stack, journal).confirmed


def test_an_inverse_that_fails_leaves_the_step_open(live: Callable[..., Stack], journal: Journal, run: CaseRun) -> None:
    change = by_command(run.path)
    apply(live(change), journal)
    program = (run.path / "switch.py").rename(run.path / "elsewhere.py")
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, project=run.path, sleep=lambda _: None)
    assert f"By hand: {sys.executable} switch.py old" in failed.value.hint and failed.value.exit_code == 5
    program.rename(run.path / "switch.py")
    assert revert_run(run, project=run.path).confirmed and (run.path / "switch").read_text() == "old"


def test_a_program_that_is_not_there_changes_nothing(
    live: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    with pytest.raises(TargetError, match="could not be run"):
        apply(live(by_command(run.path, apply=["no-such-program"])), journal)
    assert (run.path / "switch").read_text() == "old"


# What a probe that died had written


PROBE = {
    "write": {"path": "/prices/{key}", "body": {"cents": "{version}"}},
    "reads": [{"path": "/prices/{key}", "version": "$.cents"}],
    "keys": {"first": 100, "last": 200},
    "absent": {
        "keys": {"first": 300, "last": 310},
        "create": {"path": "/prices/{key}", "body": {"cents": "{version}"}},
        "remove": {"path": "/prices/{key}"},
    },
    "within": "100ms",
    "horizon": "1s",
}


@pytest.fixture
def died(live: Callable[..., Stack], service: FlagService, journal: Journal, run: CaseRun) -> Step:
    """A probe that wrote 100, 101 and 102 (which it had not read), made 300, and was killed."""
    live(BY_HTTP, parts={"freshness": PROBE})
    ledger = Ledger(run.path / ledger_of(3, "before"))
    for key, value in (("100", 1999), ("101", 5), ("102", None)):
        ledger.held(key, value)
    ledger.created("300")
    ledger.close()
    with (run.path / ledger_of(3, "before")).open("a") as file:
        file.write('{"key": "1')  # torn
    service.prices = {"100": 1_000_001, "101": 1_000_002, "102": 1_000_003, "300": 1_000_004, "7": 1}
    number = journal.intend("probe", {}, {"kind": "probe", "ledger": ledger_of(3, "before")})
    return next(step for step in journal.steps() if step.id == number)


def test_another_process_puts_back_what_a_probe_wrote(
    died: Step, service: FlagService, journal: Journal, run: CaseRun
) -> None:
    rollback = revert_run(run, project=run.path)
    assert service.prices == {"100": 1999, "101": 5, "102": 1_000_003, "7": 1}
    assert "2 of the probe's keys put back, 1 removed that it had made, 1 not" in rollback.detail
    assert died.open and journal.open_steps() == []


def test_a_probe_that_can_not_be_put_back_stays_open(
    died: Step, service: FlagService, journal: Journal, run: CaseRun
) -> None:
    service.refuse = [503]
    with pytest.raises(RollbackNotConfirmed, match=r"1 of the probe's keys could not be put back \(100\).*503"):
        revert_run(run, project=run.path)
    assert journal.open_steps() == [died]
    assert revert_run(run, project=run.path).confirmed and service.prices["100"] == 1999

"""What single kinds of change do beyond the suite of test_change_kinds, on parts that somebody else runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from flag_service import FlagService
from kind_worlds import SETTING, by_command, by_http

from luckyhit.caches.base import same_value
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, apply, prepare, reset_block, revert_run, roll_back
from luckyhit.change.kinds import shown_state
from luckyhit.errors import GuardError, RollbackNotConfirmed, TargetError
from luckyhit.probe.undo_log import UndoLog, undo_log_path
from luckyhit.records.journal import Step
from luckyhit.system import Stack

Live = Callable[..., Stack]
BY_SETTING = {"kind": "cache-setting", "what": "w", "smallest": "s", "name": SETTING, "before": "512", "after": "64"}


@pytest.fixture
def admin(server: Any) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, decode_responses=True) as client:
        client.config_set(SETTING, 512)
        yield client
        client.config_set(SETTING, 512)
        client.config_set("maxmemory", 0)


# By an HTTP call


def test_flag_is_set_only_when_needed(live: Live, service: FlagService, journal: Journal) -> None:
    stack = live(by_http(service).change)
    for arm in ("before", "after", "after", "before"):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
    puts = [request.json()["on"] for request in service.requests if request.method == "PUT"]
    assert puts == [True, True, False]  # set again for each block: a service may forget it


def test_slow_flag_is_awaited(live: Live, service: FlagService, journal: Journal) -> None:
    stack = live(by_http(service).change)
    service.slow = 4
    apply(stack, journal)
    assert shown_state(stack) == {"change.state": "true"}
    assert roll_back(stack, journal).confirmed


def test_refused_call_is_repeated_when_undone_only(
    live: Live, service: FlagService, journal: Journal, run: CaseRun
) -> None:
    stack = live(by_http(service).change)
    service.refuse = [503]
    with pytest.raises(TargetError, match=r"503 .*not now"):
        apply(stack, journal)
    assert not service.on
    apply(stack, journal)
    service.refuse = [500, 502]
    assert revert_run(run, project=run.path, sleep=lambda _: None).confirmed and not service.on


def test_token_is_sent_and_never_written(live: Live, service: FlagService, journal: Journal, run: CaseRun) -> None:
    service.token = "s3cret-token"
    apply(live(by_http(service).change, target={"headers_env": {"X-Token": "SHOP_TOKEN"}}), journal)
    service.refuse = [500] * 3
    with pytest.raises(RollbackNotConfirmed) as failed:
        revert_run(run, project=run.path, sleep=lambda _: None)
    curl = f"curl --fail -X PUT {service.url}/flags/new-keys -d '{{\"on\": false}}'"
    assert curl in failed.value.hint and "$SHOP_TOKEN" in failed.value.hint
    assert "s3cret" not in journal.path.read_text() + failed.value.hint
    assert revert_run(run, project=run.path).confirmed and not service.on


def test_missing_state_is_an_error(live: Live, service: FlagService) -> None:
    stack = live(by_http(service, verify={"path": "/flags", "value": "$.flags.old"}).change)
    with pytest.raises(TargetError, match=r"\$.flags.old"):
        prepare(stack)
    assert shown_state(stack)["change.state"].startswith("not visible")


# By a setting of the cache


def test_setting_changed_by_others_is_left(live: Live, admin: redis.Redis, journal: Journal, run: CaseRun) -> None:
    apply(live(BY_SETTING), journal)
    admin.config_set(SETTING, 99)
    assert revert_run(run, project=run.path).confirmed and admin.config_get(SETTING)[SETTING] == "99"
    assert journal.steps()[0].outcome["outcome"] == "left-to-others" and journal.open_steps() == []


def test_size_is_equal_in_any_spelling(live: Live, admin: redis.Redis, journal: Journal) -> None:
    stack = live({**BY_SETTING, "name": "maxmemory", "before": "0", "after": "100mb"})
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


@pytest.mark.parametrize("declared", [{"before": "128"}, {"before": None, "after": "512"}])
def test_setting_in_another_state_is_refused(
    declared: dict[str, Any], live: Live, admin: redis.Redis, journal: Journal
) -> None:
    with pytest.raises(GuardError, match="'512'"):
        prepare(live({**BY_SETTING, **declared}))
    assert journal.steps() == []


# By a command


def test_hanging_command_is_ended_with_its_children(live: Live, journal: Journal, run: CaseRun) -> None:
    hang = f"import os, pathlib, subprocess, sys; p = subprocess.Popen([{sys.executable!r}, '-c', 'input()'], "
    hang += "stdin=subprocess.PIPE); pathlib.Path('child').write_text(str(p.pid)); p.wait()"
    stack = live(by_command(run.path, apply=[sys.executable, "-c", hang], within="1s").change)
    with pytest.raises(TargetError, match="within 1s"):
        apply(stack, journal)
    with pytest.raises(ProcessLookupError):
        os.kill(int((run.path / "child").read_text()), 0)
    assert roll_back(stack, journal).confirmed


def test_output_of_a_failed_command_is_shown(live: Live, journal: Journal, run: CaseRun) -> None:
    with pytest.raises(TargetError) as failed:
        apply(live(by_command(run.path, **by_command(run.path).fails).change), journal)
    assert failed.value.log[-1] == "disk on fire"


def test_missing_program_changes_nothing(live: Live, journal: Journal, run: CaseRun) -> None:
    world = by_command(run.path, apply=["no-such-program"])
    stack = live(world.change)
    with pytest.raises(TargetError, match="no-such-program"):
        apply(stack, journal)
    assert world.state(stack) == "old"


# What a probe that was killed had written

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
def killed_probe(live: Live, service: FlagService, journal: Journal, run: CaseRun) -> Step:
    """A probe that wrote 100, 101 and 102 (which it had not read), created 300, and was killed."""
    live(by_http(service).change, freshness=PROBE)
    ledger = UndoLog(run.path / undo_log_path(3, "before"))
    for key, value in (("100", 1999), ("101", 5), ("102", None)):
        ledger.held(key, value)
    ledger.created("300")
    ledger.close()
    with (run.path / undo_log_path(3, "before")).open("a") as file:
        file.write('{"key": "1')  # torn
    service.prices = {"100": 1_000_001, "101": 1_000_002, "102": 1_000_003, "300": 1_000_004, "7": 1}
    number = journal.intend("probe", {}, {"kind": "probe", "ledger": undo_log_path(3, "before")})
    return next(step for step in journal.steps() if step.id == number)


def test_another_process_puts_back_probed_keys(
    killed_probe: Step, service: FlagService, journal: Journal, run: CaseRun
) -> None:
    service.refuse = [503]
    with pytest.raises(RollbackNotConfirmed, match=r"\(100\).*503"):
        revert_run(run, project=run.path)
    assert journal.open_steps() == [killed_probe]
    rollback = revert_run(run, project=run.path)
    assert service.prices == {"100": 1999, "101": 5, "102": 1_000_003, "7": 1}
    assert rollback.confirmed and "102" in rollback.detail and journal.open_steps() == []

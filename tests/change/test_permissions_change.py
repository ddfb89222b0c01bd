"""What `luckyhit check` finds about the change itself, by its kind; nothing is ever put in place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flag_service import FlagService
from kind_worlds import by_http, git, make_repository

from luckyhit.case.model import Case
from luckyhit.change.permissions.permission_checks import change_guard
from luckyhit.errors import ArgumentError
from luckyhit.records import Guard
from luckyhit.scrub.secrets import REDACTED
from luckyhit.system import Stack

ROUTE = "/flags/new-keys"
Check = Callable[..., Guard]


@pytest.fixture
def check(make_case: Callable[..., Case], tmp_path: Path, service: FlagService) -> Check:
    """`check(change)`: what is found about it on the service, which may be changed."""

    def check(change: dict[str, Any] | None = None, *, environ: dict[str, str] | None = None, **target: Any) -> Guard:
        url = {"url": service.url, "allow_change": True, "environment": "staging", **target}
        change = by_http(service).change if change is None else change
        case = make_case(change=change, target=url, design="crossover", cache={"clear": ["product:{id}"]})
        environ = {"PATH": os.environ["PATH"], **(environ or {})}
        with Stack(case, "check", tmp_path / "work", project=tmp_path, environ=environ) as stack:
            return change_guard(stack)

    return check


@pytest.mark.parametrize(
    ("options", "ok", "named"),
    [
        ((204, "GET, PUT"), True, "OPTIONS names PUT"),
        ((405, "PUT"), True, "OPTIONS names PUT"),
        ((501, ""), True, "(OPTIONS answers 501, HEAD 404)"),  # can't be proven
        ((405, "GET"), True, "405"),  # one route of several on that path
        ((401, ""), False, "target.headers_env"),
        ((403, ""), False, "target.headers_env"),
        ((404, ""), False, "404"),
        ((200, "GET, POST"), False, "GET, POST"),
    ],
)
def test_admin_route_is_asked_and_never_called(
    options: tuple[int, str], ok: bool, named: str, check: Check, service: FlagService
) -> None:
    service.options[ROUTE] = options
    guard = check()
    assert guard.ok is ok and guard.id == "change" and bool(guard.remedy) is not ok
    assert named in f"{guard.detail} {guard.remedy}"
    assert set(service.methods) <= {"GET", "OPTIONS", "HEAD"}


def test_token_from_the_environment_is_used_and_hidden(check: Check, service: FlagService) -> None:
    service.token = "let-me-in"
    service.options[ROUTE] = (204, "PUT")
    assert "401" in check().detail
    guard = check(headers_env={"X-Token": "SHOP_TOKEN"}, environ={"SHOP_TOKEN": "let-me-in"})
    assert guard.ok and "let-me-in" not in guard.detail


def test_apply_and_revert_on_two_routes_are_both_asked(check: Check, service: FlagService) -> None:
    service.options = {"/on": (204, "POST"), "/off": (404, "")}
    calls = {"apply": {"method": "POST", "path": "/on"}, "revert": {"method": "POST", "path": "/off"}}
    guard = check(by_http(service, **calls).change)
    assert not guard.ok and "POST /off (revert)" in guard.detail and "POST /on (apply)" in guard.detail


@pytest.mark.parametrize(
    ("flags", "status", "named"),
    [
        ({"new-keys": True}, 200, "'true'"),
        ({"new-keys": "maybe"}, 200, "'maybe'"),
        ({"other": 1}, 200, "$.flags['new-keys']"),
        ({"new-keys": False}, 503, "503"),
    ],
)
def test_state_other_than_before_fails(flags: Any, status: int, named: str, check: Check, service: FlagService) -> None:
    service.flags, service.status = flags, status
    guard = check()
    assert not guard.ok and named in guard.detail and guard.remedy


@pytest.fixture
def switch(tmp_path: Path) -> dict[str, Any]:
    """A change by three commands: a small script that keeps its state in a file."""
    script = tmp_path / "switch.sh"
    script.write_text('#!/bin/sh\n[ "$1" = show ] && exec cat state\necho "$1" > state\n', encoding="utf-8")
    script.chmod(0o755)
    (tmp_path / "state").write_text("off\n", encoding="utf-8")
    steps = {"apply": ["./switch.sh", "on"], "revert": ["./switch.sh", "off"], "verify": ["./switch.sh", "show"]}
    return {"kind": "command", "what": "It.", "smallest": "One.", **steps, "before": "off", "after": "on"}


@pytest.mark.parametrize(
    ("fields", "mode", "named"),
    [
        ({"apply": ["swich", "on"]}, 0o755, ("'swich'", "(change.apply)", "PATH")),
        ({"revert": ["./swich.sh", "off"]}, 0o755, ("/swich.sh", "(change.revert)")),
        ({}, 0o644, ("change.apply, change.revert, change.verify", "`chmod u+x ")),
        ({"cwd": "opps"}, 0o755, ("change.cwd", "'opps'")),
    ],
)
def test_missing_program_is_named_with_its_field(
    fields: dict[str, Any], mode: int, named: tuple[str, ...], check: Check, switch: dict[str, Any], tmp_path: Path
) -> None:
    assert check(switch).ok
    (tmp_path / "switch.sh").chmod(mode)
    guard = check(switch | fields)
    assert not guard.ok and all(text in f"{guard.detail} {guard.remedy}" for text in named)
    assert (tmp_path / "state").read_text() == "off\n"


def test_failing_verify_shows_its_output_without_secrets(check: Check, switch: dict[str, Any]) -> None:
    verify = ["sh", "-c", 'echo "no database for $SHOP_TOKEN" >&2; exit 3']
    guard = check(switch | {"verify": verify, "pass_env": ["SHOP_TOKEN"]}, environ={"SHOP_TOKEN": "tell-nobody"})
    assert not guard.ok and REDACTED in guard.detail and "tell-nobody" not in str(guard)
    with pytest.raises(ArgumentError, match="SHOP_TOKEN"):
        check(switch | {"pass_env": ["SHOP_TOKEN"]})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    make_repository(root)
    return root


@pytest.fixture
def check_revision(make_case: Callable[..., Case], tmp_path: Path) -> Check:
    def check(before: str = "main", after: str = "fix", cwd: str = "shop/backend") -> Guard:
        change = {"kind": "revision", "what": "Next.", "before": before, "after": after, "smallest": "One commit."}
        start = {"command": ["{python}", "service.py", "{port}", "{cache_url}"], "cwd": cwd}
        stack = Stack(make_case(change=change, target={"start": start}), "check", tmp_path / "work", project=tmp_path)
        return change_guard(stack)

    return check


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_revisions_are_read_without_a_trace(repository: Path, check_revision: Check) -> None:
    (repository / "backend" / "service.py").write_text("not committed", encoding="utf-8")
    os.utime(repository / "backend" / "service.py", ns=(1, 1))  # Git would refresh its index now, if it were let
    before = everything_in(repository)
    guard = check_revision()
    hashes = [git(repository, "rev-parse", name)[:12] for name in ("main", "fix")]
    assert guard.ok and all(text in guard.detail for text in (*hashes, "1 file changed", "(backend/service.py)"))
    assert everything_in(repository) == before


@pytest.mark.parametrize(
    ("revisions", "named"),
    [
        ({"after": "nxet"}, "'nxet' (change.after)"),
        ({"before": "fix", "after": "fix~0"}, "'fix~0'"),
        ({"cwd": "shop/late"}, "late"),
        ({"cwd": "plain"}, "plain"),
    ],
)
def test_revisions_that_can_not_be_compared_fail(
    revisions: dict[str, str], named: str, repository: Path, check_revision: Check, tmp_path: Path
) -> None:
    (repository / "late").mkdir()
    (tmp_path / "plain").mkdir()
    guard = check_revision(**revisions)
    assert not guard.ok and named in guard.detail and guard.remedy


def test_change_at_start_shows_its_values(make_case: Callable[..., Case], tmp_path: Path) -> None:
    guard = change_guard(Stack(make_case(), "check", tmp_path, project=tmp_path))
    assert guard.ok and all(text in guard.detail for text in ("SHOP_TTL", "'30'", "'60'"))

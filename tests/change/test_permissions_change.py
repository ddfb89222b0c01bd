"""What `luckyhit check` finds about the change itself, by its kind; nothing is ever put in place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luckyhit.case.model import Case
from luckyhit.change.permissions.permission_checks import change_guard
from luckyhit.errors import ArgumentError
from luckyhit.records import Guard
from luckyhit.scrub.secrets import REDACTED
from luckyhit.system import Stack
from world import Reply, Request, Service

LOOK: dict[str, Any] = {
    "kind": "http",
    "what": "The new keys.",
    "smallest": "One flag.",
    "apply": {"path": "/flags/new-keys", "body": {"on": True}},
    "revert": {"path": "/flags/new-keys", "body": {"on": False}},
    "verify": {"path": "/flags", "value": "$.new_keys"},
    "before": "false",
    "after": "true",
}


class Flags(Service):
    """A service with one flag. `options`: status and Allow of its answer to OPTIONS, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: Any = {"new_keys": False}
        self.status, self.head = 200, 404
        self.token: str | None = None
        self.options: dict[str, tuple[int, str]] = {}

    def answer(self, request: Request) -> Reply:
        if self.token is not None and request.headers.get("authorization") != self.token:
            return Reply(status=401)
        if request.method == "HEAD":
            return Reply(status=self.head)
        if request.method == "OPTIONS":
            status, allow = self.options.get(request.path, (501, ""))
            return Reply(status=status, headers={"Allow": allow} if allow else {})
        return Reply(self.shown, self.status)


@pytest.fixture
def service() -> Iterator[Flags]:
    with Flags() as service:
        yield service


@pytest.fixture
def look(make_case: Callable[..., Case], tmp_path: Path, service: Flags) -> Callable[..., Guard]:
    """`look(change)`: what is found about it on the service, which may be changed."""

    def look(change: dict[str, Any], *, environ: dict[str, str] | None = None, **target: Any) -> Guard:
        url = {"url": service.url, "allow_change": True, "environment": "staging", **target}
        case = make_case(change=change, target=url, design="crossover", cache={"clear": ["product:{id}"]})
        environ = {"PATH": os.environ["PATH"], **(environ or {})}
        with Stack(case, "check", tmp_path / "work", project=tmp_path, environ=environ) as stack:
            return change_guard(stack)

    return look


def test_an_admin_route_that_names_the_method(look: Any, service: Flags) -> None:
    service.options["/flags/new-keys"] = (204, "GET, PUT")
    guard = look(LOOK)
    assert guard.ok and guard.id == "change"
    assert "GET /flags at $.new_keys shows 'false', as before the change." in guard.detail
    assert "PUT /flags/new-keys (apply and revert) is let through: OPTIONS names PUT." in guard.detail
    assert set(service.methods) <= {"GET", "OPTIONS"}


def test_a_405_that_names_the_method_proves_it_too(look: Any, service: Flags) -> None:
    service.options["/flags/new-keys"] = (405, "PUT")
    assert "OPTIONS names PUT" in look(LOOK).detail


@pytest.mark.parametrize(
    ("options", "said"),
    [((501, ""), "OPTIONS answers 501, HEAD 404"), ((405, "GET"), "OPTIONS answers 405, and names GET only")],
    ids=["no OPTIONS", "one route of several on that path"],
)
def test_what_cannot_be_proven_is_said(look: Any, service: Flags, options: Any, said: str) -> None:
    service.options["/flags/new-keys"] = options
    guard = look(LOOK)
    assert guard.ok and f"can't be proven without sending it ({said})" in guard.detail
    assert not {"PUT", "POST", "PATCH", "DELETE"} & set(service.methods)


@pytest.mark.parametrize(
    ("options", "said", "todo"),
    [
        ((401, ""), "is refused: OPTIONS answers 401", "target.headers_env"),
        ((403, ""), "is refused: OPTIONS answers 403", "target.headers_env"),
        ((404, ""), "has no such path there: OPTIONS answers 404", "Correct the path"),
        ((200, "GET, POST"), "is not let through: OPTIONS names GET, POST", "Correct the method"),
    ],
)
def test_what_is_sure_to_fail(look: Any, service: Flags, options: Any, said: str, todo: str) -> None:
    service.options["/flags/new-keys"] = options
    guard = look(LOOK)
    assert not guard.ok and said in guard.detail and todo in guard.remedy


def test_a_token_from_the_environment_opens_it(look: Any, service: Flags) -> None:
    service.token = "Bearer let-me-in"
    service.options["/flags/new-keys"] = (204, "PUT")
    assert "401" in look(LOOK).detail
    guard = look(LOOK, headers_env={"Authorization": "SHOP_TOKEN"}, environ={"SHOP_TOKEN": "Bearer let-me-in"})
    assert guard.ok and "let-me-in" not in guard.detail


def test_apply_and_revert_at_two_places_are_both_asked(look: Any, service: Flags) -> None:
    service.options = {"/on": (204, "POST"), "/off": (404, "")}
    change = LOOK | {"apply": {"method": "POST", "path": "/on"}, "revert": {"method": "POST", "path": "/off"}}
    guard = look(change)
    assert not guard.ok and "POST /off (revert) has no such path" in guard.detail
    assert "POST /on (apply) is let through" in guard.detail


@pytest.mark.parametrize(
    ("shown", "status", "said"),
    [
        ({"new_keys": True}, 200, "shows 'true': the change is in place already"),
        ({"new_keys": "maybe"}, 200, "shows 'maybe', and the case says 'false' (change.before)"),
        ({"other": 1}, 200, "has nothing at $.new_keys"),
        ({"new_keys": False}, 503, "answered 503"),
    ],
)
def test_a_state_that_is_not_the_one_before(look: Any, service: Flags, shown: Any, status: int, said: str) -> None:
    service.shown, service.status = shown, status
    guard = look(LOOK)
    assert not guard.ok and said in guard.detail and guard.remedy


@pytest.fixture
def switch(tmp_path: Path) -> dict[str, Any]:
    """A change by three commands: a small script that keeps its state in a file."""
    script = tmp_path / "switch.sh"
    script.write_text('#!/bin/sh\n[ "$1" = show ] && exec cat state\necho "$1" > state\n', encoding="utf-8")
    script.chmod(0o755)
    (tmp_path / "state").write_text("off\n", encoding="utf-8")
    steps = {"apply": ["./switch.sh", "on"], "revert": ["./switch.sh", "off"], "verify": ["./switch.sh", "show"]}
    return {"kind": "command", "what": "It.", "smallest": "One.", **steps, "before": "off", "after": "on"}


def test_commands_that_can_be_run(look: Any, switch: dict[str, Any], tmp_path: Path) -> None:
    guard = look(switch)
    assert guard.ok and "`./switch.sh show` shows 'off', as before the change." in guard.detail
    assert (tmp_path / "state").read_text() == "off\n"
    (tmp_path / "state").write_text("on", encoding="utf-8")
    assert "the change is in place already" in look(switch).detail


def test_programs_that_are_not_there(look: Any, switch: dict[str, Any], tmp_path: Path) -> None:
    guard = look(switch | {"apply": ["swich", "on"], "revert": ["./swich.sh", "off"]})
    assert not guard.ok and "the program 'swich' (change.apply) is not on PATH" in guard.detail
    assert f"there is no program {tmp_path}/swich.sh (change.revert)" in guard.detail
    (tmp_path / "switch.sh").chmod(0o644)
    guard = look(switch)
    assert "can't be executed" in guard.detail and f"`chmod u+x {tmp_path}/switch.sh`" in guard.remedy
    assert "change.apply, change.revert, change.verify" in guard.detail
    assert "does not exist (change.cwd is 'opps')" in look(switch | {"cwd": "opps"}).detail


def test_a_verify_that_fails_says_why_and_shows_no_secret(look: Any, switch: dict[str, Any]) -> None:
    verify = ["sh", "-c", 'echo "no database for $SHOP_TOKEN" >&2; exit 3']
    guard = look(switch | {"verify": verify, "pass_env": ["SHOP_TOKEN"]}, environ={"SHOP_TOKEN": "tell-nobody"})
    assert not guard.ok and REDACTED in guard.detail and "tell-nobody" not in str(guard)
    with pytest.raises(ArgumentError, match="SHOP_TOKEN"):
        look(switch | {"pass_env": ["SHOP_TOKEN"]})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of a service with two revisions, `main` and `next`."""
    root = tmp_path / "shop"
    (root / "app").mkdir(parents=True)

    def git(*arguments: str) -> None:
        given = ["-c", "user.name=Shop", "-c", "user.email=shop@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(root), *given, *arguments], check=True, capture_output=True)

    git("init", "-b", "main")
    for name, text in (("main", "old"), ("next", "new")):
        if name != "main":
            git("checkout", "-b", name)
        (root / "app" / "service.py").write_text(text, encoding="utf-8")
        git("add", ".")
        git("commit", "-m", name)
    (root / "app" / "late.py").write_text("late", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "another")
    git("checkout", "main")
    return root


@pytest.fixture
def revise(make_case: Callable[..., Case], tmp_path: Path) -> Callable[..., Guard]:
    def revise(before: str, after: str, cwd: str = "shop/app") -> Guard:
        change = {"kind": "revision", "what": "Next.", "before": before, "after": after, "smallest": "One commit."}
        start = {"command": [sys.executable, "service.py", "{port}", "{cache_url}"], "cwd": cwd}
        stack = Stack(make_case(change=change, target={"start": start}), "check", tmp_path / "work", project=tmp_path)
        return change_guard(stack)

    return revise


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_two_revisions_of_a_repository(repository: Path, revise: Any) -> None:
    (repository / "app" / "service.py").write_text("not committed", encoding="utf-8")
    os.utime(repository / "app" / "service.py", ns=(1, 1))  # Git would refresh its index now, if it were let
    before = everything_in(repository)
    guard = revise("main", "next")
    assert guard.ok and guard.id == "change"
    assert "2 files differ. A worktree of each can be made." in guard.detail
    assert "What is not committed is in neither arm: 1 file (app/service.py)." in guard.detail
    assert everything_in(repository) == before


def test_revisions_that_cannot_be_compared(repository: Path, revise: Any, tmp_path: Path) -> None:
    guard = revise("main", "nxet")
    assert not guard.ok and "no revision 'nxet' (change.after)" in guard.detail and "git branch" in guard.remedy
    assert "are the same revision" in revise("next", "next~0").detail
    (repository / "late").mkdir()
    assert "has no directory late" in revise("main", "next", "shop/late").detail
    (tmp_path / "plain").mkdir()
    assert "is in no Git repository" in revise("main", "next", "plain").detail


def test_kinds_that_need_no_more_than_the_service(make_case: Callable[..., Case], tmp_path: Path) -> None:
    guard = change_guard(Stack(make_case(), "check", tmp_path, project=tmp_path))
    assert guard.ok and guard.detail == "SHOP_TTL: '30' before, '60' after a restart."
    nothing = make_case(change={"kind": "none", "what": "Placebo."})
    assert "Nothing will be changed" in change_guard(Stack(nothing, "check", tmp_path, project=tmp_path)).detail

"""A shop with all that can change beside the declared change: a repository, a virtual environment, settings, a cache."""

from __future__ import annotations

import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any

from kind_worlds import git
from served import program

import world
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import (
    FingerprintHistory,
    Journal,
    apply,
    prepare,
    roll_back,
    settings_of,
    start_stacks,
    take_fingerprints,
)
from luckyhit.records import Arm, Guard
from luckyhit.system import Stack

SERVICE = program(
    """
headers["X-App-Version"] = pathlib.Path(sys.argv[3]).read_text()
flags = json.loads(pathlib.Path(sys.argv[2]).read_text())
return {"ttl": os.environ.get("SHOP_TTL"), "mode": sys.argv[4], "flags": flags}
"""
)
CHANGES: dict[str, dict[str, Any]] = {
    "env": {"name": "SHOP_TTL", "before": "30", "after": "60"},
    "argument": {"before": "--mode=a", "after": "--mode=b"},
    "cache-setting": {"name": "maxmemory-policy", "before": "noeviction", "after": "allkeys-lru"},
}


def describe(packages: Path, name: str, version: str) -> Path:
    """A package as an installer leaves it: its description."""
    described = packages / f"{name}-{version}.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return described


def virtual_environment(where: Path, script: str) -> Path:
    """A virtual environment without pip, and a program `shop` in it, as an installer writes it. Gives its directory of
    packages."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(where)
    program = where / "bin" / "shop"
    program.write_text(f"#!{where / 'bin' / 'python'}\n{script}")
    program.chmod(0o755)
    return where / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


class World:
    """One running shop, and the history of its fingerprints."""

    def __init__(self, stack: Stack, journal: Journal, folder: Path, packages: Path) -> None:
        self.stack, self.journal, self.packages = stack, journal, packages
        self.repo, self.shop, self.beside = folder / "repo", folder / "repo" / "shop", folder / "beside"
        self.history = FingerprintHistory(stack.case)

    def look(self, arm: Arm, when: str) -> dict[str, tuple[str, str]]:
        return self.history.record(arm, take_fingerprints({arm: self.stack}, self.stack.case)[arm], when)

    def guard_after(self, before: dict[str, str]) -> Guard:
        """Whether the shop now differs from `before` by the declared change alone."""
        self.history = FingerprintHistory(self.stack.case)
        self.history.record("before", before, "before the change")
        self.look("after", "after the change")
        return self.history.guard()

    def on(self) -> None:
        apply(self.stack, self.journal)

    def off(self) -> None:
        assert roll_back(self.stack, self.journal).confirmed

    def tell(self, *words: str) -> None:
        assert self.stack.cache is not None
        with self.stack.cache.client() as client:
            client.execute_command(*words)

    def restart(self, **env: str) -> None:
        """With other variables than the case declares, as a second hand would start it."""
        service = self.stack._service
        assert service is not None and self.stack.case.target.start is not None
        declared = self.stack.case.target.start
        service._start = declared.model_copy(update={"env": {**declared.env, **env}})
        self.stack.restart(settings_of(self.stack, "after"))


@contextmanager
def shop_world(folder: Path, change: dict[str, Any]) -> Iterator[World]:
    repo, beside = folder / "repo", folder / "beside"
    packages = virtual_environment(folder / "venv", "import runpy\nrunpy.run_path('service.py', run_name='__main__')\n")
    describe(packages, "pricing", "1.4")
    for name, text in {
        "beside/flags.json": '{"new_keys": false}', "beside/release.txt": "2025.11",
        "beside/migrations.txt": "0001_initial\n0002_price\n", "beside/rates.py": "VAT = 19\n",
        "repo/.gitignore": ".env\nlocal_settings.py\n*.sqlite\n", "repo/.env": "SHOP_STOCK=on\n",
        "repo/common/money.py": "ROUND = 2\n", "repo/shop/service.py": SERVICE, "repo/shop/local_settings.py": "A = 1\n",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q", str(repo))
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "shop")
    files = [str(beside / "flags.json"), str(beside / "release.txt")]
    start = {
        "command": ["../../venv/bin/shop", "{port}", *files, "--mode=a"],
        "cwd": "repo/shop",
        "ready": "/",
        "env": {"PYTHONPATH": f"{repo / 'common'}:{beside}", "CACHE": "{cache_url}", "SHOP_POOL": "4",
                "SHOP_LINK": "http://127.0.0.1/{port}/x", "SHOP_SINCE": "2025-01-01T00:00:00Z"},
    }  # fmt: skip
    facts = {"migrations": ["cat", str(beside / "migrations.txt")]}
    document = world.case(
        change={"what": "w", "smallest": "s", **change}, target={"start": start, "config": "/", "facts": facts}
    )
    case = Case.model_validate(document)
    (folder / "shop.yml").write_text(dumps(document))
    run = CaseRun.create(folder / "runs", folder / "shop.yml", now=datetime(2026, 1, 2, tzinfo=UTC), manifest={})
    journal = Journal(run.path / "journal.jsonl")
    stack = Stack(case, "before", run.path / "work" / "before", project=folder)
    stack.settings = settings_of(stack, "before")
    try:
        start_stacks([stack], journal)
        prepare(stack)
        yield World(stack, journal, folder, packages)
    finally:
        stack.stop()


def change_of(kind: str) -> dict[str, Any]:
    return {"kind": kind, **CHANGES[kind]}

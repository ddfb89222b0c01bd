"""For each kind of change: the change, what it is made on, and how a test sees and sets its state."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis
import sqlalchemy
from flag_service import FlagService
from served import program

from luckyhit.system import Stack

SETTING = "hash-max-listpack-entries"
SHOWS_ITS_START = program(
    """return {"env": os.environ.get("SHOP_TTL"), "argument": sys.argv[2], "revision": WORD}""",
    """
from word import WORD
if sys.argv[2] == "broken":
    sys.exit("no such mode")
""",
)


@dataclass
class KindWorld:
    """`state(stack)`: what the changed system holds, beside anything of ours. `put`: sets it; None for a service of the
    run's own. `astray`: neither before nor after. `fails`: fields of the change with which it fails or has no effect.
    `block`: makes the inverse fail, and returns what ends that."""

    change: dict[str, Any]
    state: Callable[[Stack], str]
    put: Callable[[str], None] | None = None
    astray: str | None = None
    fails: dict[str, Any] = field(default_factory=dict)
    block: Callable[[], Callable[[], object]] | None = None

    def __post_init__(self) -> None:
        self.before, self.after = str(self.change.get("before")), str(self.change.get("after"))
        self.change = {"what": "One switch", "smallest": "One switch.", **self.change}


def by_http(service: FlagService, **fields: Any) -> KindWorld:
    path = "/flags/new-keys"
    change = {
        "kind": "http",
        "apply": {"path": path, "body": {"on": True}},
        "revert": {"path": path, "body": {"on": False}},
        "verify": {"path": "/flags", "value": "$.flags['new-keys']"},
        "before": "false",
        "after": "true",
        "within": "2s",
        **fields,
    }

    def block() -> Callable[[], object]:
        service.refuse = [500] * 3
        return service.refuse.clear

    return KindWorld(
        change,
        lambda _: str(service.on).lower(),
        lambda text: service.put(text == "true"),
        fails={"apply": {"path": "/products/1"}, "within": "50ms"},
        block=block,
    )


def by_command(folder: Path, **fields: Any) -> KindWorld:
    """A switch in a file."""
    program, switch = folder / "switch.py", folder / "switch"
    program.write_text(
        "import pathlib, sys; f = pathlib.Path('switch'); a = sys.argv[1:]\n"
        "if a: f.write_text(a[0])\nprint('noise', file=sys.stderr)\nprint(f.read_text())"
    )
    switch.write_text("old")
    tool = [sys.executable, "switch.py"]
    commands = {"apply": [*tool, "new"], "revert": [*tool, "old"], "verify": tool}
    half = "import pathlib, sys; pathlib.Path('switch').write_text('half'); sys.exit('disk on fire')"

    def block() -> Callable[[], object]:
        moved = program.rename(folder / "elsewhere.py")
        return lambda: moved.rename(program)

    return KindWorld(
        {"kind": "command", **commands, "before": "old", "after": "new", "within": "20s", **fields},
        lambda _: switch.read_text(),
        switch.write_text,
        astray="half",
        fails={"apply": [sys.executable, "-c", half]},
        block=block,
    )


def by_setting(client: redis.Redis, forget: Callable[[], Callable[[], object]]) -> KindWorld:
    """`forget`: makes the variable with the cache's URL unset."""
    client.config_set(SETTING, 512)
    return KindWorld(
        {"kind": "cache-setting", "name": SETTING, "before": "512", "after": "64"},
        lambda _: str(client.config_get(SETTING)[SETTING]),
        lambda text: client.config_set(SETTING, text),
        astray="99",
        fails={"after": "many"},
        block=forget,
    )


def by_sql(url: str) -> KindWorld:
    """The row of a flag, in a table of its own. `SHOP_DATABASE` has to hold `url`."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")

    def run(statement: str) -> Any:
        with engine.connect() as connection:
            cursor = connection.exec_driver_sql(statement)
            return cursor.scalar() if cursor.returns_rows else None

    def block() -> Callable[[], object]:
        run("ALTER TABLE flag RENAME TO away")
        return lambda: run("ALTER TABLE away RENAME TO flag")

    run("DROP TABLE IF EXISTS flag")
    run("CREATE TABLE flag (name text PRIMARY KEY, value text)")
    run("INSERT INTO flag VALUES ('keys', 'old')")
    change = {
        "kind": "sql",
        "url_env": "SHOP_DATABASE",
        "apply": "UPDATE flag SET value = 'new' WHERE name = 'keys'",
        "revert": "UPDATE flag SET value = 'old' WHERE name = 'keys'",
        "verify": "SELECT value FROM flag WHERE name = 'keys'",
        "before": "old",
        "after": "new",
        "within": "10s",
    }
    return KindWorld(
        change,
        lambda _: str(run("SELECT value FROM flag")),
        lambda text: run(f"UPDATE flag SET value = '{text}'"),
        astray="half",
        fails={"apply": "UPDATE flag SET value = 'half'", "within": "100ms"},
        block=block,
    )


def by_restart(kind: str, folder: Path) -> KindWorld:
    """An environment variable, an argument, a Git revision, or nothing of a service that the run starts in `folder`."""
    fields = {
        "env": {"name": "SHOP_TTL", "before": "30", "after": "60"},
        "argument": {"before": "--mode=a", "after": "--mode=b"},
        "revision": {"before": "main", "after": "fix"},
        "none": {"before": None, "after": None, "smallest": None},
    }[kind]
    world = KindWorld({"kind": kind, **fields}, lambda stack: str(shown_start(stack)[kind]))
    if kind == "revision":
        world.before, world.after = "old", "new"
        make_repository(folder)
    else:
        (folder / "service.py").write_text(SHOWS_ITS_START)
        (folder / "word.py").write_text("WORD = 'old'\n")
        world.fails = {"after": "broken"} if kind == "argument" else {}
    if kind == "none":
        world.change = {"kind": "none", "what": "Compare it with itself"}
        world.state = lambda stack: str(shown_start(stack)["env"])
        world.before = world.after = "None"
    return world


def shown_start(stack: Stack) -> dict[str, Any]:
    return dict(httpx.get(stack.base_url, trust_env=False).json())


def git(where: Path, *words: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(where), *options, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make_repository(root: Path) -> None:
    """The service under `backend/`, with branches main (old) and fix (new); main is checked out."""
    source = root / "backend" / "src"
    source.mkdir(parents=True)
    (root / "backend" / "service.py").write_text(SHOWS_ITS_START)
    (source / "word.py").write_text("WORD = 'old'\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "backend")
    git(root, "commit", "-qm", "old")
    git(root, "switch", "-qc", "fix")
    (source / "word.py").write_text("WORD = 'new'\n")
    git(root, "commit", "-qam", "new")
    git(root, "switch", "-q", "main")

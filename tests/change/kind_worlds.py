"""For each kind of change that a running system takes: the change, and how a test sees and sets its state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import sqlalchemy
from flag_service import FlagService

SMALLEST = {"what": "One switch", "smallest": "One switch."}


@dataclass
class KindWorld:
    """`change`: as in a case. `state`, `put`: what the changed system holds, beside anything of ours. `after`: set to
    this, the change is in place; `astray`: set to this, the state is neither before nor after."""

    change: dict[str, Any]
    state: Callable[[], str]
    put: Callable[[str], None]
    before: str
    after: str
    astray: str | None = None


def by_http(service: FlagService) -> KindWorld:
    path = "/flags/new-keys"
    change = {
        **SMALLEST,
        "kind": "http",
        "apply": {"path": path, "body": {"on": True}},
        "revert": {"path": path, "body": {"on": False}},
        "verify": {"path": "/flags", "value": "$.flags['new-keys']"},
        "before": "false",
        "after": "true",
        "within": "2s",
    }
    return KindWorld(change, lambda: str(service.on).lower(), lambda text: service.put(text == "true"), "false", "true")


def by_command(folder: Path) -> KindWorld:
    program = "import pathlib, sys; f = pathlib.Path('switch'); a = sys.argv[1:]\nif a: f.write_text(a[0])\n"
    (folder / "switch.py").write_text(program + "print(f.read_text())")
    switch = folder / "switch"
    switch.write_text("old")
    tool = [sys.executable, "switch.py"]
    commands = {"apply": [*tool, "new"], "revert": [*tool, "old"], "verify": tool}
    change = {**SMALLEST, "kind": "command", **commands, "before": "old", "after": "new", "within": "20s"}

    def put(text: str) -> None:
        switch.write_text(text)

    return KindWorld(change, switch.read_text, put, "old", "new", "half")


def by_setting(client: redis.Redis) -> KindWorld:
    name = "hash-max-listpack-entries"
    client.config_set(name, 512)
    change = {**SMALLEST, "kind": "cache-setting", "name": name, "before": "512", "after": "64"}
    return KindWorld(
        change,
        lambda: str(client.config_get(name)[name]),
        lambda text: client.config_set(name, text),
        "512",
        "64",
        "99",
    )


def by_sql(url: str) -> KindWorld:
    """The row of a flag, in a table of its own. `SHOP_DATABASE` has to hold `url`."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")

    def run(statement: str) -> Any:
        with engine.connect() as connection:
            answer = connection.exec_driver_sql(statement)
            return answer.scalar() if answer.returns_rows else None

    run("DROP TABLE IF EXISTS flag")
    run("CREATE TABLE flag (name text PRIMARY KEY, value text)")
    run("INSERT INTO flag VALUES ('keys', 'old')")
    change = {
        **SMALLEST,
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
        change, lambda: str(run("SELECT value FROM flag")), lambda text: run(f"UPDATE flag SET value = '{text}'"),
        "old", "new", "half",
    )  # fmt: skip

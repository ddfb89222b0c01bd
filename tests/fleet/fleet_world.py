"""A project with many short cases, each on a service of its own that runs already and has one switch."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from world import Reply, Request, Service, case

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "staging"
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
"""The words of the command that stands in for `luckyhit`."""
_PLAN = {
    "baseline": "250ms",
    "warmup": "100ms",
    "washout": "0s",
    "block": "250ms",
    "blocks": 2,
    "after_rollback": "250ms",
}


class Switched(Service):
    """`GET /page/N`; `GET` and `PUT /switch`. `stuck`: its switch can't be moved."""

    on = False
    stuck = False

    def answer(self, request: Request) -> Any:
        if request.path == "/switch" and request.method == "PUT":
            if self.stuck:
                return Reply({}, 503)
            self.on = bool(request.json()["on"])
        if request.path == "/switch":
            return {"on": self.on}
        return Reply({"page": request.path}, headers={"X-Cache": "hit"})


class FleetWorld:
    """`services`: by the name of the case that is about them."""

    def __init__(self, project: Path, names: list[str], **parts: Any) -> None:
        self.project, self._parts = project, parts
        self.services = {name: Switched() for name in names}

    def __enter__(self) -> Self:
        (self.project / "data" / "cases").mkdir(parents=True)
        (self.project / "notebooks").mkdir()
        for notebook in (ROOT / "notebooks").glob("*.ipynb"):
            shutil.copy(notebook, self.project / "notebooks" / notebook.name)
        for name, service in self.services.items():
            service.__enter__()
            self.write_case(name, service.url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self.services.values():
            service.__exit__(kind, error, trace)

    def write_case(self, name: str, url: str, **parts: Any) -> Path:
        document = case(
            title=f"Pages of {name} are old",
            change={
                "kind": "http",
                "what": "The switch",
                "smallest": "One switch.",
                "apply": {"path": "/switch", "body": {"on": True}},
                "revert": {"path": "/switch", "body": {"on": False}},
                "verify": {"path": "/switch", "value": "$.on"},
                "before": "false",
                "after": "true",
            },
            cache={"purge": [{"method": "PURGE", "path": "/page/{key}", "keys": {"first": 1, "last": 5}}]},
            rollback={"note": "Switch it off.", "notice": "Pages are slow."},
            target={
                "url": url,
                "allow_change": True,
                "environment": ENVIRONMENT,
                "limits": {"p99": "30s", "error_rate": "95 %", "rate": "500/s"},
            },
            workload={
                "seed": 7,
                "rate": "250/s",
                "timeout": "20s",
                "routes": [{"name": "page", "path": "/page/{key}", "keys": {"first": 1, "last": 5}}],
            },
            goals={"latency_p50_ms": {"want": "no-worse", "margin": "500ms"}},
            design="crossover",
            plan=_PLAN,
        )
        document |= {**self._parts, **parts}
        path = self.project / "data" / "cases" / f"{name}.yml"
        path.write_text(json.dumps(document, indent=1))
        return path

    @property
    def left_changed(self) -> list[str]:
        """The cases whose target is still switched on."""
        return [name for name, service in self.services.items() if service.on]

"""What is changed, on what: one small description for each kind of change."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash_world import ASKED, PROBED, TEMPLATE, URL_ENV, World

import world

ENVIRONMENT = "staging"


@dataclass(frozen=True)
class Scenario:
    """A kind of change. `live`: of the shop that runs already; otherwise of one that the run starts.
    `parts` replaces top-level fields of the case."""

    change: dict[str, Any]
    live: bool = False
    parts: dict[str, Any] = field(default_factory=dict)
    named: str = ""

    @property
    def name(self) -> str:
        return self.named or str(self.change["kind"])

    def write(self, world: World) -> Path:
        """The case file, in the project."""
        path = world.project / "data" / "cases" / f"{self.name}.yml"
        path.write_text(_filled(json.dumps(self._document()), world))
        return path

    def _document(self) -> dict[str, Any]:
        target: dict[str, Any] = {
            "start": {
                "command": ["{python}", "service.py", "--port", "{port}", "--cache", "{cache_url}", "--ttl", "600"],
                "cwd": "shop",
                "env": {"SHOP_DIARY": "<diary>"},
            },
            "config": "/health",
        }
        if self.live:
            target = {"url": "<url>", "allow_change": True, "environment": ENVIRONMENT, "config": "/health"}
            target["limits"] = {"p99": "60s", "error_rate": "95 %", "rate": "500/s"}
        change = {"what": "Something", "smallest": "One thing.", **self.change}
        return {**_CASE, "change": change, "target": target, **self.parts}


def _filled(text: str, world: World) -> str:
    values = {"<diary>": world.diary, "<url>": world.url, "<switch>": world.switch}
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


_CASE = world.case(
    cache={"url_env": URL_ENV, "clear": [TEMPLATE], "dedicated": True},
    rollback={"note": "Change it back.", "notice": "Misses rise."},
    workload={
        "seed": 7,
        "rate": "120/s",
        "timeout": "20s",
        "routes": [
            {"name": "product", "path": "/products/{key}", "weight": 9, "keys": {"first": ASKED[0], "last": ASKED[1]}},
            {
                "name": "update",
                "method": "PUT",
                "path": "/products/{key}/price",
                "weight": 1,
                "keys": {"first": 1, "last": 9},
                "body": {"price": "{number}"},
            },
        ],
    },
    freshness={
        "write": {"path": "/products/{key}/price", "body": {"price": "{version}"}},
        "reads": [{"path": "/products/{key}", "version": "$.price"}],
        "keys": {"first": PROBED[0], "last": PROBED[1]},
        "within": "5ms",
        "horizon": "100ms",
        "rate": "10/s",
    },
    goals={"latency_p50_ms": {"want": "no-worse", "margin": "500ms"}},
    design="crossover",
    plan={
        "baseline": "250ms",
        "warmup": "100ms",
        "washout": "0s",
        "block": "250ms",
        "blocks": 2,
        "after_rollback": "250ms",
    },
)

ENV = Scenario({"kind": "env", "name": "SHOP_MODE", "before": "slow", "after": "fast"})
ARGUMENT = Scenario({"kind": "argument", "before": "600", "after": "300"})
REVISION = Scenario({"kind": "revision", "before": "main", "after": "fix"})
HTTP = Scenario(
    {
        "kind": "http",
        "apply": {"path": "/flags/new-keys", "body": {"on": True}},
        "revert": {"path": "/flags/new-keys", "body": {"on": False}},
        "verify": {"path": "/flags", "value": "$.flags['new-keys']"},
        "before": "false",
        "after": "true",
    },
    live=True,
)
_SWITCH = ["{python}", "switch.py", "<switch>"]
COMMAND = Scenario(
    {
        "kind": "command",
        "apply": [*_SWITCH, "on"],
        "revert": [*_SWITCH, "off"],
        "verify": _SWITCH,
        "before": "off",
        "after": "on",
    },
    live=True,
)
SETTING = Scenario(
    {"kind": "cache-setting", "name": "set-max-intset-entries", "before": "100", "after": "4"},
    live=True,
    parts={"cache": {"url_env": URL_ENV, "clear": [TEMPLATE], "dedicated": True, "rebuildable": True}},
)
TWO_STACKS = Scenario(
    {"kind": "env", "name": "SHOP_MODE", "before": "slow", "after": "fast"},
    parts={"cache": {"clear": [TEMPLATE]}, "design": "side-by-side"},
    named="two-stacks",
)
"""Everything in it is the run's own: nothing of the world may be touched at all."""
ALL = {scenario.name: scenario for scenario in (ENV, ARGUMENT, REVISION, HTTP, COMMAND, SETTING, TWO_STACKS)}

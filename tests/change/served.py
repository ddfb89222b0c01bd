"""What stands for a cache, a stack and a case in these tests: as little as is needed of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from luckyhit.case.model import Case


@dataclass
class ServedCache:
    """A cache at a URL: what `luckyhit.target.Cache` is to this area."""

    url: str
    owned: bool = False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=False)


@dataclass
class ServedStack:
    """A service that answers with `config`, seen as a stack: what it was given is what the test says."""

    case: Case
    base_url: str
    workdir: Path
    project: Path
    cache: ServedCache | None = None
    name: str = "before"
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    owned: bool = True
    changeable: bool = True
    pid: int | None = None
    environ: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    start_values: dict[str, object] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def cwd(self) -> Path:
        return self.project / (self.case.target.start.cwd if self.case.target.start else ".")


def case_document(**parts: Any) -> dict[str, Any]:
    """A whole case as a document; `parts` replaces top-level fields."""
    document: dict[str, Any] = {
        "title": "Prices are old",
        "owner": {"name": "Shop", "contact": "#shop"},
        "route": "GET /products/{id}",
        "input": "A product's number.",
        "suspect": "SELECT price FROM product",
        "noticed": "The product page.",
        "expected": {"result": "The new price.", "response": {"status": 200}},
        "hypothesis": "The wrong key is deleted.",
        "failure_mode": "More misses.",
        "assumptions": ["One cache."],
        "change": {
            "kind": "env",
            "what": "Delete the key that readers use.",
            "name": "SHOP_TTL",
            "before": "30",
            "after": "60",
            "smallest": "One setting.",
        },
        "cache": {"clear": ["product:{id}:v1"]},
        "rollback": {"note": "Unset it.", "notice": "Misses rise."},
        "target": {
            "start": {"command": ["{python}", "service.py", "{port}", "{cache_url}"], "env": {"SHOP_TTL": "30"}}
        },
        "workload": {
            "seed": 7,
            "rate": "20/s",
            "routes": [{"name": "detail", "path": "/products/{key}", "keys": {"first": 1, "last": 9}}],
        },
        "goals": {"hit_ratio": {"want": "better", "margin": "2 %"}},
    }
    return {**document, **parts}

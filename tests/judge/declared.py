"""A case as these tests declare it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import world
from luckyhit.case import Case
from luckyhit.records.metrics import METRICS

KEYS = {"first": 1, "last": 400}
RATE = 150


def a_case(
    goals: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    design: str = "side-by-side",
    freshness: bool | None = None,
    **plan: Any,
) -> Case:
    """`freshness`: whether it declares a probe. Where that is not said, it does if a goal takes one, or none is given:
    judging what a probe read takes longest."""
    target = {"start": {"command": ["{python}", "-m", "shop", "--port", "{port}", "--cache", "{cache_url}"]}}
    routes = [{"name": "detail", "path": "/products/{key}", "keys": KEYS}]
    data = world.case(
        change={"kind": "none", "what": "nothing"},
        cache={"clear": ["product:{id}"]},
        target=target,
        workload={"seed": 7, "rate": f"{RATE}/s", "routes": routes},
        goals=goals or {"hit_ratio": {"want": "better", "margin": "5 %"}},
        design=design,
        # One look at the end, unless a test is about stopping early.
        plan={"stop_early": False, **plan},
    )
    if freshness is None:
        freshness = goals is None or any(METRICS[name.rpartition(".")[2]].probe for name in goals)
    if freshness:
        data["freshness"] = {
            "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
            "reads": [{"path": "/products/{key}", "version": "$.price"}],
            "keys": {"first": 9000, "last": 9999},
            "within": "200ms",
        }
    return Case.model_validate(data)

"""One case for all tests."""

from __future__ import annotations

from typing import Any


def case(**parts: Any) -> dict[str, Any]:
    """A whole case as a document; `parts` replaces top-level fields, and None takes one out."""
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
    return {name: part for name, part in {**document, **parts}.items() if part is not None}

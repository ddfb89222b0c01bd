"""A whole case whose service is `shop_service.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import world

HERE = Path(__file__).parent


def case_document(*how: str, start: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """A whole case whose service is `shop_service.py`; `start` and `parts` replace fields."""
    own: dict[str, Any] = {
        "change": {"kind": "none", "what": "Nothing."},
        "cache": {"clear": ["product:{id}"]},
        "target": {
            "start": {
                "command": ["{python}", "-S", str(HERE / "shop_service.py"), "{port}", *how],
                "env": {"SHOP_CACHE": "{cache_url}", "SHOP_FILES": "{workdir}/files", "SHOP_TTL": "30"},
                **(start or {}),
            }
        },
        "design": "crossover",
    }
    return world.case(**{**own, **parts})

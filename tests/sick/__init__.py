"""A catalogue of small services: one for each fault class of caches, with one variable that heals it, and healthy ones.

`SICK` gives the folder of each class, `HEALTHY` that of each service that looks odd and has no fault (class `none`);
`truth(id)` what is wrong and how it shows, or why nothing is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


def truth(service: str) -> dict[str, Any]:
    """What `truth.yml` of a fault class or of a healthy service says."""
    return _read(FOLDERS[service] / "truth.yml")


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


SICK: dict[str, Path] = {_read(path)["class"]: path.parent for path in sorted(HERE.glob("*/truth.yml"))}
HEALTHY: dict[str, Path] = {
    path.parent.name.replace("_", "-"): path.parent for path in sorted(HERE.glob("healthy/*/truth.yml"))
}
FOLDERS = SICK | HEALTHY

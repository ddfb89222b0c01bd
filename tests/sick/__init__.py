"""A catalogue of small services, each with one fault class of caches and one variable that heals it.

`SICK` gives the folder of each class; `truth(id)` what is wrong there and how it shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


def truth(fault_class: str) -> dict[str, Any]:
    """What `truth.yml` of a class says."""
    document: dict[str, Any] = yaml.safe_load((SICK[fault_class] / "truth.yml").read_text(encoding="utf-8"))
    return document


SICK: dict[str, Path] = {
    yaml.safe_load(path.read_text(encoding="utf-8"))["class"]: path.parent for path in sorted(HERE.glob("*/truth.yml"))
}

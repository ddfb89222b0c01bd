"""Cases to start from for the usual frameworks, each a file here: `luckyhit new NAME --example django`."""

from __future__ import annotations

import difflib
from pathlib import Path

from luckyhit.errors import ArgumentError


def examples() -> list[str]:
    """Which there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yml"))


def example(name: str) -> str:
    """The text of an example, with NAME in it for the case's name. Raises ArgumentError with those that there are."""
    known = examples()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(f"there is no example {name[:80]!r}", hint=f"{hint}There are: {', '.join(known)}.")
    return (Path(__file__).parent / f"{name}.yml").read_text(encoding="utf-8")

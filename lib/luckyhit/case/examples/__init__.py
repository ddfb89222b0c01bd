"""Starting cases for common frameworks, a file each: `luckyhit new NAME --example django`."""

from __future__ import annotations

import difflib
from pathlib import Path

from luckyhit.errors import ArgumentError


def examples() -> list[str]:
    """The names of the examples."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yml"))


def example(name: str) -> str:
    """The text of an example, with NAME for the case's name. Raises ArgumentError for an unknown one."""
    known = examples()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(f"unknown example {name[:80]!r}", hint=f"{hint}Choose from {', '.join(known)}.")
    return (Path(__file__).parent / f"{name}.yml").read_text(encoding="utf-8")

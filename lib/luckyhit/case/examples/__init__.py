"""Cases to start from for the usual frameworks, each in a file of its own: `luckyhit new NAME --example django`."""

from __future__ import annotations

import difflib
from pathlib import Path

from luckyhit.errors import ArgumentError

EXAMPLES: dict[str, str] = {
    "django": "pages by cache_page and django-redis, under gunicorn",
    "flask": "answers by Flask-Caching, under gunicorn",
    "fastapi": "answers by fastapi-cache2, under uvicorn",
}
"""Which there are, and what each is about."""


def example(name: str) -> str:
    """The text of an example, with NAME in it for the case's name. Raises ArgumentError with those that there are."""
    if name not in EXAMPLES:
        near = difflib.get_close_matches(name.lower(), EXAMPLES, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(f"there is no example {name[:80]!r}", hint=f"{hint}There are: {', '.join(EXAMPLES)}.")
    return (Path(__file__).parent / f"{name}.yml").read_text(encoding="utf-8")

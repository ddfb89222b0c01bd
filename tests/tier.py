"""How thorough the tests are: `make test-all` asks for all of it, `make test` has minutes."""

from __future__ import annotations

import os

ALL = os.environ.get("LUCKYHIT_TESTS") == "all"


def examples(many: int) -> int:
    """How many examples hypothesis is asked for: `many`, or a third of them where minutes count."""
    return many if ALL else max(many // 3, 5)


def seeds(many: int) -> range:
    """As many seeds, or half of them where minutes count."""
    return range(many if ALL else max(many // 2, 1))

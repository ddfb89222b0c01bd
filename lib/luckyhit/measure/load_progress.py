"""Progress of a load on a terminal: how far, how many answers and errors so far, at which rate."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from luckyhit.measure.crew import OnEvent


def sentence(event: Mapping[str, Any]) -> str:
    """What the engine has told so far: `24,600 answered, 1,998/s, 12 errors (timeout 10, reset 2)`."""
    told = f"{event['answered']:,} answered, {event['answered'] / max(event['done'], 0.1):,.0f}/s"
    errors = {name: count for name, count in event["errors"].items() if count}
    total = sum(errors.values())
    if not total:
        return f"{told}, no error"
    kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(errors.items(), key=lambda item: -item[1]))
    return f"{told}, {total:,} error{'s' if total != 1 else ''} ({kinds})"


class LoadBar:
    """A bar on a terminal, nothing elsewhere. Gives the function that takes the engine's signs of progress."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> OnEvent:
        from tqdm import tqdm

        self._bar = tqdm(
            total=self._seconds, unit="s", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False,
            dynamic_ncols=True, bar_format="{bar:20}| {n:.1f}/{total:.1f} s{postfix}",
        )  # fmt: skip
        return self._show

    def _show(self, event: Mapping[str, Any]) -> None:
        self._bar.set_postfix_str(sentence(event), refresh=False)
        self._bar.update(min(event["done"], self._seconds) - self._bar.n)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

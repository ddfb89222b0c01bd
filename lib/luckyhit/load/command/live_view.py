"""What a load shows while it lasts: rate, percentiles and errors of the last second, once a second."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from luckyhit.load.command.live_latency import quantile_ms
from luckyhit.load.worker_pool import OnEvent

EVERY_S = 1.0
SHOWN = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class LastSecond:
    """Subtracts what the engine had reported a second ago from what it reports now."""

    def __init__(self) -> None:
        self._before: Mapping[str, Any] = {"done": 0.0, "answered": 0, "errors": {}, "latencies": {}}

    def text(self, event: Mapping[str, Any]) -> str | None:
        """`200/s, p50 1.2, p95 3.4, p99 5.6 ms, 3 errors (timeout 2, reset 1)`; None if no second has passed."""
        before = self._before
        passed_s = event["done"] - before["done"]
        if passed_s < EVERY_S:
            return None
        self._before = event
        answered = max(event["answered"] - before["answered"], 0)  # a host that is done reports no more
        errors = _more(event["errors"], before["errors"])
        latencies = _more(event.get("latencies", {}), before.get("latencies", {}))
        parts = [f"{answered / passed_s:,.0f}/s", _quantiles(latencies), _errors(errors)]
        return ", ".join(part for part in parts if part)


def _more(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: more for name, count in now.items() if (more := count - before.get(name, 0)) > 0}


def _quantiles(counts: Mapping[str, int]) -> str:
    if not counts:
        return "no answer"
    values = {name: quantile_ms(counts, quantile) or 0.0 for name, quantile in SHOWN.items()}
    shown = (f"{name} {value:,.0f}" if value >= 100 else f"{name} {value:.3g}" for name, value in values.items())
    return f"{', '.join(shown)} ms"


def _errors(errors: Mapping[str, int]) -> str:
    total = sum(errors.values())
    if not total:
        return "no error"
    kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(errors.items(), key=lambda item: -item[1]))
    return f"{total:,} error{'s' if total != 1 else ''} ({kinds})"


@contextmanager
def live_view(seconds: float, *, quiet: bool = False, stream: TextIO | None = None) -> Iterator[OnEvent]:
    """A bar on a terminal, a line each second elsewhere (default: on standard error). Yields the function that takes
    the engine's progress."""
    out = sys.stderr if stream is None else stream
    last = LastSecond()
    if quiet:
        yield lambda event: None
    elif not out.isatty():

        def line(event: Mapping[str, Any]) -> None:
            if (text := last.text(event)) is not None:
                print(f"{event['done']:6.0f} of {seconds:g} s: {text}", file=out, flush=True)

        yield line
    else:
        from tqdm import tqdm

        with tqdm(
            total=seconds, file=out, leave=False,
            # Some terminals report 0 columns and lines, where tqdm would show nothing.
            ncols=shutil.get_terminal_size().columns or 80, nrows=shutil.get_terminal_size().lines or 24,
            bar_format="{bar:12}| {n:.0f}/{total:.0f} s{postfix}",
        ) as bar:  # fmt: skip

            def show(event: Mapping[str, Any]) -> None:
                if (text := last.text(event)) is not None:
                    bar.set_postfix_str(text, refresh=False)
                bar.n = min(event["done"], seconds)
                bar.refresh()

            yield show

"""Progress of the kernel on the console: a bar on a terminal, dated lines elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from luckyhit.run import Run
from luckyhit.workflow.time_left import TimeLeft

_POLL_S = 0.2
_EVERY_S = 10.0  # at least one line in this time while measuring


def plain(text: str) -> None:
    """Print one dated line to standard error."""
    print(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {text}", file=sys.stderr, flush=True)


@contextmanager
def follow(run: Run, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show `progress.jsonl` of `run` as it grows, until the context ends. Yields a function that prints one line."""
    if quiet:
        yield lambda text: None
        return
    view = _Bar() if sys.stderr.isatty() else _Lines()
    ended = threading.Event()

    def watch() -> None:
        offset = 0
        path = run.path / "progress.jsonl"
        while True:
            last_look = ended.is_set()
            if path.exists():
                with path.open("rb") as file:
                    file.seek(offset)
                    data = file.read()
                whole = data[: data.rfind(b"\n") + 1]
                offset += len(whole)
                for line in whole.splitlines():
                    event = json.loads(line)
                    if event.get("stays"):
                        view.line(event["text"])
                    else:
                        view.event(event)
            if last_look:
                return
            ended.wait(_POLL_S)

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield view.line
    finally:
        ended.set()
        watcher.join()
        view.close()


class _Lines:
    """For logs: a dated line for each new activity, and repeated while it lasts."""

    def __init__(self) -> None:
        self._text = ""
        self._shown_at = 0.0
        self._left = TimeLeft()

    def line(self, text: str) -> None:
        plain(text)

    def event(self, event: dict[str, Any]) -> None:
        left = self._left.text(event["done"], event["total"]) if event["total"] is not None else ""
        if event["text"] == self._text and event["at"] - self._shown_at < _EVERY_S:
            return
        self._text, self._shown_at = event["text"], event["at"]
        measured = "" if event["total"] is None else f"{event['done']:.0f} of {event['total']:.0f} s measured"
        so_far = ", ".join(filter(None, (measured, left)))
        plain(f"{event['text']} ({so_far})" if so_far else event["text"])

    def close(self) -> None:
        pass


class _Bar:
    """For terminals: one bar of measured seconds, with the current activity."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._left = TimeLeft()

    def line(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    def event(self, event: dict[str, Any]) -> None:
        if self._bar is None:
            self._bar = self._begin(event["total"] or 1.0)
        if event["done"] is not None:  # judging and drawing don't move the bar
            # tqdm shows no end for a bar that is past it.
            self._bar.n = min(event["done"], event["total"] or 1.0)
            left = self._left.text(self._bar.n, event["total"] or 1.0)
            self._bar.set_description_str(f"{event['text']}, {left}" if left else event["text"])
            return
        self._bar.set_description_str(event["text"])

    @staticmethod
    def _begin(total: float) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=total,
            file=sys.stderr,
            # Some terminals report 0 columns, where tqdm would show nothing.
            ncols=shutil.get_terminal_size().columns or 80,
            bar_format="{percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s  {desc}",
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

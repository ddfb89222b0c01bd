"""What a command does while one waits for it, on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

EVERY_S = 1.0
_CLEAR = "\r\x1b[2K"


@contextmanager
def waiting(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Callable[[str], None]]:
    """Yields a function that shows the current activity: on a terminal in one line, with the seconds that it has taken,
    which is gone at the end; elsewhere as a line each."""
    out = sys.stderr if stream is None else stream
    if quiet:
        yield lambda text: None
    elif not out.isatty():
        yield lambda text: print(f"{text} ...", file=out, flush=True)
    else:
        line = _Line(out)
        try:
            yield line.doing
        finally:
            line.close()


class _Line:
    """One line of a terminal, written again each second by a thread."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text, self._since_s = "", time.monotonic()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._tick, name="waiting", daemon=True)
        self._thread.start()

    def doing(self, text: str) -> None:
        with self._lock:
            self._text, self._since_s = text, time.monotonic()
            self._show()

    def _tick(self) -> None:
        while not self._ended.wait(EVERY_S):
            with self._lock:
                self._show()

    def _show(self) -> None:
        if self._text:
            took_s = time.monotonic() - self._since_s
            self._out.write(f"{_CLEAR}{self._text} ... {f'{took_s:.0f} s' if took_s >= EVERY_S else ''}")
            self._out.flush()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._out.write(_CLEAR)
        self._out.flush()

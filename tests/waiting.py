"""Waiting for what happens elsewhere: `waiting` can be imported from everywhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Wait until `condition` holds, and give what it returned. The deadline only ends a test that has failed."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not (held := condition()):
        assert time.monotonic() < deadline, f"never came true: {condition}"
        pause.wait(0.01)
    return held

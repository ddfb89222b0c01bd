"""The engine comes first while it measures, and only then; and it never starves the service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, time
from luckyhit.load.priority import hurried
turns = lambda: (os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else 0, os.getpriority(os.PRIO_PROCESS, 0))
before = turns()
try:
    with hurried() as words:
        assert words in ("at real-time priority", "at a raised priority", "at ordinary priority")
        assert (turns() != before) == (words != "at ordinary priority")
        raise RuntimeError
except RuntimeError:
    pass
assert turns()[0] == before[0], turns()
with hurried() as words:
    end = time.process_time() + 1.6
    while time.process_time() < end:
        pass
    assert words != "at real-time priority" or turns()[0] == before[0]
print("fine")
"""


def test_priority_is_given_back() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "lib")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.stdout == "fine\n", said.stderr

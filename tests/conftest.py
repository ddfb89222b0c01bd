"""What tests of all folders share: `tier` can be imported from everywhere."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A job in the background ignores SIGINT, and so would all that tests start and interrupt: what is ignored stays so.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Thousands of tests are collected, and stay: looking through them for garbage again and again takes a third of that
# time, and some of each test's.
gc.disable()

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# jsonschema (and so nbformat, and papermill) would compile a grammar for it, for seconds in each process that collects
# tests; it does without where the package is missing, and no schema here has that format.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def pytest_xdist_auto_num_workers() -> int:
    """Tests wait for processes, servers and intervals for about as long as they compute."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests that measure are asked for, files without one are not even imported: that takes longer than
    some of those tests."""
    asked = config.option.markexpr.split(" and ")
    if "measures" in asked and collection_path.suffix == ".py":
        return "mark.measures" not in collection_path.read_text(encoding="utf-8") or None
    return None


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)  # at the end, all is looked through once more

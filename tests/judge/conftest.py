"""Simulated records for the judge: frames as a run has them, from a seed and a few knobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from declared import a_case
from simulated_blocks import Records, a_run

from luckyhit.case import Case


@pytest.fixture(scope="session")
def simulate() -> Callable[..., Records]:
    return a_run


@pytest.fixture(scope="session")
def case_with() -> Callable[..., Case]:
    return a_case

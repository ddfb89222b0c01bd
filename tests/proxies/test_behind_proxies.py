"""Hit ratio and database calls behind real proxies, beside what the service and the relays between them counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab, missing
from matrix import COMBINATIONS, QUICK
from measured import measure

from tier import one_of_many


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as running:
        yield running


@pytest.mark.parametrize(
    ("chain", "service"), [one_of_many(*combination, quick=combination in QUICK) for combination in COMBINATIONS]
)
def test_figures_are_those_of_the_origins_log(lab: Lab, chain: str, service: str) -> None:
    if programs := missing(chain):
        pytest.skip(f"not installed here: {', '.join(programs)}")
    figures = measure(lab, chain, service)
    assert figures.ratio_right, figures
    assert figures.calls_right if figures.tells_calls else figures.calls is None, figures

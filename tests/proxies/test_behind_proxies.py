"""Hit ratio and database calls behind real proxies, beside what the service and the relays between them counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab, missing
from matrix import COMBINATIONS, QUICK, SHORT, SILENT
from measured import measure, recorded

from luckyhit.load.command.options import LoadOptions
from tier import one_of_many


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as running:
        yield running


@pytest.mark.parametrize(
    ("chain", "service"), [one_of_many(*combination, quick=combination in QUICK) for combination in COMBINATIONS]
)
def test_figures_are_those_of_the_origins_log(lab: Lab, chain: str, service: str) -> None:
    skip_where_missing(chain)
    figures = measure(lab, chain, service)
    assert figures.ratio_right, figures
    assert figures.calls_right if figures.shows_calls else figures.calls is None, figures


@pytest.mark.slow
@pytest.mark.parametrize(("chain", "service"), SHORT)
def test_what_expires_is_a_miss_unless_confirmed(lab: Lab, chain: str, service: str) -> None:
    skip_where_missing(chain)
    figures = measure(lab, chain, service, rate=40, seconds=5)
    assert figures.ratio_right and (figures.calls_right or not figures.shows_calls), figures


@pytest.mark.slow
@pytest.mark.parametrize(("chain", "service"), sorted(SILENT))
def test_what_no_response_shows_is_not_made_up(lab: Lab, chain: str, service: str) -> None:
    skip_where_missing(chain)
    figures = measure(lab, chain, service)
    assert (figures.hit_ratio, figures.calls, figures.visible) == (None, None, 0)


@pytest.mark.slow
def test_a_hit_that_lost_its_body_has_other_bytes(lab: Lab) -> None:
    # findings/apache-socache-empty-hit.sh: by its status and its headers, such a hit is as good as any.
    skip_where_missing("apache-x-cache")
    rows = recorded(f"{lab.url('apache-x-cache', 'tagged-1')}/1", LoadOptions(rate=20, seconds=4)).to_pydict()
    responses = set(zip(rows["status"], rows["cache"], rows["body_hash"], strict=True))
    hashes = {body_hash for status, cache, body_hash in responses if (status, cache) == (200, "hit")}
    assert len(hashes) == 2 and {0} < set(rows["bytes"])


def skip_where_missing(chain: str) -> None:
    if programs := missing(chain):
        pytest.skip(f"not installed here: {', '.join(programs)}")

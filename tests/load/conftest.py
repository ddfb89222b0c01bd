"""What the tests of the load engine share: a run of a case, a service that does what its path says, certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import write_certificate
from hostile_service import HostileService
from measured_block import new_run

from luckyhit.case_run import CaseRun


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    return new_run(tmp_path)


@pytest.fixture
def service() -> Iterator[HostileService]:
    with HostileService().running() as running:
        yield running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("tls")
    return {
        "good": write_certificate(place / "good.pem"),
        "expired": write_certificate(place / "expired.pem", expired=True),
        "other host": write_certificate(place / "other.pem", bytes([127, 0, 0, 2])),
    }

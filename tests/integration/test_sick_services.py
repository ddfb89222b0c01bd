"""Services with one known fault each, measured by the case that their owner would write: the fault's own number stands
on the first screen, and nothing is said that isn't so.

The services are no part of this project: LUCKYHIT_SICK_SERVICES names their folder (else `shared/sick-services` beside
the checkout), and an environment of each is made from its requirements.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from luckyhit.records import Result

ROOT = Path(__file__).parents[2]
SERVICES = Path(os.environ.get("LUCKYHIT_SICK_SERVICES") or ROOT.parent / "shared" / "sick-services")
pytestmark = [
    pytest.mark.measures,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not SERVICES.is_dir(), reason="no folder of sick services: set LUCKYHIT_SICK_SERVICES"),
]

FAULTS = {
    ("commit-after-response", "case.yml"): ("stale-without-cache", "deleted-after-acknowledgement"),
    ("settings-in-transaction", "case.yml"): ("stale-workload-reads",),
    ("page-not-in-key", "case.yml"): ("same-bytes-other-url", "unexpected-answers"),
    ("page-not-in-key", "case-fields-only.yml"): ("same-bytes-other-url",),
    ("lying-indicator", "case.yml"): ("status-not-believable",),
    ("group-ttl", "case.yml"): ("outlives-ttl",),
    ("group-ttl", "case-quiet.yml"): ("probe-is-the-load",),
}
"""By service and case: the findings that hold the fault's number."""
NEVER_AFTER = {"stale-without-cache", "deleted-after-acknowledgement", "same-bytes-other-url", "outlives-ttl"}


@pytest.fixture(scope="module")
def environments(tmp_path_factory) -> dict[str, Path]:
    made = {}
    for name in sorted({service for service, _ in FAULTS}):
        made[name] = tmp_path_factory.mktemp(name) / "venv"
        subprocess.run([sys.executable, "-m", "venv", made[name]], check=True)
        install = [made[name] / "bin" / "pip", "install", "-q", "-r", SERVICES / name / "requirements.txt"]
        subprocess.run(install, check=True, capture_output=True)
    return made


@pytest.mark.parametrize(("service", "case"), FAULTS, ids=lambda value: value.removesuffix(".yml"))
def test_the_fault_stands_on_the_first_screen(service: str, case: str, environments, tmp_path: Path) -> None:
    kept = ["--runs-dir", tmp_path / "runs", "--reports-dir", tmp_path / "reports"]
    done = subprocess.run(
        [sys.executable, "-m", "luckyhit", "run", SERVICES / service / case, "--json", *kept],
        env={**os.environ, "SUBJECT": str(SERVICES / service), "VENV": str(environments[service])},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = Result.model_validate(json.loads(done.stdout)["result"])
    by_id = {finding.id: finding for finding in result.findings}
    assert set(FAULTS[service, case]) <= set(by_id)
    assert result.verdict != "HURT" and "not-looked-for" not in by_id
    for finding in by_id.values():
        if finding.id in NEVER_AFTER:
            assert finding.before is not None and finding.before.count > 0
            assert finding.after is None or finding.after.count == 0
    if service == "lying-indicator":
        assert result.metrics["hit_ratio"].before is None and result.metrics["hit_ratio"].after is not None
        assert next(iter(by_id)) == "status-not-believable"
    if case == "case-quiet.yml":
        assert next(iter(by_id)) in ("probe-changes-the-picture", "probe-is-the-load")

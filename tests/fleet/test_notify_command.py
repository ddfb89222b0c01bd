"""`--notify-command`: it gets the outcome as JSON, and changes nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from luckyhit.errors import ArgumentError
from luckyhit.workflow.unattended.notify_command import command_words, notify


def test_it_gets_the_outcome_on_its_standard_input(tmp_path: Path) -> None:
    target = tmp_path / "told.json"
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    assert notify([sys.executable, "-c", script, str(target)], {"verdict": "HURT", "report": "a.html"}) == ""
    assert json.loads(target.read_text()) == {"schema": 1, "verdict": "HURT", "report": "a.html"}


@pytest.mark.parametrize(
    "words",
    [["no-such-command-here"], [sys.executable, "-c", "import sys; sys.exit('no chat')"], ["/"]],
    ids=["missing", "fails", "a folder"],
)
def test_what_goes_wrong_is_told(words: list[str]) -> None:
    problem = notify(words, {"verdict": None})
    assert words[0] in problem


def test_a_command_that_does_not_read_or_does_not_end() -> None:
    assert notify([sys.executable, "-c", "pass"], {"reason": "x" * 1_000_000}) == ""
    endless = [sys.executable, "-c", "import signal; signal.pause()"]
    assert "seconds" in notify(endless, {}, within_s=1.0)


def test_words_are_split_as_in_a_shell() -> None:
    assert command_words("mail -s 'a b' me@x") == ["mail", "-s", "a b", "me@x"]
    assert command_words("") == []
    with pytest.raises(ArgumentError):
        command_words("mail 'open")

"""`--notify-command`: a command of the user's gets the outcome as JSON on its standard input. A chat, a pager, a mail:
what sends it is theirs. Whether it works never changes the outcome."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from luckyhit.errors import ArgumentError

NOTIFY_SCHEMA = 1
WITHIN_S = 60.0
_LONGEST = 400


def command_words(text: str) -> list[str]:
    """The words of the command; none for an empty text. No shell reads it. Raises ArgumentError for an open quote."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ArgumentError(
            f"--notify-command {text!r} can't be split into words: {error}",
            hint="Quote it as in a shell: --notify-command 'curl --json @- https://chat.example.com/hook'",
        ) from None


def notify(words: Sequence[str], outcome: Mapping[str, Any], *, within_s: float = WITHIN_S) -> str:
    """Run the command with `outcome` as JSON on its standard input. Gives what went wrong in half a sentence, or an
    empty text. Never raises."""
    text = json.dumps({"schema": NOTIFY_SCHEMA, **outcome}, default=str) + "\n"
    try:
        done = subprocess.run(
            list(words),
            input=text,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=within_s,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{words[0]} did not end within {within_s:g} seconds"
    except (OSError, ValueError) as error:
        return f"{words[0]} could not be run: {getattr(error, 'strerror', None) or error}"
    if done.returncode:
        complaint = " ".join(done.stderr.split())[-_LONGEST:]
        return f"{words[0]} ended with {done.returncode}" + (f": {complaint}" if complaint else "")
    return ""

"""The commands that README and docs tell a reader to give, as they stand in their fenced blocks.

```sh        each line is a command; one that ends in a backslash goes on, what follows ` # ` is a comment
```console   lines with `$ ` are commands; those below show what comes, with `...` for what differs each time
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)$")
_COMMENT = re.compile(r"\s+# .*$")


@dataclass(frozen=True)
class Command:
    """One command: its page, what is typed (without comments), and the lines that the page shows below it."""

    page: str
    text: str
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    lines: tuple[str, ...]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    blocks: list[Block] = []
    inside: list[str] | None = None
    language = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if fence and inside is None:
            language, inside = fence[1], []
        elif line == "```" and inside is not None:
            blocks.append(Block(language, tuple(inside)))
            inside = None
        elif inside is not None:
            inside.append(line)
    assert inside is None, f"{page.name} has a block without an end"
    return blocks


def commands_of(page: Path) -> list[Command]:
    """The commands of a page, in their order."""
    name = page.relative_to(ROOT).as_posix()
    commands: list[Command] = []
    for block in blocks_of(page):
        if block.language == "sh":
            commands += [Command(name, text) for text in _joined(block.lines)]
        elif block.language == "console":
            commands += _shown(name, block.lines)
    return commands


def _joined(lines: tuple[str, ...]) -> list[str]:
    """Commands of several lines as one; a quote that is open goes on as well."""
    joined, begun = [], ""
    for line in lines:
        begun += line
        if line.endswith("\\") or begun.count('"') % 2 or not line.strip():
            begun = begun.removesuffix("\\") + ("\n" if begun.count('"') % 2 else "") if line.strip() else begun
            continue
        text = begun if "\n" in begun else re.sub(r"\s+", " ", _COMMENT.sub("", begun)).strip()
        begun = ""
        if not text.startswith("#"):
            joined.append(text)
    return joined


def _shown(page: str, lines: tuple[str, ...]) -> list[Command]:
    commands: list[Command] = []
    for line in lines:
        if line.startswith("$ "):
            commands.append(Command(page, line.removeprefix("$ ")))
        else:
            last = commands.pop()
            commands.append(Command(page, last.text, (*last.shows, line)))
    return commands


def as_pattern(shows: tuple[str, ...]) -> re.Pattern[str]:
    """What a page shows, as a pattern for what really came."""
    return re.compile(r"\s+".join(re.escape(line).replace(r"\.\.\.", ".*") for line in " ".join(shows).split()))

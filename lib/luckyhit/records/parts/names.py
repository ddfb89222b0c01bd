"""What part files of requests are called.

    block-003-part-0007                  what one process recorded in a second of block 3
    block-003-worker-01-part-0007        the same of another of the block's processes
    block-003-rows-0000-0059             parts 0 to 59 in one file, which counts instead of them

A merged file is whole before the first of its parts is removed. After a crash in between both stand side by side, and
the name alone tells that the parts are not to be read any more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_PART = re.compile(r"(?P<of>block-\d+(?:-worker-\d+)?)-part-(?P<number>\d+)")
_MERGED = re.compile(r"(?P<of>block-\d+(?:-worker-\d+)?)-rows-(?P<first>\d+)-(?P<last>\d+)")


def prefix_of(block: int, worker: int) -> str:
    """How the names of one process's files of a block begin."""
    return f"block-{block:03d}-worker-{worker:02d}" if worker else f"block-{block:03d}"


def part_name(block: int, worker: int, number: int) -> str:
    """Of the file with what was recorded since the part before."""
    return f"{prefix_of(block, worker)}-part-{number:04d}"


def merged_name(prefix: str, first: int, last: int) -> str:
    """Of the file that has parts `first` to `last` in it."""
    return f"{prefix}-rows-{first:04d}-{last:04d}"


def part_number(path: Path, prefix: str) -> int | None:
    """The number of a part file of this process and block; None for any other file."""
    match = _PART.fullmatch(path.stem)
    return int(match["number"]) if match is not None and match["of"] == prefix else None


def without_merged(paths: Sequence[Path]) -> list[Path]:
    """The files that count: parts that a merged file beside them has in it are left out."""
    merged: dict[str, list[range]] = {}
    for path in paths:
        if (match := _MERGED.fullmatch(path.stem)) is not None:
            merged.setdefault(match["of"], []).append(range(int(match["first"]), int(match["last"]) + 1))
    if not merged:
        return list(paths)
    return [path for path in paths if not _is_merged(path, merged)]


def _is_merged(path: Path, merged: dict[str, list[range]]) -> bool:
    match = _PART.fullmatch(path.stem)
    return match is not None and any(int(match["number"]) in numbers for numbers in merged.get(match["of"], ()))

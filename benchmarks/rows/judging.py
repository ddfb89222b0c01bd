"""Judging ten million rows, against an earlier build: time, and memory.

    python benchmarks/rows/judging.py BASE [ROWS] [ROUNDS]

`BASE`: a checkout of the earlier build. Each build makes the run directory with its own `benchmarks/judge_rows.py`,
from the same seed, and judges it in a process of its own. The builds take turns.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))

from harness.rounds import in_rounds  # noqa: E402
from harness.telling import tell  # noqa: E402

_LINE = re.compile(r"judging: ([\d.]+) s .*?, ([\d,]+) MB")


def judged(root: Path, rows: int, number: int) -> tuple[float, float]:
    """(seconds, MB) of one build."""
    printed = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "judge_rows.py"), "--rows", str(rows)],
        env={**os.environ, "PYTHONPATH": str(root / "lib")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    line = _LINE.search(printed)
    assert line is not None, printed
    return float(line[1]), float(line[2].replace(",", ""))


def main(base: Path, rows: int = 10_000_000, rounds: int = 2) -> None:
    turns = {"now": partial(judged, HERE.parent, rows), "base": partial(judged, base, rows)}
    figures = in_rounds(turns, rounds)
    for index, (row, unit) in enumerate((("judging-time", "s"), ("judging-memory", "MB"))):
        now, then = ([one[index] for one in figures[name]] for name in ("now", "base"))
        note = f"{median(now):.1f} {unit} against {median(then):.1f} {unit}"
        tell(row, [one / other for one, other in zip(now, then, strict=True)], note)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))

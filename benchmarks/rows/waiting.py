"""What one waits for besides measuring, against an earlier build: a demo run, and the three notebooks by papermill.

    python benchmarks/rows/waiting.py demo BASE [ROUNDS]
    python benchmarks/rows/waiting.py notebooks BASE [ROUNDS]

Each build works from its own root with its own library, on a copy of its shipped case. Seconds are those from the start
of the command to its end, without those in which the load was measured or warmed up. The builds take turns.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))

from harness.rounds import in_rounds  # noqa: E402
from harness.telling import tell  # noqa: E402

CASE = "stale-price"
NOTEBOOKS = ("1-baseline", "2-change", "3-report")
BLOCKS = {"demo": 3, "notebooks": 2}
"""Pairs of blocks: neither fewer nor more, so that both builds do the same."""
TRIVIAL = {"baseline": "1s", "warmup": "500ms", "block": "1s", "after_rollback": "1s"}
HOW = {"demo": "run", "notebooks": "papermill"}


def not_measuring(how: str, root: Path, number: int) -> float:
    """Seconds of one build."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        case = place / "case.yml"
        text = (root / "data" / "cases" / f"{CASE}.yml").read_text()
        case.write_text(_with_plan(text, {"blocks": str(BLOCKS[how]), **(TRIVIAL if how == "notebooks" else {})}))
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPATH"] = str(root / "lib")
        commands = COMMANDS[how](root, case, place)
        began_s = time.monotonic()
        for command in commands:
            done = subprocess.run(
                command, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                sys.exit(f"{' '.join(command[1:4])}: status {done.returncode}: {done.stderr.strip()[-500:]}")
        seconds = time.monotonic() - began_s
        (manifest,) = place.glob("runs/*/*/manifest.json")
        blocks = json.loads(manifest.read_text())["blocks"]
        return seconds - sum(block["end_ns"] - block["start_ns"] for block in blocks) / 1e9


def _with_plan(text: str, fields: dict[str, str]) -> str:
    text = text.replace("\nplan:\n", "\nplan:\n  stop_early: false\n")
    for name, value in fields.items():
        text, count = re.subn(rf"(?m)^  {name}: .*$", f"  {name}: {value}", text)
        assert count == 1, name
    return text


def _demo(root: Path, case: Path, place: Path) -> list[list[str]]:
    folders = ["--runs-dir", str(place / "runs"), "--reports-dir", str(place / "reports")]
    return [[sys.executable, "-m", "luckyhit", "run", str(case), *folders]]


def _notebooks(root: Path, case: Path, place: Path) -> list[list[str]]:
    papermill = [sys.executable, "-m", "papermill", "--log-level", "ERROR", "--no-progress-bar"]
    folders = ["-p", "runs_dir", str(place / "runs"), "-p", "reports_dir", str(place / "reports")]
    return [
        [*papermill, f"notebooks/{name}.ipynb", str(place / f"{name}.ipynb"), "-p", "case", str(case), *folders]
        for name in NOTEBOOKS
    ]


COMMANDS: dict[str, Callable[[Path, Path, Path], list[list[str]]]] = {"demo": _demo, "notebooks": _notebooks}


def main(how: str, base: Path, rounds: int = 2) -> None:
    for root in (HERE.parent, base):  # each compiles its modules once
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(root / "lib")], env=env, check=True)
    turns = {"now": partial(not_measuring, how, HERE.parent), "base": partial(not_measuring, how, base)}
    seconds = in_rounds(turns, rounds)
    note = f"{median(seconds['now']):.1f} s against {median(seconds['base']):.1f} s"
    tell(how, [now / then for now, then in zip(seconds["now"], seconds["base"], strict=True)], note)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))

"""How much of a case `luckyhit new --start` finds out: the services of a folder, and the demo service.

    python benchmarks/discover.py [FOLDER] [VENVS]

FOLDER/NAME/run.sh starts a service on $PORT in the current directory, VENVS/NAME/venv is its environment. A
FOLDER/NAME/case.yml that somebody wrote by hand is compared with: what differs has its own value
behind the one found out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

LIBRARY = Path(__file__).resolve().parents[1] / "lib"
COLUMNS = ("service", "seconds", "read", "write", "JSON path", "key template", "check", "by hand")
ABSENT = "-"


def main(arguments: Sequence[str]) -> None:
    rows = [demo()]
    if arguments:
        services = Path(arguments[0]).resolve()
        venvs = Path(arguments[1]).resolve() if len(arguments) > 1 else None
        rows += [from_folder(script.parent, venvs) for script in sorted(services.glob("*/run.sh"))]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in (COLUMNS, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def demo() -> tuple[str, ...]:
    env = {"PYTHONPATH": str(LIBRARY), "DATABASE": "{workdir}/catalogue.sqlite3"}
    return measured("demo", "{python} -m luckyhit.demo --port {port}", env, None)


def from_folder(folder: Path, venvs: Path | None) -> tuple[str, ...]:
    env = {}
    if venvs is not None:
        venv = venvs / folder.name / "venv"
        env = {"VIRTUAL_ENV": str(venv), "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    by_hand = folder / "case.yml"
    return measured(folder.name, f"bash '{folder / 'run.sh'}'", env, by_hand if by_hand.is_file() else None)


def measured(name: str, command: str, env: dict[str, str], by_hand: Path | None) -> tuple[str, ...]:
    """One row of the table."""
    with tempfile.TemporaryDirectory(prefix="luckyhit-bench-") as folder:
        options = [word for each in env.items() for word in ("--env", "=".join(each))]
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "luckyhit", "new", name, "--start", command, "--cwd", "{workdir}", *options],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(LIBRARY)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - began
        path = Path(folder) / "data" / "cases" / f"{name}.yml"
        text = path.read_text() if path.is_file() else ""
    if not text:
        return (name, f"{seconds:.1f}", *[ABSENT] * 4, f"exit {done.returncode}", ABSENT)
    todo = sum("TODO:" in line for line in text.splitlines())
    green = "green" if "check is green" in done.stderr else "red"
    wanted = list(facts(yaml.safe_load(by_hand.read_text()))) if by_hand is not None else [ABSENT] * 4
    compared = [
        own if other in (ABSENT, own) else f"{own} ({other})"
        for own, other in zip(facts(yaml.safe_load(text)), wanted, strict=True)
    ]
    return (name, f"{seconds:.1f}", *compared, green, str(todo))


def facts(case: dict[str, Any]) -> Iterator[str]:
    """Read, write, JSON path of the version and key templates of a case."""
    yield case["route"]
    probe = case.get("freshness") or {}
    write = probe.get("write") or {}
    yield f"{write.get('method', 'PUT')} {write['path']}" if write else ABSENT
    yield ", ".join(read["version"] for read in probe.get("reads", ()) if "version" in read) or ABSENT
    yield ", ".join((case.get("cache") or {}).get("clear") or ()) or ABSENT


if __name__ == "__main__":
    main(sys.argv[1:])

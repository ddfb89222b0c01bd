"""The table of what people wait for: each row a ratio of one run, against an earlier build of ours or a peer.

    python benchmarks/table                          all rows of benchmarks/rows.toml
    python benchmarks/table --base REV               "today" is that revision, instead of the one in rows.toml
    python benchmarks/table --only clear-time demo   these rows
    python benchmarks/table --record                 and write the ratios down, as what later ones are held against

Each command runs by itself, one after the other. What does not fit into the minutes is left out, and told so. The exit
status is 1 if a row has become worse by more than a tenth, or failed; 2 for an argument or a table that can't be used.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from checkout import NoCheckout, checkout
from outcomes import Outcome, as_text, outcome_of, told_rows, with_recorded
from table_rows import FILE, HERE, Row, RowError, read_rows

_LAST_LINES = 1
_ENDS_WITHIN_S = 10.0


def main() -> int:
    try:
        known_base, rows = read_rows()
    except RowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    given = _arguments([row.id for row in rows], known_base)
    chosen = [row for row in rows if not given.only or row.id in given.only]
    deadline_s = time.monotonic() + given.minutes * 60
    outcomes: dict[str, Outcome] = {row.id: Outcome(row, "skipped", note=row.skip) for row in chosen if row.skip}
    with ExitStack() as opened:
        base: Path | None = None
        if any(row.needs_base and not row.skip for row in chosen):
            try:
                base = opened.enter_context(checkout(given.base))
            except NoCheckout as error:
                for row in chosen:
                    if row.needs_base and not row.skip:
                        outcomes[row.id] = Outcome(row, "skipped", note=str(error))
        for command in dict.fromkeys(row.by for row in chosen if row.id not in outcomes):
            told = _outcomes([row for row in chosen if row.by == command and row.id not in outcomes], base, deadline_s)
            outcomes |= {one.row.id: one for one in told}
    in_order = [outcomes[row.id] for row in chosen]
    print(f"\n{as_text(in_order)}\n")
    if given.record:
        FILE.write_text(with_recorded(FILE.read_text(encoding="utf-8"), in_order), encoding="utf-8")
        print(f"Written to {FILE.name}.")
    red = [one.row.id for one in in_order if one.red]
    if red:
        print(f"Worse by more than a tenth, or failed: {', '.join(red)}.")
    return 1 if red else 0


def _arguments(ids: list[str], base: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/table", description="The table of what people wait for, as ratios of one run."
    )
    parser.add_argument("--base", default=base, help="the revision that `today` refers to (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=ids, help=f"of {', '.join(ids)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="what does not fit is left out (default: 10)")
    parser.add_argument("--record", action="store_true", help="write the ratios to rows.toml")
    return parser.parse_args()


def _outcomes(rows: list[Row], base: Path | None, deadline_s: float) -> list[Outcome]:
    """Run the command that these rows share."""
    words = rows[0].words(base)
    left_s = deadline_s - time.monotonic()
    shown = " ".join([Path(words[0]).relative_to(HERE).as_posix(), *words[1:]]).replace(str(base), "{base}")
    if rows[0].seconds > left_s:
        note = f"takes about {rows[0].seconds:.0f} s, and {max(0.0, left_s):.0f} s are left: --minutes, or --only"
        return [Outcome(row, "skipped", note=note) for row in rows]
    print(f"{shown} ...", file=sys.stderr, flush=True)
    began_s = time.monotonic()
    output, status = _run(words, left_s)
    print(f"    {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    told = told_rows(output)
    if status is None:
        note = f"was not done within {left_s:.0f} s: --minutes, or --only"
        return [outcome_of(row, told[row.id]) if row.id in told else Outcome(row, "skipped", note=note) for row in rows]
    last = "; ".join(line for line in output.splitlines()[-_LAST_LINES:] if not line.startswith("{"))
    otherwise = f"its command ended with status {status}" + (f": {last}" if last else "")
    return [outcome_of(row, told.get(row.id), otherwise) for row in rows]


def _run(words: list[str], within_s: float) -> tuple[str, int | None]:
    """(what it printed, its exit status; None if it had to be stopped)."""
    path = os.pathsep.join([str(HERE.parent / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=within_s)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            return process.communicate(timeout=_ENDS_WITHIN_S)[0], None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0], None
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise


if __name__ == "__main__":
    sys.exit(main())

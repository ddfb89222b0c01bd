"""How long does judging a long run take, and how much memory? Beside it, a bare read of the same columns.

    python benchmarks/judge_rows.py                  ten million requests
    python benchmarks/judge_rows.py --rows 2000000
    python benchmarks/judge_rows.py --base DIR       beside another checkout: ratios, both by turns
    python benchmarks/judge_rows.py --linear         a hundred million beside ten
    ... --json                                       the ratios as lines of JSON

A run directory is made from a seed: part files as the load engine writes them, both arms by turns as answers come. It
is judged, and read, in a process of its own each, so that what one keeps is no part of the other's peak. The peer is
pyarrow, which reads what is judged and does nothing with it; CPU seconds are those of all threads. The directory goes
away at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness.telling import tell

from luckyhit.case_run import CaseRun
from luckyhit.records import CACHE_STATUSES, REQUESTS, Guard, RequestError, parquet

CASE = Path(__file__).parents[1] / "data" / "cases" / "placebo.yml"
SEED = 20253
BLOCKS = 4
PART = 250_000
"""Rows of one part file: about what a minute of load leaves."""
KEYS = 20_000
WARMUP = 0.2
SECONDS = 300.0
"""How long a block lasts; the rate follows from the rows."""
ERRORS = get_args(RequestError)
Step = dict[str, float]


Write = Callable[[Path, str, pa.Table], Path]


def a_run(folder: Path, rows: int, write: Write | None = None) -> CaseRun:
    """A baseline, the blocks of the change, and the block after the rollback, with about `rows` rows in all.
    `write`: else as the load engine does."""
    rng = np.random.default_rng(SEED)
    run = CaseRun.create(
        folder, CASE, now=datetime(2026, 11, 23, 2, 15, tzinfo=UTC), manifest={"design": "side-by-side", "guards": []}
    )
    plans = [("baseline", ["before"])] + [("change", ["before", "after"])] * BLOCKS + [("after-rollback", ["before"])]
    slots = rows // sum(len(arms) for _, arms in plans)
    blocks = []
    for block, (stage, arms) in enumerate(plans):
        a_block(rng, run.path / "requests", block, arms, slots, write or parquet.write_rows)
        blocks.append(facts(block, stage, arms))
    declared = Guard(id="declared-difference-only", ok=True, detail="one environment variable differs")
    run.update(
        blocks=blocks,
        guards=[declared.model_dump()],
        rollback={"confirmed": True, "detail": "as it was", "same_as_before": None},
        state="measured",
    )
    return run


def facts(block: int, stage: str, arms: Sequence[str]) -> dict[str, Any]:
    cleared = {"scanned": 400, "matched": 400, "cleared": 400, "gone": 0, "appeared": 0, "without_ttl_kept": 0}
    engine = {"added_p50_ms": 0.3, "added_p99_ms": 0.9, "schedule_error_p99_ms": 0.2, "trustworthy": True, "detail": ""}
    clear = {arm: {**cleared, "outside": 3} for arm in arms}
    return {"block": block, "stage": stage, "arms": list(arms), "pair": block, "engine": engine, "clear": clear}


def a_block(rng: np.random.Generator, folder: Path, block: int, arms: Sequence[str], slots: int, write: Write) -> None:
    """Slots in time order, the arms of a slot next to each other; the same slots mostly hit in both arms."""
    common, keys = rng.random(slots), (KEYS * rng.random(slots) ** 3).astype(np.int64) + 1
    texts = pa.array(np.arange(KEYS + 1).astype(str), pa.string())
    width = len(arms)
    for part, first in enumerate(range(0, slots * width, PART)):
        slot, arm = np.divmod(np.arange(first, min(first + PART, slots * width)), width)
        count = len(slot)
        own = rng.random(count)
        hit = np.where(own < 0.05, own / 0.05, common[slot]) < 0.95
        due = ((block * (SECONDS + 10) + slot / slots * SECONDS) * 1e9).astype(np.int64)
        latency = np.where(hit, 1.3e6, 11e6) * np.exp(0.3 * rng.normal(size=count))
        wrong = rng.random(count) < 0.001
        done = due + latency.astype(np.int64) + 20_000
        columns: dict[str, Any] = {
            "arm": words(arm, arms),
            "block": np.full(count, block, np.int32),
            "slot": slot,
            "phase": words(slot >= WARMUP * slots, ("warmup", "measure")),
            "route": words(keys[slot] % 20 == 0, ("product", "list")),
            "key": texts.take(pa.array(keys[slot])),
            "due_ns": due,
            "sent_ns": due + 20_000,
            "first_byte_ns": pa.array(done - 10_000, mask=wrong),
            "done_ns": pa.array(done, mask=wrong),
            "status": pa.array(np.full(count, 200, np.int16), mask=wrong),
            "error": words(np.ones(count), ERRORS, mask=~wrong),
            "cache": words(np.where(wrong, CACHE_STATUSES.index("unknown"), np.where(hit, 0, 1)), CACHE_STATUSES),
            "db_calls": pa.array(np.where(hit, 0, 2).astype(np.int32), mask=wrong),
            "age_s": pa.nulls(count, pa.float64()),
            "bytes": pa.array(np.full(count, 900), mask=wrong),
            "connection": np.ones(count, np.int32),
            "worker": np.zeros(count, np.int16),
            "version": pa.nulls(count, pa.int64()),
            "layers": words(np.zeros(count), ("",), mask=np.ones(count, dtype=bool)),
            "body_hash": pa.nulls(count, pa.int64()),
        }
        table = pa.Table.from_arrays([pa.array(columns[name]) for name in REQUESTS.names], schema=REQUESTS)
        # Rows come as their answers do: nearly in the order of slots, but not quite.
        write(folder, f"block-{block:03d}-part-{part:04d}", table.take(pa.array(np.argsort(done, kind="stable"))))


def words(codes: np.ndarray, texts: Sequence[str], mask: np.ndarray | None = None) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16), mask=mask), pa.array(list(texts)))


@dataclass
class Stopwatch:
    """Wall and CPU seconds of one step, and the most memory that the process had held when it was over."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def stop(self) -> Step:
        return {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu, "peak": peak_mb()}


def judged(path: Path) -> tuple[str, dict[str, Step]]:
    """The verdict, and the steps of judging: loading the requests, and deciding."""
    import luckyhit.judge as judging

    loaded: list[Step] = []
    load = judging.rows_of_parts

    def timed(*given: Any) -> Any:
        clock = Stopwatch()
        rows = load(*given)
        loaded.append(clock.stop())
        return rows

    judging.rows_of_parts = timed  # type: ignore[assignment]
    clock = Stopwatch()
    result = judging.judge(CaseRun.open(path))
    whole, first = clock.stop(), loaded[0]
    rest = {name: whole[name] - first[name] for name in ("wall", "cpu")}
    return f"{result.verdict} ({result.reason})", {"load": first, "decide": {**rest, "peak": whole["peak"]}}


def _stored(part: Path, judged: Sequence[str]) -> list[str]:
    """The columns of a part file that hold what is judged; instants may be kept as durations."""
    columns = {*judged, "late_ns", "latency_ns"}
    return [name for name in pq.read_schema(part).names if name in columns]


def bare_read(path: Path) -> tuple[str, dict[str, Step]]:
    from luckyhit.judge.table.columns import JUDGED

    clock = Stopwatch()
    parts = [
        pq.read_table(part, columns=_stored(part, JUDGED)) for part in sorted((path / "requests").glob("*.parquet"))
    ]
    return f"{pa.concat_tables(parts).num_rows:,} rows", {"read": clock.stop()}


def peak_mb() -> float:
    """The most memory this process has held. Where Linux tells: what getrusage says begins with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        told = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(told.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


# The first lines of a process of its own: nothing is imported before its clock runs.
CHILD = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
import luckyhit.judge
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
sys.path.insert(0, sys.argv[1])
import judge_rows
judge_rows.in_this_process(*sys.argv[2:], wall, cpu)
"""


def in_this_process(what: str, path: str, wall: float, cpu: float) -> None:
    imported = {"wall": wall, "cpu": cpu, "peak": peak_mb()}
    answer, steps = judged(Path(path)) if what == "judge" else bare_read(Path(path))
    print(json.dumps({"answer": answer, "steps": {"import": imported, **steps}}))


HERE = Path(__file__).parents[1]


def measured(what: str, path: Path, tree: Path = HERE) -> dict[str, Any]:
    """By the library of one checkout."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), what, str(path)]
    env = {**os.environ, "PYTHONPATH": str(tree / "lib")}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout)


@dataclass(frozen=True)
class Spent:
    """What one judging took, without imports: seconds, seconds of all threads, the most memory (MB)."""

    wall: float
    cpu: float
    peak: float
    answer: str

    @classmethod
    def judging(cls, path: Path, tree: Path = HERE) -> Spent:
        done = measured("judge", path, tree)
        steps = [step for name, step in done["steps"].items() if name != "import"]
        wall, cpu = (sum(step[unit] for step in steps) for unit in ("wall", "cpu"))
        return cls(wall, cpu, steps[-1]["peak"], done["answer"])


@dataclass(frozen=True)
class Ratios:
    """One row of the table of `make bench`, by round."""

    row: str
    of_rounds: list[float]

    def show(self, as_json: bool) -> None:
        if as_json:
            tell(self.row, self.of_rounds)
        else:
            print(f"  {self.row:28} {', '.join(f'{ratio:.2f}' for ratio in self.of_rounds)}", flush=True)


def beside(base: Path, path: Path, times: int) -> list[Ratios]:
    """This checkout beside another one, by turns."""
    pairs = [(Spent.judging(path), Spent.judging(path, base)) for _ in range(times)]
    answers = {spent.answer for pair in pairs for spent in pair}
    if len(answers) > 1:
        raise SystemExit(f"The two builds differ in what they say: {' / '.join(sorted(answers))}")
    units = {"judge-10m-time": "wall", "judge-10m-cpu": "cpu", "judge-10m-memory": "peak"}
    return [
        Ratios(row, [getattr(this, unit) / getattr(other, unit) for this, other in pairs])
        for row, unit in units.items()
    ]


def linear(short: Path, long: Path) -> list[Ratios]:
    """Ten times as many rows: seconds of all threads in multiples, and the most memory in GB."""
    first, whole, again = Spent.judging(short), Spent.judging(long), Spent.judging(short)
    return [
        Ratios("judge-100m-time", [whole.cpu / few.cpu for few in (first, again)]),
        Ratios("judge-100m-memory-gb", [whole.peak / 1e3]),
    ]


def told(name: str, found: dict[str, Any]) -> dict[str, float]:
    """Print its steps; return their sum without the imports."""
    print(f"  {name}: {found['answer']}")
    for step, spent in found["steps"].items():
        print(f"    {step:8} {spent['wall']:6.2f} s   CPU {spent['cpu']:6.2f} s   peak so far {spent['peak']:6,.0f} MB")
    own = [spent for step, spent in found["steps"].items() if step != "import"]
    return {unit: sum(step[unit] for step in own) for unit in ("wall", "cpu")} | {"peak": own[-1]["peak"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds and memory of judging a long run.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--base", type=Path, metavar="DIR", help="another checkout, which judges the same files")
    parser.add_argument("--times", type=int, default=3, help="how often each of the two judges")
    parser.add_argument("--linear", action="store_true", help="ten times as many rows as well")
    parser.add_argument("--json", action="store_true", help="only the ratios, a line of JSON each")
    given = parser.parse_args()
    rows = given.rows
    with tempfile.TemporaryDirectory() as folder:
        # An earlier build can't read what this one's engine writes.
        write = None if given.base is None else parquet.write_part
        run = a_run(Path(folder), rows, write)
        ratios: list[Ratios] = []
        if given.base is not None:
            ratios += beside(given.base.resolve(), run.path, given.times)
        if given.linear:
            ratios += linear(run.path, a_run(Path(folder) / "long", 10 * rows, write).path)
        for ratio in ratios:
            ratio.show(given.json)
        if ratios or given.json:
            return
        size = sum(part.stat().st_size for part in (run.path / "requests").iterdir()) / 1e6
        print(f"{rows:,} requests, {size:,.0f} MB of part files")
        read, judging = (told(name, measured(what, run.path)) for name, what in PEERS.items())
    whole = f"{judging['wall']:.1f} s (CPU {judging['cpu']:.1f} s), {judging['peak']:,.0f} MB"
    print(f"  judging: {whole}; {judging['wall'] / read['wall']:.1f} times as long as the bare read", end="")
    print(f" (CPU {judging['cpu'] / read['cpu']:.1f} times), {judging['peak'] / read['peak']:.2f} times its memory")


PEERS = {"bare read (pyarrow)": "read", "judge": "judge"}


if __name__ == "__main__":
    main()

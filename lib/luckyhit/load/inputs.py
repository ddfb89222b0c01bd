"""Files that a workload names: read and checked before anything runs, and kept beside the records.

A keys file becomes `keys-ROUTE.txt`, an access log `replay.parquet` (time, route and target only: no addresses, users,
referrers or agents), so that a run can be repeated after the files have changed, and keeps no more than it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError
from luckyhit.records.parquet import read_table, write_table

LARGEST_KEYS_FILE = 100 << 20
LONGEST_KEY = 1024
_KEYS_HINT = "Name a text file with one key per line."
REPLAY_FILE = "replay.parquet"
SHORTEST_LAP_NS = 1_000_000_000
"""A log that covers less begins again only after this: a few lines at one instant make no flood."""


@dataclass(frozen=True)
class KeyTable:
    """The texts of a route's keys; `targets`: whole paths that replace those of the route's template."""

    keys: tuple[str | None, ...]
    targets: tuple[str, ...] | None = None

    @cached_property
    def digest(self) -> bytes:
        """The same for the same texts."""
        whole = hashlib.sha256()
        for text in (*self.keys, *(self.targets or ())):
            # With their lengths, so that two lists of texts never make the same bytes.
            data = b"" if text is None else text.encode()
            whole.update(b"%d:%b" % (-1 if text is None else len(data), data))
        return whole.digest()

    @cached_property
    def texts(self) -> NDArray[np.object_]:
        """The keys, as an array."""
        return np.array([*self.keys, None], dtype=object)[:-1]

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """For each place a number that is the same for the same key; -1 if there is no key."""
        numbers: dict[str | None, int] = {None: -1}
        return np.array([numbers.setdefault(key, len(numbers)) for key in self.keys], dtype=np.int64)


@dataclass(frozen=True)
class ReplayedLog:
    """The lines of an access log, by time. `offset_ns` counts from the first one; `entry` is an index into the table
    of the line's route; `lasts_ns`: the time that the log covers, after which it begins again."""

    offset_ns: NDArray[np.int64]
    route: NDArray[np.int16]
    entry: NDArray[np.int64]
    tables: tuple[KeyTable | None, ...]
    lasts_ns: int

    def __len__(self) -> int:
        return len(self.offset_ns)

    def count_in(self, seconds: float) -> float:
        """At most how many lines are due in the first `seconds` of the log, which is repeated if it is shorter."""
        return len(self) * (seconds * 1e9 / self.lasts_ns + 1)

    def due_ns(self, seconds: float, speed: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which lines are due within `seconds` at `speed` times the log's pace, and when."""
        laps = int(seconds * 1e9 * speed / self.lasts_ns) + 1
        starts = np.arange(laps, dtype=np.int64)[:, None] * self.lasts_ns
        due = ((starts + self.offset_ns[None, :]).ravel() / speed).astype(np.int64)
        inside = due < round(seconds * 1e9)
        return np.tile(np.arange(len(self)), laps)[inside], due[inside]


@dataclass(frozen=True)
class Inputs:
    """What the engine needs of the files: tables of keys by route, and the log."""

    keys: Mapping[str, KeyTable]
    log: ReplayedLog | None = None

    @property
    def listed(self) -> dict[str, list[str]]:
        """The keys of each route whose keys are from a file, the most popular first."""
        return {route: [key for key in table.keys if key is not None] for route, table in self.keys.items()}

    @classmethod
    def load(cls, directory: Path, routes: int) -> Inputs:
        """What `gather` wrote. `routes`: how many the workload has."""
        keys = {
            path.stem.removeprefix("keys-"): KeyTable(tuple(path.read_text(encoding="utf-8").split("\n")))
            for path in sorted(directory.glob("keys-*.txt"))
        }
        replay = directory / REPLAY_FILE
        return cls(keys, _log(read_table(replay), routes) if replay.is_file() else None)


def gather(workload: Workload, root: Path, into: Path) -> list[str]:
    """Read the files that `workload` names (relative to `root`) and write what the engine needs into `into`.

    Returns sentences about what was left out. Raises ArgumentError, which names the file and the line.
    """
    from luckyhit.load.access_logs.replay import read_log

    notes: list[str] = []
    files = {route.name: route.keys.file for route in workload.routes if route.keys is not None and route.keys.file}
    if files or workload.replay is not None:
        into.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        keys, repeated = _read_keys(root / file)
        (into / f"keys-{name}.txt").write_bytes("\n".join(keys).encode())
        hot = next(route.keys.hot for route in workload.routes if route.name == name and route.keys is not None)
        if hot is not None and hot >= len(keys):
            raise ArgumentError(
                f"{root / file} has {len(keys):,} keys, but keys.hot is {hot:,}",
                hint="Set keys.hot below the number of keys.",
            )
        if repeated:
            notes.append(f"{repeated:,} of the lines of {file} repeat a key; each key counts at its first place.")
    if workload.replay is not None:
        lines, log_problem = read_log(workload, root / workload.replay.file)
        notes += log_problem
        write_table(into / REPLAY_FILE, lines)
    return notes


def _read_keys(path: Path) -> tuple[list[str], int]:
    """The keys of a file, and how many lines repeated an earlier one."""
    try:
        if path.exists() and not path.is_file():  # reading from a pipe or a device might never end
            raise ArgumentError(f"the keys file {path} is not a regular file", hint=_KEYS_HINT)
        if path.stat().st_size > LARGEST_KEYS_FILE:
            raise ArgumentError(f"{path} is larger than {LARGEST_KEYS_FILE >> 20} MiB", hint="Keep fewer keys in it.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ArgumentError(
            f"the keys file {path} can't be read: {error.strerror}",
            hint=f"{_KEYS_HINT} In a case, keys.file is relative to the project.",
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ArgumentError(f"{path}:{line}: not UTF-8", hint=_KEYS_HINT) from None
    keys: dict[str, None] = {}
    lines = 0
    for number, row in enumerate(text.split("\n"), 1):
        key = row.removesuffix("\r")
        if not key:
            continue
        if not key.isprintable() or len(key) > LONGEST_KEY:
            fault = "a key with a control character" if len(key) <= LONGEST_KEY else f"a key of {len(key):,} characters"
            raise ArgumentError(
                f"{path}:{number}: {fault} ({key[:40]!r})",
                hint=f"Write one key per line, of at most {LONGEST_KEY} characters.",
            )
        keys[key] = None
        lines += 1
    if not keys:
        raise ArgumentError(f"{path} has no keys", hint="Write one key per line, the most popular first.")
    return list(keys), lines - len(keys)


def _log(table: pa.Table, routes: int) -> ReplayedLog:
    offset_ns, route = table["offset_ns"].to_numpy(), table["route"].to_numpy()
    targets = table["target"].combine_chunks().dictionary_encode()
    # One entry for each target of a route, however often it occurs.
    pairs = route.astype(np.int64) * len(targets.dictionary) + targets.indices.to_numpy()
    distinct, first, place = np.unique(pairs, return_index=True, return_inverse=True)
    bounds = np.searchsorted(route[first], np.arange(routes + 1))
    keys = table["key"].combine_chunks().take(pa.array(first)).to_pylist()
    paths = targets.dictionary.take(pa.array(distinct % len(targets.dictionary))).to_pylist()
    tables = tuple(
        KeyTable(tuple(keys[start:end]), tuple(paths[start:end])) if end > start else None
        for start, end in pairwise(bounds.tolist())
    )
    # After the last line comes a gap like the others.
    span_ns = int(offset_ns[-1])
    lap_ns = max(SHORTEST_LAP_NS, span_ns + span_ns // max(1, len(offset_ns) - 1))
    return ReplayedLog(offset_ns, route, place - bounds[route], tables, lap_ns)

"""An access log as a trace. It tells neither hits nor costs: what is predicted is hits and stale reads.

An entry is a path with its query. A write outdates all entries of its path, whatever their query, and, where its last
part holds no digit, those of the path above: `PUT /products/7/price` also those of `/products/7`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit.case.part import Method
from luckyhit.case.workload import Workload
from luckyhit.load.access_logs import FORMS
from luckyhit.load.access_logs.replay import form_of, log_lines, read_log
from luckyhit.whatif.recorded.cache_recording import NOT_TOLD, Names, Recording, Rows, recording_of
from luckyhit.whatif.recorded.read_costs import ClassCosts

_METHODS = get_args(Method)
_READS = ("GET", "HEAD")
_BACK_S = 5.0
"""Lines that several processes wrote are out of order by less."""
_ID = re.compile(r"[^/]*\d[^/]*")


def logged_trace(path: Path, *, form: str = "auto") -> Recording:
    """The trace of a log. Raises ArgumentError for a file that is none, or without times; NotEnoughData where it has no
    curve."""
    routes: list[dict[str, Any]] = [{"name": method.lower(), "method": method, "path": "/"} for method in _METHODS]
    replay = {"file": str(path), "format": form, "methods": list(_METHODS), "others": True}
    table, notes = read_log(Workload.model_validate({"seed": 0, "replay": replay, "routes": routes}), path)
    writing = np.array([method not in _READS for method in _METHODS])[table["route"].to_numpy()]
    targets = table["target"].combine_chunks()
    whole = pa.chunked_array([targets]) if isinstance(targets, pa.Array) else targets
    coded = whole.dictionary_encode().combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    target = coded.indices.to_numpy().astype(np.int32)
    is_read = np.bincount(target[~writing], minlength=len(coded.dictionary)) > 0
    names, group_of_target, above = _names(coded.dictionary.to_pylist(), is_read)
    at_ns = table["offset_ns"].to_numpy()
    # A write of an inner part outdates what is above it as well.
    upper = np.flatnonzero(writing & (above[target] >= 0))
    at_ns = np.concatenate([at_ns, at_ns[upper]])
    write = np.concatenate([writing, np.ones(len(upper), bool)])
    group = np.concatenate([group_of_target[target], above[target[upper]]]).astype(np.int32)
    entry = np.concatenate([np.where(writing, -1, target), np.full(len(upper), -1)]).astype(np.int32)
    count = len(at_ns)
    blind = np.full(count, np.nan)
    rows = Rows(
        at_ns, write, entry, group, ~write, np.full(count, NOT_TOLD, np.int8), np.full(count, -1.0),
        np.full(count, -1.0), blind, blind,
    )  # fmt: skip
    others = ClassCosts.of(np.zeros(0), np.zeros(0))
    return recording_of(path.name, [rows], names, others, by="entries", notes=[*notes, *_backwards(path, form)])


def path_shape(target: str) -> str:
    """The path without its query, with each part that holds a digit as `{id}`."""
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in target.partition("?")[0].split("/"))


def _names(targets: list[str], is_read: NDArray[np.bool_]) -> tuple[Names, NDArray[np.int32], NDArray[np.int32]]:
    """Names of the entries, and of each target its group and that above it (-1: none). What is only written has no
    group as an entry."""
    groups: dict[str, int] = {}
    classes: dict[str, int] = {}
    group_of, above, class_of = [], [], []
    for target in targets:
        path = target.partition("?")[0].rstrip("/") or "/"
        group_of.append(groups.setdefault(path, len(groups)))
        shape = path_shape(target)
        class_of.append(classes.setdefault(shape, len(classes)) if len(classes) < 200 or shape in classes else 0)
        upper, _, last = path.rpartition("/")
        inner = bool(upper) and not _ID.fullmatch(last)
        above.append(groups.setdefault(upper, len(groups)) if inner else -1)
    groups_of = np.array(group_of, np.int32)
    made = Names(targets, np.array(class_of, np.int16), np.where(is_read, groups_of, -1), tuple(classes))
    return made, groups_of, np.array(above, np.int32)


def _backwards(path: Path, form: str) -> list[str]:
    """A note where the log's clock goes back."""
    parse = FORMS[form_of(path) if form == "auto" else form].reader()
    lines = ((number, parse(text)) for number, text in log_lines(path))
    timed = ((number, line.at_s) for number, line in lines if line is not None and line.at_s is not None)
    back = [(before - now, number) for (_, before), (number, now) in pairwise(timed) if before - now > _BACK_S]
    if not back:
        return []
    longest, number = max(back)
    return [
        f"The log's clock goes back {len(back)} times, by up to {longest:,.0f} s (line {number:,}). Lines are sorted "
        "by time, which is right for several logs in one file, and wrong where a clock was put back: cut the log there."
    ]

"""From a frame to a RequestTable, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from luckyhit.judge.table.row_order import in_stretches
from luckyhit.judge.table.rows import (
    ARMS,
    CACHE,
    COLUMNS,
    ERRORS,
    OTHER_ERROR,
    UNEXPECTED,
    UNTOLD_ANSWER,
    WRONG_ANSWER,
    RequestTable,
)
from luckyhit.records import NUMBER_COLUMNS

JUDGED = (
    "arm", "block", "slot", "phase", "route", "key", "due_ns", "sent_ns", "first_byte_ns", "done_ns", "status", "error",
    "cache", *NUMBER_COLUMNS,
)  # fmt: skip
"""The columns of the requests table that become Rows."""
PHASES = ("warmup", "measure")
EXACT = 2**53
"""Whole numbers below this are exact as floats: 104 days in nanoseconds."""


def rows_of(frame: pd.DataFrame) -> RequestTable:
    """The frame as arrays. Missing columns and invalid numbers become NaN or -1, which guards report."""
    rows = as_they_come(frame)
    return RequestTable(*in_stretches({name: rows.column(name) for name in COLUMNS}), routes=rows.routes)


def as_they_come(frame: pd.DataFrame) -> RequestTable:
    """The same in the order of the frame."""
    missing = [name for name in JUDGED if name not in frame.columns]
    if missing:
        frame = frame.assign(**dict.fromkeys(missing))
    error = _codes(frame["error"], ERRORS)
    error[(error < 0) & frame["error"].notna().to_numpy(dtype=bool)] = OTHER_ERROR
    unexpected = np.flatnonzero(error == UNEXPECTED)
    error[unexpected] = by_status(_number(frame["status"].iloc[unexpected]))
    return RequestTable.of_times(
        arm=_codes(frame["arm"], ARMS),
        block=_whole(frame["block"]),
        slot=_whole(frame["slot"]),
        measured=_codes(frame["phase"], PHASES) == 1,
        due_ns=_number(frame["due_ns"]),
        sent_ns=_number(frame["sent_ns"]),
        first_byte_ns=_number(frame["first_byte_ns"]),
        done_ns=_number(frame["done_ns"]),
        error=error,
        cache=_codes(frame["cache"], CACHE),
        numbers={name: _number(frame[name]) for name in NUMBER_COLUMNS},
        key=identities(frame["key"]),
        route=identities(frame["route"]),
        routes=_names(frame["route"]),
    )


def by_status(status: np.ndarray) -> np.ndarray:
    """Codes of unexpected answers, by their statuses as floats (NaN: none)."""
    with np.errstate(invalid="ignore"):
        passes = (status >= 200) & (status < 400)
    return np.where(passes, WRONG_ANSWER, np.where(np.isfinite(status), UNEXPECTED, UNTOLD_ANSWER)).astype(np.int8)


def _number(column: pd.Series) -> np.ndarray:
    if column.dtype == object:
        column = pd.to_numeric(column, errors="coerce")
    elif not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _whole(column: pd.Series) -> np.ndarray:
    """Whole numbers; -1 for anything else (or beyond what a float counts exactly)."""
    number = _number(column)
    good = np.isfinite(number) & (number >= 0) & (number < EXACT)
    return np.where(good, number, -1).astype(np.int64)


def _codes(column: pd.Series, known: Sequence[str]) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.set_categories(list(known)).cat.codes.to_numpy().astype(np.int8)
    return pd.Index(known).get_indexer(pd.Index(column.astype(object))).astype(np.int8)


def _names(column: pd.Series) -> list[str]:
    """The texts, in the order of `identities`."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(name) for name in column.cat.categories]
    return [str(name) for name in dict.fromkeys(column[column.notna()].astype(str))]


def identities(column: pd.Series) -> np.ndarray:
    """A number for each distinct value; -1 where there is none."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64)
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    return pd.factorize(column)[0].astype(np.int64)

"""The frames that freshness is judged from, cleaned: the columns of `luckyhit.records` with whole
numbers, truth values and texts, or null."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from luckyhit.judge.freshness.histories import truths
from luckyhit.judge.table.rows import ARMS

EXACT = 2**53
"""Numbers are smaller than this, so that none is bent by passing through a float: 104 days in nanoseconds."""
_NEEDED = ("arm", "block", "key", "mode", "sent_ns", "version")


def probe_frame(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """The probe's reads or writes, without the rows that can't be placed: by arm, block, key, mode, instant."""
    frame = _clean(frame, schema)
    needed = [column for column in _NEEDED if column in schema.names and column != "version"]
    if "acked_ns" in schema.names:
        needed.append("version")
    return frame[frame["arm"].isin(ARMS)].dropna(subset=needed).reset_index(drop=True)


def request_frame(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """The workload's requests, without the rows that name no arm or block."""
    frame = _clean(frame, schema)
    return frame[frame["arm"].isin(ARMS)].dropna(subset=["block"]).reset_index(drop=True)


def _clean(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    frame = frame.loc[:, ~frame.columns.duplicated()].reindex(columns=schema.names)
    tidy = {}
    for field in schema:
        if pa.types.is_integer(field.type):
            tidy[field.name] = _whole(frame[field.name])
        elif pa.types.is_boolean(field.type):
            tidy[field.name] = truths(frame[field.name])
        elif pa.types.is_string(field.type) or pa.types.is_dictionary(field.type):
            tidy[field.name] = _text(frame[field.name])
    return frame.assign(**tidy)


def _whole(values: pd.Series) -> pd.Series:
    if pd.api.types.is_signed_integer_dtype(values):
        whole = values.astype("Int64")
        return whole.where((whole < EXACT) & (whole > -EXACT))
    numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    good = np.isfinite(numbers) & (np.abs(numbers) < EXACT) & (numbers == np.round(numbers))
    return pd.Series(np.where(good, numbers, np.nan), index=values.index).astype("Int64")


def _text(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype) and all(isinstance(value, str) for value in values.cat.categories):
        values = values.astype(object)
        return values.where(values.notna(), None)
    present = values.notna().tolist()
    texts = [
        (value if isinstance(value, str) else str(value)) if known is True else None
        for value, known in zip(values.tolist(), present, strict=True)
    ]
    return pd.Series(texts, index=values.index, dtype=object)

"""Which requests of a block are measured: those that are due once its warm-up is over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def measured(due_ns: NDArray[np.int64], warmup_ns: int) -> NDArray[np.bool_]:
    """`due_ns` and `warmup_ns` count from the start of the block."""
    return due_ns >= warmup_ns

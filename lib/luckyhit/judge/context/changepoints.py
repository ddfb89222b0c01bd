"""Whether a series of batch values moved: along a line (drift), or by a step up or down, for good or for a while.

Batches next to each other are correlated, and a correlated series wanders without any event. So two models are
compared: the series is an autoregression around one level (x = a + phi x' + noise), or it has, on top of that,
a line or another level in one stretch of time. The statistic is the likelihood ratio of the two, at the best stretch
(all pairs of ends: circular binary segmentation, Olshen, Venkatraman, Lucito and Wigler 2004, Biostatistics 5: 557).
How large it gets without any event is found by a bootstrap of the residuals around one level (Efron and Tibshirani
1993, An Introduction to the Bootstrap, section 8.5), so tails may be heavy and values few. The autoregression's
coefficient is raised by its known bias (Marriott and Pope 1954, Biometrika 41: 390) and half a standard error.

A step no rougher than the series itself is not found: at a correlation of 0.9 between neighbours, only a very large one
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

FEWEST = 24
"""Shorter series have no movement."""
SHORTEST = 0.05
"""Of the series: the shortest stretch, so that a hiccup is not an event; four values at least."""
GRID = 60
"""Ends of stretches are searched on a grid of this many places first, then nearby."""
STEPS = (99, 300, 400)
"""Bootstrap series, in instalments: most series are soon known to be quiet."""
AT_ONCE = 25
"""Bootstrap series that are worked on together: as many as stay in a processor's cache."""
MOST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Movement:
    """`drift`: a line through the whole series, `places` is empty. `shift`: values change their level at `places`
    (indices of the first value of the new level, ascending)."""

    kind: Literal["drift", "shift"]
    places: tuple[int, ...] = ()


def movement(values: np.ndarray, level: float, at: np.ndarray | None = None) -> Movement | None:
    """The movement in a series of finite values in the order of time; None where none is sure.

    `level`: the chance of a movement in a series in which nothing happened. `at`: the time of each value (evenly spaced
    by default), for the line. A pure function: the bootstrap's random numbers are the same
    for each series.
    """
    rng = np.random.default_rng(20_040_517)
    line = np.arange(len(values), dtype=float) if at is None else at
    remaining, places = np.asarray(values, dtype=float), set[int]()
    for number in range(MOST_ROUNDS):
        if len(remaining) < FEWEST or np.ptp(remaining) <= 1e-12 * max(1.0, float(np.abs(remaining).max())):
            break
        if not _is_sure(remaining, line, level, rng):
            break
        ratio = _ratios(remaining, line)
        best = int(np.argmax(ratio[:-1]))
        if ratio[-1] >= ratio[best]:
            # A line fits no worse than any step.
            if number == 0:
                return Movement("drift")
            break
        first, last = _refined(remaining, *(int(end[best]) for end in _stretches(len(remaining) - 1)[:2]))
        places |= {place for place in (first, last) if 0 < place < len(remaining)}
        remaining = _levelled(remaining, places)
    return Movement("shift", _apart(sorted(places), len(remaining))) if places else None


def _apart(places: Sequence[int], count: int) -> tuple[int, ...]:
    """Places further apart than the shortest stretch: of two that are nearer, the first."""
    kept: list[int] = []
    for place in places:
        if not kept or place - kept[-1] >= _shortest(count):
            kept.append(place)
    return tuple(kept)


def _levelled(values: np.ndarray, places: set[int]) -> np.ndarray:
    """What is left where each stretch between places has lost its mean."""
    ends = [0, *sorted(places), len(values)]
    return np.concatenate([values[a:b] - values[a:b].mean() for a, b in pairwise(ends)])


def _shortest(count: int) -> int:
    return max(4, int(np.ceil(SHORTEST * count)))


@lru_cache(maxsize=64)
def _stretches(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last index (exclusive) of each stretch that may have its own level, and 1 / the length of its
    indicator less its mean."""
    shortest, step = _shortest(count), max(1, count // GRID)
    inner = range(shortest, count - shortest + 1, step)
    pairs = [
        (first, last)
        for first in (0, *inner)
        for last in (*inner, count)
        if shortest <= last - first <= count - shortest
    ]
    first, last = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    length = last - first
    return first, last, np.sqrt(count / (length * (count - length)))


def _ratios(series: np.ndarray, at: np.ndarray) -> np.ndarray:
    """[stretches + 1, ...]: the residual sum of squares around one level, over that with another level in a stretch;
    the last one: over that with a line of `at`. `series`: [values, ...], so that a stretch is rows next to each
    other, which are quick to take."""
    now, then = series[1:], series[:-1]
    now, then = now - now.mean(0), then - then.mean(0)
    first, last, scale = _stretches(len(now))
    scale = scale.reshape(-1, *(1,) * (series.ndim - 1))
    line = at[1:] - at[1:].mean()
    line = line / max(np.sqrt(line @ line), 1e-300)

    def along(part: np.ndarray) -> np.ndarray:
        """How far `part` goes along each (normed) regressor."""
        summed = np.zeros((len(part) + 1, *part.shape[1:]))
        np.cumsum(part, axis=0, out=summed[1:])
        steps = np.empty((len(first) + 1, *part.shape[1:]))
        np.subtract(summed[last], summed[first], out=steps[:-1])
        steps[:-1] *= scale
        steps[-1] = line @ part
        return steps

    with np.errstate(invalid="ignore", divide="ignore"):
        ours, theirs = along(now), along(then)
        square, before, cross = ((one * other).sum(0) for one, other in ((now, now), (then, then), (now, then)))
        # The autoregression is fitted together with each regressor; a negative one is none.
        alone = square - np.maximum(cross, 0) ** 2 / before
        other = np.maximum(before - theirs**2, 1e-9 * before)
        with_it = square - ours**2 - np.maximum(cross - ours * theirs, 0) ** 2 / other
        return np.nan_to_num(alone / np.maximum(with_it, 1e-9 * square), nan=1.0)


def _is_sure(series: np.ndarray, at: np.ndarray, level: float, rng: np.random.Generator) -> bool:
    """Whether the ratio is larger than in all but the proportion `level` of series without an event."""
    count, ratio = len(series), float(_ratios(series, at).max())
    phi, residuals = _fitted(series)
    most = level * (1 + sum(STEPS)) - 1
    above = 0
    for size in STEPS:
        noise = rng.choice(residuals, size=(size, count + 50))
        for part in np.array_split(noise, max(1, size // AT_ONCE)):
            above += int(np.count_nonzero(_ratios(_autoregressions(part.T, phi)[50:], at).max(axis=0) >= ratio))
            if above > most:
                return False
    return True


def _autoregressions(noise: np.ndarray, phi: float) -> np.ndarray:
    """[values, series]: every value is its noise and `phi` times the value before it. (scipy.signal does this in one
    call, and takes most of a second to import.)"""
    grown = noise.copy(order="C")
    for before, value in pairwise(grown):
        value += phi * before
    return grown


def _fitted(series: np.ndarray) -> tuple[float, np.ndarray]:
    """The autoregression around one level: its coefficient, on the safe side, and its residuals."""
    now, then = series[1:] - series[1:].mean(), series[:-1] - series[:-1].mean()
    before, count = float(then @ then), len(now)
    phi = max(0.0, float(now @ then) / before) if before > 0 else 0.0
    residuals = now - min(phi, 1.0) * then
    phi += (1 + 3 * phi) / count + 0.5 * np.sqrt(max(1 - phi**2, 0.0) / count)
    return min(phi, 0.97), residuals - residuals.mean()


def _refined(series: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """The stretch near (first, last) of `series[1:]` that leaves the least, as places in `series`; an end that is an
    end of the series stays one."""
    count = len(series)
    step, shortest = max(1, (count - 1) // GRID) + 1, _shortest(count)
    summed = np.concatenate([[0.0], np.cumsum(series - series.mean())])
    best, best_gain = (first, last), -1.0
    for one in [0] if first == 0 else range(first - step, first + step + 2):
        for other in [count] if last == count - 1 else range(last - step, last + step + 2):
            length = other - one
            if one < 0 or other > count or not shortest <= length <= count - shortest:
                continue
            gain = float(summed[other] - summed[one]) ** 2 * count / (length * (count - length))
            if gain > best_gain:
                best, best_gain = (one, other), gain
    return best

"""How long a new entry lives, against what is declared.

The cache server's own expiry is not all of it: a library may keep the time of expiry in the value, and the one variable
that looks like a time to live may be that of something else. So what looks wrong is tried before it counts: by waiting
out what is declared, or by another value of the variable.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from luckyhit.experiments.means.bench import Bench, Trial, lacking, observed
from luckyhit.experiments.means.settings_in_force import (
    TOLERATED_S,
    declared_ttl_s,
    scaled,
    ttl_setting,
    with_variable,
)
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import lifetime

_LONGEST_WAIT_S = 12.0
"""What is declared to live longer is not waited for."""
_BRIEF_S = 2.0
"""A time to live that an entry is given to see whether it ends then."""
_LATE_S = 1.5
"""So long after its end an entry may still be there: lives are rounded to seconds, and differ on purpose."""
_LONG_LIFE_S = 20.0
"""Entries that live so long are not too short-lived for any load of them."""
_KEYS = 3
_MOVED = 0.9
"""Of its life, below which an entry lives shorter than before."""


def entry_lifetime(bench: Bench, trials: int) -> list[Observations]:
    """Store an entry, and ask the cache for its time to live; where it is not the declared one, see what ends it."""
    cache, declared_s = bench.cache, declared_ttl_s(bench)
    if cache is None:
        return [lacking("entry-lifetime", "known-ttl")]
    if declared_s is None:
        return [_undeclared(bench, trials)]
    made = []
    for _ in range(trials):
        touched, reading = bench.traced_read(bench.take())
        entries = touched.filled
        if not entries:
            continue
        left = cache.lifetimes_s(entries)
        lives = list(left.values())
        shortest = None if not lives or None in lives else min(life for life in lives if life is not None)
        facts = {"key": entries[0], "lives_s": shortest, "declared_s": declared_s, **_of_the_setting(bench)}
        made.append(Trial(lifetime(shortest, declared_s, exists=bool(left)), [reading.row], facts))
    order = ids("entry-lifetime")
    outcomes = {trial.outcome for trial in made}
    if outcomes & {"no-ttl", "longer"}:
        made = _tried_long(bench, made, declared_s)
    elif "shorter" in outcomes:
        made = made if _moves(bench) is not False else []
    if not made:
        return [lacking("entry-lifetime", "known-ttl")]
    return [observed("entry-lifetime", made, order)]


def _undeclared(bench: Bench, trials: int) -> Observations:
    """Nothing declares a time to live. Where readers accept less than the time of a write, none could keep that for
    them: a long one is no fault. What is short, or what they accept for longer, can't be told."""
    made = []
    for _ in range(trials if bench.bound_s < TOLERATED_S else 0):
        touched, reading = bench.traced_read(bench.take())
        lives = list(bench.cache.lifetimes_s(touched.filled).values()) if bench.cache is not None else []
        if lives and all(life is None or life >= _LONG_LIFE_S for life in lives):
            made.append(Trial("undeclared", [reading.row], {"key": touched.filled[0], "lives_s": lives[0]}))
    if not made:
        return lacking("entry-lifetime", "known-ttl")
    return observed("entry-lifetime", made, ids("entry-lifetime"))


def _tried_long(bench: Bench, made: list[Trial], declared_s: float) -> list[Trial]:
    """Trials of entries that seem to live too long, after a try; none where it can't be told."""
    setting = ttl_setting(bench)
    if setting is None or setting[1] != declared_s:
        # What readers were promised: it is waited out where that takes no longer than an experiment.
        if declared_s > _LONGEST_WAIT_S:
            return made
        loaded = _loaded_after(bench, declared_s + _LATE_S)
        return [Trial("as-declared", trial.rows, trial.facts) for trial in made] if loaded else made
    brief = scaled(bench, setting[0], _BRIEF_S / setting[1])
    brief_s = setting[1] * float(brief) / float(scaled(bench, setting[0], 1.0))
    settings = bench.stack.settings
    try:
        bench.stack.restart(with_variable(settings, setting[0], brief))
        bench.empty()
        bench.calls.note("start", f"restarted with {setting[0]} {brief}")
        loaded = brief_s <= _LONGEST_WAIT_S and _loaded_after(bench, brief_s + _LATE_S)
        brief_lives = _lives_s(bench)
    finally:
        bench.stack.restart(settings)
        bench.empty()
    if loaded:
        return [Trial("as-declared", trial.rows, trial.facts) for trial in made]
    lives = [life for trial in made if isinstance(life := trial.facts.get("lives_s"), float)]
    moved = bool(lives and brief_lives) and min(brief_lives) < _MOVED * min(lives)
    return made if moved else []


def _moves(bench: Bench) -> bool | None:
    """Whether an entry lives shorter with half of the time to live; None without a setting."""
    setting, settings = ttl_setting(bench), bench.stack.settings
    if setting is None or not bench.stack.owned:
        return None
    before = _lives_s(bench)
    try:
        bench.stack.restart(with_variable(settings, setting[0], scaled(bench, setting[0], 0.5)))
        bench.empty()
        bench.calls.note("start", f"restarted with {setting[0]} half as long")
        halved = _lives_s(bench)
    finally:
        bench.stack.restart(settings)
        bench.empty()
    return not halved or not before or min(halved) < _MOVED * min(before)


def _lives_s(bench: Bench) -> list[float]:
    """What the cache says of some new entries that have an end there."""
    lives: list[float] = []
    for _ in range(_KEYS):
        touched, _ = bench.traced_read(bench.take())
        if bench.cache is not None:
            lives += [life for life in bench.cache.lifetimes_s(touched.filled).values() if life is not None]
    return lives


def _loaded_after(bench: Bench, seconds: float) -> bool:
    """Whether entries that nobody asked for meanwhile are loaded again: each of them, with its own keys."""
    keys = [bench.take() for _ in range(_KEYS)]
    filled: list[Sequence[str]] = [bench.traced_read(key)[0].filled for key in keys]
    at_once = [_again(bench, key, entries) for key, entries in zip(keys, filled, strict=True)]
    time.sleep(seconds)
    later = [_again(bench, key, entries) for key, entries in zip(keys, filled, strict=True)]
    return not any(at_once) and all(later)


def _again(bench: Bench, key: int | str, entries: Sequence[str]) -> bool:
    """Whether a read loads: by what its answer tells, else by what it stores."""
    touched, reading = bench.traced_read(key)
    loaded = bench.loaded(reading)
    return loaded if loaded is not None else bool(set(touched.stored) & set(entries))


def _of_the_setting(bench: Bench) -> dict[str, str | float]:
    """The variable that the case starts the service with for the time to live, if there is one."""
    setting, start = ttl_setting(bench), bench.case.target.start
    if setting is None or start is None or setting[0] not in start.env:
        return {}
    return {"setting": setting[0], "setting_s": setting[1]}

"""An entry beside a load: what is old, and what only tells the time. Answers as a service with an own clock gives them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.experiments.clock import held_against_a_load, stored_keys
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.traced import TouchedKeys

PASSED_S = 12.0
OLD = "old-after-the-instant"


class Service:
    """A stand-in for the bench: `answer(now_s, load)` is what a load gives, kept until its entry is deleted."""

    def __init__(self, answer: Callable[[float, int], Any]) -> None:
        self.answer, self.now_s = answer, 1_796_000_000.0
        self.cache, self.calls = self, SimpleNamespace(note=lambda *_: 0)
        self.entries: dict[str, bytes] = {}
        self.loads, self.rows = itertools.count(), itertools.count()
        self.load_status = 200

    def take(self) -> int:
        return 7

    def traced_read(self, key: int) -> tuple[TouchedKeys, Reading]:
        return TouchedKeys(read=(f"k{key}",), stored=(f"k{key}",)), self.read(key)

    def lifetimes_s(self, keys: tuple[str, ...]) -> dict[str, float | None]:
        return {key: None for key in keys if key in self.entries}

    def delete(self, keys: tuple[str, ...]) -> int:
        return len([self.entries.pop(key) for key in keys if key in self.entries])

    def loaded(self, reading: Reading) -> bool | None:
        return reading.cache == "miss"

    def read(self, key: int) -> Reading:
        hit = f"k{key}" in self.entries
        if not hit:
            answer = self.answer(self.now_s, next(self.loads))
            self.entries[f"k{key}"] = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        status = 200 if hit else self.load_status
        body = self.entries[f"k{key}"]
        return Reading(next(self.rows), 0.0, 0.0, status, cache="hit" if hit else "miss", body=body)


def outcome(answer: Callable[[float, int], Any]) -> str | None:
    service: Any = Service(answer)
    (stored,) = stored_keys(service, 1)
    service.now_s += PASSED_S
    trial = held_against_a_load(service, stored, PASSED_S)
    return trial.outcome if trial is not None else None


@pytest.mark.parametrize(
    "answer",
    [
        lambda now_s, load: {"meal": ("soup", "curry", "pie")[int(now_s // 5) % 3]},
        lambda now_s, load: {"serving": int(now_s // 5)},
        lambda now_s, load: {"open": int(now_s // 10) % 2 == 0},
        lambda now_s, load: f"<h1>Round {int(now_s // 10)}</h1>\n<p>about us</p>".encode(),
        lambda now_s, load: {"menu": [{"on": "2026-11-30" if now_s < 1_796_000_001 else "2026-12-01"}]},
    ],
)
def test_content_that_went_on_is_old(answer: Callable[[float, int], Any]) -> None:
    assert outcome(answer) == OLD


@pytest.mark.parametrize(
    "answer",
    [
        lambda now_s, load: {"name": "soup", "price": 4},
        lambda now_s, load: {"id": load, "name": "soup"},
        lambda now_s, load: {"as_of": int(now_s)},
        lambda now_s, load: {"as_of_ms": int(now_s // 10) * 10_000},
        lambda now_s, load: {"as_of": f"2026-11-30T12:00:{int(now_s) % 60:02}Z"},
        lambda now_s, load: {"note": f"made at 12:{int(now_s // 10) % 60:02}"},
        lambda now_s, load: {"uptime_s": int(now_s) - 1_795_000_000},
        lambda now_s, load: f"<p>soup</p>\n<i>{load}</i>".encode(),
        lambda now_s, load: b"",
    ],
)
def test_what_only_tells_the_time_is_not_old(answer: Callable[[float, int], Any]) -> None:
    assert outcome(answer) == "alike"


def test_an_entry_that_is_gone_tells_nothing() -> None:
    service: Any = Service(lambda now_s, load: {"round": int(now_s // 5)})
    (stored,) = stored_keys(service, 1)
    service.delete(stored.entries)
    service.now_s += PASSED_S
    assert held_against_a_load(service, stored, PASSED_S) is None


def test_a_load_that_fails_tells_nothing() -> None:
    service: Any = Service(lambda now_s, load: {"round": int(now_s // 5)})
    (stored,) = stored_keys(service, 1)
    service.now_s, service.load_status = service.now_s + PASSED_S, 503
    assert held_against_a_load(service, stored, PASSED_S) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_stays_the_same_is_never_old(value: Any) -> None:
    assert outcome(lambda now_s, load: value) == "alike"

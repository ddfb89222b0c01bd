"""An access log as a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from luckyhit.errors import ArgumentError, NotEnoughData
from luckyhit.whatif.answering import WhatIfQuestion, ask
from luckyhit.whatif.recorded.logged_trace import logged_trace, path_shape
from luckyhit.whatif.surfaces import VALUE

LINE = '127.0.0.1 - - [29/Nov/2026:16:{:02d}:{:02d} +0000] "{} {} HTTP/1.1" 200 2 "-" "x"\n'


def log_of(folder: Path, requests: list[tuple[int, str, str]]) -> Path:
    path = folder / "access.log"
    path.write_text("".join(LINE.format(at // 60, at % 60, method, target) for at, method, target in requests))
    return path


def test_writes_outdate_what_lies_above_them(tmp_path) -> None:
    path = log_of(
        tmp_path,
        [
            (0, "GET", "/items/7?a=1"),
            (1, "GET", "/items/8"),
            (2, "PUT", "/items/7/price"),
            (3, "GET", "/items/7?a=1"),
            (4, "GET", "/items/8"),
            (5, "DELETE", "/items/8"),
            (6, "GET", "/items/8"),
        ],
    )
    answer = ask(logged_trace(path), WhatIfQuestion(ttls_s=(100,), sizes=(5,)))
    place = (VALUE, -1, -1)
    assert answer.recording.trace.writes == 2 and not answer.by_bytes
    assert answer.surfaces["none"].hit_ratio[place] == pytest.approx(3 / 5)
    assert answer.surfaces["none"].stale[place] == pytest.approx(2 / 5)
    assert answer.surfaces["on-write"].hit_ratio[place] == pytest.approx(1 / 5)
    assert answer.fit is None and np.isnan(answer.surface.calls[place])


def test_a_clock_that_goes_back_is_told(tmp_path) -> None:
    requests = [(at, "GET", f"/items/{at % 7}") for at in range(100, 200)]
    there = logged_trace(log_of(tmp_path, requests + [(at - 90, "GET", "/items/1") for at, _, _ in requests]))
    assert any("clock goes back" in note for note in there.notes)
    assert not any("clock goes back" in note for note in logged_trace(log_of(tmp_path, requests)).notes)


@pytest.mark.parametrize(
    ("text", "error"), [("", ArgumentError), ("nothing that is a log\n", ArgumentError)], ids=["empty", "no log"]
)
def test_a_file_that_is_no_log_is_refused(tmp_path, text, error) -> None:
    path = tmp_path / "access.log"
    path.write_text(text)
    with pytest.raises(error):
        logged_trace(path)


def test_a_log_of_writes_has_no_curve(tmp_path) -> None:
    with pytest.raises(NotEnoughData):
        logged_trace(log_of(tmp_path, [(at, "PUT", f"/items/{at % 3}") for at in range(20)]))


def test_ids_make_no_classes_of_their_own() -> None:
    assert path_shape("/items/7/parts/a9?x=1") == "/items/{id}/parts/{id}"

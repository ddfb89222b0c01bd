"""The benchmarks that only simulate, at their smallest: each runs to its end, and prints a row of numbers for each kind."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import luckyhit.judge as judging
from luckyhit.load.schedule import schedule_for
from tier import one_of_many

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path += [str(BENCHMARKS / folder) for folder in ("", "judge", "deciding")]

import events  # noqa: E402
import forecasts  # noqa: E402
import stale_reads  # noqa: E402
import streams  # noqa: E402

Shown = Callable[..., str]


def script(path: str) -> ModuleType:
    """By a name of its own: several are called __main__."""
    spec = importlib.util.spec_from_file_location(f"bench_{path.replace('/', '_')}", BENCHMARKS / f"{path}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses ask for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """`shown(module, "--runs", "1")`: what its command prints. Its pool works in this process."""

    def run(module: ModuleType, *words: str) -> str:
        monkeypatch.setattr(module, "ProcessPoolExecutor", ThreadPoolExecutor, raising=False)
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *words])
        assert not module.main()
        return capsys.readouterr().out

    return run


def cells(output: str, name: str) -> list[float]:
    """The numbers behind a row's name."""
    (row,) = re.findall(rf"^ *{re.escape(name)}((?: +[\d.,]+(?: %)?)+)$", output, re.M)
    return [float(cell.replace(",", "")) for cell in row.replace("%", "").split()]


def are_shares(numbers: list[float]) -> bool:
    return all(0 <= number <= 100 for number in numbers)


@pytest.mark.parametrize(
    "kind", [one_of_many(kind, quick=kind in ("white noise", "day and night")) for kind in streams.KINDS]
)
def test_events_and_shifts_of_a_kind_are_counted(kind: str, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KINDS", [kind])
    moves = kind in events.COMMON or kind in events.RATIO
    output = shown(events, "--runs", "1", "--shifts", "9", "--jobs", "1")
    shares = cells(output, f"{kind} (moves)" if moves else kind)
    assert len(shares) == 4 and are_shares(shares)
    assert kind != "white noise" or shares == [0, 0, 100, 100]


@pytest.mark.parametrize(("name", "metric"), [("latency_ms", "latency_ms"), ("hit_ratio", "hit")])
def test_a_shift_moves_late_rows_alone(name: str, metric: str) -> None:
    rng = np.random.default_rng(1)
    rows = events.arm("white noise", rng, 0, events.SECONDS)
    late = rows.due_ns >= 15e9
    before, after = (getattr(each, metric) for each in (rows, events.shifted(rows, name, 15.0, rng)))
    np.testing.assert_allclose(after[~late], before[~late])
    worse = 1 if name == "latency_ms" else -1
    assert worse * (np.nanmean(after[late]) - np.nanmean(before[late])) > 0


def test_stale_reads_are_told_of_each_stream(shown: Shown) -> None:
    output = shown(stale_reads, "--streams", "1")
    for stream in stale_reads.TOLD:
        pairs, right, apart, right_apart, ratio, probes = cells(output, stream.name)
        assert 0 < pairs <= stale_reads.MOST and 0 < apart <= stale_reads.MOST and are_shares([right, right_apart])
        assert ratio == pytest.approx(pairs / apart, abs=0.01) and 0 < probes < ratio
    for stream in stale_reads.NULL:
        assert len(cells(output, stream.name)) == 2 and are_shares(cells(output, stream.name))


@pytest.mark.parametrize(
    "kind",
    [one_of_many(kind, quick=kind.startswith(("p95, better", "stale"))) for kind in forecasts.KINDS],
)
def test_forecasts_are_held_against_what_runs_take(kind: str, shown: Shown) -> None:
    expected, ahead, *shares = cells(shown(forecasts, "--runs", "1", "--jobs", "1", "--kinds", kind), kind)
    assert expected > 0 and ahead > 0
    assert len(shares) == 4 and are_shares(shares)


@pytest.mark.parametrize("kind", [one_of_many(kind, quick=kind == "bursts of errors") for kind in streams.KINDS])
def test_all_judges_see_an_unchanged_stream(kind: str, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = script("judge/__main__")
    monkeypatch.setattr(judge, "KINDS", [kind])
    shares = cells(shown(judge, "--streams", "1", "--jobs", "1", "--tables", "1"), kind)
    assert len(shares) == len(judge.JUDGES) and set(shares) <= {0, 100}


def test_found_and_equal_streams_are_counted(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = script("judge/__main__")
    monkeypatch.setattr(judge, "ONE_METRIC", judge.ONE_METRIC[:1])
    monkeypatch.setattr(judge, "LONGEST", 10)
    output = shown(judge, "--streams", "1", "--jobs", "1", "--tables", "23")
    for name in ("hit_ratio, white noise", "all five, white noise"):
        found, multiple, wald = cells(output, name)
        assert are_shares([found]) and 0 < multiple <= judge.BUDGET and wald > 0
    assert re.findall(r": ([\d.]+)$", output, re.M) == ["100.0", "0.0"]


@pytest.mark.parametrize("number", ["0", "-3", "some"])
@pytest.mark.parametrize(
    ("name", "option"),
    [("events", "--runs"), ("stale_reads", "--streams"), ("forecasts", "--runs"), ("__main__", "--streams")],
)
def test_fewer_than_one_are_refused(
    name: str, option: str, number: str, shown: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        shown(script(f"judge/{name}"), f"{option}={number}")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert option in error and repr(number) in error


def test_a_simulated_night_has_its_hours_and_costs(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = script("fleet_simulation")
    monkeypatch.setattr(fleet, "KEPT_RUNS", 20)
    output = shown(fleet, "--cases", "4", "--hosts", "2", "--nights", "1")
    for words, _, values in fleet.HARDER:
        (row,) = re.findall(rf"^  {words} +(.+)$", output, re.M)
        hours = [float(cell.split(": ")[1]) for cell in row.split(" | ")]
        assert len(hours) == len(values) and min(hours) > 0
    assert len(re.findall(r"^  \d+ hosts: [\d.]+ h, idle \d+%$", output, re.M)) == 4
    for words in (*fleet.alarms_by_chance(4), "level shifts", "beside earlier nights", "reading 60 nights"):
        assert re.search(rf"^  {re.escape(words)} +[\d.]+", output, re.M), words


def test_a_deciding_case_is_told_and_counted(shown: Shown) -> None:
    output = shown(script("deciding/__main__"), "--cases", "0")
    (row,) = re.findall(r"^  0 (\S+) .* ([A-Z]+) +([A-Z]+) +\d+ of +\d+ +[\d,]+ *$", output, re.M)
    assert row == ("missing-invalidation", "HELPED", "HELPED")
    (counts,) = re.findall(r"(\d+) of (\d+) decided, (\d+) false, (\d+) INVALID", output)
    assert counts == ("1", "1", "0", "0")


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rows_of_shards_are_merged(share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sharded = script("sharded_merge")
    (tmp_path / "requests").mkdir()
    config = sharded.config_of(tmp_path, 0.004)
    schedule = schedule_for(config.workload, config.total_s, config.seed)
    shares = [1.0] * (sharded.SHARDS - 1) + [share]
    written = [sharded.write_shard(config, schedule, shard, part) for shard, part in enumerate(shares)]
    sharded.merge(tmp_path, 0.004, len(schedule), [] if share == 1 else [sharded.SHARDS - 1])
    *_, added = capsys.readouterr().out.split()
    assert sum(written) + int(added) == len(schedule) >= 4000


def test_a_long_run_is_made_judged_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_rows = script("judge_rows")
    monkeypatch.setattr(judging, "rows_of_parts", judging.rows_of_parts)  # it is watched there, and has to come back
    run = judge_rows.a_run(tmp_path, 4000)
    answers = [what(run.path) for what in (judge_rows.judged, judge_rows.bare_read)]
    assert all(answer and all(spent["peak"] > 0 for spent in steps.values()) for answer, steps in answers)
    assert "4,000" in answers[1][0]

"""The table of `make bench`: what makes it red, what is left out, and what is written down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS / "table"))

import checkout  # noqa: E402
import outcomes  # noqa: E402
import table_rows  # noqa: E402

RATIOS = st.floats(0.01, 100)


def row(**fields: object) -> table_rows.Row:
    known = {"id": "demo", "what": "a demo", "by": "demo.py", "wanted": 0.5, "more": False, "recorded": 0.6}
    return table_rows.Row(**{**known, "seconds": 1.0, **fields})  # type: ignore[arg-type]


def state(told: dict[str, object] | None, **fields: object) -> str:
    return outcomes.outcome_of(row(**fields), told).state


def written(folder: Path, *lines: str, base: str = 'base = "HEAD"') -> Path:
    path = folder / "rows.toml"
    path.write_text("\n".join([base, "rows = [", *lines, "]"]) + "\n")
    return path


LINE = '  { id = "demo", what = "a demo", by = "demo.py {base} --fast", seconds = 3, at_most = 0.5, recorded = 0.6 },'


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"ratio": 0.5, "noise": 0.0}, "reached"),
        ({"ratio": 0.65, "noise": 0.0}, "short"),
        ({"ratio": 0.67, "noise": 0.0}, "worse"),
        ({"ratio": 0.67, "noise": 0.2}, "unclear"),
        ({"skipped": "no wrk"}, "skipped"),
        (None, "failed"),
        ({"ratio": "fast"}, "failed"),
        ({"ratio": float("nan")}, "failed"),
        ({"ratio": True}, "failed"),
    ],
)
def test_a_row_is_red_beyond_a_tenth_and_its_noise(told: dict[str, object] | None, expected: str) -> None:
    assert state(told) == expected


@given(ratio=RATIOS, recorded=RATIOS, noise=st.floats(0, 0.5))
def test_more_and_less_are_mirror_images(ratio: float, recorded: float, noise: float) -> None:
    red = state({"ratio": ratio, "noise": noise}, recorded=recorded, wanted=1000.0) == "worse"
    assert red == (ratio * (1 - noise) > recorded * 1.1)
    red = state({"ratio": ratio, "noise": noise}, recorded=recorded, wanted=0.001, more=True) == "worse"
    assert red == (ratio * (1 + noise) < recorded * 0.9)


@given(ratio=RATIOS)
def test_a_row_that_never_ran_is_not_worse(ratio: float) -> None:
    assert state({"ratio": ratio}, recorded=None) in ("reached", "short")


def test_lines_for_people_are_no_rows() -> None:
    output = 'a line\n{"row": "demo", "ratio": 1}\n{broken\n{"ratio": 2}\n["row"]\n'
    assert outcomes.told_rows(output) == {"demo": {"row": "demo", "ratio": 1}}


def test_a_line_of_the_file_is_a_row(tmp_path: Path) -> None:
    base, (one,) = table_rows.read_rows(written(tmp_path, LINE))
    assert (base, one.id, one.wanted, one.more, one.recorded, one.needs_base) == ("HEAD", "demo", 0.5, False, 0.6, True)
    assert one.words(Path("/other"))[1:] == ["/other", "--fast"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([LINE.replace("at_most", "at_best")], "at_best"),
        ([LINE.replace("at_most = 0.5, ", "")], "at_most"),
        ([LINE.replace("seconds = 3, ", "")], "seconds"),
        ([LINE, LINE], "demo"),
        (["  {"], "rows.toml"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, lines: list[str], named: str) -> None:
    with pytest.raises(table_rows.RowError, match=named):
        table_rows.read_rows(written(tmp_path, *lines))


@given(ratio=RATIOS)
def test_recording_changes_the_ratio_and_nothing_else(ratio: float) -> None:
    for line in (LINE, LINE.replace(", recorded = 0.6", "")):
        new = outcomes.with_recorded(f"# about\n{line}\n", [outcomes.Outcome(row(), "short", ratio)])
        assert new == f"# about\n{LINE.replace('0.6', f'{ratio:.3g}')}\n"


def test_recording_keeps_rows_that_did_not_run() -> None:
    assert outcomes.with_recorded(f"{LINE}\n", [outcomes.Outcome(row(), "skipped")]) == f"{LINE}\n"


def test_the_shipped_rows_name_scripts_that_are_there() -> None:
    _, rows = table_rows.read_rows()
    assert rows
    assert all(Path(one.words(Path("base"))[0]).is_file() for one in rows)
    assert {one.id for one in rows if not one.skip and one.seconds > 600} == set()


def test_all_rows_fit_into_ten_minutes() -> None:
    _, rows = table_rows.read_rows()
    assert sum({one.by: one.seconds for one in rows if not one.skip}.values()) <= 600


def repository(folder: Path) -> str:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        return subprocess.run(
            ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    (folder / "file").write_text("old")
    git("add", "file")
    git("commit", "-qm", "old")
    old = git("rev-parse", "HEAD")
    (folder / "file").write_text("new")
    git("commit", "-qam", "new")
    return old


def test_a_checkout_is_of_its_revision_and_goes_away(tmp_path: Path) -> None:
    old = repository(tmp_path)
    with checkout.checkout(old, tmp_path) as place:
        assert (place / "file").read_text() == "old"
    assert not place.exists()
    listed = subprocess.run(["git", "-C", str(tmp_path), "worktree", "list"], capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 1


def test_a_revision_that_is_not_there_is_named(tmp_path: Path) -> None:
    repository(tmp_path)
    with pytest.raises(checkout.NoCheckout, match="deadbeef"), checkout.checkout("deadbeef", tmp_path):
        pass


def table(folder: Path, rows: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The table of other rows, whose scripts are in `folder`."""
    script = (
        "import runpy, sys; from pathlib import Path; "
        f"sys.path.insert(0, {str(BENCHMARKS / 'table')!r}); import table_rows as t; "
        f"t.HERE = Path({str(folder)!r}); t.FILE = Path({str(rows)!r}); "
        "t.read_rows.__defaults__ = (t.FILE,); "
        f"sys.argv = ['table', *{list(arguments)!r}]; "
        f"runpy.run_path({str(BENCHMARKS / 'table' / '__main__.py')!r}, run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


def test_rows_run_and_the_worst_of_them_decides(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(
        'print(\'{"row": "good", "ratio": 1.0, "noise": 0.01}\'); print(\'{"row": "bad", "ratio": 2.0, "noise": 0.01}\')'
    )
    (tmp_path / "gone.py").write_text("raise SystemExit(3)")
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    rows = written(
        tmp_path,
        '  { id = "good", what = "good", by = "good.py", seconds = 1, at_most = 1, recorded = 1 },',
        '  { id = "bad", what = "bad", by = "good.py", seconds = 1, at_most = 1, recorded = 1 },',
        '  { id = "gone", what = "gone", by = "gone.py", seconds = 1, at_most = 1 },',
        '  { id = "long", what = "long", by = "slow.py", seconds = 900, at_most = 1 },',
        '  { id = "hand", what = "hand", by = "slow.py", seconds = 1, at_most = 1, skip = "by hand" },',
    )
    done = table(tmp_path, rows)
    assert done.returncode == 1, done.stderr
    states = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines() if line[:1].isalpha()}
    assert {name: states[name] for name in ("good", "bad", "gone", "long", "hand")} == {
        "good": "reached",
        "bad": "worse",
        "gone": "failed",
        "long": "skipped",
        "hand": "skipped",
    }
    assert "status 3" in done.stdout
    assert table(tmp_path, rows, "--only", "good", "--record").returncode == 0
    assert table(tmp_path, rows, "--only", "nothing").returncode == 2


def test_a_row_that_hangs_is_stopped_at_the_end_of_the_time(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    rows = written(tmp_path, '  { id = "slow", what = "slow", by = "slow.py", seconds = 0, at_most = 1 },')
    done = table(tmp_path, rows, "--minutes", "0.02")
    assert done.returncode == 0
    assert "skipped" in done.stdout


def test_a_base_that_is_not_there_skips_what_needs_it(tmp_path: Path) -> None:
    rows = written(tmp_path, LINE)
    (tmp_path / "demo.py").write_text("")
    done = table(tmp_path, rows, "--base", "deadbeef")
    assert done.returncode == 0
    assert "deadbeef" in done.stdout

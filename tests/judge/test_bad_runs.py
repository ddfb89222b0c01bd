"""Run directories that are damaged, foreign, cut short, or not there: never a traceback, never a
pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_directories import CASES, SCHEMAS, a_run_directory, table_of, with_counts
from simulated_blocks import a_run
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.errors import LuckyHitError, RunUnreadable
from luckyhit.judge import judge
from luckyhit.records import MAY_LACK, Result
from luckyhit.records.parquet import write_part
from luckyhit.text.wording import has

PLACEBO = (CASES / "placebo.yml").read_text()
GOALS = "goals:\n  hit_ratio: {want: better, margin: 4 %}\n  error_rate: {want: no-worse, margin: 2 %}\ndesign"
CASE = PLACEBO[: PLACEBO.index("goals:")] + GOALS + PLACEBO.split("\ndesign")[1]
TIMES = ("due_ns", "sent_ns", "first_byte_ns", "done_ns")
Spoil = Callable[[Path], Any]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that helped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "placebo.yml").write_text(CASE)
    records = a_run(1, blocks=4, seconds=1.0, before={"hit": 0.3}, after={"hit": 0.95})
    run = a_run_directory(folder, folder / "placebo.yml", records, with_counts(records))
    run.write_result(judge(run))
    return run.path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "placebo" / whole.name
    shutil.copytree(whole, path)
    return path


def call(command: str, run: Path, *more: str) -> tuple[int, str]:
    """(exit code, all that was printed) of a command on this run; whatever `main` doesn't catch is raised here."""
    places = ["--runs-dir", str(run.parents[1])]
    if command == "report":
        places += ["--reports-dir", str(run.parents[2] / "reports")]
    done = CliRunner().invoke(app, [command, str(run), *places, *more])
    if isinstance(done.exception, LuckyHitError):
        return done.exception.exit_code, f"{done.output}{done.exception}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def detail_of(run: Path, guard: str) -> str:
    """This run is INVALID by this guard, with a remedy: its detail."""
    result = judge(CaseRun.open(run))
    failed = {guard.id: guard for guard in result.guards if not guard.ok}
    assert result.verdict == "INVALID" and guard in failed and failed[guard].remedy, result.guards
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result
    return failed[guard].detail


# Ways to damage a run


def part(run: Path, name: str = "requests") -> Path:
    (path,) = (run / name).glob("*.parquet")
    return path


def rewritten(change: Callable[[pa.Table], pa.Table], name: str = "requests") -> Spoil:
    """The part file of a table, written anew as another program would."""
    return lambda run: pq.write_table(change(pq.read_table(part(run, name))), part(run, name))


def rows(change: Callable[[pd.DataFrame], pd.DataFrame], name: str = "requests") -> Spoil:
    """Other rows in the part file of a table."""

    def spoil(run: Path) -> None:
        frame = change(CaseRun(run).table(name))  # type: ignore[arg-type]
        write_part(run / name, "part-0", table_of(frame, SCHEMAS[name]))

    return spoil


def kept(keep: Callable[[pd.DataFrame], Any], name: str = "requests") -> Spoil:
    return rows(lambda frame: frame[keep(frame)], name)


def noted(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    def spoil(run: Path) -> None:
        path = run / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return spoil


def facts(**more: Any) -> Spoil:
    return noted(lambda manifest: manifest.update(more))


def of_block(number: int, **more: Any) -> Spoil:
    return noted(lambda manifest: manifest["blocks"][number].update(more))


def uncounted(spoil: Spoil) -> Spoil:
    """The same where the manifest doesn't say how many rows there were."""

    def both(run: Path) -> None:
        spoil(run)
        noted(lambda manifest: [entry.pop("accounting") for entry in manifest["blocks"]])(run)

    return both


def content(name: str, data: bytes | str) -> Spoil:
    return lambda run: (run / name).write_bytes(data.encode() if isinstance(data, str) else data)


def replaced(name: str, make: Callable[[Path], Any]) -> Spoil:
    """Something else in the place of a file or a directory."""

    def spoil(run: Path) -> None:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return spoil


def without(*names: str) -> Spoil:
    return lambda run: [replaced(name, lambda path: None)(run) for name in names]


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def column(name: str, values: Callable[[pa.Table], Any]) -> Spoil:
    return rewritten(lambda table: table.set_column(table.schema.get_field_index(name), name, values(table)))


def dropped(*names: str, table: str = "requests") -> Spoil:
    return rewritten(lambda whole: whole.drop_columns(list(names)), table)


def labelled(table: str = "requests", **about: str) -> Spoil:
    metadata = {f"luckyhit.{name}": value for name, value in about.items()}
    return rewritten(lambda whole: whole.replace_schema_metadata(metadata), table)


def shifted(arm: str, block: int, seconds: float) -> Spoil:
    """The rows of an arm ("" for both) in these blocks and all later ones, at another time."""

    def shift(frame: pd.DataFrame) -> pd.DataFrame:
        which = frame["block"].ge(block) & (frame["arm"].eq(arm) if arm else True)
        for name in TIMES:
            frame.loc[which, name] += int(seconds * 1e9)
        return frame

    return rows(shift)


# Part files


FILE = "requests/part-0.parquet"
PARTS: dict[str, tuple[Spoil, str]] = {
    "truncated": (lambda run: part(run).write_bytes(part(run).read_bytes()[:2000]), FILE),
    "of no bytes": (content(FILE, b""), FILE),
    "a picture": (content(FILE, b"\x89PNG\r\n\x1a\n" + bytes(500)), FILE),
    "a folder": (replaced(FILE, Path.mkdir), FILE),
    "a link to itself": (replaced(FILE, a_loop), FILE),
    "a link to nowhere": (replaced(FILE, lambda path: path.symlink_to("nowhere")), FILE),
    "a table of something else": (rewritten(lambda _: pa.table({"a": [1]})), "arm"),
    "without slots": (dropped("slot"), FILE),
    "without routes": (dropped("route"), "route"),
    "without errors": (dropped("error"), "error"),
    "times as floats": (column("due_ns", lambda t: t["due_ns"].cast(pa.float64())), "due_ns"),
    "times as dates": (column("sent_ns", lambda t: t["sent_ns"].cast(pa.timestamp("ns"))), "sent_ns"),
    "text for numbers": (column("done_ns", lambda t: pa.array(["7"] * len(t))), "done_ns"),
    "numbers for text": (column("arm", lambda t: pa.array([0] * len(t))), "arm"),
    "text in a column that no verdict needs": (column("bytes", lambda t: pa.array(["7"] * len(t))), "bytes"),
    "a column twice": (rewritten(lambda t: t.append_column("slot", t["slot"])), "slot"),
    "a newer version": (labelled(schema="99"), "99"),
    "an invalid version": (labelled(schema="new"), "'new'"),
    "another run's": (labelled(run="20250101-000000-abcd"), "20250101-000000-abcd"),
    "reads, damaged": (content("reads/part-0.parquet", b"PAR1"), "reads/part-0.parquet"),
    "reads, of something else": (rewritten(lambda _: pa.table({"a": [1]}), "reads"), "reads/part-0.parquet"),
    "writes without versions": (dropped("version", table="writes"), "version"),
    "writes, newer": (labelled("writes", schema="2"), "2"),
    "one good, one not": (content("requests/part-1.parquet", "arm,block\n"), "requests/part-1.parquet"),
    "requests is a file": (replaced("requests", lambda path: path.write_text("x")), "requests/"),
    "requests is a loop of links": (replaced("requests", a_loop), "requests/"),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_part_file_is_named(name: str, run: Path) -> None:
    spoil, named = PARTS[name]
    spoil(run)
    with pytest.raises(RunUnreadable) as refused:
        for table in SCHEMAS:
            CaseRun.open(run).table(table)  # type: ignore[arg-type]
    assert named in refused.value.message and refused.value.hint


@pytest.mark.parametrize("name", ["truncated", "reads, damaged", "requests is a file"])
def test_a_damaged_part_file_makes_a_run_invalid(name: str, run: Path) -> None:
    spoil, named = PARTS[name]
    spoil(run)
    assert named in detail_of(run, "records-readable")


def test_a_directory_that_may_not_be_listed_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)  # whoever runs the tests may be allowed everything
    assert "requests/" in detail_of(run, "records-readable")


def test_columns_that_may_be_missing_are_not_visible(run: Path) -> None:
    """Records of an older version, or of another program: what the verdict rests on is there, and it stands."""
    for name, schema in SCHEMAS.items():
        table = pq.read_table(part(run, name))
        lacking = [column for column in schema.names if f"{name}.{column}" in MAY_LACK and column != "cache"]
        more = table.drop_columns(lacking).append_column("mood", pa.array(["good"] * len(table)))
        pq.write_table(more, part(run, name))
    result = judge(CaseRun.open(run))
    assert result.verdict == "HELPED" and result.metrics["db_calls"].before is None
    dropped("cache")(run)
    result = judge(CaseRun.open(run))
    assert result.verdict == "INCONCLUSIVE" and result.metrics["hit_ratio"].after is None


def test_part_files_say_their_version_and_their_run(run: Path) -> None:
    for name in SCHEMAS:
        about = pq.read_metadata(part(run, name)).metadata
        assert about[b"luckyhit.schema"] == b"1" and about[b"luckyhit.run"].decode() == run.name


# What the manifest notes, compared with the files


def early(frame: pd.DataFrame) -> pd.DataFrame:
    """Half of the after arm's warm-up counts as measured."""
    which = frame["arm"].eq("after") & frame["slot"].ge(75) & frame["block"].between(1, 4)
    return frame.assign(phase=frame["phase"].where(~which, "measure"))


def at_once(frame: pd.DataFrame) -> pd.DataFrame:
    """Answers of the after arm come when they were asked for: two columns are mixed up."""
    late = np.random.default_rng(1).integers(0, 900_000, len(frame))
    after = frame["arm"].eq("after")
    for name in TIMES[1:]:
        frame.loc[after, name] = frame.loc[after, "due_ns"] + late[after]
    return frame


def in_ms(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: frame[name] // 1_000_000 * 1_000_000 for name in TIMES})


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    """Slots of the after arm, shifted by one where nothing else shows it: no keys."""
    frame.loc[frame["arm"].eq("after"), "slot"] += 1
    return frame.assign(key=None)


def other_arm(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(arm=frame["arm"].astype(str).where(frame["block"] != 0, "after"))


def twice(name: str) -> Spoil:
    return lambda run: shutil.copy(part(run, name), run / name / "part-1.parquet")


def edited(run: Path) -> None:
    (run / "case.yml").write_text(CASE.replace("margin: 4 %", "margin: 80 %"))


def shard(number: int, clock_error_ns: int | None) -> dict[str, Any]:
    return {"shard": number, "host": f"host-{number}", "rows": 150, "clock_error_ns": clock_error_ns}


AFTER = {"arms": ["after"]}
NOTED, WHOLE, EXACT = "blocks-as-noted", "the-probes-records-are-whole", "accounting-exact"
CLOCK, SAME, WARM = "clock-monotonic", "arms-exposed-to-the-same-slots", "arms-warmed-up-alike"
SAMPLE, STATE, BACK = "sample-size-sane", "same-cache-state-at-block-start", "rolled-back"
HOSTS = "clocks-of-the-hosts-agree"
AS_RUN, READABLE = "case-as-it-was-run", "guards-readable"
HELD: dict[str, tuple[Spoil, str]] = {
    "a case that was edited": (edited, AS_RUN),
    "a case of another design": (facts(design="crossover"), AS_RUN),
    "a block without rows": (uncounted(kept(lambda f: f["block"] != 3)), NOTED),
    "the last block without rows": (uncounted(kept(lambda f: f["block"] != 5)), NOTED),
    "an arm of a block without rows": (uncounted(kept(lambda f: (f["block"] != 3) | (f["arm"] != "after"))), NOTED),
    "rows of a block that was not noted": (noted(lambda m: m["blocks"].pop(3)), NOTED),
    "rows of an arm that was not measured": (rows(other_arm), NOTED),
    "a baseline with the change": (of_block(0, **AFTER), NOTED),
    "one arm where there should be two": (of_block(2, **AFTER), NOTED),
    "invalid arms": (of_block(2, arms="before"), NOTED),
    "an unknown stage": (of_block(2, stage="chnge"), NOTED),
    "a block twice": (noted(lambda m: m["blocks"].append({**m["blocks"][0], "block": 2})), NOTED),
    "a block without a number": (of_block(2, block=None), NOTED),
    "a number beyond all blocks": (of_block(2, block=10**30), NOTED),
    "invalid blocks": (facts(blocks=[1, None, {"block": "x"}]), NOTED),
    "no list of blocks": (facts(blocks="none"), NOTED),
    "a part file copied": (twice("requests"), EXACT),
    "the end of a block lost": (kept(lambda f: (f["block"] != 3) | (f["slot"] < 150)), EXACT),
    "the beginning of all blocks lost": (uncounted(kept(lambda f: f["slot"] >= 50)), EXACT),
    "every other slot lost": (uncounted(kept(lambda f: f["slot"] % 2 == 0)), EXACT),
    "a part of no rows": (kept(lambda f: f["slot"] < 0), EXACT),
    "no part at all": (without(FILE), EXACT),
    "slots shifted in one arm": (uncounted(rows(turned)), SAME),
    "no warm-up in one arm": (uncounted(kept(lambda f: (f["arm"] != "after") | (f["slot"] >= 150))), WARM),
    "less warm-up in one arm": (rows(early), WARM),
    "no warm-up, though planned": (rows(lambda f: f.assign(phase="measure")), WARM),
    "an arm from another hour": (shifted("after", 1, 3600), CLOCK),
    "a clock set back": (shifted("", 3, -15), CLOCK),
    "blocks that overlap": (shifted("", 3, -9), CLOCK),
    "answers at the instant of asking": (rows(at_once), SAMPLE),
    "a clock of milliseconds": (rows(in_ms), SAMPLE),
    "no self-check of the engine": (of_block(2, engine=None), "engine-trustworthy"),
    "a host whose clock stepped": (of_block(2, shards=[shard(0, 5_000), shard(1, 30_000_000)]), HOSTS),
    "a host whose clock nobody compared": (of_block(2, shards=[shard(0, 5_000), shard(1, None)]), HOSTS),
    "one block not cleared": (of_block(2, clear={"before": 5}), STATE),
    "reads copied": (twice("reads"), WHOLE),
    "writes copied": (twice("writes"), WHOLE),
    "half of the reads lost": (kept(lambda f: f.index % 2 == 0, "reads"), WHOLE),
    "no reads": (without("reads"), WHOLE),
    "reads of another block": (rows(lambda f: f.assign(block=77), "reads"), WHOLE),
    "reads done before they were sent": (rows(lambda f: f.assign(done_ns=1), "reads"), WHOLE),
    "no rollback noted": (noted(lambda m: m.pop("rollback")), BACK),
    "a rollback that failed": (facts(rollback={"confirmed": False, "detail": "still 300"}), BACK),
    "a change that is still in": (facts(changed=True), BACK),
    "invalid guards": (facts(guards=["nonsense"]), READABLE),
    "no guards": (facts(guards=None), "declared-difference-only"),
}


@pytest.mark.parametrize("name", HELD)
def test_records_unlike_what_was_noted_are_invalid(name: str, run: Path) -> None:
    spoil, guard = HELD[name]
    spoil(run)
    detail_of(run, guard)


# A run that is not finished


@pytest.mark.parametrize(
    "more",
    [
        {"state": "measuring"},
        {"state": "failed", "failure": {"message": "the disk was full"}},
        {"failure": 5},
        {"state": None},
        {"state": ["measured"]},
    ],
    ids=str,
)
def test_a_run_that_is_not_finished_never_passes(more: Mapping[str, Any], run: Path) -> None:
    facts(**more)(run)
    result = judge(CaseRun.open(run))
    assert result.verdict == "INCONCLUSIVE" and all(guard.ok for guard in result.guards)
    message = more.get("failure", {}).get("message", "") if isinstance(more.get("failure"), dict) else ""
    assert message in result.reason


def test_the_block_that_a_run_died_in_is_no_damage(run: Path) -> None:
    """Its rows are there before it is noted. Rows of any other block that was not noted are damage."""
    noted(lambda manifest: manifest["blocks"].pop())(run)
    facts(state="failed", failure={"message": "the service stopped"})(run)
    result = judge(CaseRun.open(run))
    assert result.verdict == "INCONCLUSIVE" and all(guard.ok for guard in result.guards)
    facts(state="measured", failure=None)(run)
    assert "block 5" in detail_of(run, NOTED)


# The command


MANIFEST, CASE_FILE = "manifest.json", "case.yml"
NONSENSE: dict[str, tuple[Spoil, int, str]] = {
    "a newer manifest": (facts(schema=99), 4, "99"),
    "an invalid version": (facts(schema=True), 4, "manifest"),
    "half a manifest": (lambda run: content(MANIFEST, (run / MANIFEST).read_bytes()[:900])(run), 4, MANIFEST),
    "an empty manifest": (content(MANIFEST, b""), 4, MANIFEST),
    "null": (content(MANIFEST, "null"), 4, "manifest"),
    "a list": (content(MANIFEST, "[]"), 4, "manifest"),
    "a manifest in another encoding": (content(MANIFEST, "{}".encode("utf-16")), 4, MANIFEST),
    "a manifest without a bottom": (content(MANIFEST, "[" * 100_000), 4, MANIFEST),
    "a number without an end": (content(MANIFEST, '{"schema": 1' + "0" * 5000 + "}"), 4, MANIFEST),
    "a folder for a manifest": (replaced(MANIFEST, Path.mkdir), 4, MANIFEST),
    "a manifest that is a loop of links": (replaced(MANIFEST, a_loop), 4, MANIFEST),
    "no manifest and no case": (without(MANIFEST, CASE_FILE), 4, MANIFEST),
    "no case": (without(CASE_FILE), 2, CASE_FILE),
    "an empty case": (content(CASE_FILE, b""), 2, CASE_FILE),
    "half a case": (content(CASE_FILE, "title: [unclosed"), 2, "case.yml:1"),
    "a newer case": (content(CASE_FILE, f"{CASE}\nquantum: yes\n"), 2, "quantum"),
    "a case that is no text": (content(CASE_FILE, b"\xff\xfe\0"), 2, "UTF-8"),
    "a case that is a loop of links": (replaced(CASE_FILE, a_loop), 2, CASE_FILE),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_what_can_not_be_judged_at_all_is_named(name: str, run: Path) -> None:
    spoil, code, named = NONSENSE[name]
    spoil(run)
    exit_code, printed = call("judge", run, "--json")
    assert exit_code == code and named in printed, printed


@pytest.mark.parametrize(
    "more",
    [
        {"case": None, "started": None, "origin_ns": [], "fingerprints": 7, "looks": "x", "host": [], "versions": 5},
        {"case": "\ud800", "started": "\ud800", "run": None, "failure": {}},
    ],
    ids=["nothing but nonsense", "half a character"],
)
def test_nonsense_that_no_verdict_rests_on_changes_none(more: Mapping[str, Any], run: Path) -> None:
    facts(**more)(run)
    engine = {"trustworthy": True, "added_p99_ms": 10**400, "detail": 5}
    of_block(2, engine=engine, limits={"error_rate": "x", "p99_ms": 10**400}, washout=5, pair=10**30)(run)
    content("journal.jsonl", b'{"step": 1}\n\xff\xfe{"ste')(run)
    for name in ("counters", "events"):
        content(f"{name}/block-000.parquet", b"PAR1")(run)
    content("requests/notes.txt", "x")(run)
    code, printed = call("judge", run, "--json")
    assert code == 0 and json.loads(printed)["verdict"] == "HELPED", printed


def test_failed_guards_are_printed_with_what_to_do(run: Path) -> None:
    edited(run)
    kept(lambda frame: frame["block"] != 3)(run)
    guards = json.loads(call("judge", run, "--json")[1])["guards"]
    failed = [guard for guard in guards if not guard["ok"]]
    assert {guard["id"] for guard in failed} >= {AS_RUN, NOTED}
    code, printed = call("judge", run)
    assert code == 0 and printed.startswith("INVALID: ")
    assert all(guard["detail"] in printed and guard["remedy"] in printed for guard in failed)


@pytest.mark.parametrize("damage", ["nothing", "half a result", "a newer result", "a folder"])
def test_an_unreadable_result_is_judged_anew(damage: str, run: Path) -> None:
    spoil: Spoil = {
        "nothing": lambda run: None,
        "half a result": content("result.json", '{"schema": 1, "ver'),
        "a newer result": content("result.json", '{"schema": 99}'),
        "a folder": replaced("result.json", Path.mkdir),
    }[damage]
    spoil(run)
    kept_as = (run / "result.json").read_bytes() if (run / "result.json").is_file() else None
    code, printed = call("judge", run)
    assert code == 0 and printed.startswith("HELPED: ")
    assert kept_as is None or (run / "result.json").read_bytes() == kept_as  # nothing is kept without --write
    if damage != "nothing":
        with pytest.raises(RunUnreadable, match=r"result\.json"):
            _ = CaseRun(run).result


def test_without_a_manifest_the_numbers_are_judged(run: Path) -> None:
    without("manifest.json")(run)
    code, printed = call("judge", run, "--json")
    result = Result.model_validate_json(printed)
    assert code == 0 and result.verdict == "INVALID"
    assert "declared-difference-only" in {guard.id for guard in result.guards if not guard.ok}
    assert result.metrics["hit_ratio"].low and has(result.notes, "no-manifest")


REPORTED: dict[str, tuple[Spoil, int]] = {
    "a truncated part": (PARTS["truncated"][0], 0),
    "nonsense for blocks": (facts(blocks=[1, None, {"block": "x"}]), 0),
    "half a case": (NONSENSE["half a case"][0], 0),
    "half a manifest": (NONSENSE["half a manifest"][0], 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTED)
def test_a_report_of_a_damaged_run_is_whole_or_not_there(name: str, run: Path) -> None:
    spoil, code = REPORTED[name]
    spoil(run)
    exit_code, printed = call("report", run)
    pages = [page for page in (run.parents[2] / "reports").glob("*.html") if page.name != "index.html"]
    assert exit_code == code and bool(pages) == (code == 0), printed
    for page in pages:
        assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.parametrize(
    "make",
    [lambda path: path.write_text("no run"), lambda path: None, Path.mkdir, a_loop],
    ids=["a file", "nothing", "an empty folder", "a loop of links"],
)
def test_what_is_no_run_is_named(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "runs" / "placebo" / "20261123-021500-0000"
    path.parent.mkdir(parents=True)
    make(path)
    code, printed = call("judge", path)
    assert code in (2, 4) and path.name in printed, printed

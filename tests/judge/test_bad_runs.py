"""Run directories that are damaged, foreign, cut short, or not there: said in words, never a traceback, never a pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.errors import LuckyHitError, RunUnreadable
from luckyhit.judge import judge
from luckyhit.records import MAY_LACK, READS, REQUESTS, WRITES, Result
from luckyhit.records.parquet import write_part
from luckyhit.text.wording import has

PLACEBO = (Path(__file__).parents[2] / "data" / "cases" / "placebo.yml").read_text()
GOALS = "goals:\n  hit_ratio: {want: better, margin: 4 %}\n  error_rate: {want: no-worse, margin: 2 %}\ndesign"
CASE = PLACEBO[: PLACEBO.index("goals:")] + GOALS + PLACEBO.split("\ndesign")[1]
SCHEMAS = {"requests": REQUESTS, "reads": READS, "writes": WRITES}
PASSES = ("HELPED", "EQUIVALENT")
Spoil = Callable[[Path], Any]


def table_of(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    plain = frame.astype(object).where(frame.notna(), None)
    return pa.Table.from_pylist(plain.to_dict("records"), schema=schema)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, simulate: Any) -> Path:
    """A run that helped, with a part file for each table and all that the engine notes of a block."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "placebo.yml").write_text(CASE)
    manifest = {"design": "side-by-side", "state": "measured"}
    run = CaseRun.create(folder, folder / "placebo.yml", now=datetime(2026, 11, 23, 2, 15), manifest=manifest)
    found = simulate(1, blocks=4, seconds=1.0, before={"hit": 0.3}, after={"hit": 0.95})
    for name, schema in SCHEMAS.items():
        write_part(run.path / name, "part-0", table_of(getattr(found, name), schema))
    for entry in found.blocks:
        rows = found.requests[found.requests["block"] == entry["block"]]
        counts = {arm: int((rows["arm"] == arm).sum()) for arm in entry["arms"]}
        rest = {"failed": 0, "timed_out": 0, "dropped": 0}
        entry["accounting"] = {arm: {"scheduled": n, "completed": n, **rest} for arm, n in counts.items()}
        of_block = {name: getattr(found, name)["block"] == entry["block"] for name in ("reads", "writes")}
        entry["probe"] = {name: int(mine.sum()) for name, mine in of_block.items()}
    run.update(
        blocks=found.blocks,
        guards=[guard.model_dump() for guard in found.guards],
        rollback={"confirmed": True, "detail": "as it was", "same_as_before": None},
    )
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


def failed(result: Result) -> str:
    return "\n".join(f"{guard.id}: {guard.detail}" for guard in result.guards if not guard.ok)


def invalid(run: Path, guard: str, *words: str) -> None:
    """This run is INVALID by this guard, which says these words, and what to do."""
    result = judge(CaseRun.open(run))
    found = next(each for each in result.guards if each.id == guard)
    assert result.verdict == "INVALID" and not found.ok and found.remedy, (result.reason, found)
    assert all(word in found.detail for word in words), found.detail
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result


# Ways to damage a run


def part(run: Path, name: str = "requests") -> Path:
    (found,) = (run / name).glob("*.parquet")
    return found


def again(change: Callable[[pa.Table], pa.Table], name: str = "requests") -> Spoil:
    """The part file of a table, written anew as another program would."""
    return lambda run: pq.write_table(change(pq.read_table(part(run, name))), part(run, name))


def rows(change: Callable[[pd.DataFrame], pd.DataFrame], name: str = "requests") -> Spoil:
    """Other rows in the part file of a table."""

    def spoil(run: Path) -> None:
        frame = change(CaseRun(run).table(name))  # type: ignore[arg-type]
        write_part(run / name, "part-0", table_of(frame, SCHEMAS[name]))

    return spoil


def note(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    def spoil(run: Path) -> None:
        path = run / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return spoil


def facts(**more: Any) -> Spoil:
    return note(lambda manifest: manifest.update(more))


def of_block(number: int, **more: Any) -> Spoil:
    return note(lambda manifest: manifest["blocks"][number].update(more))


def uncounted(spoil: Spoil) -> Spoil:
    """The same where the manifest doesn't tell how many rows there were."""

    def both(run: Path) -> None:
        spoil(run)
        note(lambda manifest: [entry.pop("accounting") for entry in manifest["blocks"]])(run)

    return both


def content(name: str, data: bytes | str) -> Spoil:
    return lambda run: (run / name).write_bytes(data.encode() if isinstance(data, str) else data)


def instead(name: str, make: Callable[[Path], Any]) -> Spoil:
    """Something else in the place of a file or a directory."""

    def spoil(run: Path) -> None:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return spoil


def without(*names: str) -> Spoil:
    def spoil(run: Path) -> None:
        for name in names:
            instead(name, lambda path: None)(run)

    return spoil


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def column(name: str, values: Callable[[pa.Table], Any], table: str = "requests") -> Spoil:
    def put(found: pa.Table) -> pa.Table:
        return found.set_column(found.schema.get_field_index(name), name, values(found))

    return again(put, table)


def told(**about: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.replace_schema_metadata({f"luckyhit.{name}": value for name, value in about.items()})


def moved(arm: str, block: int, seconds: float) -> Spoil:
    """The rows of an arm in these blocks and all later ones, at another time."""

    def shift(frame: pd.DataFrame) -> pd.DataFrame:
        mine = frame["block"].ge(block) & (frame["arm"].eq(arm) if arm else True)
        for name in ("due_ns", "sent_ns", "first_byte_ns", "done_ns"):
            frame.loc[mine, name] += int(seconds * 1e9)
        return frame

    return rows(shift)


# Part files


FILE = "requests/part-0.parquet"
PARTS: dict[str, tuple[Spoil, str]] = {
    "truncated": (lambda run: part(run).write_bytes(part(run).read_bytes()[:2000]), FILE),
    "of no bytes": (content(FILE, b""), FILE),
    "a picture": (content(FILE, b"\x89PNG\r\n\x1a\n" + bytes(500)), FILE),
    "a folder": (instead(FILE, Path.mkdir), FILE),
    "a link to itself": (instead(FILE, a_loop), FILE),
    "a link to nowhere": (instead(FILE, lambda path: path.symlink_to("nowhere")), FILE),
    "a table of something else": (again(lambda _: pa.table({"a": [1]})), "has no column arm"),
    "without slots": (again(lambda table: table.drop_columns(["slot"])), f"{FILE} of"),
    "without routes": (again(lambda table: table.drop_columns(["route"])), "has no column route"),
    "without errors": (again(lambda table: table.drop_columns(["error"])), "has no column error"),
    "times as floats": (column("due_ns", lambda t: t["due_ns"].cast(pa.float64())), "double in its column due_ns"),
    "times as dates": (column("sent_ns", lambda t: t["sent_ns"].cast(pa.timestamp("ns"))), "in its column sent_ns"),
    "text for numbers": (column("done_ns", lambda t: pa.array(["7"] * len(t))), "string in its column done_ns"),
    "numbers for text": (column("arm", lambda t: pa.array([0] * len(t))), "int64 in its column arm, not text"),
    "text in a column that no verdict needs": (column("bytes", lambda t: pa.array(["7"] * len(t))), "column bytes"),
    "a column twice": (again(lambda t: t.append_column("slot", t["slot"])), "2 columns slot"),
    "a newer version": (again(told(schema="99")), "newer version (schema 99, this one reads 1)"),
    "a version that is none": (again(told(schema="new")), "no schema version, but 'new'"),
    "another run's": (again(told(run="20250101-000000-abcd")), "another run (20250101-000000-abcd)"),
    "reads, damaged": (content("reads/part-0.parquet", b"PAR1"), "reads/part-0.parquet"),
    "reads, of something else": (again(lambda _: pa.table({"a": [1]}), "reads"), "reads/part-0.parquet"),
    "writes without versions": (again(lambda t: t.drop_columns(["version"]), "writes"), "no column version"),
    "writes, newer": (again(told(schema="2"), "writes"), "newer version (schema 2"),
    "one good, one not": (content("requests/part-1.parquet", "arm,block\n"), "requests/part-1.parquet"),
    "requests is a file": (instead("requests", lambda path: path.write_text("x")), "requests/ of"),
    "requests is a loop of links": (instead("requests", a_loop), "requests/ of"),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_file_that_is_not_what_it_should_be_is_named(name: str, run: Path) -> None:
    spoil, words = PARTS[name]
    spoil(run)
    invalid(run, "records-readable", words)


def test_a_directory_that_may_not_be_listed_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)  # whoever runs the tests may be allowed everything
    invalid(run, "records-readable", "requests/", "Permission denied")


def test_what_may_lack_is_not_visible_and_all_else_has_to_be_there(run: Path) -> None:
    """Records of an older version, or of another program: what the verdict rests on is there, and it stands."""
    for name, schema in SCHEMAS.items():
        table = pq.read_table(part(run, name))
        lacking = [column for column in schema.names if f"{name}.{column}" in MAY_LACK]
        wide = table.drop_columns([each for each in lacking if each != "cache"])
        pq.write_table(wide.append_column("mood", pa.array(["good"] * len(table))), part(run, name))
    result = judge(CaseRun.open(run))
    assert result.verdict == "HELPED", result.reason
    assert result.metrics["db_calls"].before is None
    again(lambda table: table.drop_columns(["cache"]))(run)
    result = judge(CaseRun.open(run))
    assert result.verdict == "INCONCLUSIVE" and result.metrics["hit_ratio"].after is None, result.reason
    assert "not visible" in result.reason


def test_part_files_say_their_version_and_their_run(run: Path) -> None:
    for name in SCHEMAS:
        about = pq.read_metadata(part(run, name)).metadata
        assert about[b"luckyhit.schema"] == b"1" and about[b"luckyhit.run"].decode() == run.name


# What the manifest notes, held against what is there


def early(frame: pd.DataFrame) -> pd.DataFrame:
    """Half of the after arm's warm-up counts as measured."""
    mine = frame["arm"].eq("after") & frame["slot"].ge(75) & frame["block"].between(1, 4)
    return frame.assign(phase=frame["phase"].where(~mine, "measure"))


def no_warm_up(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(phase="measure")


def at_once(frame: pd.DataFrame) -> pd.DataFrame:
    """Answers of the after arm come when they were asked for: two columns are mixed up."""
    late = np.random.default_rng(1).integers(0, 900_000, len(frame))
    mine = frame["arm"].eq("after")
    for name in ("sent_ns", "first_byte_ns", "done_ns"):
        frame.loc[mine, name] = frame.loc[mine, "due_ns"] + late[mine]
    return frame


def in_ms(frame: pd.DataFrame) -> pd.DataFrame:
    for name in ("due_ns", "sent_ns", "first_byte_ns", "done_ns"):
        frame[name] = frame[name] // 1_000_000 * 1_000_000
    return frame


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    """Slots of the after arm, shifted by one where nothing else tells: no keys."""
    mine = frame["arm"].eq("after")
    frame.loc[mine, "slot"] += 1
    return frame.assign(key=None)


def other_arm(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(arm=frame["arm"].astype(str).where(frame["block"] != 0, "after"))


def kept(keep: Callable[[pd.DataFrame], Any], name: str = "requests") -> Spoil:
    return rows(lambda frame: frame[keep(frame)], name)


def twice(name: str) -> Spoil:
    return lambda run: shutil.copy(part(run, name), run / name / "part-1.parquet")


def edited(run: Path) -> None:
    (run / "case.yml").write_text(CASE.replace("margin: 4 %", "margin: 80 %"))


after = {"arms": ["after"]}
NOTED, WHOLE, EXACT = "blocks-as-noted", "the-probes-records-are-whole", "accounting-exact"
CLOCK, SAME, WARM = "clock-monotonic", "arms-exposed-to-the-same-slots", "arms-warmed-up-alike"
SAMPLE, STATE, BACK = "sample-size-sane", "same-cache-state-at-block-start", "rolled-back"
HELD: dict[str, tuple[Spoil, str, str]] = {
    "a case that was edited": (edited, "case-as-it-was-run", "case.yml was changed after the run"),
    "a case of another design": (facts(design="crossover"), "case-as-it-was-run", "declares 'side-by-side'"),
    "a block without rows": (uncounted(kept(lambda f: f["block"] != 3)), NOTED, "block 3, before"),
    "the last block without rows": (uncounted(kept(lambda f: f["block"] != 5)), NOTED, "block 5, before"),
    "an arm of a block without rows": (
        uncounted(kept(lambda f: (f["block"] != 3) | (f["arm"] != "after"))), NOTED, "no request of block 3, after",
    ),
    "rows of a block that was not noted": (
        note(lambda m: m["blocks"].pop(3)), NOTED, "600 requests are of block 3, which was not noted",
    ),
    "rows of an arm that was not measured": (rows(other_arm), NOTED, "block 0 has 300 requests after"),
    "a baseline with the change": (of_block(0, **after), NOTED, "block 0 (baseline) was measured with the change"),
    "one arm where there should be two": (of_block(2, **after), NOTED, "block 2 was measured after, which is not side"),
    "arms that are none": (of_block(2, arms="before"), NOTED, "block 2 names no arms"),
    "a stage that is none": (of_block(2, stage="chnge"), NOTED, "block 2 is of no stage that there is"),
    "a block twice": (note(lambda m: m["blocks"].append({**m["blocks"][0], "block": 2})), NOTED, "noted 2 times"),
    "a block without a number": (of_block(2, block=None), NOTED, "1 of the blocks in the manifest have no number"),
    "a number beyond all blocks": (of_block(2, block=10**30), NOTED, "have no number that a block can have"),
    "blocks of no kind": (facts(blocks=[1, None, {"block": "x"}]), NOTED, "3 of the blocks in the manifest"),
    "no list of blocks": (facts(blocks="none"), NOTED, "the manifest has no list of blocks"),
    "a part file copied": (twice("requests"), EXACT, "slots are there more than once"),
    "the end of a block lost": (kept(lambda f: (f["block"] != 3) | (f["slot"] < 150)), EXACT, "the engine counted"),
    "the beginning of all blocks lost": (uncounted(kept(lambda f: f["slot"] >= 50)), EXACT, "slots of the schedule"),
    "every other slot lost": (uncounted(kept(lambda f: f["slot"] % 2 == 0)), EXACT, "slots of the schedule are miss"),
    "a part of no rows": (kept(lambda f: f["slot"] < 0), EXACT, "no request was recorded"),
    "no part at all": (without(FILE), EXACT, "no request was recorded"),
    "slots shifted in one arm": (uncounted(rows(turned)), SAME, "have no partner in the other arm"),
    "no warm-up in one arm": (
        uncounted(kept(lambda f: (f["arm"] != "after") | (f["slot"] >= 150))), WARM, "150 warm-up requests before and 0",
    ),
    "less warm-up in one arm": (rows(early), WARM, "block 1: 150 warm-up requests before and 75 after"),
    "no warm-up, though planned": (rows(no_warm_up), WARM, "2.5 s of warm-up"),
    "an arm from another hour": (moved("after", 1, 3600), CLOCK, "arms of block 1 were not measured at the same time"),
    "a clock set back": (moved("", 3, -15), CLOCK, "block 3 begins before block 2 ended"),
    "blocks that overlap": (moved("", 3, -9), CLOCK, "block 3 begins before block 2 ended"),
    "answers at the instant of asking": (rows(at_once), SAMPLE, "the after arm was answered at the instant"),
    "a clock of milliseconds": (rows(in_ms), SAMPLE, "too coarse to compare"),
    "no self-check of the engine": (of_block(2, engine=None), "engine-trustworthy", "no engine check was recorded"),
    "one block not cleared": (of_block(2, clear={"before": 5}), STATE, "in the before arm before block 2"),
    "reads copied": (twice("reads"), WHOLE, "reads are there more than once"),
    "writes copied": (twice("writes"), WHOLE, "writes are there more than once"),
    "half of the reads lost": (kept(lambda f: f.index % 2 == 0, "reads"), WHOLE, "the probe counted 80 reads, 40 are"),
    "no reads": (without("reads"), WHOLE, "the probe counted 80 reads, 0 are there"),
    "reads of another block": (rows(lambda f: f.assign(block=77), "reads"), WHOLE, "reads are of no block"),
    "reads done before they were sent": (rows(lambda f: f.assign(done_ns=1), "reads"), WHOLE, "answered before they"),
    "no rollback noted": (note(lambda m: m.pop("rollback")), BACK, "nothing confirms"),
    "a rollback that failed": (facts(rollback={"confirmed": False, "detail": "still 300"}), BACK, "still 300"),
    "a change that is still in": (facts(changed=True), BACK, "nothing confirms that the change was taken back"),
    "guards of no kind": (facts(guards=["nonsense"]), "guards-readable", "'nonsense' is no guard"),
    "no guards": (facts(guards=None), "declared-difference-only", "nobody compared"),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_records_that_are_not_what_was_noted_are_invalid(name: str, run: Path) -> None:
    spoil, guard, words = HELD[name]
    spoil(run)
    invalid(run, guard, words)


# A run that did not get to its end


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "measuring"}, "did not get to its end: it is still being measured, or died"),
        ({"state": "failed", "failure": {"message": "the disk was full"}}, "ended early: the disk was full."),
        ({"failure": 5}, "ended early: no reason was noted."),
        ({"state": None}, "no state of a run that is over"),
        ({"state": ["measured"]}, "no state of a run that is over"),
    ],
    ids=str,
)
def test_a_run_that_did_not_get_to_its_end_never_passes(more: Mapping[str, Any], words: str, run: Path) -> None:
    facts(**more)(run)
    result = judge(CaseRun.open(run))
    assert result.verdict == "INCONCLUSIVE" and words in result.reason, result.reason
    assert not failed(result)


def test_the_block_that_a_run_died_in_is_no_damage(run: Path) -> None:
    """Its rows are there before it is noted. Rows of any other block that was not noted are."""
    note(lambda manifest: manifest["blocks"].pop())(run)
    facts(state="failed", failure={"message": "the service stopped"})(run)
    result = judge(CaseRun.open(run))
    assert result.verdict == "INCONCLUSIVE" and "the service stopped" in result.reason, failed(result)
    facts(state="measured", failure=None)(run)
    invalid(run, NOTED, "requests are of block 5, which was not noted")


# The command


NONSENSE: dict[str, tuple[Spoil, int, str]] = {
    "a newer manifest": (facts(schema=99), 4, "newer version (schema 99"),
    "a version that is none": (facts(schema=True), 4, "no schema version in its manifest"),
    "half a manifest": (lambda run: content("manifest.json", (run / "manifest.json").read_bytes()[:900])(run), 4, "manif"),
    "an empty manifest": (content("manifest.json", b""), 4, "manifest.json of"),
    "null": (content("manifest.json", "null"), 4, "is not an object"),
    "a list": (content("manifest.json", "[]"), 4, "is not an object"),
    "a manifest in another encoding": (content("manifest.json", "{}".encode("utf-16")), 4, "manifest.json of"),
    "a manifest without a bottom": (content("manifest.json", "[" * 100_000), 4, "manifest.json of"),
    "a number without an end": (content("manifest.json", '{"schema": 1' + "0" * 5000 + "}"), 4, "manifest.json of"),
    "a folder for a manifest": (instead("manifest.json", Path.mkdir), 4, "manifest.json of"),
    "a manifest that is a loop of links": (instead("manifest.json", a_loop), 4, "manifest.json of"),
    "no manifest and no case": (without("manifest.json", "case.yml"), 4, "no manifest.json"),
    "no case": (without("case.yml"), 2, "case.yml"),
    "an empty case": (content("case.yml", b""), 2, "case.yml"),
    "half a case": (content("case.yml", "title: [unclosed"), 2, "case.yml:1"),
    "a newer case": (content("case.yml", f"{CASE}\nquantum: yes\n"), 2, "quantum"),
    "a case that is no text": (content("case.yml", b"\xff\xfe\0"), 2, "no UTF-8"),
    "a case that is a loop of links": (instead("case.yml", a_loop), 2, "case.yml"),
}  # fmt: skip


@pytest.mark.parametrize("name", NONSENSE)
def test_what_can_not_be_judged_at_all_is_named(name: str, run: Path) -> None:
    spoil, code, words = NONSENSE[name]
    spoil(run)
    found, printed = call("judge", run, "--json")
    assert found == code and words in printed, printed


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


def test_failed_guards_are_told_with_what_to_do(run: Path) -> None:
    edited(run)
    kept(lambda frame: frame["block"] != 3)(run)
    code, printed = call("judge", run)
    assert code == 0 and printed.startswith("INVALID: The guard “"), printed
    lines = printed.splitlines()
    (place,) = (
        i for i, line in enumerate(lines) if line.startswith("  guard failed: case as it was run: case.yml was")
    )
    assert lines[place + 1].startswith("    what to do: Put the case back as it was run")
    assert any(line.startswith("  guard failed: blocks as noted: no request of block 3") for line in lines)
    guards = json.loads(call("judge", run, "--json")[1])["guards"]
    assert {guard["id"] for guard in guards if not guard["ok"] and guard["remedy"]} >= {"case-as-it-was-run", NOTED}


@pytest.mark.parametrize("damage", ["nothing", "half a result", "a newer result", "a folder"])
def test_a_result_that_can_not_be_read_is_no_reason_not_to_judge(damage: str, run: Path) -> None:
    spoil = {
        "nothing": lambda run: None,
        "half a result": content("result.json", '{"schema": 1, "ver'),
        "a newer result": content("result.json", '{"schema": 99}'),
        "a folder": instead("result.json", Path.mkdir),
    }[damage]
    spoil(run)
    kept_as = (run / "result.json").read_bytes() if (run / "result.json").is_file() else None
    code, printed = call("judge", run)
    assert code == 0 and printed.startswith("HELPED: ") and "guard failed" not in printed, printed
    assert kept_as is None or (run / "result.json").read_bytes() == kept_as  # nothing is kept without --write
    if damage != "nothing":
        with pytest.raises(RunUnreadable, match=r"result\.json"):
            _ = CaseRun(run).result


def test_without_a_manifest_the_numbers_are_told(run: Path) -> None:
    without("manifest.json")(run)
    code, printed = call("judge", run, "--json")
    result = Result.model_validate_json(printed)
    assert code == 0 and result.verdict == "INVALID" and "nobody compared" in result.reason
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
    found, printed = call("report", run)
    pages = [page for page in (run.parents[2] / "reports").glob("*.html") if page.name != "index.html"]
    assert found == code and bool(pages) == (code == 0), printed
    for page in pages:
        assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.parametrize("what", ["a file", "nothing", "an empty folder", "a loop of links"])
def test_what_is_no_run_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "placebo" / "20261123-021500-0000"
    path.parent.mkdir(parents=True)
    if what == "a file":
        path.write_text("no run")
    elif what == "an empty folder":
        path.mkdir()
    elif what == "a loop of links":
        path.symlink_to(path)
    code, told = call("judge", path)
    assert code in (2, 4) and path.name in told, told

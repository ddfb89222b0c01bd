"""What a run leaves behind is scrubbed; its records stay records."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case_run import CaseRun
from luckyhit.records import EVENTS, REQUESTS
from luckyhit.records.parquet import write_part
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import REDACTED, SecretValues
from luckyhit.scrub.sweep import scrub_notebook, sweep
from tier import examples

ROOT = Path(__file__).parents[1]
SECRET = "c4nary-s3cret/+value"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaseRun:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    text = (ROOT / "data" / "cases" / "placebo.yml").read_text()
    case = tmp_path / "secretive.yml"
    case.write_text(text.replace("    env:\n", "    pass_env: [SHOP_TOKEN]\n    env:\n", 1))
    return CaseRun.create(tmp_path / "runs", case, now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), manifest={})


def rows(keys: list[str | None]) -> pa.Table:
    """Requests with these keys, and nothing else of interest."""
    filled = {"arm": "before", "phase": "measure", "route": "item", "cache": "hit"}
    columns = []
    for field in REQUESTS:
        value = filled.get(field.name, None if field.nullable else 0)
        values = keys if field.name == "key" else [value] * len(keys)
        columns.append(pa.array(values).cast(field.type))
    return pa.Table.from_arrays(columns, schema=REQUESTS)


def test_a_text_becomes_the_same_in_all_tables_and_two_never_one(run: CaseRun) -> None:
    keys = [f"1?token={SECRET}", "2", "1?token=other-one-7", None, f"user-{SECRET}", f"1?token={SECRET}"]
    write_part(run.path / "requests", "block-000", rows(keys))
    write_part(run.path / "requests", "block-001", rows(keys[::-1]))
    before = pq.read_table(run.path / "requests" / "block-000.parquet")
    assert not sweep(run.path, run.redactor, closed=True)  # nothing was given
    first, second = (list(run.parts("requests"))[part]["key"].to_pylist() for part in (0, 1))
    assert first == second[::-1] and first[1] == "2" and first[3] is None
    assert first[0] == first[5] and len(set(first)) == len(set(keys))
    assert not any(SECRET in str(key) or "other-one" in str(key) for key in first)
    after = pq.read_table(run.path / "requests" / "block-000.parquet")
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.drop_columns("key").equals(before.drop_columns("key"))


def test_a_key_becomes_the_same_in_a_later_step(run: CaseRun) -> None:
    for block in range(2):
        write_part(run.path / "requests", f"block-{block:03d}", rows([f"1?token={SECRET}"]))
        sweep(run.path, run.redactor, closed=False)
    assert [part["key"].to_pylist() for part in run.parts("requests")] == [[f"1?token={REDACTED}"]] * 2


def test_what_is_swept_again_stays_as_it_is(run: CaseRun) -> None:
    write_part(run.path / "requests", "block-000", rows([f"{SECRET}", "1?token=abc", "1?token=abd"]))
    sweep(run.path, run.redactor, closed=False)
    path = run.path / "requests" / "block-000.parquet"
    once = path.read_bytes()
    sweep(run.path, run.redactor, closed=True)
    assert path.read_bytes() == once


def test_a_table_without_secrets_is_not_written_anew(run: CaseRun) -> None:
    path = write_part(run.path / "requests", "block-000", rows(["/home/feed", "7", "/home/feed/items?page=2"]))
    before = path.stat()
    sweep(run.path, run.redactor, closed=True)
    assert path.stat().st_ino == before.st_ino and path.stat().st_mtime_ns == before.st_mtime_ns


def test_what_a_part_file_says_of_itself_is_scrubbed(run: CaseRun) -> None:
    table = EVENTS.empty_table().replace_schema_metadata({"note": f"by {SECRET}", "folder": str(run.path)})
    path = write_part(run.path / "events", "block-000", table)
    sweep(run.path, run.redactor, closed=True)
    scrubbed = pq.read_metadata(path).metadata
    assert scrubbed[b"note"] == f"by {REDACTED}".encode() and str(run.path).encode() not in b"".join(scrubbed.values())
    assert scrubbed[b"luckyhit.run"] == run.id.encode()


def test_keys_that_were_given_stay_until_nothing_more_is_measured(run: CaseRun) -> None:
    (run.path / "inputs").mkdir()
    keys = run.path / "inputs" / "keys-item.txt"
    keys.write_text(f"1?api_key={SECRET}\n2\n3?api_key={SECRET}")
    assert not sweep(run.path, run.redactor, closed=False) and SECRET in keys.read_text()
    assert sweep(run.path, run.redactor, closed=True)
    assert keys.read_text() == f"1?api_key={REDACTED}\n2\n3?api_key={REDACTED}"


def test_a_log_is_kept_without_secrets_whatever_bytes_are_in_it(run: CaseRun) -> None:
    log = run.path / "work" / "before" / "service.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"\xff\x00 started\n" + f"token {SECRET} in {run.path}/x\n".encode() * 3 + b"no line break")
    sweep(run.path, run.redactor, closed=False)
    kept = (run.path / "logs" / "before-service.log").read_bytes()
    assert kept.startswith(b"\xff\x00 started\n") and kept.endswith(b"no line break")
    assert SECRET.encode() not in kept and str(run.path).encode() not in kept
    assert not (run.path / "work").exists()


def test_parts_beside_a_damaged_one_are_scrubbed(run: CaseRun) -> None:
    (run.path / "requests" / "block-000.parquet").write_bytes(b"PAR1 torn")
    path = write_part(run.path / "requests", "block-001", rows([SECRET]))
    sweep(run.path, run.redactor, closed=True)
    assert pq.read_table(path)["key"].to_pylist() == [REDACTED]


def test_the_manifest_the_result_and_the_progress_have_none(run: CaseRun) -> None:
    run.update(
        failure={"message": f"{SECRET} in {run.path}"}, blocks=[{"block": 0, "unexpected": SECRET, "unseen": [SECRET]}]
    )
    run.progress(f"waiting for {SECRET}")
    for path in run.path.glob("*.json*"):
        assert SECRET not in path.read_text() and str(run.path) not in path.read_text()


def test_a_variable_that_holds_a_word_of_the_records_is_no_secret(
    run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("before", "baseline", "measuring", "HELPED", run.id, "secretive", "placebo"):
        monkeypatch.setenv("SHOP_TOKEN", word)
        again = CaseRun(run.path)
        again.update(state="measuring", blocks=[{"block": 0, "arms": ["before", "after"], "stage": "baseline"}])
        manifest = again.manifest
        (block,) = manifest.blocks
        noted = (manifest.state, block.arms, block.stage, manifest.run)
        assert noted == ("measuring", ["before", "after"], "baseline", run.id)


# --- what was cut, and documents of any shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a body: b'c4nary-s3c'...", f"a body: b'{REDACTED}'..."),
        ("c4nary-s3cret/+v…", f"{REDACTED}…"),
        ("it is 'c4nary-s3cret/+va'", f"it is '{REDACTED}'"),
        ("c4nary", "c4nary"),
        ("c4nary-soup", "c4nary-soup"),
    ],
)
def test_a_secret_that_was_cut_is_one(text: str, expected: str) -> None:
    assert SecretValues({SECRET}).hidden(text) == expected


def test_a_word_that_a_secret_begins_with_is_none() -> None:
    for text in ("the catalogue", "'catalogue'", "catalogue-service", "catalogue"):
        assert SecretValues({"catalogue-pw-1"}).hidden(text) == text


TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\n", "=", "://", "@", "token=", "Cookie: ", "/home/x/", REDACTED, "\x1b[1m"]
)
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs"]), min_size=8, max_size=24).filter(
    lambda secret: secret in SecretValues({secret})  # not a word of the records, nor a name of a place
)


@settings(max_examples=examples(100))
@given(st.data(), SECRETS)
def test_no_json_document_keeps_a_secret(data: st.DataObject, secret: str) -> None:
    around = st.lists(TEXTS | st.just(secret), max_size=4).map(" ".join)
    document = data.draw(
        st.recursive(around | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(around, inner, max_size=3))
    )  # fmt: skip
    redactor = Redactor({secret})
    for scrub in (redactor.document, redactor.anything):
        scrubbed = scrub(document)
        assert secret not in _texts(scrubbed).replace(REDACTED, "\0")
        json.dumps(scrubbed)
    assert redactor.document(redactor.document(document)) == redactor.document(document)


def _texts(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}\n{_texts(inner)}" for name, inner in value.items())
    return "\n".join(map(_texts, value)) if isinstance(value, list) else str(value)


@settings(max_examples=examples(100))
@given(SECRETS, st.lists(TEXTS, min_size=1, max_size=3), st.lists(TEXTS, max_size=3))
def test_no_notebook_keeps_a_secret_and_it_stays_one(
    tmp_path_factory, secret: str, before: list[str], after: list[str]
) -> None:
    text = f"{''.join(before)} {secret} {''.join(after)}"
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=text),
        nbformat.v4.new_output(
            "error", ename="E", evalue=text, traceback=[text, f"\x1b[31m{secret[:4]}\x1b[0m{secret[4:]}"]
        ),
        nbformat.v4.new_output("display_data", data={"text/html": f"<b>{text}</b>", "image/png": "aGVsbG8="}),
    ]
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell(f"x = {text!r}", outputs=outputs)]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"papermill": {"parameters": {"case": text}}})
    path = tmp_path_factory.mktemp("book") / "1-baseline.ipynb"
    nbformat.write(book, path)
    scrub_notebook(path, Redactor({secret}))
    scrubbed = nbformat.read(path, as_version=4)
    nbformat.validate(scrubbed)
    assert secret not in _texts(json.loads(json.dumps(scrubbed))).replace(REDACTED, "\0")
    assert scrubbed.cells[1].outputs[2].data["image/png"] == "aGVsbG8="

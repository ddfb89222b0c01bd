"""Secrets, credentials, cookies and paths of this machine: in no text, no notebook and no report."""

from __future__ import annotations

import base64
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import judged

from luckyhit.case.values.variables import known_secrets
from luckyhit.case_run import CaseRun
from luckyhit.records.manifest import ProbeNotes
from luckyhit.report.page import page_of, render
from luckyhit.report.recorded import recorded
from luckyhit.scrub.characters import visible
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import REDACTED, is_literal
from luckyhit.scrub.sweep import scrub_notebook

CANARY = 'c4nary/+"<s&cret>'
URL = "redis://shop:hunter2-hunter2@cache.example.com:6379/0"


def forms(secret: str) -> list[str]:
    """How a secret may be written."""
    escaped = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return [secret, quote(secret, safe=""), json.dumps(secret)[1:-1], encoded, escaped]


# Texts


@pytest.mark.parametrize("written", forms(CANARY), ids=["plain", "url", "json", "base64", "html"])
def test_a_known_value_goes_however_it_is_written(written: str) -> None:
    assert Redactor({CANARY}).text(f"before {written} after") == f"before {REDACTED} after"


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("redis://shop:pw12@cache:6379/0", "pw12"),
        ("postgresql+asyncpg://u:p%40ss@db/x", "p%40ss"),
        ("https://token@example.com/x", "token@"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("> cookie: session=abc; theme=dark", "abc"),
        ("{'Set-Cookie': 'id=77aa; Path=/'}", "77aa"),
        ('{"authorization": "Basic dXNlcjpw"}', "dXNlcjpw"),
        ("[(b'cookie', b'sid=99zz')]", "99zz"),
        ('"headers": "{\\"x-api-key\\": \\"k-123\\"}"', "k-123"),
        ("GET /x?page=2&api_key=zzz9&n=1", "zzz9"),
        ("DB_PASSWORD=s3same luckyhit run", "s3same"),
        ("sent Bearer eyJhbGciOi.eyJzdWIiOiIx", "eyJhbGciOi"),
    ],
)
def test_credentials_go_without_being_known(text: str, gone: str) -> None:
    scrubbed = Redactor().text(text)
    assert gone not in scrubbed and REDACTED in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "GET /home/feed/items answered 200", "page=2&size=10", "cache-status: catalogue; hit", "http://127.0.0.1:8000/x",
        "user@example.com", "the cookie banner", "CATALOGUE_TTL=300", "max_tokens=100", "x-cache: HIT", "a/b/c",
        "PUT /products/{id}/price with {\"price_cents\": 1999}", "sha256 aabbccddeeff00112233445566778899",
        "hit ratio 0.97 on 1 of 8000 requests; true", "Cookie: uid=m{number}", '{"cookie": "uid=m{key}"}',
    ],
)  # fmt: skip
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert Redactor({"1", "on", "", "abc", "true", "97", "0"}).text(text) == text


def test_a_known_number_goes_only_as_a_whole() -> None:
    assert Redactor({"8000"}).text("port 8000, 18000 rows") == f"port {REDACTED}, 18000 rows"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/work/shop/data/runs/a/b.parquet", "data/runs/a/b.parquet"),
        ("in /srv/work/shop/lib/x.py:3", "in ./lib/x.py:3"),
        ("/srv/work/shopping/x", "/srv/work/shopping/x"),
        (f"{Path.home()}/notes.txt", "~/notes.txt"),
        (f"{tempfile.gettempdir()}/x1/y.log", "$TMPDIR/x1/y.log"),
        ("/home/alice/shop/app.py", "…/shop/app.py"),
        ('File "/Users/bob/shop/app.py", line 3', 'File "…/shop/app.py", line 3'),
    ],
)
def test_paths_of_any_machine_go(text: str, expected: str) -> None:
    assert Redactor(roots={"/srv/work/shop": ".", "/srv/work/shop/data/runs": "data/runs"}).text(text) == expected


@given(st.text(min_size=8, max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_no_known_value_survives_in_any_text(secret: str, before: str, after: str) -> None:
    if is_literal(secret):
        assert secret not in Redactor({secret}).text(before + secret + after).replace(REDACTED, "\0")


@given(st.text())
def test_visible_is_idempotent_and_encodable(text: str) -> None:
    once = visible(text)
    assert visible(once) == once
    once.encode("utf-8")


# Notebooks


def test_a_secret_across_lines_and_colours_is_found(tmp_path) -> None:
    coloured = ["\x1b[33mhun\x1b[39mter2-hun\x1b[1mter2\x1b[0m"]
    error = {"output_type": "error", "ename": "", "evalue": "", "traceback": coloured}
    code = {"cell_type": "code", "id": "b", "metadata": {}, "execution_count": 1, "source": [], "outputs": [error]}
    text = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["a first-line-of-it\n", "second-line-of-it"]}
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [text, code]}))
    scrub_notebook(path, Redactor({"first-line-of-it\nsecond-line-of-it", "hunter2-hunter2"}))
    assert "second-line-of-it" not in path.read_text() and "ter2" not in path.read_text()


def test_a_notebook_that_is_not_json_is_scrubbed_as_text(tmp_path) -> None:
    path = tmp_path / "torn.ipynb"
    path.write_text(f'{{"cells": ["{URL}')
    scrub_notebook(path, Redactor({URL}))
    assert "hunter2" not in path.read_text()


# Reports


@pytest.fixture
def secret_run(new_run, monkeypatch, plain_figures):
    """A run whose case names two secrets, with their values wherever a text can come from."""
    monkeypatch.setenv("SHOP_TOKEN", CANARY)
    monkeypatch.setenv("SHOP_CACHE", URL)

    def edit(case: str) -> str:
        case = case.replace("    env:\n", "    pass_env: [SHOP_TOKEN]\n    env:\n", 1)
        case = case.replace("design: side-by-side", "design: crossover")
        return case.replace("cache:\n  clear:", "cache:\n  url_env: SHOP_CACHE\n  clear:", 1)

    run = new_run(edit_case=edit, blocks=2)
    text = f"{CANARY} at {URL} in {run.path}"
    guard = {"id": "permissions-checked", "ok": True, "detail": text, "remedy": text}
    noted = {"unexpected": text, "probe": ProbeNotes(problems=[text])}
    run.update(
        guards=[*run.manifest.guards, guard], revision=text, command=text, versions={"python": text},
        host={"system": text}, failure={"message": text, "hint": text},
        rollback={"confirmed": True, "detail": text, "same_as_before": None},
        blocks=[block.model_copy(update=noted) for block in run.manifest.blocks],
    )  # fmt: skip
    return run, text


def assert_clean(html: str, run) -> None:
    secrets = [form for secret in (CANARY, URL, "hunter2-hunter2") for form in forms(secret)]
    assert not [form for form in (*secrets, str(run.path), str(run.path.parents[2])) if form in html]


def test_no_canary_reaches_a_report_or_the_index(secret_run, tmp_path) -> None:
    run, text = secret_run
    assert known_secrets(run.case) == {CANARY, URL, "hunter2-hunter2"}
    result = judged(run)
    run.write_result(result.model_copy(update={"reason": f"{result.reason} {text}"}))
    for shown, incomplete in ((run.result, None), (None, text)):
        assert_clean(render(run, shown, tmp_path / "reports", incomplete=incomplete).read_text(encoding="utf-8"), run)
    assert_clean((tmp_path / "reports" / "index.html").read_text(encoding="utf-8"), run)
    found = recorded(run, result)
    case = found.case.model_copy(update={"title": text, "hypothesis": text, "assumptions": [text]})
    assert_clean(page_of(run, replace(found, case=case, problems=[text]), tmp_path), run)


def test_no_canary_reaches_a_report_without_a_readable_case(secret_run, tmp_path) -> None:
    run, text = secret_run
    with (run.path / "case.yml").open("a", encoding="utf-8") as file:
        file.write(f"strange: {json.dumps(text)}\n")
    assert recorded(CaseRun(run.path)).case is None
    path = render(CaseRun(run.path), None, tmp_path / "reports", incomplete=text)
    assert_clean(path.read_text(encoding="utf-8"), run)

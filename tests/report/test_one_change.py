"""The one change on the page, of every kind: its values, its diff, what is sent for it; as text, and without secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from page_reader import Page
from pydantic import TypeAdapter
from synthetic_run import CASES

from luckyhit.case import Case, changes, load_case
from luckyhit.case_run import CaseRun
from luckyhit.records.manifest import Manifest
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.one_change import LONGEST_LINE, change, revision_diff, sides
from luckyhit.report.page import page_of

CASE = load_case(CASES / "stale-price.yml")
REVISIONS = {"before": "0123456789abcdef", "after": "fedcba9876543210"}
DIFF = """ shop/prices.py | 3 ++-
 1 file changed, 2 insertions(+), 1 deletion(-)

diff --git a/shop/prices.py b/shop/prices.py
index 1..2 100644
--- a/shop/prices.py
+++ b/shop/prices.py
@@ -1,2 +1,3 @@ def update():
 def update():
--- a comment of the code itself
+    cache.delete(f"<b>{key}</b>")
+++ counted
"""


def of_kind(kind: str, **fields: Any) -> Case:
    """The stale price with another change (a case that can't be loaded from a file with it is good enough here)."""
    spec = {"kind": kind, "what": "What it does", "smallest": "Why", **fields}
    return CASE.model_copy(update={"change": TypeAdapter(changes.Change).validate_python(spec)})


HTTP = of_kind(
    "http", apply={"method": "PUT", "path": "/flags/x", "body": {"value": "on", "token": "a-b-c-1"}, "headers": {"X-By": "me"}},
    revert={"method": "DELETE", "path": "/flags/x"}, verify={"path": "/flags", "value": "$.x"}, before="off", after="on",
)  # fmt: skip
COMMAND = of_kind("command", apply=["flag", "on", "a b"], revert=["flag", "off"], verify=["flag", "show"], before="off",
                  after="on", restart=True, pass_env=["FLAG_TOKEN"])  # fmt: skip
REVISION = of_kind("revision", before="HEAD", after="fix/key")


@pytest.mark.parametrize(
    ("case", "diff"),
    [
        (of_kind("env", name="TTL", before=None, after="30"), [("-", "# TTL is not set"), ("+", "TTL=30")]),
        (of_kind("cache-setting", name="maxmemory-policy", after="allkeys-lru"),
         [("-", "# maxmemory-policy as it was"), ("+", "CONFIG SET maxmemory-policy 'allkeys-lru'")]),
        (HTTP, [("-", "DELETE /flags/x"), ("-", "  # GET /flags shows off"),
                ("+", 'PUT /flags/x {"value": "on", "token": "[redacted]"}, X-By: me'), ("+", "  # GET /flags shows on")]),
        (COMMAND, [("-", "flag off"), ("-", "  # flag show prints off"),
                   ("+", "flag on 'a b'"), ("+", "  # flag show prints on")]),
        (of_kind("none"), []),
    ],
)  # fmt: skip
def test_each_kind_has_its_diff(case: Case, diff: list[tuple[str, str]]) -> None:
    assert case.change.diff(case) == diff


def test_each_kind_has_its_two_values() -> None:
    env = of_kind("env", name="TTL", before=None, after="30")
    assert env.change.subject == ("Variable", "TTL") and sides(env) == ("(not set)", "30")
    assert sides(REVISION, Manifest(revisions=REVISIONS)) == ("HEAD (0123456789ab)", "fix/key (fedcba987654)")
    assert sides(of_kind("none")) is None


def test_secrets_from_the_environment_appear_by_name_only(monkeypatch) -> None:
    monkeypatch.setenv("FLAG_TOKEN", "hunter2-hunter2")
    target = HTTP.target.model_copy(update={"headers_env": {"Authorization": "FLAG_TOKEN"}})
    for case in (HTTP.model_copy(update={"target": target}), COMMAND):
        text = " ".join(dict(change(case)).values())
        assert "$FLAG_TOKEN" in text and "hunter2" not in text
        assert "hunter2" not in tables.change(case)._repr_html_()


def test_a_diff_of_revisions_has_its_summary(tmp_path) -> None:
    (tmp_path / "change.diff").write_text(DIFF, encoding="utf-8")
    diff = revision_diff(CaseRun(tmp_path))
    assert diff.stat.splitlines() == DIFF.splitlines()[:2] and diff.more == 0
    assert {
        ("", "--- a/shop/prices.py"), ("-", "-- a comment of the code itself"), ("+", "++ counted"), (" ", "def update():")
    } < set(diff.lines)  # fmt: skip
    cut = revision_diff(CaseRun(tmp_path), most=3)
    assert len(cut.lines) == 3 and cut.more == len(diff.lines) - 3


def test_a_diff_of_any_bytes_is_cut_with_a_count(tmp_path) -> None:
    (tmp_path / "change.diff").write_bytes(b"diff --git a/x b/x\n@@ -1 +1 @@\n+" + b"\xff" * 5000 + b"\n")
    assert revision_diff(CaseRun(tmp_path)).lines[-1][1].endswith(f"({5000 - LONGEST_LINE:,} more characters)")
    (tmp_path / "change.diff").unlink()
    assert revision_diff(CaseRun(tmp_path)).problem


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize(
    ("case", "facts"),
    [
        (HTTP, ["DELETE /flags/x", "off → on"]),
        (COMMAND, ["flag on 'a b'", "off → on"]),
        (REVISION, ['cache.delete(f"<b>{key}</b>")', "fix/key (fedcba987654)", "1 file changed", "change.diff"]),
    ],
    ids=["http", "command", "revision"],
)
def test_the_page_shows_what_is_sent_or_run(case: Case, facts: list[str], copied, recorded_run, tmp_path) -> None:
    run, _ = copied
    (run.path / "change.diff").write_text(DIFF, encoding="utf-8")
    manifest = recorded_run.manifest.model_copy(update={"revisions": REVISIONS})
    page = Page(page_of(run, replace(recorded_run, case=case, manifest=manifest), tmp_path))
    assert page.all("b") == [] and all(fact in page.text for fact in facts)

"""The one change on the page, of every kind: its values, its diff, what is sent for it; as text, and without
secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from page_reader import Page, assert_self_contained
from pydantic import TypeAdapter
from synthetic_run import CASES

from luckyhit.case import Case, changes, load_case
from luckyhit.case_run import CaseRun
from luckyhit.records.manifest import Manifest
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.one_change import LONGEST_LINE, change, revision_diff, sides
from luckyhit.report.page import page_of
from luckyhit.report.recorded import recorded

CASE = load_case(CASES / "stale-price.yml")
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


def test_each_kind_has_its_two_values_and_its_diff() -> None:
    env = of_kind("env", name="TTL", before=None, after="30")
    assert env.change.diff(env) == [("-", "# TTL is not set"), ("+", "TTL=30")]
    assert env.change.subject == ("Variable", "TTL") and sides(env) == ("(not set)", "30")
    setting = of_kind("cache-setting", name="maxmemory-policy", after="allkeys-lru")
    assert setting.change.diff(setting) == [
        ("-", "# maxmemory-policy as it was"),
        ("+", "CONFIG SET maxmemory-policy 'allkeys-lru'"),
    ]
    assert HTTP.change.diff(HTTP) == [
        ("-", "DELETE /flags/x"), ("-", "  # GET /flags shows off"),
        ("+", 'PUT /flags/x {"value": "on", "token": "[redacted]"}, X-By: me'), ("+", "  # GET /flags shows on"),
    ]  # fmt: skip
    assert ("+", "flag on 'a b'") in COMMAND.change.diff(COMMAND) and (
        "-",
        "  # flag show prints off",
    ) in COMMAND.change.diff(COMMAND)
    nothing = of_kind("none")
    assert nothing.change.diff(nothing) == [] and sides(nothing) is None
    revision = of_kind("revision", before="HEAD", after="fix/key")
    both = sides(revision, Manifest(revisions={"before": "0123456789abcdef", "after": "fedcba9876543210"}))
    assert both == ("HEAD (0123456789ab)", "fix/key (fedcba987654)")


def test_secrets_from_the_environment_appear_by_name_only(monkeypatch) -> None:
    monkeypatch.setenv("FLAG_TOKEN", "hunter2-hunter2")
    target = HTTP.target.model_copy(update={"headers_env": {"Authorization": "FLAG_TOKEN"}})
    rows = dict(change(HTTP.model_copy(update={"target": target})))
    assert rows["Headers sent with each"] == "Authorization (from $FLAG_TOKEN)"
    assert rows["To revert it"] == "DELETE /flags/x"
    assert rows["To see it"] == "GET /flags, where $.x is the state (within 10s)"
    rows = dict(change(COMMAND))
    assert rows["Variables passed on"] == "$FLAG_TOKEN" and "restarted" in rows["After each"]
    assert "hunter2" not in tables.change(COMMAND)._repr_html_()


def test_a_diff_of_revisions_has_its_summary_and_is_cut_with_a_count(tmp_path) -> None:
    (tmp_path / "change.diff").write_text(DIFF, encoding="utf-8")
    whole = revision_diff(CaseRun(tmp_path))
    assert whole.stat.startswith(" shop/prices.py | 3 ++-") and "1 file changed" in whole.stat
    assert ("", "--- a/shop/prices.py") in whole.lines and ("-", "-- a comment of the code itself") in whole.lines
    assert ("+", "++ counted") in whole.lines and (" ", "def update():") in whole.lines and whole.more == 0
    cut = revision_diff(CaseRun(tmp_path), most=3)
    assert len(cut.lines) == 3 and cut.more == len(whole.lines) - 3
    (tmp_path / "change.diff").write_bytes(b"diff --git a/x b/x\n@@ -1 +1 @@\n+" + b"\xff" * 5000 + b"\n")
    assert revision_diff(CaseRun(tmp_path)).lines[-1][1].endswith(f"({5000 - LONGEST_LINE:,} more characters)")
    (tmp_path / "change.diff").unlink()
    assert "left no change.diff" in revision_diff(CaseRun(tmp_path)).problem


@pytest.mark.usefixtures("plain_figures")
def test_the_page_shows_a_revisions_diff_as_text(copied, tmp_path) -> None:
    run, result = copied
    (run.path / "change.diff").write_text(DIFF, encoding="utf-8")
    run.update(revisions={"before": "0123456789abcdef", "after": "fedcba9876543210"})
    found = replace(recorded(run, result), case=of_kind("revision", before="HEAD", after="fix/key"))
    html = page_of(run, found, tmp_path)
    page = Page(html)
    assert_self_contained(page)
    assert 'cache.delete(f"<b>{key}</b>")' in page.text and "<b>{key}" not in html
    assert "fix/key (fedcba987654)" in page.text and "1 file changed" in page.text
    assert "change.diff" in page.text  # with its digest


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize(("case", "said"), [(HTTP, "To revert it DELETE /flags/x"), (COMMAND, "flag on 'a b'")])
def test_the_page_shows_what_is_sent_or_run(case: Case, said: str, copied, tmp_path) -> None:
    run, result = copied
    page = Page(page_of(run, replace(recorded(run, result), case=case), tmp_path))
    assert said in page.text and "off → on" in page.text

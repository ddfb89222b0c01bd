"""What a run touched, what it left alone, and whether it is as it was: by its journal and manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journalled import CLEARED, HTTP, RESTORE, Book
from page_reader import Page
from synthetic_run import CASES

from luckyhit.case import Case, load_case
from luckyhit.case_run import CaseRun
from luckyhit.records import Guard, Rollback
from luckyhit.records.manifest import WashoutNotes
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.actions import ActionRow, action_rows
from luckyhit.report.evidence.blocks import limits, prepared, washout_text
from luckyhit.report.evidence.cleared_keys import NAMES, cleared_keys
from luckyhit.report.evidence.compared import compared
from luckyhit.report.evidence.journal_view import JournalEvidence, journal_of
from luckyhit.report.evidence.restored import remains, restored_claims, untouched_claims
from luckyhit.report.page import page_of
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH
from noted import manifest_with, noted
from tier import examples

CASE = load_case(CASES / "stale-price.yml")
JOURNAL = JournalEvidence(exists=True)


@pytest.fixture
def journal(tmp_path):
    """Read a journal that a Book holds, from a run's directory."""

    def read(book: Book, *, backups: int = 0) -> JournalEvidence:
        book.write(tmp_path)
        for number in range(1, backups + 1):
            (tmp_path / f"cleared-{number}.backup").write_bytes(b"")
        return journal_of(CaseRun(tmp_path))

    return read


def run_of(case: Case | None = CASE, **manifest: Any) -> Recorded:
    return Recorded(case=case, manifest=manifest_with(started="2026-11-23T02:15:30+00:00", **manifest))


def live_case() -> Case:
    """The stale price at a service that runs already, with a cache that isn't the run's."""
    live = {"start": None, "url": "http://127.0.0.1:8100", "allow_change": True, "environment": "staging"}
    cache = CASE.cache.model_copy(update={"url_env": "STAGING_REDIS"})
    return CASE.model_copy(update={"target": CASE.target.model_copy(update=live), "cache": cache})


def actions(run: Recorded, journal: JournalEvidence) -> dict[str, ActionRow]:
    return {row.id: row for row in action_rows(run, journal)}


def claimed(run: Recorded, journal: JournalEvidence, rollback: Rollback | None = None) -> dict[str, bool | None]:
    claims = [*untouched_claims(run, journal, compared(run)), *restored_claims(run, journal, rollback)]
    return {claim.id: claim.ok for claim in claims}


# What was touched


def test_a_run_with_its_own_services_shows_what_it_did(judged_run, recorded_run) -> None:
    rows = actions(recorded_run, journal_of(judged_run[0]))
    states = {id: row.state for id, row in rows.items()}
    assert states == {"start": "gone", "apply": "back", "clear": "gone", "probe": "back", "workload": "stays"}
    assert rows["start"].when.startswith("02:15:30")
    for id, facts in {
        "start": ("3 processes", "2 of", "1 of"),
        "apply": ("once",),
        "clear": ("6 clears", "540 of 576 keys"),
        "probe": ("400",),
    }.items():
        text = f"{rows[id].times} {rows[id].done} {rows[id].outcome}"
        assert all(fact in text for fact in facts), text
    assert len(tables.action_table(recorded_run, journal_of(judged_run[0]))) == len(rows)


def test_a_live_change_that_was_set_again_shows_its_state(journal) -> None:
    book = Book()
    step = book.intent("apply", {"change": "http", "what": "The flag"}, HTTP)
    for _ in range(2):
        book.confirm(step, shows="1", call="PUT /flags/x")
    book.undone(step, "PUT /flags/x; GET /flags shows '0' at $.x")
    row = actions(run_of(None), journal(book))["apply"]
    assert row.state == "back" and row.times.count("once") == 2
    assert "“1”" in row.done and "GET /flags shows '0'" in row.outcome


@pytest.mark.parametrize(
    ("how", "outcome", "backups", "states"),
    [
        ("the run ended well", {"outcome": "ended-well"}, 0, ("stays", "gone")),
        ("90 restored", {"restored": 90, "present": 2, "expired": 0}, 0, ("back", "gone")),
        ("90 restored", {"restored": 90, "present": 2, "expired": 0}, 1, ("back", "stays")),
        (None, {}, 1, ("open", "open")),
    ],
)
def test_clears_of_a_foreign_cache_and_their_backups(how, outcome, backups, states, journal) -> None:
    book = Book()
    step = book.intent("clear", {"listed": 96}, RESTORE)
    book.confirm(step, **CLEARED)
    if how is not None:
        book.undone(step, how, **outcome)
    rows = actions(run_of(), journal(book, backups=backups))
    assert (rows["clear"].state, rows["backup"].state) == states
    assert states[0] != "back" or how in rows["clear"].outcome
    assert states[1] != "stays" or "cleared-1.backup" in rows["backup"].outcome


def test_every_other_kind_of_step_has_its_row(journal) -> None:
    book = Book()
    book.taken("notify", {"from": "", "to": "KA"}, {"kind": "notify"}, how="set back to empty")
    purge = {"calls": [{"method": "BAN", "url": "http://varnish", "path": "/"}]}
    book.taken("purge", purge, outcome={"calls": 3, "statuses": {"200": 2, "404": 1}})
    book.taken("worktree", {"revision": "ab" * 20}, {"kind": "worktree"}, how="the worktree was removed")
    book.taken("levitate", {}, {}, outcome={})
    rows = actions(run_of(None), journal(book))
    for id, facts in {
        "notify": ("from empty to “KA”", "set back to empty"),
        "purge": ("3 calls", "2 × 200, 1 × 404", "BAN http://varnish/"),
        "worktree": ("abababababab", "1 of 1"),
        "levitate": ("“levitate”",),
    }.items():
        text = f"{rows[id].times} {rows[id].done} {rows[id].outcome}"
        assert all(fact in text for fact in facts), text
    assert rows["purge"].state == "stays"


def test_what_the_workload_wrote_stays(judged_run, recorded_run) -> None:
    routes = recorded_run.case.workload.routes
    routes = [route.model_copy(update={"method": "PUT" if route is routes[0] else "GET"}) for route in routes]
    workload = recorded_run.case.workload.model_copy(update={"routes": routes})
    writing = replace(recorded_run, case=recorded_run.case.model_copy(update={"workload": workload}))
    journal = journal_of(judged_run[0])
    row = actions(writing, journal)["workload"]
    assert row.state == "stays" and int(row.times.split()[0].replace(",", "")) > 1000
    assert len(remains(writing, journal)) == 2


# The keys


def test_keys_are_counted_over_all_clears(journal) -> None:
    book = Book()
    more = {"cleared": 10, "rewritten": 3, "outside": 5, "named": 10, "outside_gone": 2, "expired_meanwhile": 7}
    for digest, outcome in (("ab", CLEARED), ("cd", {**CLEARED, **more})):
        book.taken("clear", {"listed": 96, "listed_sha256": digest}, outcome=outcome)
    keys = cleared_keys(journal(book).named("clear"))
    rows = {label: (total, one) for label, total, one in keys.rows}
    assert rows[NAMES["cleared"]] == ("100", "10 to 90")
    assert rows[NAMES["outside"]] == ("6", "1 to 5")
    assert rows[NAMES["rewritten"]] == ("3", "0 to 3")
    assert NAMES["unguarded"] not in rows
    proof = " ".join(keys.proof)
    assert all(f"{count} keys" in proof for count in (102, 2, 7))


def test_a_clear_without_counts_is_a_dash_and_no_proof(journal) -> None:
    book = Book()
    book.taken("clear", {}, outcome={"cleared": "many", "outside": True})
    book.intent("clear", {"listed": 5}, RESTORE)
    evidence = journal(book)
    assert {total for _, total, _ in cleared_keys(evidence.named("clear")).rows} == {DASH}
    assert claimed(run_of(), evidence)["scope"] is None


# What was not touched


def looked_at(before: dict[str, str], after: dict[str, str], *blocks: dict[str, Any]) -> Recorded:
    return replace(run_of(fingerprints={"before": before, "after": after}), blocks=noted(blocks))


def test_compared_entries_that_differ_come_first() -> None:
    before = {"env.CATALOGUE_INVALIDATION": "writer-key", "package.redis": "8.1", "package.httpx": "0.28", "hz": "10",
              "config.x": "a", "observed.keys_outside_scope": "3"}  # fmt: skip
    after = {**before, "env.CATALOGUE_INVALIDATION": "reader-key", "config.x": "b", "observed.keys_outside_scope": "4"}
    block = {"block": 2, "stage": "change", "differences": {"after": {"package.redis": ["8.1", "8.2"]}}}
    run = looked_at(before, after, block)
    comparison = compared(run)
    assert [(entry.name, entry.mark) for entry in comparison.entries] == [
        ("package.redis", "moved"), ("env.CATALOGUE_INVALIDATION", "declared"), ("config.x", "differs"),
        ("observed.keys_outside_scope", "observed"), ("hz", ""), ("package.httpx", ""),
    ]  # fmt: skip
    assert "block 2, arm after: 8.2, not 8.1" in comparison.entries[0].remark
    assert (comparison.equal, comparison.total) == (2, 5) and comparison.groups == "1 installed package and 1 more"
    assert claimed(run, JOURNAL)["settings"] is False


def test_equal_entries_are_counted_by_kind() -> None:
    same = dict.fromkeys(("package.a", "package.b", "package.c", "env.HOME", "cache.config.hz", "cache.role"), "1")
    run = looked_at(same, same)
    groups = compared(run).groups
    assert all(group in groups for group in ("3 installed packages", "1 cache setting", "1 fact of"))
    assert claimed(run, JOURNAL)["settings"] is True
    assert claimed(run_of(), JournalEvidence())["settings"] is None, "no fingerprint, no claim"
    assert claimed(looked_at({"config.x": "1"}, {"config.x": "2"}), JOURNAL)["settings"] is None, "not judged"


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["before", "after", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_ANY)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_manifest_holds_it_can_be_shown(value: Any) -> None:
    block = dict.fromkeys(("arms", "differences", "clear", "purge", "washout", "limits", "probe", "unseen"), value)
    blocks = [{"block": 0, "stage": "change", **block}, value]
    manifest = manifest_with(started=value, fingerprints=value, guards=value, blocks=blocks, revisions=value)
    run, journal = Recorded(case=CASE, blocks=manifest.blocks, manifest=manifest), JournalEvidence()
    assert claimed(run, journal)
    prepared(run), limits(run), action_rows(run, journal), remains(run, journal)


# As it was


@pytest.mark.parametrize("same", [True, False, None])
def test_claims_are_shown_not_so_or_not_shown(same: bool | None, journal) -> None:
    book = Book()
    book.taken("apply", {}, {"kind": "restart"}, how="restarted without the change")
    guards = [] if same is None else [Guard(id="as-it-was-after-the-rollback", ok=same, detail="x").model_dump()]
    run = run_of(guards=guards, changed=True)
    claims = claimed(run, journal(book), Rollback(confirmed=True, same_as_before=same))
    assert claims["fingerprint"] is same and claims["journal"] is True
    assert claims.get("second-before") is same


def test_keys_of_a_probe_that_died_are_not_restored(judged_run, recorded_run, journal) -> None:
    book = Book()
    book.intent("probe", {"block": 9}, {"kind": "probe", "ledger": "probe/block-009-before.jsonl"})
    assert claimed(recorded_run, journal(book))["probe"] is False
    book.undone(1, "3 of the probe's keys restored")
    assert claimed(run_of(), journal(book))["probe"] is True


def test_what_stays_depends_on_whose_services_they_are() -> None:
    own, live = (remains(run_of(case), JournalEvidence()) for case in (CASE, live_case()))
    assert len(own) == 2 and len(live) == 3 and not set(own) & set(live)


# On the page


@pytest.mark.usefixtures("plain_figures")
def test_the_page_shows_all_of_it_in_place(judged_run, recorded_run, tmp_path) -> None:
    same = {"package.redis": "8.1", "env.X": "<b>"}
    manifest = recorded_run.manifest.model_copy(update={"fingerprints": {"before": same, "after": same}})
    page = Page(page_of(judged_run[0], replace(recorded_run, manifest=manifest), tmp_path))
    assert list(page.rows("actions")) == [
        "start", "apply", "clear", "probe", "workload", "scope", "settings", "everything-else",
    ]  # fmt: skip
    assert page.results("rollback")["journal"] == "True"
    ids = [id for id in page.ids if id in ("actions", "keys", "untouched", "rollback")]
    assert ids == ["actions", "keys", "untouched", "rollback"]
    assert "<b>" in page.text and page.all("b") == [], "values are only text"


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize("environment", ["staging", None])
def test_a_live_environment_is_on_the_first_screen(environment, judged_run, recorded_run, tmp_path) -> None:
    manifest = recorded_run.manifest.model_copy(update={"environment": environment})
    html = page_of(judged_run[0], replace(recorded_run, case=live_case(), manifest=manifest), tmp_path)
    header = Page(html[html.index("<header>") : html.index("</header>") + 9]).text
    assert "staging" in header and "http://127.0.0.1:8100" in header
    assert ("only observed" in header) == (environment is None)


# Blocks and limits


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({}, "20 s in 4 stretches, the hit ratio was stable at 83 %"),
        ({"settled": False}, "20 s in 4 stretches, the hit ratio STILL MOVED at 83 %"),
        ({"settled": None, "ratios": []}, "20 s in 4 stretches, the cache status was not visible"),
        ({"stretches": 0}, DASH),
    ],
)
def test_wash_outs_stand_with_their_blocks(notes: dict[str, Any], expected: str) -> None:
    washed = {"stretches": 4, "seconds": 20.0, "settled": True, "ratios": [0.5, 0.83], **notes}
    assert washout_text(WashoutNotes(**washed)) == expected
    block = {"block": 3, "stage": "change", "arms": ["after"], "washout": washed,
             "clear": {"after": CLEARED}, "purge": {"after": {"calls": 12}}}  # fmt: skip
    assert prepared(Recorded(blocks=noted([block]))) == [("3", "change", "after", "97", "96", "90", "12", expected)]


def test_the_limit_that_stopped_a_run_is_named() -> None:
    watched = {"error_rate": 0.1, "p99_ms": 2000.0, "window_s": 5.0, "fewest": 50}
    blocks = [{"block": 0, "stage": "baseline", "limits": {**watched, "stopped": None}}]
    facts = limits(run_of(live_case(), blocks=blocks))
    assert facts is not None and facts.stopped is None
    assert all(text in facts.text for text in ("10 %", "2,000 ms", "5 s", "50 requests", "100 requests", "30 minutes"))
    blocks.append({"block": 1, "stage": "wash-out", "limits": {"stopped": "p99 of 3 s in the last 5 s"}})
    facts = limits(run_of(live_case(), blocks=blocks))
    assert facts is not None and facts.stopped == "p99 of 3 s in the last 5 s"
    assert limits(run_of()) is None

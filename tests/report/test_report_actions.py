"""What a run touched, what it left alone, and whether it is back: by its journal and manifest, honestly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journalled import CLEARED, HTTP, RESTORE, Book
from page_reader import Page, assert_self_contained
from synthetic_run import CASES

from luckyhit.case import Case, load_case
from luckyhit.case_run import CaseRun
from luckyhit.records import Guard, Rollback
from luckyhit.records.manifest import WashoutNotes
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.actions import ActionRow, action_rows
from luckyhit.report.evidence.blocks import limits, prepared, washout_text
from luckyhit.report.evidence.cleared_keys import cleared_keys
from luckyhit.report.evidence.compared import compared
from luckyhit.report.evidence.journal_view import JournalEvidence, journal_of
from luckyhit.report.evidence.open_steps import open_steps
from luckyhit.report.evidence.restored import Claim, as_it_was, remains, untouched
from luckyhit.report.page import page_of
from luckyhit.report.recorded import Recorded, recorded
from noted import manifest_with, noted
from tier import examples

CASE = load_case(CASES / "stale-price.yml")
MANIFEST = {"started": "2026-11-23T02:15:30+00:00"}


@pytest.fixture
def journal(tmp_path):
    """Read a journal that a Book holds, from a run's directory."""

    def read(book: Book, *, backups: int = 0) -> JournalEvidence:
        book.write(tmp_path)
        for number in range(1, backups + 1):
            (tmp_path / f"cleared-{number}.backup").write_bytes(b"")
        return journal_of(CaseRun(tmp_path))

    return read


def found(case: Case | None = CASE, **manifest: Any) -> Recorded:
    return Recorded(case=case, manifest=manifest_with(**MANIFEST, **manifest))


def live_case(environment: str = "staging") -> Case:
    """The stale price at a service that runs already, with a cache that isn't the run's."""
    target = CASE.target.model_copy(
        update={"start": None, "url": "http://127.0.0.1:8100", "allow_change": True, "environment": environment}
    )
    return CASE.model_copy(
        update={"target": target, "cache": CASE.cache.model_copy(update={"url_env": "STAGING_REDIS"})}
    )


def rows(shown: list[ActionRow]) -> dict[str, ActionRow]:
    return {row.id: row for row in shown}


def claims(shown: list[Claim]) -> dict[str, Claim]:
    return {claim.id: claim for claim in shown}


# What was touched


def test_a_run_with_services_of_its_own_shows_what_it_started_changed_and_cleared(judged_run) -> None:
    run, result = judged_run
    shown = rows(action_rows(recorded(run, result), journal_of(run)))
    processes = shown["start"]
    assert processes.times == "3 processes" and "2 of the service and 1 of cache servers" in processes.done
    assert processes.state == "gone" and processes.when.startswith("02:15:30")
    change = shown["apply"]
    assert change.times == "put in place once" and change.state == "back"
    assert "Taken back once: restarted without the change." in change.back
    keys = shown["clear"]
    assert keys.times == "6 clears" and "540 of 576 keys in scope cleared" in keys.done and keys.state == "gone"
    writes = shown["probe"]
    assert "400 in all" in writes.back and writes.state == "back"


def test_a_live_change_shows_its_state_and_that_it_was_set_again_while_it_was_in_place(journal) -> None:
    book = Book()
    step = book.intent("apply", {"change": "http", "what": "The flag"}, HTTP)
    book.confirm(step, shows="1", call="PUT /flags/x")
    book.confirm(step, shows="1", call="PUT /flags/x")
    book.undone(step, "PUT /flags/x; GET /flags shows '0' at $.x")
    (row,) = action_rows(found(None), journal(book))
    assert row.times == "put in place once, and set again once while it was"
    assert "it showed “1”" in row.done and "GET /flags shows '0'" in row.back and row.state == "back"


def test_clears_of_somebody_elses_cache_tell_what_became_of_their_backups(journal) -> None:
    ended_well, died = Book(), Book()
    for book, how in ((ended_well, "the run ended well"), (died, "90 cleared keys put back, 2 were there again")):
        step = book.intent("clear", {"listed": 96}, RESTORE)
        book.confirm(step, **CLEARED)
        how_it_ended = {"restored": 90, "present": 2, "expired": 0} if book is died else {"outcome": "ended-well"}
        book.undone(step, how, **how_it_ended)
    shown = rows(action_rows(found(), journal(ended_well)))
    assert shown["clear"].state == "stays" and "Not put back" in shown["clear"].back
    assert shown["backup"].back == "Not needed: deleted."
    shown = rows(action_rows(found(), journal(died)))
    assert shown["clear"].state == "back" and "90 cleared keys put back" in shown["clear"].back
    assert shown["backup"].back == "Put back, then deleted."
    left = rows(action_rows(found(), journal(died, backups=1)))["backup"]
    assert left.state == "stays" and "cleared-1.backup" in left.back


def test_every_other_kind_of_step_has_its_row(journal) -> None:
    book = Book()
    book.taken("notify", {"from": "", "to": "KA"}, {"kind": "notify"}, how="notify-keyspace-events put back to empty")
    purge = {"calls": [{"method": "BAN", "url": "http://varnish", "path": "/"}]}
    book.taken("purge", purge, outcome={"calls": 3, "statuses": {"200": 2, "404": 1}})
    book.taken("worktree", {"revision": "ab" * 20}, {"kind": "worktree"}, how="the worktree was removed")
    book.taken("levitate", {}, {}, outcome={})
    shown = rows(action_rows(found(None), journal(book)))
    notify = shown["notify"]
    assert (
        "from empty to “KA”" in notify.done and "Put back once: notify-keyspace-events put back to empty" in notify.back
    )
    purges = shown["purge"]
    assert purges.times == "3 calls, once" and "2 × 200, 1 × 404. BAN http://varnish/" in purges.done
    assert purges.state == "stays"
    assert "abababababab" in shown["worktree"].done and "1 of 1" in shown["worktree"].back
    assert "does not know" in shown["levitate"].done


def test_what_the_workload_wrote_is_not_passed_off_as_put_back(judged_run) -> None:
    run, result = judged_run
    routes = [
        route.model_copy(update={"method": "PUT"}) if index == 0 else route
        for index, route in enumerate(run.case.workload.routes)
    ]
    workload = run.case.workload.model_copy(update={"routes": routes})
    writing = replace(recorded(run, result), case=run.case.model_copy(update={"workload": workload}))
    shown = rows(action_rows(writing, journal_of(run)))["workload"]
    assert shown.state == "stays" and int(shown.times.split()[0].replace(",", "")) > 1000
    assert any("workload's own writes" in text for text in remains(writing, journal_of(run)))


# The keys


def test_keys_are_counted_over_all_clears_and_the_proof_names_what_was_named(journal) -> None:
    book = Book()
    book.taken("clear", {"listed": 96, "listed_sha256": "ab"}, outcome=CLEARED)
    more = {
        **CLEARED,
        "cleared": 10,
        "rewritten": 3,
        "outside": 5,
        "named": 10,
        "outside_gone": 2,
        "expired_meanwhile": 7,
    }
    book.taken("clear", {"listed": 10, "listed_sha256": "cd"}, outcome=more)
    keys = cleared_keys(journal(book).named("clear"))
    shown = {name: (total, one) for name, total, one in keys.rows}
    assert shown["Cleared by the run"] == ("100", "10 to 90")
    assert shown["OUTSIDE THE SCOPE, LEFT ALONE"] == ("6", "1 to 5")
    assert shown["Rewritten just before, and backed up as they were last"] == ("3", "0 to 3")
    assert not any("WATCH" in name for name in shown)
    proof = " ".join(keys.proof)
    assert "It named 102 keys" in proof and "2 keys outside the scope went away; the run named none" in proof
    assert "expired or evicted 7 keys" in proof


def test_a_clear_that_does_not_tell_is_a_dash_and_no_proof(journal) -> None:
    book = Book()
    book.taken("clear", {}, outcome={"cleared": "many", "outside": True})
    book.intent("clear", {"listed": 5}, RESTORE)
    read = journal(book)
    keys = cleared_keys(read.named("clear"))
    assert {total for _, total, _ in keys.rows} == {"–"}
    assert "nothing here shows it" in " ".join(keys.proof)
    assert untouched(found(), read, compared(found()))[0].ok is None


# What was not touched


def seen_in(before: dict[str, str], after: dict[str, str] | None, *blocks: dict[str, Any]) -> Recorded:
    prints = {"before": before, **({"after": after} if after is not None else {})}
    return Recorded(case=CASE, manifest=manifest_with(**MANIFEST, fingerprints=prints), blocks=noted(blocks))


def test_everything_that_was_compared_is_listed_those_first_that_differ() -> None:
    before = {"env.CATALOGUE_INVALIDATION": "writer-key", "package.redis": "8.1", "package.httpx": "0.28", "hz": "10",
              "config.x": "a", "observed.keys_outside_scope": "3"}  # fmt: skip
    after = {**before, "env.CATALOGUE_INVALIDATION": "reader-key", "config.x": "b", "observed.keys_outside_scope": "4"}
    block = {"block": 2, "stage": "change", "differences": {"after": {"package.redis": ["8.1", "8.2"]}}}
    seen = compared(seen_in(before, after, block))
    marks = [(entry.name, entry.mark) for entry in seen.entries]
    assert marks == [
        ("package.redis", "moved"), ("env.CATALOGUE_INVALIDATION", "declared"), ("config.x", "differs"),
        ("observed.keys_outside_scope", "observed"), ("hz", ""), ("package.httpx", ""),
    ]  # fmt: skip
    assert "block 2, arm after: 8.2, not 8.1 as at first" in seen.entries[0].said
    assert (seen.equal, seen.of) == (2, 5) and seen.groups == "1 installed package and 1 more"
    claim = untouched(seen_in(before, after, block), JournalEvidence(there=True), seen)[1]
    assert claim.ok is False and "package.redis" in claim.text


def test_what_was_seen_equal_is_counted_by_kind() -> None:
    same = {f"package.p{number}": "1" for number in range(3)} | {
        "env.HOME": "~",
        "cache.config.hz": "10",
        "cache.role": "x",
    }
    seen = compared(seen_in(same, same))
    claim = untouched(seen_in(same, same), JournalEvidence(there=True), seen)[1]
    assert claim.ok is True and "6 things were seen equal at every look: 3 installed packages" in claim.text
    assert "1 setting of the cache" in claim.text and "1 fact of the cache" in claim.text
    nothing = untouched(found(), JournalEvidence(), compared(found()))[1]
    assert nothing.ok is None and "nothing shows it" in nothing.text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["before", "after", "x"]), inner, max_size=3), max_leaves=8))  # fmt: skip
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_manifest_holds_it_can_be_shown(value: Any) -> None:
    block = {"block": 0, "stage": "change", "arms": value, "differences": value, "clear": value, "purge": value,
             "washout": value, "limits": value, "probe": value, "unseen": value}  # fmt: skip
    manifest = manifest_with(started=value, fingerprints=value, guards=value, blocks=[block, value], revisions=value)
    spoilt = Recorded(case=CASE, blocks=manifest.blocks, manifest=manifest)
    seen = compared(spoilt)
    assert isinstance(seen.equal, int)
    for claim in (*untouched(spoilt, JournalEvidence(), seen), *as_it_was(spoilt, JournalEvidence(), None)):
        assert claim.text
    prepared(spoilt), limits(spoilt), action_rows(spoilt, JournalEvidence()), remains(spoilt, JournalEvidence())


# Back as it was


def test_the_claims_say_shown_not_so_or_not_shown(journal) -> None:
    book = Book()
    book.taken("apply", {}, {"kind": "restart"}, how="restarted without the change")
    closed = journal(book)
    guard = Guard(id="as-it-was-after-the-rollback", ok=True, detail="All 45 things that can be seen are equal.")
    noted = found(guards=[guard.model_dump()], changed=False)
    shown = claims(as_it_was(noted, closed, Rollback(confirmed=True, same_as_before=True)))
    assert [claim.ok for claim in shown.values()] == [True, True, True]
    assert "All 45 things" in shown["fingerprint"].text

    failed = found(guards=[guard.model_copy(update={"ok": False, "detail": "Not as it was: hz."}).model_dump()])
    shown = claims(as_it_was(failed, closed, Rollback(confirmed=True, same_as_before=False)))
    assert shown["fingerprint"].ok is False
    assert shown["second-before"].ok is False

    shown = claims(as_it_was(found(), closed, None))
    assert shown["fingerprint"].ok is None


def test_a_probe_that_died_is_not_passed_off_as_put_back(judged_run, journal) -> None:
    run, result = judged_run
    book = Book()
    book.intent("probe", {"block": 9}, {"kind": "probe", "ledger": "probe/block-009-before.jsonl"})
    shown = claims(as_it_was(recorded(run, result), journal(book), result.rollback))
    assert shown["probe"].ok is False
    book.undone(1, "3 of the probe's keys put back")
    assert claims(as_it_was(found(), journal(book), None))["probe"].ok is True


def test_a_difference_that_nobody_judged_is_not_shown_to_be_right() -> None:
    seen = seen_in({"config.x": "1"}, {"config.x": "2"})
    assert untouched(seen, JournalEvidence(there=True), compared(seen))[1].ok is None


def test_what_stays_by_nature_is_told_for_what_is_somebody_elses() -> None:
    own = " ".join(remains(found(), JournalEvidence()))
    assert "ended with it" in own and "cached" not in own
    live = " ".join(remains(found(live_case()), JournalEvidence()))
    assert "itself cached" in live and "Counters" in live and "ended with it" not in live


# On the page, and in the notebook


@pytest.mark.usefixtures("plain_figures")
def test_the_page_shows_all_of_it_in_place(copied, tmp_path) -> None:
    run, result = copied
    same = {"package.redis": "8.1", "env.X": "<b>"}
    run.update(fingerprints={"before": same, "after": same})
    page = Page(page_of(run, recorded(run, result), tmp_path))
    assert_self_contained(page)
    for words in (
        "Processes started and ended", "OUTSIDE THE SCOPE, LEFT ALONE", "540", "What was not touched",
        "Everything that was compared (2 things, 2 of them equal)", "<b>", "Back as it was", "Nothing is open in the journal",
        "All 8 steps are closed", "What stays, by nature",
    ):  # fmt: skip
        assert words in page.text, words
    assert (
        page.text.index("What was touched")
        < page.text.index("What was not touched")
        < page.text.index("Back as it was")
    )


@pytest.mark.usefixtures("plain_figures")
def test_a_live_targets_environment_is_on_the_first_screen(copied, tmp_path) -> None:
    run, result = copied
    run.update(environment="staging")
    html = page_of(run, replace(recorded(run, result), case=live_case()), tmp_path)
    header = Page(html[html.index("<header>") : html.index("</header>") + 9]).text
    assert "staging" in header and "http://127.0.0.1:8100" in header and "this run might change it" in header
    run.update(environment=None)
    html = page_of(run, replace(recorded(run, result), case=live_case()), tmp_path)
    assert "only observed" in Page(html[: html.index("</header>") + 9] + "</body></html>").text


def test_the_notebook_shows_the_same_rows(judged_run) -> None:
    shown = tables.action_table(recorded(*judged_run), journal_of(judged_run[0]))
    assert shown.columns[0] == "what" and len(shown) >= 4
    assert "Taken back once" in shown._repr_html_()


# Blocks and limits


def test_wash_outs_and_limits_stand_with_their_blocks() -> None:
    washed: dict[str, Any] = {"stretches": 4, "seconds": 20.0, "settled": True, "ratios": [0.5, 0.83]}
    assert washout_text(WashoutNotes(**washed)) == "20 s in 4 stretches, the hit ratio stood still at 83 %"
    assert "STILL MOVED" in washout_text(WashoutNotes(**washed | {"settled": False}))
    assert "not visible" in washout_text(WashoutNotes(**washed | {"settled": None, "ratios": []}))
    assert washout_text(WashoutNotes()) == "–"
    block = {"block": 3, "stage": "change", "arms": ["after"], "washout": washed,
             "clear": {"after": CLEARED}, "purge": {"after": {"calls": 12}}}  # fmt: skip
    (row,) = prepared(Recorded(blocks=noted([block])))
    assert row == (
        "3",
        "change",
        "after",
        "97",
        "96",
        "90",
        "12",
        "20 s in 4 stretches, the hit ratio stood still at 83 %",
    )


def test_the_limit_that_stopped_a_run_is_named_also_in_a_wash_out() -> None:
    watched = {"error_rate": 0.1, "p99_ms": 2000.0, "window_s": 5.0, "fewest": 50}
    blocks = [{"block": 0, "stage": "baseline", "limits": {**watched, "stopped": None}}]
    told = limits(found(live_case(), blocks=blocks))
    assert told is not None and told.stopped is None
    assert "more than 10 % of the requests fail or their p99 is above 2,000 ms within 5 s, of at least 50" in told.text
    assert "at most 100 requests a second and load for at most 30 minutes" in told.text
    blocks.append({"block": 1, "stage": "wash-out", "limits": {"stopped": "p99 of 3 s in the last 5 s"}})
    told = limits(found(live_case(), blocks=blocks))
    assert told is not None and told.stopped == "p99 of 3 s in the last 5 s"
    assert limits(found()) is None


def test_open_steps_are_in_the_order_in_which_revert_undoes_them(journal) -> None:
    book = Book()
    for step, inverse in (("clear", RESTORE), ("apply", HTTP), ("start", {"kind": "end-processes"})):
        book.taken(step, {}, inverse)
    assert [step.number for step in open_steps(found(), journal(book))] == [3, 2, 1]

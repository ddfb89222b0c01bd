"""The five questions, and the tables that the notebooks show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from luckyhit.case.changes.argument import ArgumentChange
from luckyhit.records.manifest import RunFailure
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.checklist import NOT_SHOWN, QUESTIONS, Check, checklist
from luckyhit.report.evidence.journal_view import journal_of
from luckyhit.report.recorded import recorded


def checks(run, journal) -> dict[str, Check]:
    return {check.id: check for check in checklist(run, journal)}


@pytest.fixture
def journal(judged_run):
    return journal_of(judged_run[0])


def with_block(run, **fields):
    return replace(run, blocks=[run.blocks[0].model_copy(update=fields), *run.blocks[1:]])


def test_a_sound_run_passes_all_five_with_evidence(recorded_run, journal) -> None:
    answers = checks(recorded_run, journal)
    assert list(answers) == list(QUESTIONS) and all(check.passed for check in answers.values())
    assert "0 of 7,7" in answers["response"].evidence and "hit ratio" in answers["failure-mode"].evidence


def test_what_is_not_shown_is_not_passed(judged_run) -> None:
    run = recorded(judged_run[0])
    answers = checks(replace(run, manifest=run.manifest.model_copy(update={"guards": []})), None)
    assert not any(check.passed for check in answers.values())
    assert answers["inputs"].evidence == NOT_SHOWN


def test_open_steps_and_unrepeatable_requests_are_not_retry_safe(recorded_run, journal) -> None:
    open_again = replace(journal, steps=tuple(replace(step, undos=()) for step in journal.steps))
    check = checks(recorded_run, open_again)["retry"]
    assert not check.passed and open_again.open_text in check.evidence and "2 of the 8" in open_again.open_text
    case = recorded_run.case
    routes = [route.model_copy(update={"method": "POST"}) for route in case.workload.routes]
    case = case.model_copy(update={"workload": case.workload.model_copy(update={"routes": routes})})
    check = checks(replace(recorded_run, case=case), journal)["retry"]
    assert not check.passed and check.evidence.startswith("POST")


@pytest.mark.parametrize(
    ("failure", "passed"),
    [
        ({"message": "it said no", "refusal": "permission"}, False),
        ({"message": "it said no", "refusal": "credentials"}, False),
        ({"message": "the cache lacks a right", "refusal": None}, True),
        ({"message": "noted by an earlier version", "error": "CacheUnreachable"}, False),
        ({"message": "noted by an earlier version", "error": "TimeLimit"}, True),
    ],
)
def test_what_was_refused_during_the_run_was_not_checked(failure: dict, passed: bool, recorded_run, journal) -> None:
    manifest = recorded_run.manifest.model_copy(update={"failure": RunFailure.model_validate(failure)})
    assert checks(replace(recorded_run, manifest=manifest), journal)["permissions"].passed is passed


def test_missing_permissions_that_were_not_needed_are_listed(recorded_run, journal) -> None:
    run = with_block(recorded_run, refused=["No events."], unseen=["No events.", "no right"])
    check = checks(run, journal)["permissions"]
    assert check.passed and check.evidence.endswith("No events.")


def test_an_unexpected_response_has_an_example(judged_run, recorded_run, journal) -> None:
    frame = judged_run[0].table("requests")
    requests = frame.assign(error=frame["error"].astype(object))
    requests.loc[3, "error"] = "unexpected"
    run = replace(with_block(recorded_run, unexpected="GET /products/3: status 500"), requests=requests)
    check = checks(run, journal)["response"]
    assert not check.passed and "1 of " in check.evidence and "GET /products/3: status 500" in check.evidence


@pytest.mark.parametrize("change", ["INVALID", "INCONCLUSIVE", "not-rolled-back", "HURT", "limit", "not-as-before"])
def test_the_failure_mode_must_be_watched_and_must_not_occur(change: str, recorded_run, journal) -> None:
    result = recorded_run.result
    worse = {"HURT": {"verdict": "HURT"}, "limit": {"limit": "broken"}}.get(change, {})
    metrics = {**result.metrics, "db_calls": result.metrics["db_calls"].model_copy(update=worse)}
    back = {"not-rolled-back": {"confirmed": False}, "not-as-before": {"same_as_before": False}}.get(change, {})
    update = {"metrics": metrics, "rollback": result.rollback.model_copy(update=back)}
    update |= {"verdict": change} if change in ("INVALID", "INCONCLUSIVE") else {}
    check = checks(recorded_run.with_result(result.model_copy(update=update)), journal)["failure-mode"]
    assert not check.passed and ("database calls" in check.evidence) == bool(worse)


def test_the_notebooks_tables_show_whole_texts(judged_run, recorded_run, journal) -> None:
    run, result = judged_run
    html = tables.declared(run.case)._repr_html_()
    assert run.case.hypothesis.replace("'", "&#x27;") in html and "..." not in html
    for table, words in (
        (tables.change(run.case), "CATALOGUE_INVALIDATION"),
        (tables.baseline(recorded_run), "Median latency"),
        (tables.cleared(recorded_run), "after-rollback"),
        (tables.guards(recorded(run)), "declared difference only"),
        (tables.guards(recorded_run), "accounting exact"),
        (tables.metrics(result), "HELPED"),
        (tables.checklist(recorded_run, journal), QUESTIONS["retry"]),
    ):
        assert len(table) >= 3 and words in table._repr_html_()
    assert "p99.9" in tables.not_seen(recorded_run)
    nothing = tables.Table([], columns=["readers"])._repr_html_()
    assert "<table" not in nothing and "readers" not in nothing, "no heading without a row"


def test_the_diff_of_an_argument_is_the_whole_command(recorded_run) -> None:
    change = ArgumentChange(kind="argument", what="x", before="--port", after="--listen", smallest="y")
    old = "{python} -m luckyhit.demo --port {port}"
    assert change.diff(recorded_run.case) == [("-", old), ("+", old.replace("--port", "--listen"))]

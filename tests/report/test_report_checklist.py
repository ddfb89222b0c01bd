"""The five questions, and the tables that the notebooks show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from luckyhit.records.manifest import RunFailure
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.checklist import QUESTIONS, checklist
from luckyhit.report.evidence.journal_view import journal_of
from luckyhit.report.recorded import recorded


def answers(found, journal) -> dict[str, tuple[bool, str]]:
    return {check.id: (check.passed, check.evidence) for check in checklist(found, journal)}


def test_a_sound_run_passes_all_five_with_evidence(judged_run) -> None:
    run, result = judged_run
    found = answers(recorded(run, result), journal_of(run))
    assert list(found) == list(QUESTIONS)
    assert all(passed for passed, _ in found.values()), found
    assert "0 of 7,7" in found["response"][1]
    assert "hit ratio" in found["failure-mode"][1]


def test_what_is_not_shown_is_not_passed(judged_run) -> None:
    run, _ = judged_run
    found = recorded(run)
    found = answers(replace(found, manifest=found.manifest.model_copy(update={"guards": []})), None)
    assert not any(passed for passed, _ in found.values())
    assert "Not shown" in found["inputs"][1]
    assert "Not shown" in found["retry"][1]


def test_an_open_step_or_a_request_that_can_not_be_repeated_is_not_retry_safe(judged_run) -> None:
    run, result = judged_run
    found = recorded(run, result)
    journal = journal_of(run)
    open_again = replace(journal, steps=tuple(replace(step, undos=()) for step in journal.steps))
    passed, evidence = answers(found, open_again)["retry"]
    assert (
        not passed
        and "2 of 8 journalled steps are still open (apply and start)" in evidence
        and "luckyhit revert" in evidence
    )
    routes = [route.model_copy(update={"method": "POST"}) for route in found.case.workload.routes]
    case = found.case.model_copy(update={"workload": found.case.workload.model_copy(update={"routes": routes})})
    passed, evidence = answers(replace(found, case=case), journal_of(run))["retry"]
    assert not passed and "POST may not be sent twice" in evidence


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
def test_what_was_refused_while_it_ran_was_not_checked(failure: dict, passed: bool, judged_run) -> None:
    run, result = judged_run
    found = recorded(run, result)
    failed = replace(found, manifest=found.manifest.model_copy(update={"failure": RunFailure.model_validate(failure)}))
    assert answers(failed, journal_of(run))["permissions"][0] is passed


def test_what_was_gone_without_is_told(judged_run) -> None:
    run, result = judged_run
    found = recorded(run, result)
    refused = {"refused": ["No events."], "unseen": ["No events.", "no right"]}
    blocks = [found.blocks[0].model_copy(update=refused), *found.blocks[1:]]
    passed, evidence = answers(replace(found, blocks=blocks), journal_of(run))["permissions"]
    assert passed and evidence.endswith("No events.")


def test_an_unexpected_answer_is_told_with_an_example(judged_run) -> None:
    run, result = judged_run
    found = recorded(run, result)
    frame = run.table("requests")
    requests = frame.assign(error=frame["error"].astype(object))
    requests.loc[3, "error"] = "unexpected"
    blocks = [found.blocks[0].model_copy(update={"unexpected": "GET /products/3: status 500"}), *found.blocks[1:]]
    passed, evidence = answers(replace(found, requests=requests, blocks=blocks), journal_of(run))["response"]
    assert not passed and "1 of " in evidence and "for example GET /products/3: status 500" in evidence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "INVALID"}, "a guard failed"),
        ({"verdict": "INCONCLUSIVE"}, "can't tell whether it came"),
        ({"rollback": {"confirmed": False}}, "the way back is not proven"),
        ({"hurt": "db_calls"}, "database calls per request got worse than accepted"),
    ],
)
def test_the_failure_mode_is_reviewed_only_where_it_was_watched_and_did_not_come(change, said, judged_run) -> None:
    run, result = judged_run
    update = {name: value for name, value in change.items() if name == "verdict"}
    if "rollback" in change:
        update["rollback"] = result.rollback.model_copy(update=change["rollback"])
    if "hurt" in change:
        worse = result.metrics[change["hurt"]].model_copy(update={"verdict": "HURT"})
        update["metrics"] = {**result.metrics, change["hurt"]: worse}
    passed, evidence = answers(recorded(run, result.model_copy(update=update)), journal_of(run))["failure-mode"]
    assert not passed and said in evidence


def test_the_notebooks_tables_show_whole_texts(judged_run) -> None:
    run, result = judged_run
    shown = tables.declared(run.case)._repr_html_()
    assert run.case.hypothesis.replace("'", "&#x27;") in shown and "..." not in shown
    for table, words in (
        (tables.change(run.case), "CATALOGUE_INVALIDATION"),
        (tables.baseline(recorded(run)), "Median latency"),
        (tables.cleared(recorded(run)), "after-rollback"),
        (tables.guards(recorded(run)), "declared difference only"),
        (tables.guards(recorded(run, result)), "accounting exact"),
        (tables.metrics(result), "HELPED"),
        (tables.checklist(recorded(run, result), journal_of(run)), "Retry-safe path"),
    ):
        assert len(table) >= 3 and words in table._repr_html_()
    assert "p99.9" in tables.not_seen(recorded(run))


def test_the_diff_of_an_argument_is_the_whole_command(judged_run) -> None:
    from luckyhit.case.changes.argument import ArgumentChange

    case = judged_run[0].case
    change = ArgumentChange(kind="argument", what="x", before="--port", after="--listen", smallest="y")
    (minus, old), (plus, new) = change.diff(case)
    assert (minus, plus) == ("-", "+")
    assert old == "{python} -m luckyhit.demo --port {port}" and new == old.replace("--port", "--listen")

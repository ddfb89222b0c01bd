"""How a run ended, for CI systems: the Markdown summary, the JUnit file, and how they are written."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junit_schema import checked, outcomes

from luckyhit.case import load_case
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, CaseError, ReportNotWritten
from luckyhit.judge.context.earlier_baselines import with_earlier
from luckyhit.records import Guard, Metric, Note, Result, Rollback
from luckyhit.report.ci_summary import summary
from luckyhit.report.junit import junit
from luckyhit.report.run_outcome import RunOutcome, outcome_of_error, outcome_of_run, publish
from luckyhit.text.wording import note
from tier import examples

DONE = Rollback(confirmed=True, detail="All 31 things that can be seen are equal.")
OPEN = note("starts-unknown")
SLOW = Guard(id="engine-trustworthy", ok=False, detail="it added 9 ms", remedy="Free a core.")
EXACT = Guard(id="accounting-exact", ok=True, detail="all counted")


def goal(unit: str, before: float, after: float, margin: float, verdict: str, **fields) -> Metric:
    effect = after - before
    want = "better" if verdict == "HELPED" else "no-worse"
    numbers = {"before": before, "after": after, "effect": effect, "low": effect - 0.1, "high": effect + 0.1}
    return Metric(unit=unit, **numbers, margin=margin, want=want, verdict=verdict, pairs=900, **fields)


def a_result(verdict: str = "HELPED", **fields) -> Result:
    metrics = {
        "stale_reads": goal("share", 0.9, 0.0, 0.05, "HELPED"),
        "hit_ratio": goal("share", 0.93, 0.4, 0.3, "HURT"),
        "latency_p99_ms": goal("ms", 20.0, 21.0, 5, "INCONCLUSIVE", notes=[OPEN]),
        "db_calls": goal("calls/request", 0.2, 0.3, 1, "EQUIVALENT"),
        "error_rate": Metric(unit="share", before=0.0, after=0.0),
    }
    names = {"case": "stale-price", "run": "20261123-021530-0a1b", "date": "2026-11-23", "design": "side-by-side"}
    facts = {"verdict": verdict, "reason": "stale reads fell", "metrics": metrics, "guards": [EXACT], "rollback": DONE}
    return Result.model_validate(names | facts | fields)


# JUnit


def test_goals_and_guards_are_test_cases() -> None:
    suite = checked(junit(RunOutcome("stale-price", run="r", result=a_result("HURT"))))
    assert outcomes(suite, "goal") == {
        "stale_reads": "passed", "hit_ratio": "failure", "latency_p99_ms": "skipped", "db_calls": "passed",
    }  # fmt: skip
    assert list(outcomes(suite, "guard").values()) == list(outcomes(suite, "run").values()) == ["passed"]
    (skipped,), (failure,) = suite.iter("skipped"), suite.iter("failure")
    assert skipped.attrib["message"] == f"INCONCLUSIVE: {OPEN.text}"
    assert failure.attrib["message"].startswith("HURT: −53 points")


def test_of_an_invalid_run_every_goal_is_an_error() -> None:
    suite = checked(junit(RunOutcome("c", run="r", result=a_result("INVALID", reason="too slow", guards=[SLOW]))))
    assert set(outcomes(suite, "goal").values()) == {"error"}
    assert list(outcomes(suite, "guard").values()) == ["failure"]
    assert {error.attrib["message"].partition(": ")[2] for error in suite.iter("error")} == {"too slow"}
    assert next(suite.iter("failure")).text == SLOW.remedy


@pytest.mark.parametrize("result", [None, a_result()])
def test_a_run_that_ended_early_is_incomplete(result) -> None:
    outcome = RunOutcome("c", run="r", result=result, incomplete="the time limit was reached", hint="Give it more.")
    suite = checked(junit(outcome))
    assert list(outcomes(suite, "run").values()) == ["error"]
    assert suite.find("properties/property[@name='verdict']").attrib["value"] == "INCOMPLETE"
    text = summary(outcome)
    assert text.startswith("## Lucky Hit: INCOMPLETE (c)\n") and outcome.hint in text
    assert "## Lucky Hit: HELPED" not in text


# Markdown


def test_the_summary_has_verdict_goals_guards_and_report() -> None:
    result = a_result("INVALID", guards=[SLOW, EXACT], rollback=Rollback(detail="the flag still shows on"))
    outcome = RunOutcome("stale-price", run=result.run, title="Old prices", result=result, report="reports/x.html")
    text = summary(outcome)
    assert text.startswith("## Lucky Hit: INVALID (stale-price)\n\nOld prices\n\n**INVALID.** Stale reads fell.\n")
    for fact in ("| Stale reads | 90 % | 0 % |", SLOW.detail, SLOW.remedy, result.rollback.detail):
        assert fact in text, fact
    assert "Error rate" not in text and EXACT.detail not in text, "without a goal; passed"
    assert text.splitlines()[-1] == f"Run {result.run}; 2026-11-23; side-by-side; report: reports/x.html."


def test_an_observed_run_shows_its_earlier_ones(observed_run, tmp_path: Path) -> None:
    text = summary(outcome_of_run(observed_run, with_earlier(observed_run, observed_run.result), tmp_path / "reports"))
    assert "### Beside earlier baselines" in text and "| Hit ratio |" in text


# Both


SNIPPETS = [
    "\x00\x1b[31mred",
    "]]>",
    "<script>alert(1)</script>",
    "a | b\n| c |",
    "\ud800",
    "\uffff",
    "&amp;",
    "![x](http://e)",
]
HOSTILE = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(SNIPPETS)


@settings(max_examples=examples(150), deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_whatever_the_texts_hold_the_files_are_valid(case, reason, detail, noted) -> None:
    # A model refuses half characters from outside; records read from damaged files can hold them all the same.
    notes = [Note.model_construct(id="starts-unknown", text=noted)]
    metric = Metric(unit="share", before=0.5, margin=0.1, want="better", verdict="INCONCLUSIVE", notes=notes)
    guard = Guard.model_construct(id="purges", ok=False, detail=detail, remedy="")
    result = a_result().model_copy(update={"reason": reason, "guards": [guard], "metrics": {"hit_ratio": metric}})
    outcome = RunOutcome(case or "c", run="r", title=case, result=result)
    assert outcomes(checked(junit(outcome)), "guard") == {"purges": "failure"}
    text = summary(outcome)
    assert not re.search(r"(?<!\\)<|(?<!\\)!\[", text.replace("\\\\", ""))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", line.replace("\\\\", ""))) for line in rows] == [8, 8, 8]


def test_secrets_and_folders_of_this_machine_are_scrubbed(observed_run, tmp_path: Path, monkeypatch) -> None:
    path = observed_run.path / "case.yml"
    header = "\ntarget:\n  headers_env: {Authorization: SHOP_TOKEN}\n"
    path.write_text(path.read_text().replace("\ntarget:\n", header))
    run = CaseRun.open(observed_run.path)  # as the next process finds it
    assert run.case.target.headers_env == {"Authorization": "SHOP_TOKEN"}
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-hunter2")
    report = tmp_path / "reports" / "x.html"
    leak = f"token hunter2-hunter2 in {run.path} and {report}"
    guards = [Guard(id="directories", ok=False, detail=leak)]
    result = run.result.model_copy(update={"reason": leak, "guards": guards})
    outcome = outcome_of_run(run, result, report.parent, report=report, hint=leak)
    for text in (summary(outcome), junit(outcome)):
        assert "hunter2" not in text and str(tmp_path) not in text and "reports/x.html" in text


def test_an_error_before_there_is_a_run_is_reported(tmp_path: Path, monkeypatch) -> None:
    case = tmp_path / "mine.yml"
    case.write_text("target: {headers_env: {Authorization: SHOP_TOKEN}}\n")
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-hunter2")
    with pytest.raises(CaseError) as caught:
        load_case(case)
    outcome = outcome_of_error(case, caught.value, [tmp_path])
    assert list(outcomes(checked(junit(outcome)), "run").values()) == ["error"]
    assert "mine.yml:1: title" in summary(outcome).replace("\\", "") and str(tmp_path) not in summary(outcome)
    text = summary(outcome_of_error(case, ArgumentError("bad hunter2-hunter2", hint="Look."), [tmp_path]))
    assert "hunter2" not in text and "Look." in text


# Writing


def test_a_file_is_written_whole_through_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "deep" / "real.md", tmp_path / "link.md"
    link.symlink_to(real)
    for text in ("first\n", "second\n"):
        publish(text, str(link))
    assert link.is_symlink() and real.read_text() == "second\n"
    assert [path.name for path in real.parent.iterdir()] == ["real.md"]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.append(pipe.read_text()))
    reader.start()
    publish("a line\n", str(pipe))
    reader.join(timeout=30)
    assert texts == ["a line\n"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_dash_prints_and_a_folder_is_refused(tmp_path: Path, capsys) -> None:
    publish("a line", "-")
    assert capsys.readouterr().out == "a line\n"
    with pytest.raises(ReportNotWritten) as caught:
        publish("a line", str(tmp_path))
    assert caught.value.hint

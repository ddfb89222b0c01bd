"""How a run ended, for CI systems: the Markdown summary, the JUnit file, and how they are written."""

from __future__ import annotations

import os
import re
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from baselines import OBSERVED
from hypothesis import given, settings
from hypothesis import strategies as st
from junit_schema import checked, outcomes
from synthetic_run import judged

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


def a_result(verdict: str = "HELPED", **fields) -> Result:
    metrics = {
        "stale_reads": Metric(unit="share", before=0.9, after=0.0, effect=-0.9, low=-0.97, high=-0.8, margin=0.05, want="better", verdict="HELPED", pairs=300),
        "hit_ratio": Metric(unit="share", before=0.93, after=0.4, effect=-0.53, low=-0.6, high=-0.5, margin=0.3, want="no-worse", verdict="HURT", pairs=900),
        "latency_p99_ms": Metric(unit="ms", before=20.0, after=21.0, effect=1.0, low=-4, high=6, margin=5, want="no-worse", verdict="INCONCLUSIVE", pairs=900, notes=[OPEN]),
        "db_calls": Metric(unit="calls/request", before=0.2, after=0.3, effect=0.1, low=0.0, high=0.2, margin=1, want="no-worse", verdict="EQUIVALENT", pairs=900),
        "error_rate": Metric(unit="share", before=0.0, after=0.0),
    }  # fmt: skip
    guards = [Guard(id="accounting-exact", ok=True, detail="all counted")]
    told = {"case": "stale-price", "run": "20261123-021530-0a1b", "date": "2026-11-23", "design": "side-by-side"}
    told |= {"verdict": verdict, "reason": "stale reads fell", "metrics": metrics, "guards": guards, "rollback": DONE}
    return Result.model_validate(told | fields)


def test_a_goal_that_got_worse_fails_one_that_cannot_be_told_is_skipped_with_the_reason() -> None:
    suite = checked(junit(RunOutcome("stale-price", run="r", result=a_result("HURT"))))
    assert outcomes(suite, "goal") == {
        "stale_reads": "passed", "hit_ratio": "failure", "latency_p99_ms": "skipped", "db_calls": "passed",
    }  # fmt: skip
    assert outcomes(suite, "guard") == {"accounting exact": "passed"}
    assert outcomes(suite, "run") == {"the run got to its end": "passed"}
    (skipped,) = suite.iter("skipped")
    assert skipped.attrib["message"] == f"INCONCLUSIVE: {OPEN.text}"
    (failure,) = suite.iter("failure")
    assert failure.attrib["message"] == "HURT: −53 points (no worse, margin 30 points)"


def test_of_an_invalid_run_the_guard_fails_and_every_goal_is_an_error() -> None:
    guards = [Guard(id="engine-trustworthy", ok=False, detail="it added 9 ms", remedy="Free a core.")]
    suite = checked(
        junit(RunOutcome("c", run="r", result=a_result("INVALID", reason="the engine was slow", guards=guards)))
    )
    assert set(outcomes(suite, "goal").values()) == {"error"}
    assert outcomes(suite, "guard") == {"engine trustworthy": "failure"}
    assert {error.attrib["message"] for error in suite.iter("error")} == {"not to be relied on: the engine was slow"}
    assert next(suite.iter("failure")).text == "Free a core."


@pytest.mark.parametrize("result", [None, a_result()])
def test_a_run_that_ended_early_is_an_error_whatever_its_records_show(result) -> None:
    told = RunOutcome("c", run="r", result=result, incomplete="the time limit was reached", hint="Give it more.")
    suite = checked(junit(told))
    assert outcomes(suite, "run") == {"the run got to its end": "error"}
    assert suite.find("properties/property[@name='verdict']").attrib["value"] == "INCOMPLETE"
    text = summary(told)
    assert text.startswith("## Lucky Hit: INCOMPLETE (c)\n\n**INCOMPLETE.** The time limit was reached.\n")
    assert "What to do: Give it more." in text and "## Lucky Hit: HELPED" not in text


def test_the_summary_says_verdict_sentence_goals_failed_guards_and_where_the_report_is() -> None:
    guards = [Guard(id="engine-trustworthy", ok=False, detail="it added 9 ms", remedy="Free a core.")]
    guards.append(Guard(id="accounting-exact", ok=True, detail="all counted"))
    result = a_result("INVALID", guards=guards, rollback=Rollback(detail="the flag still shows on"))
    text = summary(
        RunOutcome(
            "stale-price", run="20261123-021530-0a1b", title="Old prices", result=result, report="reports/x.html"
        )
    )
    assert text.startswith("## Lucky Hit: INVALID (stale-price)\n\nOld prices\n\n**INVALID.** Stale reads fell.\n")
    assert "| Stale reads | 90 % | 0 % |" in text and "not to be relied on" in text
    assert "Error rate" not in text  # it has no goal
    assert "- **engine trustworthy**: it added 9 ms Free a core." in text and "accounting exact" not in text
    assert "**Rollback not confirmed.** the flag still shows on" in text
    assert text.endswith("Run 20261123-021530-0a1b; 2026-11-23; side-by-side; report: reports/x.html.\n")


HOSTILE = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(
    [
        "\x00\x1b[31mred",
        "]]>",
        "<script>alert(1)</script>",
        "a | b\n| c |",
        "\ud800",
        "\uffff",
        "&amp;",
        "![x](http://e)",
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_whatever_the_texts_hold_the_xml_is_valid_and_the_markdown_stays_text(case, reason, detail, note) -> None:
    metric = Metric(
        unit="share",
        before=0.5,
        margin=0.1,
        want="better",
        verdict="INCONCLUSIVE",
        notes=[Note.model_construct(id="starts-unknown", text=note)],
    )
    # A model refuses half characters from outside; records read from damaged files can hold them all the same.
    guard = Guard.model_construct(id="purges", ok=False, detail=detail, remedy="")
    result = a_result().model_copy(update={"reason": reason, "guards": [guard], "metrics": {"hit_ratio": metric}})
    told = RunOutcome(case or "c", run="r", title=case, result=result)
    assert outcomes(checked(junit(told)), "guard") == {"purges": "failure"}
    text = summary(told)
    assert not re.search(r"(?<!\\)<|(?<!\\)!\[", text.replace("\\\\", ""))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line.replace("\\\\", ""))) for line in rows} == {8}
    assert len(rows) == 3


def test_secrets_and_folders_of_this_machine_are_scrubbed(new_run, tmp_path: Path, monkeypatch) -> None:
    run = new_run(stages=("baseline",), manifest=OBSERVED, probes=0, rate=40)
    (run.path / "case.yml").write_text(
        (run.path / "case.yml")
        .read_text()
        .replace("\ntarget:\n", "\ntarget:\n  headers_env: {Authorization: SHOP_TOKEN}\n")
    )
    run = CaseRun.open(run.path)  # as the next process finds it
    assert run.case.target.headers_env == {"Authorization": "SHOP_TOKEN"}
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-hunter2")
    leak = f"token hunter2-hunter2 in {run.path} and {tmp_path / 'reports' / 'x.html'}"
    result = judged(run).model_copy(update={"reason": leak, "guards": [Guard(id="directories", ok=False, detail=leak)]})
    told = outcome_of_run(run, result, tmp_path / "reports", report=tmp_path / "reports" / "x.html", hint=leak)
    for text in (summary(told), junit(told)):
        assert "hunter2" not in text and str(tmp_path) not in text
        assert "reports/x.html" in text


def test_the_observed_run_shows_its_earlier_ones_in_the_summary(new_run, tmp_path: Path) -> None:
    run = new_run(stages=("baseline",), manifest=OBSERVED, probes=0, rate=40)
    text = summary(outcome_of_run(run, with_earlier(run, judged(run)), tmp_path / "reports"))
    assert "### Beside earlier baselines" in text and "| Hit ratio |" in text


def test_an_error_before_there_is_a_run_is_told_too(tmp_path: Path, monkeypatch) -> None:
    case = tmp_path / "mine.yml"
    case.write_text("target: {headers_env: {Authorization: SHOP_TOKEN}}\n")
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-hunter2")
    with pytest.raises(CaseError) as caught:
        load_case(case)
    told = outcome_of_error(case, caught.value, [tmp_path])
    assert outcomes(checked(junit(told)), "run") == {"the run got to its end": "error"}
    assert "mine.yml:1: title" in summary(told).replace("\\", "") and str(tmp_path) not in summary(told)
    told = outcome_of_error(case, ArgumentError("bad hunter2-hunter2", hint="Look."), [tmp_path])
    assert "hunter2" not in summary(told) and "No run was made." in summary(told)


def test_a_file_is_written_whole_through_a_link_and_its_folder_is_made(tmp_path: Path) -> None:
    real = tmp_path / "deep" / "real.md"
    link = tmp_path / "link.md"
    link.symlink_to(real)
    publish("first\n", str(link))
    publish("second\n", str(link))
    assert link.is_symlink() and real.read_text() == "second\n"
    assert [path.name for path in real.parent.iterdir()] == ["real.md"]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(pipe.read_text()))
    reader.start()
    publish("told\n", str(pipe))
    reader.join(timeout=30)
    assert seen == ["told\n"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_dash_prints_and_a_folder_is_refused_with_what_to_do(tmp_path: Path, capsys) -> None:
    publish("told", "-")
    assert capsys.readouterr().out == "told\n"
    with pytest.raises(ReportNotWritten, match="could not be written") as caught:
        publish("told", str(tmp_path))
    assert "run directory" in caught.value.hint


def test_both_files_are_the_same_each_time() -> None:
    told = RunOutcome("c", run="r", result=a_result())
    assert junit(told) == junit(replace(told)) and summary(told) == summary(replace(told))

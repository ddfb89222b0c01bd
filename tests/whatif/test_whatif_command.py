"""`luckyhit whatif`: the page, the record, the case that proves a point, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from service_in_memory import Behaviour, run_of
from typer.testing import CliRunner

from browser import a_browser, open_page
from luckyhit.case import load_case
from luckyhit.cli import app
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.workflow.workbook import report


@pytest.fixture
def measured(project: Path) -> Path:
    """A project with a run of the case `items`."""
    run_of(project, Behaviour())
    (project / "items.yml").rename(project / "data" / "cases" / "items.yml")
    return project


def luckyhit(*words: str) -> str:
    """What the command prints. Raises its error."""
    done = CliRunner().invoke(app, ["whatif", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("source", ["items", "latest", "data/cases/items.yml"])
def test_a_page_and_a_record_are_written(measured, source) -> None:
    page = Path(luckyhit(source).splitlines()[-1])
    record = json.loads(page.with_suffix(".json").read_text())
    assert record["fit"]["is_fit"] and record["now"] == {
        "ttl_s": 2.0,
        "ttl_from": "ITEM_TTL_S",
        "size": record["sizes"][-1],
    }
    assert set(record["rules"]) == {"none", "on-write", "delayed"} and record["ttls_s"][-1] is None
    text = page.read_text()
    assert 'data-fit="fit"' in text and text.count("data:image/svg") == 4
    assert record["source"].startswith("case items, run ") and ">case items, run " in text
    assert str(measured) not in text and str(measured) not in page.with_suffix(".json").read_text()
    index = (measured / "reports" / "index.html").read_text()
    assert '"what-if"' in index and f'href="whatif/{page.name}"' in index


def test_policies_are_counted_beside_lru(measured) -> None:
    words = ("items", "--policy", "fifo", "--policy", "s3-fifo", "--size", "9000", "--size", "21000", "--json")
    answer = json.loads(luckyhit(*words))["answer"]
    assert set(answer["policies"]) == {"fifo", "s3-fifo"}
    assert answer["sizes"] == [9000, 21000]
    for policy in answer["policies"].values():
        assert len(policy["hit_ratio"]["value"]) == 2


def test_a_chosen_point_becomes_a_case(measured) -> None:
    printed = luckyhit("items", "--ttl", "8s", "--prove", "items-longer").splitlines()
    case = load_case(Path(printed[-1]))
    assert (case.change.name, case.change.before, case.change.after) == ("ITEM_TTL_S", "2", "8")
    forecast = case.predicted["hit_ratio"]
    assert 0.7 < forecast.low <= forecast.value <= forecast.high <= 1
    assert set(case.predicted) == {"hit_ratio", "db_calls", "latency_mean_ms"}
    with pytest.raises(ArgumentError, match="already"):
        luckyhit("items", "--ttl", "8s", "--prove", "items-longer")


def test_a_prediction_is_held_against_its_run(measured) -> None:
    luckyhit("items", "--ttl", "4s", "--prove", "longer")
    parts = yaml.safe_load((measured / "data" / "cases" / "longer.yml").read_text())
    for ttl_s, true in ((4.0, True), (0.5, False)):
        folder = measured / f"tried-{ttl_s}"
        folder.mkdir()
        run = run_of(folder, Behaviour(ttl_s=ttl_s), arm="after", parts=parts)
        book = report(str(run.path))
        book.judge()
        result = book.result
        assert result is not None
        (finding,) = [one for one in result.findings if one.id == "prediction"]
        by_metric = {row["metric"]: row["came_true"] for row in finding.examples}
        assert by_metric["hit_ratio"] is true and by_metric["db_calls"] is true


REFUSED = [
    ("nothing",),
    ("items", "--ttl", "5"),
    ("items", "--policy", "mru"),
    ("items", "--rule", "sometimes"),
    ("items", "--by", "pages"),
    ("items", "--arm", "middle"),
    ("items", "--arm", "after"),
    ("items", "--delay", "2s"),
    ("items", "--size", "3"),
    ("items", "--log-format", "combined"),
    ("items", "--prove", "Not A Name", "--ttl", "4s"),
    ("items", "--prove", "two", "--ttl", "4s", "--ttl", "5s"),
    ("items", "--prove", "none"),
    ("items", "--prove", "forever", "--ttl", "none"),
    ("items", "--prove", "same", "--ttl", "2s"),
    ("items", "--prove", "size", "--size", "9000"),
    ("items", "--by", "entries", "--size", "8MB"),
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_makes_no_sense_is_refused_with_a_hint(measured, words) -> None:
    with pytest.raises(LuckyHitError) as refused:
        luckyhit(*words)
    assert refused.value.hint and refused.value.exit_code in (2, 4)
    assert [path.name for path in (measured / "data" / "cases").iterdir()] == ["items.yml"]


def test_the_other_arm_is_offered_only_where_it_has_requests(measured) -> None:
    with pytest.raises(LuckyHitError) as refused:
        luckyhit("items", "--arm", "after")
    assert "--arm before" in refused.value.hint
    for part in (measured / "data" / "runs").glob("items/*/requests/*"):
        part.unlink()
    with pytest.raises(LuckyHitError) as refused:
        luckyhit("items")
    assert "--arm" not in refused.value.hint


def test_a_case_without_runs_says_how_to_get_one(measured) -> None:
    (measured / "data" / "cases" / "other.yml").write_text((measured / "data" / "cases" / "items.yml").read_text())
    with pytest.raises(ArgumentError) as refused:
        luckyhit("other")
    assert "luckyhit run other --observe" in refused.value.hint


def test_the_notebook_answers_as_the_command_does(measured) -> None:
    book = report(case="items")
    table = book.whatif(ttl=["1s", "4s"])
    assert len(table) == 3 and len(book.whatif(ttl=["1s", "4s"], by="entries")) == 3
    assert book.whatif_figure("by-ttl") is not None
    with pytest.raises(ArgumentError):
        book.whatif_figure("by-moon")


@pytest.mark.browser
def test_the_page_is_whole_on_a_desk_and_a_phone(measured) -> None:
    """No violation of axe-core's rules, no request, nothing to be moved sideways, in light and in the dark."""
    address = Path(luckyhit("items").splitlines()[-1]).as_uri()
    asked: list[str] = []
    with a_browser() as chromium:
        for width, scheme in ((1280, "light"), (390, "dark")):
            with open_page(chromium, width=width, scheme=scheme, asked=asked) as page:
                page.goto(address)
                assert Axe().run(page).response["violations"] == []
                assert page.evaluate("document.documentElement.scrollWidth") == width
                assert page.locator("figure img").count() == 4
                assert all(one.bounding_box()["width"] < width for one in page.locator("figure img").all())
    assert asked == []

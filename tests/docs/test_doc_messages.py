"""What the docs quote of the program is what the program has: messages, guards, options, bounds, columns."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import jupyter_client.kernelspec
import pytest
from shell_blocks import PAGES, ROOT

from luckyhit.cli.command_reference import COMMANDS_FILE, commands_markdown
from luckyhit.judge.guards import comparison_guards
from luckyhit.judge.table import samples
from luckyhit.load import access_logs, engine, selfcheck
from luckyhit.load.bodies import expected
from luckyhit.load.schedule import LARGEST_NUMBER
from luckyhit.load.signals import signal_table
from luckyhit.records import METRICS, REQUESTS
from luckyhit.text.messages import GUARD_TITLES

DOCS = ROOT / "docs"
TROUBLE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
MEASUREMENT = (DOCS / "measurement.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"\*\*`([^`]+)`\*\*", TROUBLE)
OTHERS = {
    "No such kernel named …": Path(jupyter_client.kernelspec.__file__).read_text(encoding="utf-8"),  # Jupyter's
    "No module named 'luckyhit'": str(ModuleNotFoundError("No module named 'luckyhit'")),  # Python's
}
SHORTEST = 6


def text_of(node: ast.expr) -> str | None:
    """A text in the source, with … for what is filled in; None for what is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    return None


@cache
def nodes() -> dict[Path, list[ast.AST]]:
    """All that the source is made of, file by file; walked once, since there is much of it."""
    files = sorted((ROOT / "lib").rglob("*.py"))
    return {path: list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) for path in files}


@cache
def texts() -> tuple[str, ...]:
    """All texts in the source, and the lines of the Makefile."""
    constants = {
        text_of(node)
        for of_file in nodes().values()
        for node in of_file
        if isinstance(node, (ast.Constant, ast.JoinedStr))
    }
    make = re.sub(r"\$\([A-Z]+\)", "…", (ROOT / "Makefile").read_text(encoding="utf-8"))
    return (*(text for text in constants if text), make)


def is_quoted_right(quote: str) -> bool:
    """Whether each piece between its … stands in one text of the program, or of whoever else says it."""
    corpus = (OTHERS[quote],) if quote in OTHERS else texts()
    pieces = [piece.strip() for piece in quote.split("…")]
    pieces = [piece for piece in pieces if len(piece) >= SHORTEST]
    return bool(pieces) and all(any(piece in text for text in corpus) for piece in pieces)


@pytest.mark.parametrize("quote", QUOTED)
def test_each_message_that_is_quoted_is_one_of_the_program(quote: str) -> None:
    assert is_quoted_right(quote)


def test_the_reference_names_the_range_of_random_numbers() -> None:
    reference = (DOCS / "case-file.md").read_text(encoding="utf-8")
    (cell,) = [line for line in reference.splitlines() if line.startswith("| `workload.routes[].path` |")]
    assert f"{LARGEST_NUMBER:,}" in cell


def test_a_message_that_nobody_says_would_be_noticed() -> None:
    assert len(QUOTED) > 40
    assert not is_quoted_right("the service did not answer 201 on … within …")
    assert not is_quoted_right("…")


def test_the_list_of_guards_is_complete() -> None:
    section = TROUBLE[TROUBLE.index("## INVALID: a guard failed") : TROUBLE.index("Where a guard fails, don't read")]
    listed = {name for row in re.findall(r"^\| (`.+?) \|", section, re.M) for name in re.findall(r"`([^`]+)`", row)}
    own = section[section.index("`luckyhit check` has some of its own") :].partition(":")[2]
    assert listed | set(re.findall(r"`([^`]+)`", own)) == set(GUARD_TITLES.values())


def test_the_page_of_commands_is_up_to_date() -> None:
    renew = "out of date: run `make docs`, which is `python -m luckyhit.cli.command_reference`"
    assert COMMANDS_FILE.read_text(encoding="utf-8") == commands_markdown(), renew


def test_metrics_columns_and_signals_are_documented() -> None:
    for name in METRICS:
        assert f"`{name}`" in MEASUREMENT
    for source in signal_table.CACHE_SOURCES:
        assert f"`{source.header.decode()}`" in MEASUREMENT
    for header in signal_table.CALL_HEADERS:
        assert f"`{header.decode()}`" in MEASUREMENT
    errors = {"connect", "reset", "protocol", "unexpected", "timeout", "dropped"}
    assert all(f"`{error}`" in MEASUREMENT for error in errors) and errors == set(samples.ERRORS)
    assert {"due_ns", "sent_ns", "first_byte_ns", "done_ns"} <= set(REQUESTS.names)


def test_every_form_of_access_logs_stands_in_the_page() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \|", MEASUREMENT.partition("## Access logs")[2].partition("\n## ")[0], re.M)
    assert listed == list(access_logs.FORMS)
    assert all(f"`{name}`" in MEASUREMENT for name in access_logs.REFUSED)


def test_the_bounds_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", MEASUREMENT, re.M))
    assert (
        rows["added by the engine, median, against its echo (up to 3 tries)"]
        == f"{selfcheck.LARGEST_ADDED_P50_MS:g} ms"
    )
    assert selfcheck.MOST_TRIES == 3
    assert rows["added by the engine, p99, against its echo"] == f"{selfcheck.LARGEST_ADDED_P99_MS:g} ms"
    late = rows["how late it sent, p99: against the echo, and in the block itself"]
    assert late == f"{selfcheck.LARGEST_SCHEDULE_ERROR_P99_MS:g} ms"
    assert rows["how long its event loop stood still, in the block"] == f"{selfcheck.LARGEST_LAG_MS:g} ms"
    assert rows["processor time of its process, of one core"] == f"{selfcheck.LARGEST_CPU_SHARE:.0%}".replace("%", " %")
    assert f"JSON above {expected.LARGEST_CHECKED_BODY >> 10} KiB" in MEASUREMENT
    assert engine.CLOSED_SLOTS  # the engine that the page is about
    assert f"more than {comparison_guards.MOST_DROPPED:.0%} was never sent".replace("%", " %") in TROUBLE
    assert f"more than {comparison_guards.LARGEST_FAILED_SHARE:.0%} failed".replace("%", " %") in TROUBLE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_no_machine_of_ours(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "/home/" not in text and "/root/" not in text and "/work/" not in text

"""What a case file may be: small, plain UTF-8 text in YAML, read without surprises."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from luckyhit.case import Case, load_case
from luckyhit.case.docs.template import new_case
from luckyhit.case.load import LARGEST_BYTES, parse_case
from luckyhit.errors import CaseError, Problem

CASES = sorted((Path(__file__).parents[2] / "data" / "cases").glob("*.yml"))


def problems(text: str) -> list[Problem]:
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    return list(caught.value.problems)


def only_problem(path: Path) -> Problem:
    with pytest.raises(CaseError) as caught:
        load_case(path)
    assert len(caught.value.problems) == 1
    assert caught.value.exit_code == 2
    return caught.value.problems[0]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_shipped_cases_survive_json(path: Path) -> None:
    case = load_case(path)
    assert Case.model_validate(case.model_dump(mode="json")) == case


def test_byte_order_mark_and_crlf_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "windows.yml"
    path.write_bytes(b"\xef\xbb\xbf" + new_case("windows").replace("\n", "\r\n").encode())
    assert load_case(path) == parse_case(new_case("windows"))


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    problem = only_problem(tmp_path / "nowhere.yml")
    assert problem.actual == "no such file"
    assert "luckyhit new" in problem.expected
    assert problem.file.endswith("nowhere.yml")


def test_a_directory_is_named_as_such(tmp_path: Path) -> None:
    assert only_problem(tmp_path).actual == "a directory"


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yml")
    assert "pipe" in only_problem(tmp_path / "pipe.yml").actual


def test_an_endless_device_is_refused() -> None:
    assert "device" in only_problem(Path("/dev/zero")).actual


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "unreadable file" in only_problem(tmp_path / "file" / "case.yml").actual
    assert "NUL" in only_problem(Path("a\0b")).actual


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yml"
    with path.open("wb") as file:
        file.truncate(100_000_000_000)  # sparse: reading it would never end well
    problem = only_problem(path)
    assert "100,000,000,000 bytes" in problem.actual
    assert f"{LARGEST_BYTES:,}" in problem.expected


def test_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    path = tmp_path / "latin.yml"
    path.write_bytes("title: x\nowner: Grün\n".encode("latin-1"))
    problem = only_problem(path)
    assert (problem.line, problem.expected) == (2, "text in UTF-8")
    path.write_bytes("title: x\n".encode("utf-16"))
    assert "UTF-8" in only_problem(path).expected


@pytest.mark.parametrize(
    ("text", "line", "matching"),
    [
        ("", 1, "an empty file"),
        ("# only a comment\n", 1, "an empty file"),
        ("- a\n- b\n", 1, "a list of 2"),
        ("just a text\n", 1, "'just a text'"),
        ("null\n", 1, "nothing"),
        ("title: x\n  owner: y\n", 2, "invalid YAML"),
        ("title: 'never closed\nowner: y\n", 2, "invalid YAML"),
        ("title: x\n\towner: y\n", 2, "invalid YAML"),
        ('title: "\\U99999999"\n', 1, "invalid YAML"),
        ("title: x\n---\ntitle: y\n", 2, "a second document"),
        ("%YAML 1.1\n---\ntitle: x\n", 2, "a % directive"),
        ("%TAG ! tag:example.com,2000:\n---\ntitle: x\n", 2, "a % directive"),
    ],
)
def test_text_that_is_not_a_case_is_refused_at_its_line(text: str, line: int, matching: str) -> None:
    first = [problem for problem in problems(text) if matching in problem.actual]
    assert [problem.line for problem in first] == [line]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!mine", "!!str", "!!binary"]
)
def test_tags_are_refused_and_not_executed(tag: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = f"title: x\nowner: {tag} ['touch {canary}']\n"
    assert any(p.line == 2 and "a tag" in p.actual and "without a tag" in p.expected for p in problems(text))
    assert not canary.exists()


def test_anchors_and_aliases_are_refused() -> None:
    matching = problems("title: &a x\nroute: *a\n")
    assert {(p.line, p.field) for p in matching if "anchor" in p.actual or "alias" in p.actual} == {
        (1, "title"),
        (2, "route"),
    }


def test_billion_laughs_stays_small() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    matching = problems("\n".join(levels))
    assert "an anchor" in str(matching)
    assert len(str(matching)) < 100_000


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 100_000, "a:\n " + "[{a: " * 40_000]
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert any("levels of nesting" in problem.actual for problem in problems(text))


def test_a_key_twice_is_refused_with_both_lines() -> None:
    matching = [p for p in problems(new_case("x") + "\nplan:\n  block: 3s\n") if "duplicate key" in p.actual]
    assert [p.field for p in matching] == ["plan"]
    assert matching[0].line == len(new_case("x").splitlines()) + 2
    first = new_case("x").splitlines().index("plan: auto") + 1
    assert f"line {first}" in matching[0].actual


@pytest.mark.parametrize("key", ["1", "true", "1.5", "null", "~"])
def test_keys_are_texts(key: str) -> None:
    assert any("which is not a text" in p.actual and p.line == 1 for p in problems(f"{key}: x\n"))


def test_a_structure_as_a_key_is_refused() -> None:
    assert any("as a key" in problem.actual for problem in problems("? [a, {b: c}]\n: d\ntitle: x\n"))
    assert any("as a key" in problem.actual for problem in problems("title: {{name}}\n"))


@pytest.mark.parametrize(
    "character", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff"]
)
def test_deceptive_characters_are_refused(character: str) -> None:
    text = new_case("x").replace("TODO: because", f"TODO: bec{character}ause")
    line = next(n for n, row in enumerate(text.split("\n"), 1) if "TODO: bec" in row)
    matching = [p for p in problems(text) if f"U+{ord(character):04X}" in p.actual]
    assert [(p.line, p.field) for p in matching] == [(line, "hypothesis")]
    assert character not in str(matching)


@pytest.mark.parametrize("escape", [r"\0", r"\x1b", r"\u202e", r"\ud800"])
def test_deceptive_characters_are_refused_as_escapes(escape: str) -> None:
    text = new_case("x").replace("TODO: because", f"TODO: {escape}")
    assert [p.field for p in problems(text) if "as an escape" in p.actual] == ["hypothesis"]


@pytest.mark.parametrize("number", ["1" * 5000, "1e999", ".inf", "-.inf", ".nan", "99999999999999999999"])
def test_huge_and_infinite_numbers_are_refused(number: str) -> None:
    text = new_case("x").replace("seed: 1", f"seed: {number}")
    assert {p.field for p in problems(text)} == {"workload.seed"}


def test_a_new_case_keeps_what_stands_for_any_variable() -> None:
    assert set(re.findall(r"\$\{(.*?)\}", new_case("slow-basket"))) == {"NAME"}

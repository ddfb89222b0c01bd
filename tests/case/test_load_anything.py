"""Whatever the file holds, the loader answers with a case or with problems, each on a line that is there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case, load_case
from luckyhit.case.docs.template import new_case
from luckyhit.case.load import parse_case
from luckyhit.errors import CaseError
from tier import examples

GOOD = new_case("good")
LINES = GOOD.splitlines()
yaml_bits = st.sampled_from(
    ["a", "title", ": ", ":", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "'", '"', "&a ", "*a", "!x ", "!!str ", "#", "|", ">",
     "? ", "---\n", "...\n", "%YAML 1.2\n", "\\", "\t", "1", "1.5", "~", "yes", ".inf", "<<: ", "\r", "\x00", "\u2028", "\ufeff", "é", "😀"]
)  # fmt: skip
values = st.sampled_from(
    ["", "5", "-1", "1e400", "yes", "true", "[]", "{}", "{a: 1}", "[a, b]", "null", "'{x}'", '"}{"', "5s", "5 %", "100/s", "x" * 500,
     "&a b", "*a", "!!int 5", "'\\0'", '"\\u202e"', "http://a:b@c", "|\n      text", "2020-01-01", "0x10", "1_000"]
)  # fmt: skip


def check(text: str) -> None:
    try:
        case = parse_case(text)
    except CaseError as error:
        count = max(1, len(text.splitlines()))
        assert error.problems
        assert [p.line for p in error.problems] == sorted(p.line for p in error.problems)
        for problem in error.problems:
            assert 1 <= problem.line <= count
            assert problem.field
            assert problem.actual
            assert problem.expected
            assert problem.actual.isprintable()
            assert problem.field.isprintable()
        str(error).encode()
    else:
        assert Case.model_validate(case.model_dump(mode="json")) == case


@given(st.text(max_size=80))
@settings(max_examples=examples(200), deadline=None)
def test_any_text(text: str) -> None:
    check(text)


@given(st.lists(yaml_bits, max_size=25).map("".join))
@settings(max_examples=examples(300), deadline=None)
def test_any_heap_of_yaml(text: str) -> None:
    check(text)


@given(st.binary(max_size=200))
@settings(max_examples=examples(100), deadline=None)
def test_any_bytes(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yml") as file:
        file.write(content)
        file.flush()
        try:
            load_case(Path(file.name))
        except CaseError as error:
            assert error.problems


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(["drop", "twice", "indent", "value"]), values), min_size=1, max_size=4))  # fmt: skip
@settings(max_examples=examples(120), deadline=None)
def test_any_damage_to_a_right_case(damages: list[tuple[int, str, str]]) -> None:
    lines = list(LINES)
    for at, kind, value in damages:
        line = lines[at]
        if kind == "value" and ":" in line and not line.lstrip().startswith("#"):
            lines[at] = line.partition(":")[0] + ": " + value
        else:
            lines[at] = {"drop": "", "twice": f"{line}\n{line}", "indent": f"  {line}"}.get(kind, line)
    check("\n".join(lines))


@given(st.integers(0, len(GOOD)), st.text(min_size=1, max_size=3))
@settings(max_examples=examples(120), deadline=None)
def test_any_slip_of_the_keyboard(at: int, typed: str) -> None:
    check(GOOD[:at] + typed + GOOD[at:])

"""The error tree: messages, exit codes, and that its drawing in the docstring is true."""

import inspect

import pytest

from luckyhit import errors
from luckyhit.errors import CaseError, LuckyHitError, Problem, ServiceNotReady

TREE = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, LuckyHitError)]


def test_every_error_is_exported_and_drawn_with_its_exit_code() -> None:
    drawing = errors.__doc__ or ""
    for error in TREE:
        assert error.__name__ in errors.__all__
        line = next(line for line in drawing.splitlines() if f" {error.__name__} " in line)
        if error is not LuckyHitError:
            assert f" {error.exit_code} " in line
            parent = error.__mro__[1].__name__
            assert drawing.index(f" {parent} ") < drawing.index(f" {error.__name__} ")


def test_a_hint_is_shown_as_what_to_do() -> None:
    assert str(LuckyHitError("it broke", hint="fix it")).splitlines() == ["it broke", "  what to do: fix it"]


def test_a_target_error_shows_the_last_log_lines() -> None:
    assert "    | ImportError: shop" in str(ServiceNotReady("never ready", log=["starting", "ImportError: shop"]))


@pytest.mark.parametrize("count", [1, 3])
def test_a_case_error_lists_every_problem_with_its_place(count: int) -> None:
    problems = [Problem("shop.yml", line, "owner", "nothing", "a name") for line in range(1, count + 1)]
    text = str(CaseError(problems))
    assert text.startswith(f"{count} problem{'s' if count > 1 else ''} ")
    assert text.splitlines()[1:] == [str(problem) for problem in problems]
    assert all(f"shop.yml:{line}: owner: " in text for line in range(1, count + 1))

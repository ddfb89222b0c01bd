"""The error tree: what it says, what it exits with, and that its drawing is true."""

import inspect

import pytest

from luckyhit import errors
from luckyhit.errors import CaseError, LuckyHitError, Problem, ServiceNotReady

TREE = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, LuckyHitError)]


def test_every_error_is_exported_and_drawn_under_its_parent_with_its_exit_code() -> None:
    drawing = errors.__doc__ or ""
    for error in TREE:
        assert error.__name__ in errors.__all__
        line = next(line for line in drawing.splitlines() if f" {error.__name__} " in line)
        if error is not LuckyHitError:
            assert f" {error.exit_code} " in line
            parent = error.__mro__[1].__name__
            assert drawing.index(f" {parent} ") < drawing.index(f" {error.__name__} ")


def test_a_hint_is_shown_as_what_to_do() -> None:
    assert str(LuckyHitError("it broke", hint="mend it")) == "it broke\n  what to do: mend it"


def test_a_target_error_shows_the_last_log_lines() -> None:
    assert "    | ImportError: no module named shop" in str(
        ServiceNotReady("never ready", log=["starting", "ImportError: no module named shop"])
    )


@pytest.mark.parametrize("count", [1, 3])
def test_a_case_error_lists_every_problem_with_its_place(count: int) -> None:
    problems = [Problem("shop.yml", line, "owner", "nothing", "a name") for line in range(1, count + 1)]
    text = str(CaseError(problems))
    assert text.startswith(f"{count} problem{'s' if count > 1 else ''} ")
    assert all(f"shop.yml:{line}: owner: found nothing; expected a name" in text for line in range(1, count + 1))

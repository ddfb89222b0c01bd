"""The parameters of a notebook: they may be misspelt, and may change after its book was opened."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from luckyhit.workflow.unattended.run_case import refuse_unknown

_ABSENT = object()


def notebook_variables() -> Mapping[str, Any]:
    """The variables of the notebook that this process executes; none outside of a kernel."""
    from IPython import get_ipython

    shell = get_ipython()
    return shell.user_ns if shell is not None else {}


class Parameters:
    """What a book was opened with, by name. Those that were the notebook's own variables are followed."""

    def __init__(
        self, given: Mapping[str, Any], variables: Callable[[], Mapping[str, Any]] = notebook_variables
    ) -> None:
        self.given = dict(given)
        self._variables = variables
        now = variables()
        self._followed = [name for name, value in given.items() if _alike(now.get(name, _ABSENT), value)]

    def changed(self) -> dict[str, Any]:
        """The followed parameters that have another value in the notebook now."""
        now = self._variables()
        return {name: now[name] for name in self._followed if name in now and not _alike(now[name], self.given[name])}


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def refuse_misspelt(known: frozenset[str]) -> None:
    """Refuse a misspelt parameter under plain papermill, which only warns and then runs without it. Raises
    ArgumentError.

    papermill injects parameters as a cell that begins with `# Parameters`; other cells are not checked.
    """
    for source in notebook_variables().get("In", []):
        if source.startswith("# Parameters"):
            refuse_unknown(set(_assigned(source)), known)


def _assigned(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))

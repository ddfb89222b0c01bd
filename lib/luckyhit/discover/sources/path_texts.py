"""Routes of a service without a known framework: the paths that stand as texts in its source code. All are guesses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from luckyhit.discover.evidence import Parameter, ServiceEvidence, ServiceRoute
from luckyhit.discover.risk import risk_of
from luckyhit.discover.sources.framework_routes import FrameworkRoutes, fields_in, path_of
from luckyhit.discover.sources.settings import tree_of

MOST_PATHS, MOST_FIELDS = 60, 8
_PATH = re.compile(r"/(?:[A-Za-z][!-~]{0,98})?")
_OF_FILES = ("/tmp", "/usr", "/etc", "/var", "/dev", "/proc", "/home", "/bin", "/opt", "/root", "/srv", "/sys", "/run")
_VERBS = ("PUT", "PATCH", "POST", "DELETE")


def from_files(files: Iterable[Path]) -> FrameworkRoutes:
    """Each path with GET, and with the other methods that the same file names; the file's other names may be fields."""
    fields: dict[tuple[str, str], tuple[str, ...]] = {}
    routes: dict[tuple[str, str], ServiceRoute] = {}
    for file in files:
        tree = tree_of(file)
        methods = ["GET", *_methods_in(tree)]
        names = tuple(name for name in fields_in(ast.unparse(tree)) if not name.isupper())[:MOST_FIELDS]
        for line, text in _texts(tree):
            for path, parameters in _paths(text):
                for method in methods:
                    where = (f"a text in {file.name}:{line}",)
                    route = ServiceRoute(method, path, parameters, risk=risk_of(method, path), where=where)
                    if len(routes) < MOST_PATHS * len(methods):
                        routes.setdefault((method, path), route)
                        fields.setdefault((method, path), names)
    return FrameworkRoutes(ServiceEvidence(tuple(routes.values())), fields=fields)


def _methods_in(tree: ast.AST) -> list[str]:
    """Those that are compared with, and those of handlers such as `do_PUT`."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return [verb for verb in _VERBS if verb in texts or f"do_{verb}" in names]


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of each text and of each f-string, `{}` for what is filled in. Not those inside of one."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in inside:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            yield node.lineno, text


def _paths(text: str) -> Iterator[tuple[str, tuple[Parameter, ...]]]:
    """The paths that a text stands for: `/items/` also for what begins with it."""
    text = text.removeprefix("^")
    if not _PATH.fullmatch(text) or text.startswith(_OF_FILES):
        return
    count = iter(range(10))
    text = re.sub(r"\{\}|%[sd]", lambda _: f"{{id{next(count, 9) or ''}}}", text)
    for path in (text, f"{text}{{id}}") if text.endswith("/") and text != "/" else (text,):
        known, parameters = path_of(path, {})
        if known:
            yield known, parameters


MOST_IDS = 60
_ID = re.compile(r"(?=.*[A-Za-z0-9])[\w.@~-]{1,60}")


def id_texts(files: Iterable[Path]) -> list[tuple[str, ...]]:
    """Texts of the source code that ids may look like, the most probable first: what an f-string with one number in it
    gives (`f"sku-{n:04d}"`: a row of them), the items of lists and mappings, each alone."""
    rows: dict[tuple[str, ...], None] = {}
    items: dict[tuple[str, ...], None] = {}
    for file in files:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.JoinedStr):
                row = tuple(text for number in range(1, MOST_IDS + 1) if (text := _filled(node, number)))
                rows |= {row: None} if len(set(row)) > 1 else {}
            elif isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set):
                for item in node.keys if isinstance(node, ast.Dict) else node.elts:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str) and _ID.fullmatch(item.value):
                        items[(item.value,)] = None
    return [*rows, *items]


def _filled(node: ast.JoinedStr, number: int) -> str:
    """An f-string with a number for its one placeholder; empty for any other, and where no id looks like it."""
    if sum(isinstance(part, ast.FormattedValue) for part in node.values) != 1:
        return ""
    text = ""
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            form = ast.unparse(part.format_spec)[2:-1] if part.format_spec is not None else ""
            try:
                text += format(number, form)
            except ValueError:
                return ""
        elif isinstance(part, ast.Constant):
            text += str(part.value)
    return text if _ID.fullmatch(text) else ""

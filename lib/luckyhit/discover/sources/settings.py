"""The settings that a service reads from its environment, from its source code; nothing is executed."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from luckyhit.discover.evidence import Setting
from luckyhit.discover.risk import words_of

LARGEST_FILE = 1_000_000
MOST_FILES = 2_000
_SKIPPED = frozenset(
    {"venv", ".venv", "env", "node_modules", "site-packages", ".git", "__pycache__", "tests", "migrations"}
)
_ABOUT_CACHE = frozenset(
    [
        "ttl",
        "cache",
        "caching",
        "cached",
        "expire",
        "expires",
        "expiry",
        "expiration",
        "age",
        "stale",
        "fresh",
        "freshness",
        "invalidate",
        "invalidation",
        "flush",
        "namespace",
        "prefix",
        "version",
        "key",
        "keys",
        "redis",
        "valkey",
        "memcache",
        "memcached",
        "lru",
        "size",
        "entries",
        "lifetime",
        "refresh",
        "jitter",
        "scope",
        "timeout",
        "evict",
        "eviction",
        "vary",
        "etag",
        "warm",
        "lock",
        "coalesce",
        "negative",
        "indicator",
    ]
)
_READERS = frozenset({"getenv", "get", "env", "config", "str", "int", "float", "bool", "url", "get_env", "setting"})
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
_SHELL = re.compile(r"\$\{([A-Z][A-Z0-9_]+)(?::?[-=?]([^}]*))?\}|\$([A-Z][A-Z0-9_]{2,})")
_USUAL = frozenset({"PATH", "HOME", "USER", "PWD", "SHELL", "LANG", "TERM", "PORT", "HOST", "PYTHONPATH", "TMPDIR"})
Kind = Literal["text", "number", "duration", "boolean", "url"]
Helpers = Mapping[str, tuple[int, int | None]]
"""By function, the places of a variable's name and of its default in its arguments."""


def settings_of(files: Iterable[Path]) -> list[Setting]:
    """Each name once, the first that shows a default; those about a cache first."""
    by_name: dict[str, Setting] = {}
    sources = {file: _text_of(file) for file in files}
    trees = {file: _parsed(text) for file, text in sources.items() if file.suffix == ".py"}
    helpers = {name: parameters for tree in trees.values() for name, parameters in _helpers(tree)}
    for file, text in sources.items():
        in_file = _in_shell(text, file.name) if file.suffix != ".py" else _in_python(trees[file], file.name, helpers)
        for setting in in_file:
            known = by_name.get(setting.name)
            if setting.name not in _USUAL and (
                known is None or (known.default is None and setting.default is not None)
            ):
                by_name[setting.name] = setting
    return sorted(by_name.values(), key=lambda setting: not setting.about_cache)


def source_files(folder: Path) -> list[Path]:
    """Python files and shell scripts under a folder, without those of installed packages."""
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        # Installed packages are not walked: they may be many thousands of files.
        folders[:] = sorted(
            name for name in folders if name not in _SKIPPED and not Path(place, name, "pyvenv.cfg").exists()
        )
        files += [Path(place, name) for name in sorted(names) if name.endswith((".py", ".sh"))]
        if len(files) >= MOST_FILES:
            break
    return files[:MOST_FILES]


def _text_of(file: Path) -> str:
    """Empty for a file that can't be read or is too large to be source code."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            return ""
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def tree_of(file: Path) -> ast.AST:
    """The syntax tree of a file; empty where it can't be read or parsed."""
    return _parsed(_text_of(file))


def _parsed(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def _in_shell(text: str, file: str) -> Iterator[Setting]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in _SHELL.finditer(line.partition("#")[0]):
            yield _setting(match[1] or match[3], match[2], f"{file}:{number}")


def _in_python(tree: ast.AST, file: str, helpers: Helpers) -> Iterator[Setting]:
    choices = _compared(tree)
    for setting in (*_in_tree(tree, file), *_by_helpers(tree, file, helpers)):
        yield replace(setting, choices=setting.choices or tuple(choices.get(setting.name, ())))


def _helpers(tree: ast.AST) -> Iterator[tuple[str, tuple[int, int | None]]]:
    """Functions that read a variable whose name is their parameter: (function, (place of the name, of the default))."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        places = {argument.arg: place for place, argument in enumerate(function.args.args)}
        for node in ast.walk(function):
            name, default = _read_by(node)
            if isinstance(name, ast.Name) and name.id in places:
                place = places.get(default.id) if isinstance(default, ast.Name) else None
                # Without a default of its own in the call, the second parameter is one by its name.
                place = places.get("default", place)
                yield function.name, (places[name.id], place)
                break


def _read_by(node: ast.AST) -> tuple[ast.AST | None, ast.AST | None]:
    """(name, default) of an expression that reads the environment; (None, None) of any other."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_environ(node.value):
        return node.slice, None
    if isinstance(node, ast.Call) and node.args and _reads_environment(node.func):
        default = node.args[1] if len(node.args) > 1 else None
        return node.args[0], next((part.value for part in node.keywords if part.arg == "default"), default)
    return None, None


def _by_helpers(tree: ast.AST, file: str, helpers: Helpers) -> Iterator[Setting]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called not in helpers:
            continue
        name_place, default_place = helpers[called]
        given = dict(enumerate(node.args))
        default = given.get(default_place) if default_place is not None else None
        default = next((part.value for part in node.keywords if part.arg == "default"), default)
        for setting in _named(given.get(name_place), default, file, node):
            texts = [
                part.value for place, part in given.items() if place != name_place and isinstance(part, ast.Constant)
            ]
            choices = tuple(text for text in texts if isinstance(text, str) and text)
            yield replace(setting, choices=choices if len(choices) > 1 else ())


def _in_tree(tree: ast.AST, file: str) -> Iterator[Setting]:
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        yield from _named(*_read_by(node), file, node)
        if isinstance(node, ast.ClassDef) and any("Settings" in ast.unparse(base) for base in node.bases):
            yield from _of_settings_class(node, file, classes)


def _compared(tree: ast.AST) -> dict[str, list[str]]:
    """By environment name, the texts that the variable it is assigned to is compared with."""
    assigned: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = next((setting.name for setting in _in_tree(node.value, "")), None)
            if name is not None and isinstance(target, ast.Name | ast.Attribute):
                assigned[target.id if isinstance(target, ast.Name) else target.attr] = name
    choices: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        names = [assigned.get(getattr(side, "id", getattr(side, "attr", ""))) for side in sides]
        names += [
            setting.name
            for side in sides
            if isinstance(side, ast.Call | ast.Subscript)
            for setting in _in_tree(side, "")
        ]
        texts: list[str] = []
        for side in sides:
            elements = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            texts += [part.value for part in elements if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        for name in filter(None, names):
            known = choices.setdefault(name, [])
            known += [text for text in texts if text not in known and 0 < len(text) < 60]
    return choices


def _is_environ(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "environ") or (
        isinstance(node, ast.Name) and node.id in ("environ", "env")
    )


def _reads_environment(function: ast.AST) -> bool:
    """`os.getenv`, `os.environ.get`, `env(...)`, `env.int(...)`, `config(...)` of decouple and Starlette."""
    if isinstance(function, ast.Name):
        return function.id in ("getenv", "env", "config", "get_env", "setting")
    if not isinstance(function, ast.Attribute) or function.attr not in _READERS:
        return False
    return function.attr == "getenv" or _is_environ(function.value)


def _named(name: ast.AST | None, default: ast.AST | None, file: str, node: ast.AST) -> Iterator[Setting]:
    if isinstance(name, ast.Constant) and isinstance(name.value, str) and _ENV_NAME.fullmatch(name.value):
        yield _setting(name.value, _text(default), f"{file}:{getattr(node, 'lineno', 0)}")


def _of_settings_class(node: ast.ClassDef, file: str, classes: Mapping[str, ast.ClassDef]) -> Iterator[Setting]:
    """The fields of pydantic settings, with `env_prefix`, and with `env_nested_delimiter` those of models in them."""
    config = dict.fromkeys(("env_prefix", "env_nested_delimiter"), "")
    for inner in ast.walk(node):
        if isinstance(inner, ast.keyword) and inner.arg in config:
            config[inner.arg] = _text(inner.value) or ""
        if isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) in config:
            config[ast.unparse(inner.targets[0])] = _text(inner.value) or ""
        if isinstance(inner, ast.Dict):
            named = dict(zip((_text(key) for key in inner.keys), inner.values, strict=True))
            config |= {name: _text(named[name]) or "" for name in config if name in named}
    yield from _of_fields(node, config["env_prefix"], config["env_nested_delimiter"], file, classes, ())


def _of_fields(
    node: ast.ClassDef,
    prefix: str,
    delimiter: str,
    file: str,
    classes: Mapping[str, ast.ClassDef],
    above: tuple[str, ...],
) -> Iterator[Setting]:
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if field.target.id == "model_config":
            continue
        default, alias = field.value, None
        kind = ast.unparse(field.annotation)
        if isinstance(default, ast.Call):
            named = {part.arg: part.value for part in default.keywords}
            alias = _text(named.get("validation_alias") or named.get("alias") or named.get("env"))
            default = named.get("default", default.args[0] if default.args else None)
        name = alias or prefix + field.target.id
        if delimiter and kind in classes and kind not in above:
            yield from _of_fields(classes[kind], name + delimiter, delimiter, file, classes, (*above, kind))
        elif _ENV_NAME.fullmatch(name.upper()):
            yield _setting(name.upper(), _text(default), f"{file}:{field.lineno}")


def _text(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool):
        return str(node.value)
    return None


def _setting(name: str, default: str | None, where: str) -> Setting:
    words = words_of(name)
    kind: Kind = "text"
    if default is not None and re.fullmatch(r"-?\d+(\.\d+)?", default):
        kind = "number"
    elif default is not None and re.fullmatch(r"\d+(\.\d+)?\s*(us|ms|s|sec|m|min|h|d)", default):
        kind = "duration"
    elif default is not None and default.lower() in ("true", "false", "yes", "no", "on", "off"):
        kind = "boolean"
    elif words[-1:] in (["url"], ["uri"]) or (default is not None and "://" in default):
        kind = "url"
    return Setting(name, default, kind, where, about_cache=bool(_ABOUT_CACHE & set(words)))

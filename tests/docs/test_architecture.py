"""The map of the house is true: docs/architecture.md, README's tree, and the lists in docstrings of packages."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from shell_blocks import ROOT

LIBRARY = ROOT / "lib" / "luckyhit"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
IN_THE_LIBRARY = {
    path.name if path.suffix else f"{path.name}/"
    for path in LIBRARY.iterdir()
    if (path / "__init__.py").is_file() or (path.suffix == ".py" and not path.stem.startswith("__"))
}
PATH = re.compile(r"`([\w/<>.-]+(?:/|\.py))`")
REGISTRY = re.compile(r"`([\w/.]+\.py)` `([A-Z_]+)`")
PACKAGES = sorted(LIBRARY.rglob("__init__.py"))


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]


def rows_of(text: str) -> list[list[str]]:
    """The rows of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def files_at(path: str) -> list[Path]:
    """What a path of the page names; `<kind>` stands for any name."""
    return sorted(LIBRARY.glob(re.sub(r"<\w+>", "*", path.rstrip("/"))))


def test_the_page_fits_a_screen_and_each_path_in_it_exists() -> None:
    assert len(PAGE.splitlines()) <= 80
    paths = PATH.findall(PAGE.replace("`lib/luckyhit/`", ""))
    assert len(paths) > 40
    assert [path for path in paths if not files_at(path)] == []


def test_each_room_has_a_line() -> None:
    named = [path for row in rows_of(section("Rooms")) for path in PATH.findall(row[0])]
    assert sorted(named) == sorted(IN_THE_LIBRARY)


def test_the_tree_of_the_readme_has_each_room() -> None:
    tree = next(block for block in README.split("```") if "lib/luckyhit/" in block)
    part = tree.split("lib/luckyhit/")[1].split("\ndata/")[0]
    named = [name for line in part.splitlines()[1:] for name in line.strip().split("  ")[0].split()]
    assert sorted(named) == sorted(name.rstrip("/").removesuffix(".py") for name in IN_THE_LIBRARY)


def module_of(path: Path) -> ModuleType:
    inside = path.relative_to(LIBRARY.parent).with_suffix("")
    return importlib.import_module(".".join(inside.parts).removesuffix(".__init__"))


REGISTRIES = [
    (row[1], path, name) for row in rows_of(section("Where to add what")) for path, name in REGISTRY.findall(row[2])
]


def values_in(value: Any, deep: int = 2) -> Iterator[Any]:
    """A row, and what its fields hold."""
    yield value
    if deep and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from values_in(getattr(value, field.name), deep - 1)


def homes_of(row: Any) -> set[str]:
    """The modules that a row comes from."""
    homes = {value.__name__ for value in values_in(row) if isinstance(value, ModuleType)}
    homes |= {value.__module__ for value in values_in(row) if hasattr(value, "__qualname__")}
    return homes | {type(row).__module__}


@pytest.mark.parametrize(("write", "path", "name"), REGISTRIES, ids=[name for *_, name in REGISTRIES])
def test_the_rows_of_a_registry_come_from_where_the_page_says(write: str, path: str, name: str) -> None:
    registry = getattr(module_of(LIBRARY / path), name)
    rows = list(registry.values() if isinstance(registry, Mapping) else registry)
    assert rows
    patterns = [pattern for pattern in PATH.findall(write) if "<" in pattern]
    if not patterns or name in ("NOTES", "METRICS", "SENTENCES"):  # rows of words, or made up of their fields alone
        return
    files = [file for pattern in patterns for file in files_at(pattern)]
    modules = [module_of(file if file.is_file() else file / "__init__.py") for file in files if file.name[0] != "_"]
    names = {module.__name__ for module in modules}
    given = {id(value) for module in modules for value in vars(module).values()}
    strange = [row for row in rows if not homes_of(row) & names and id(row) not in given]
    assert strange == []


def test_the_job_table_names_every_registry_of_the_issue() -> None:
    assert {name for *_, name in REGISTRIES} >= {
        "CACHES", "CHANGE_KINDS", "DESIGNS", "FIGURES", "FINDERS", "GUARDS", "METRICS", "SIGNALS", "WARMUPS",
    }  # fmt: skip


HEAD = re.compile(r"^ {0,4}([a-z]\w*(?:, [a-z]\w*)*) {2,}\S", re.M)
FURTHER = re.compile(r"[;·] ([a-z]\w*(?:, [a-z]\w*)*): ")


def listed_in(docstring: str) -> set[str]:
    """The modules that a docstring lists: `name, name   what they are; name: what it is`."""
    lines = [line for line in docstring.splitlines() if HEAD.match(line)]
    heads = [HEAD.match(line)[1] for line in lines]  # type: ignore[index]
    return {name for part in (*heads, *FURTHER.findall("\n".join(lines))) for name in part.split(", ")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.parent.relative_to(LIBRARY.parent).as_posix())
def test_a_package_lists_modules_that_exist(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in package.parent.iterdir()}
    assert listed_in(docstring) - modules == set()


def test_a_module_that_is_gone_would_be_noticed() -> None:
    assert listed_in("It.\n\nfirst, second   what they are; third: more\nlast            x") == {
        "first", "second", "third", "last",
    }  # fmt: skip

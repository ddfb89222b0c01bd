"""`luckyhit new NAME --start ...` as a newcomer uses it, wrongly too: exit codes, what is written, what is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from luckyhit.case.load import load_case

LIBRARY = str(Path(__file__).resolve().parents[2] / "lib")
SERVICE = """
import os
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
app = FastAPI()
prices = dict.fromkeys(range(1, 60), 1)
class Item(BaseModel):
    price: int
@app.get("/items/{id}")
def item(id: int):
    if id not in prices:
        raise HTTPException(404)
    return {"id": id, "price": prices[id]}
@app.put("/items/{id}")
def change(id: int, item: Item):
    prices[id] = item.price
    return {"id": id, "price": prices[id]}
"""
ID = {"name": "id", "in": "path", "schema": {"type": "integer", "example": 7}}
PRICE = {"application/json": {"schema": {"type": "object", "properties": {"price": {"type": "integer"}}}}}
OPENAPI = {
    "openapi": "3.1.0",
    "paths": {
        "/items/{id}": {"parameters": [ID], "get": {}, "put": {"requestBody": {"content": PRICE}}},
        "/pay": {"post": {}},
    },
}
UVICORN = "{python} -m uvicorn shop:app --port {port}"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": LIBRARY, "PYTHONDONTWRITEBYTECODE": "1", **more}


def new(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "luckyhit", "new", "tried", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def case_file(folder: Path) -> Path:
    return folder / "data" / "cases" / "tried.yml"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--start", "true", "--url", "http://127.0.0.1:1"], "--url"),
        (["--dry-run"], "--dry-run"),
        (["--har", "missing.har"], "missing.har"),
        (["--log", "missing.log"], "missing.log"),
        (["--openapi", "missing.json"], "missing.json"),
        (["--start", "true", "--cwd", "missing"], "--cwd"),
        (["--url", "http://127.0.0.1:1", "--cwd", "elsewhere"], "--cwd"),
        (["--url", "http://127.0.0.1:1", "--python", "python3"], "--python"),
        (["--start", "true", "--env", "no-equals"], "--env"),
        (["--start", "true", "--env", "SECRET_KEY=test"], "SECRET_KEY"),
        (["--start", "true", "--env", "DATABASE_URL=postgresql://shop:word@127.0.0.1/shop"], "DATABASE_URL"),
        (["--url", "http://127.0.0.1:1", "--header-env", "X-Key=LUCKYHIT_TEST_UNSET"], "LUCKYHIT_TEST_UNSET"),
        (["--url", "http://127.0.0.1:1", "--host", "shop"], "--har"),
        (["--start", "sh -c 'unclosed"], "--start"),
        (["--openapi", "missing.json", "--path", "/zones/DE4"], "missing.json"),
        (["--path", "/zones/DE4"], "--path"),
        (["--url", "http://127.0.0.1:1", "--change", "KEEP=60s"], "--change"),
        (["--start", "true", "--change", "KEEP"], "--change"),
        (["--start", "true", "--change", "KEEP=60s", "--env", "KEEP=60s"], "--change"),
        (["--start", "true", "--change", "API_TOKEN=a8Fk20dkQz71LmPw"], "API_TOKEN"),
        (["--url", "http://127.0.0.1:1", "--path", "zones/DE4"], "--path"),
    ],
)
def test_wrong_arguments_write_no_case(arguments: list[str], named: str, tmp_path: Path) -> None:
    done = new(tmp_path, *arguments)
    assert (done.returncode, case_file(tmp_path).exists()) == (2, False), done.stderr
    assert named in done.stderr and "Traceback" not in done.stderr


def test_a_dry_run_lists_ids_and_bodies_and_sends_nothing(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(OPENAPI))
    done = new(tmp_path, "--start", "touch started", "--openapi", "openapi.json", "--dry-run")
    assert done.returncode == 0 and not (tmp_path / "started").exists() and not case_file(tmp_path).exists()
    (read,) = (line for line in done.stdout.splitlines() if line.startswith("GET /items/{id}"))
    assert "7" in read.partition("id: ")[2].partition(";")[0].split(", ")
    assert '  body {"price": 1}' in done.stdout.splitlines()
    assert any(line.startswith("not sent: POST /pay") for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", ["no-such-program-here", "{python} -c 'raise SystemExit(7)'"])
def test_a_service_that_does_not_start_writes_no_case(command: str, tmp_path: Path) -> None:
    done = new(tmp_path, "--start", command)
    assert (done.returncode, case_file(tmp_path).exists()) == (3, False), done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_url_writes_no_case(tmp_path: Path) -> None:
    done = new(tmp_path, "--url", "http://127.0.0.1:1")
    assert (done.returncode, case_file(tmp_path).exists()) == (3, False), done.stderr


@pytest.mark.slow
def test_a_service_without_a_ready_path_passes_check(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SERVICE.replace("FastAPI()", "FastAPI(openapi_url=None)"))
    done = new(tmp_path, "--start", UVICORN)
    case = load_case(case_file(tmp_path))
    assert done.returncode == 0 and "FAIL" not in done.stderr, done.stderr
    assert case.target.start is not None and case.target.start.ready == "/items/1"


@pytest.mark.slow
def test_a_service_that_dies_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SERVICE + '@app.get("/last/{id}")\ndef last(id: int): os._exit(3)\n')
    new(tmp_path, "--start", UVICORN)
    assert "PUT /items/{id}: the service had ended" in case_file(tmp_path).read_text()


@pytest.mark.slow
def test_ctrl_c_leaves_a_partial_case_and_no_process(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SERVICE)
    mark = f"{tmp_path.name}-run"
    command = [sys.executable, "-m", "luckyhit", "new", "tried", "--start", UVICORN, "--env", f"MARK={mark}"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "reading /items" in line:
            process.send_signal(signal.SIGINT)
            break
    process.stderr.read()
    assert process.wait() == 130
    assert "partial" in case_file(tmp_path).read_text()
    assert not [each for each in psutil.process_iter() if _environ(each).get("MARK") == mark]


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


@pytest.mark.slow
def test_the_demo_service_becomes_a_case(tmp_path: Path) -> None:
    variables = (f"PYTHONPATH={LIBRARY}", "DATABASE={workdir}/catalogue.sqlite3")
    options = [word for each in variables for word in ("--env", each)]
    done = new(tmp_path, "--start", "{python} -m luckyhit.demo --port {port}", "--cwd", "{workdir}", *options)
    assert done.returncode == 0, done.stderr
    case = load_case(case_file(tmp_path))
    assert case.route.startswith("GET /products/{")
    assert case.freshness is not None
    assert (case.freshness.write.method, case.freshness.write.path) == ("PUT", "/products/{key}/price")
    assert "$.price_cents" in {read.version for read in case.freshness.reads}
    assert "catalogue:v2:product:{product_id}" in case.cache.clear

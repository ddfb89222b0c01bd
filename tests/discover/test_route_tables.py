"""Routes asked from a service's own interpreter, and why a route is not tried."""

from __future__ import annotations

import os
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from luckyhit.discover.discovering import SourceFiles, discover
from luckyhit.discover.launch import Launched, StartRequest
from luckyhit.discover.risk import risk_of
from luckyhit.discover.sources import framework_routes, path_texts
from luckyhit.discover.sources.framework_routes import FrameworkRoutes, application_of, usual_application

FLASK = """
import os, threading, time
from flask import Flask, request
print("noise"); os.write(1, b"more noise")
threading.Thread(target=time.sleep, args=(600,)).start()
def create_app():
    app = Flask(__name__)
    @app.get("/items/<int:item_id>")
    def item(item_id): return {}
    @app.put("/items/<int:item_id>")
    def put_item(item_id): return {"price": request.json["price"]}
    @app.post("/items/<int:item_id>/refund")
    def refund(item_id): return {}
    return app
"""
AIOHTTP = """
from aiohttp import web
async def item(request): return web.json_response({})
async def put_item(request): return web.json_response({"price": (await request.json())["price"]})
app = web.Application()
app.add_routes([web.get(r"/items/{item_id:\\d+}", item), web.put(r"/items/{item_id:\\d+}", put_item)])
"""
TORNADO = """
import json
from tornado.web import Application, RequestHandler
class Item(RequestHandler):
    def get(self, item_id): pass
    def put(self, item_id): json.loads(self.request.body)["price"]
app = Application([(r"/items/([0-9]+)", Item)])
"""
BOTTLE = """
from bottle import Bottle, request
app = Bottle()
@app.get("/items/<item_id:int>")
def item(item_id): return {}
@app.put("/items/<item_id:int>")
def put_item(item_id): return request.json["price"]
"""
FALCON = """
import falcon
class Item:
    def on_get(self, request, response, item_id): pass
    def on_put(self, request, response, item_id): request.media["price"]
app = falcon.App()
app.add_route("/items/{item_id:int}", Item())
"""
SANIC = """
from sanic import Sanic
app = Sanic("shop")
@app.get("/items/<item_id:int>")
async def item(request, item_id): pass
@app.put("/items/<item_id:int>")
async def put_item(request, item_id): request.json["price"]
"""
LITESTAR = """
from litestar import Litestar, get, put
@get("/items/{item_id:int}")
async def item(item_id: int) -> dict: return {}
@put("/items/{item_id:int}")
async def put_item(item_id: int, data: dict) -> dict: return {"price": data["price"]}
app = Litestar([item, put_item])
"""
MOUNTED = """
from fastapi import FastAPI
from flask import Flask, request
from starlette.applications import Starlette
from starlette.middleware.wsgi import WSGIMiddleware
from starlette.routing import Mount
api, old = FastAPI(), Flask(__name__)
@api.get("/items/{item_id}")
def item(item_id: int): return {}
@old.put("/items/<int:item_id>")
def put_item(item_id): return {"price": request.json["price"]}
app = Starlette(routes=[Mount("/api", api), Mount("/old", WSGIMiddleware(old))])
"""
FASTAPI = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/items/{item_id}")
def item(item_id: int, currency: str = "EUR") -> dict: return {}
"""
URLS = """
from django.http import JsonResponse
from django.urls import path, re_path
from django.views.decorators.http import require_http_methods
@require_http_methods(["GET", "PUT"])
def item(request, pk): return JsonResponse({})
def year(request, year): return JsonResponse({})
urlpatterns = [path("items/<int:pk>/", item), re_path(r"^years/(?P<year>[0-9]+)/$", year)]
"""
MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")\n'


def ask(folder: Path, source: str, *command: str, **env: str) -> FrameworkRoutes:
    (folder / "shop.py").write_text(source)
    return framework_routes.ask(sys.executable, command, folder, {"PATH": os.environ["PATH"], **env})


def shown(table: FrameworkRoutes) -> set[tuple[str, str]]:
    return {(route.method, route.path) for route in table.evidence.routes}


def test_flask_factory_that_prints_and_never_ends(tmp_path: Path) -> None:
    table = ask(tmp_path, FLASK, "flask", "--app", "shop", "run")
    assert {("GET", "/items/{item_id}"), ("PUT", "/items/{item_id}")} <= shown(table)
    assert table.fields["PUT", "/items/{item_id}"] == ("price",)
    by_path = {(route.method, route.path): route for route in table.evidence.routes}
    assert by_path["GET", "/items/{item_id}"].parameters[0].kind == "integer"
    assert by_path["POST", "/items/{item_id}/refund"].risk


def test_fastapi_routes_have_their_query(tmp_path: Path) -> None:
    table = ask(tmp_path, FASTAPI, "uvicorn", "shop:app", "--port", "1")
    assert table.framework == "fastapi"
    (route,) = table.evidence.routes
    assert [(each.name, each.place, each.required) for each in route.parameters] == [
        ("item_id", "path", True),
        ("currency", "query", False),
    ]


@pytest.mark.parametrize(
    ("framework", "source"),
    [("aiohttp", AIOHTTP), ("tornado", TORNADO), ("bottle", BOTTLE), ("falcon", FALCON), ("sanic", SANIC),
     ("litestar", LITESTAR), ("flask", FLASK)],
)  # fmt: skip
def test_each_framework_has_its_table(framework: str, source: str, tmp_path: Path) -> None:
    pytest.importorskip(framework)
    table = ask(tmp_path, source, "serve", "shop:create_app()" if framework == "flask" else "shop:app")
    by_method = {route.method: route for route in table.evidence.routes if route.path.startswith("/items/{")}
    assert table.framework == framework and {"GET", "PUT"} <= set(by_method)
    assert by_method["PUT"].parameters[0].kind == "integer"
    assert table.fields["PUT", by_method["PUT"].path] == ("price",)


def test_what_is_mounted_has_its_prefix(tmp_path: Path) -> None:
    table = ask(tmp_path, MOUNTED, "uvicorn", "shop:app")
    assert {("GET", "/api/items/{item_id}"), ("PUT", "/old/items/{item_id}")} <= shown(table)
    by_path = {route.path: route for route in table.evidence.routes}
    assert by_path["/api/items/{item_id}"].parameters[0].kind == "integer"


SERVED = """
import os
from wsgiref.simple_server import make_server
if os.environ.get("FORKED"):
    child = os.fork()
    if child: os.waitpid(child, 0)
"""


@pytest.mark.parametrize("forked", [False, True])
def test_a_running_process_writes_its_routes(forked: bool, tmp_path: Path) -> None:
    served = SERVED + FLASK + 'make_server("127.0.0.1", int(os.environ["PORT"]), create_app()).serve_forever()\n'
    (tmp_path / "shop.py").write_text(served)
    env = {"FORKED": "1"} if forked else {}
    request = StartRequest("{python} shop.py", env=env, cwd=str(tmp_path), python=sys.executable)
    with Launched(request, environ=os.environ) as launched:
        table = framework_routes.from_processes(launched.routes_folder)
    assert {("GET", "/items/{item_id}"), ("PUT", "/items/{item_id}")} <= shown(table)
    assert str(tmp_path / "shop.py") in map(str, table.files)


def test_a_customisation_of_the_environment_still_runs(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text('import os; os.environ["OWN"] = "ran"\n')
    (tmp_path / "shop.py").write_text('import os; assert os.environ["OWN"] == "ran"\n' + SERVED + FLASK + "make_server"
                                      '("127.0.0.1", int(os.environ["PORT"]), create_app()).serve_forever()\n')  # fmt: skip
    env = {"PYTHONPATH": str(tmp_path / "own")}
    request = StartRequest("{python} shop.py", env=env, cwd=str(tmp_path), python=sys.executable)
    with Launched(request, environ=os.environ) as launched:
        assert framework_routes.from_processes(launched.routes_folder).evidence.routes
        launch, _ = launched.found(tmp_path)
    assert launch.env["PYTHONPATH"] == env["PYTHONPATH"] and "LUCKYHIT_ROUTES" not in launch.env


def with_environment(folder: Path) -> dict[str, str]:
    """The environment of a shell with a virtual environment first on its PATH, which has a package of its own."""
    own = folder / "env"
    venv.create(own, symlinks=True)
    (site,) = own.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "only_there.py").touch()
    return {**os.environ, "PATH": os.pathsep.join((str(own / "bin"), os.environ["PATH"]))}


@pytest.mark.parametrize("program", ["python", "env/bin/python"])
def test_a_shell_script_starts_its_own_interpreter(program: str, tmp_path: Path) -> None:
    environ = with_environment(tmp_path)
    (tmp_path / "shop.py").write_text("import only_there\n" + FASTAPI)
    script = f'export PYTHONPATH="$PWD"\nexec {program} -m uvicorn shop:app --port "$PORT"\n'
    (tmp_path / "run.sh").write_text(script)
    start = StartRequest("bash run.sh", cwd=str(tmp_path))
    found = discover(SourceFiles(), start, "", project=tmp_path, headers_env={}, environ=environ)
    assert ("GET", "/items/{item_id}") in {(route.method, route.path) for route in found.evidence.routes}


def test_another_interpreter_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import sys\nif 'uvicorn' not in sys.argv[0]: import missing_here\n" + FASTAPI)
    (tmp_path / "other").write_text("#!/bin/sh\ntouch asked\n")
    (tmp_path / "other").chmod(0o755)
    (tmp_path / "run.sh").write_text('PYTHONPATH="$PWD" exec "$PYTHON" -m uvicorn shop:app --port "$PORT"\n')
    start = StartRequest("bash run.sh", env={"PYTHON": sys.executable}, cwd=str(tmp_path), python=f"{tmp_path}/other")
    found = discover(SourceFiles(), start, "", project=tmp_path, headers_env={}, environ=os.environ)
    assert (tmp_path / "asked").exists()
    assert [note for note in found.unknown if f"{tmp_path}/other" in note and "--python" in note]


def test_a_script_that_hides_its_application_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    served = 'make_server("127.0.0.1", int(os.environ["PORT"]), create_app()).serve_forever()\n'
    (tmp_path / "app" / "shop.py").write_text(SERVED + FLASK + served)
    (tmp_path / "app" / "run.sh").write_text(f'PYTHONPATH="$PWD" exec "$PYTHON" {tmp_path}/app/shop.py\n')
    start = StartRequest(f"bash {tmp_path}/app/run.sh", env={"PYTHON": sys.executable}, cwd="{workdir}")
    found = discover(SourceFiles(), start, "", project=tmp_path, headers_env={}, environ=os.environ)
    assert ("GET", "/items/{item_id}") in {(route.method, route.path) for route in found.evidence.routes}


@pytest.mark.parametrize(
    ("source", "routes"),
    [
        ('if path.startswith("/items/"): pass', {("GET", "/items/{id}"), ("GET", "/items/")}),
        ('re.fullmatch(r"^/items/(\\d+)/notes$", path)', {("GET", "/items/{id}/notes")}),
        ('url = f"/items/{item}"\ndef do_PUT(self): pass', {("GET", "/items/{id}"), ("PUT", "/items/{id}")}),
        ('url = "/shops/%s/items/%d"', {("GET", "/shops/{id}/items/{id1}")}),
        ('open("/etc/hosts"); x = "/a b"; y = "//"', set()),
        ('x = b"/items"\nm == "DELETE"', {("GET", "/items"), ("DELETE", "/items")}),
        ("def (:", set()),
    ],
)
def test_paths_are_guessed_from_texts(source: str, routes: set[tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(source)
    guessed = path_texts.from_files([tmp_path / "shop.py"])
    assert shown(guessed) == routes
    assert all(route.risk for route in guessed.evidence.routes if route.method == "DELETE")


def test_ids_are_taken_from_texts(tmp_path: Path) -> None:
    source = (
        """
rows = {f"SKU-{n:04d}": n for n in range(9)}
users = {"alice": 1, "a b": 2}
log = f"{users} of {rows}"
"""
        + "\nbroken = f'{x:d} y'"
    )
    (tmp_path / "shop.py").write_text(source)
    rows = path_texts.id_texts([tmp_path / "shop.py"])
    assert rows[0][:2] == ("SKU-0001", "SKU-0002")
    assert rows[1:] == [("alice",)]


def test_django_settings_are_named_by_manage_py(tmp_path: Path) -> None:
    (tmp_path / "shop_settings.py").write_text('SECRET_KEY = "x"\nROOT_URLCONF = "shop"\n')
    (tmp_path / "manage.py").write_text(MANAGE)
    table = ask(tmp_path, URLS, "python", "manage.py", "runserver", "--noreload")
    assert table.framework == "django"
    assert {("GET", "/items/{pk}/"), ("PUT", "/items/{pk}/"), ("GET", "/years/{year}/")} <= shown(table)


@pytest.mark.parametrize(
    "source", ["import missing_module", "raise SystemExit(3)", "import settings", "import os; os._exit(1)"]
)
def test_service_that_can_not_be_imported_is_a_note(tmp_path: Path, source: str) -> None:
    table = ask(tmp_path, source, "uvicorn", "shop:app")
    assert not table.evidence.routes and table.evidence.notes


@pytest.mark.parametrize(
    ("command", "application"),
    [
        ("uvicorn pkg.mod:app --port 1", "pkg.mod:app"),
        ("uvicorn --factory pkg.mod:make", "pkg.mod:make()"),
        ("python /venv/bin/gunicorn shop.wsgi --bind 127.0.0.1:1", "shop.wsgi:application"),
        ("gunicorn -w 2 --worker-class gthread shop.wsgi", "shop.wsgi:application"),
        ("granian --interface asgi mod:app", "mod:app"),
        ("flask --app shop run", "shop:app"),
        ("python manage.py runserver", "manage.py"),
        ("python server.py", ""),
    ],
)
def test_application_is_named_by_the_command(command: str, application: str) -> None:
    assert application_of(command.split()) == application


@pytest.mark.parametrize(
    ("method", "path", "risky"),
    [
        ("DELETE", "/items/{id}", True), ("PUT", "/payments/{id}", True), ("PUT", "/displays/{id}", False),
        ("GET", "/email-templates/{id}", False), ("POST", "/sendEmail", True), ("GET", "/logout", True),
        ("GET", "/delete-x", True), ("GET", "/unsubscribe", True), ("POST", "/orders", True),
        ("PUT", "/orders/{id}", False), ("PUT", "/items/{payment}", False), ("POST", "/admin/items", True),
        ("GET", "/checkout/{id}", False), ("PATCH", "/users/{id}/password", True), ("PUT", "/repayable", False),
    ],
)  # fmt: skip
def test_risk_is_read_from_whole_words(method: str, path: str, risky: bool) -> None:
    assert bool(risk_of(method, path)) == risky
    assert not risk_of("GET", "/items/{id}", "read_item", "What remains after you delete or flush others")


@pytest.mark.parametrize(
    ("command", "files", "application"),
    [
        ("flask run", ["app.py"], "app:app"),
        ("venv/bin/flask run --port 1", ["app.py", "wsgi.py"], "wsgi:app"),
        ("flask run", ["shop.py"], ""),
        ("gunicorn", ["app.py"], ""),
    ],
)
def test_flask_run_takes_the_usual_file(command: str, files: list[str], application: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert usual_application(command.split(), tmp_path) == application

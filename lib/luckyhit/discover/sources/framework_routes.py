"""The route tables of Django, Flask, FastAPI, aiohttp and others, from the service's own processes or interpreter.

A service that is started here has `in_service/` on its PYTHONPATH, so that its processes write their routes when they
are asked. Where none of them does, its application is imported once more, by the name that its command has.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import Any, Literal

from luckyhit.discover.evidence import Parameter, ServiceEvidence, ServiceRoute
from luckyhit.discover.merge import merged
from luckyhit.discover.risk import risk_of
from luckyhit.discover.sources import openapi
from luckyhit.discover.sources.in_service.route_script import MARK
from luckyhit.discover.sources.settings import settings_of
from luckyhit.errors import ArgumentError

IN_SERVICE = Path(__file__).with_name("in_service")
"""On the PYTHONPATH of a service: each of its processes then waits for ASK in the folder that FOLDER_NAME names."""
FOLDER_NAME, ASK = "LUCKYHIT_ROUTES", "ask"
_SCRIPT = IN_SERVICE / "route_script.py"
_WITHIN_S = 20.0
_WRITTEN_WITHIN_S, _OTHERS_WITHIN_S = 4.0, 1.5
_POLL_S = 0.05
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_APPLICATION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(\))?")
_BRACES = re.compile(
    r"<(?:(?P<converter>[^:<>]+):)?(?P<name>\w+)(?::(?P<after>[^<>]+))?>|\{(?P<plain>\w+)(?::(?P<kind>[^{}]+))?\}"
)
_INSIDE = r"((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*)"
_NAMED_GROUP = re.compile(rf"\(\?P<(\w+)>{_INSIDE}\)")
_GROUP = re.compile(rf"\((?!\?){_INSIDE}\)")
_DIGITS = (r"\d+", "[0-9]+", r"\d{1,9}")
_KINDS: dict[str, Literal["integer", "number", "string"]] = {"IntConverter": "integer", "IntegerConverter": "integer"}
_KINDS |= {"int": "integer", "FloatConverter": "number", "float": "number"}
_CONVERTERS = frozenset({"int", "float", "str", "string", "uuid", "path", "slug", "ymd", "alpha"})
_FIELD = re.compile(r"""(?:\[|\bget\(|\bpop\()\s*["']([A-Za-z_]\w{0,40})["']""")

_FORMAT = re.compile(r"[./]\{format\}/?$")
_QUERY = re.compile(
    r"""(?:\bargs|query_params|\bGET|\bquery)\s*(?:\[|\.get\(|\.getlist\()\s*["']([A-Za-z_][\w-]{0,40})["']"""
)
"""Parameters of the query, as views of Flask, Starlette, Django and aiohttp read them."""


@dataclass(frozen=True)
class FrameworkRoutes:
    """What the interpreter of a service printed. `fields`: by (method, path), names that the view reads from a
    mapping: candidates for fields of a body."""

    evidence: ServiceEvidence
    framework: str = ""
    fields: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def application_of(command: Sequence[str]) -> str:
    """`module:attribute` of a server's command line (uvicorn, gunicorn, hypercorn, granian, flask), or the path of a
    manage.py; empty where none is named. A module alone, as `flask --app NAME` takes it, gets the usual attribute."""
    for flag in ("--app", "-A"):
        if flag in command[:-1]:
            named = command[list(command).index(flag) + 1].removesuffix(".py").replace("/", ".")
            return named if ":" in named else f"{named}:app"
    for part in command:
        if _APPLICATION.fullmatch(part):
            return f"{part}()" if "--factory" in command and not part.endswith("()") else part
    programs = [Path(part).name for part in command]
    if "gunicorn" in programs:
        after = programs.index("gunicorn") + 1
        for before, part in zip(command[after - 1 :], command[after:], strict=False):
            if _MODULE.fullmatch(part) and (not before.startswith("-") or "=" in before):
                return f"{part}:application"
    return next((part for part in command if Path(part).name == "manage.py"), "")


def usual_application(command: Sequence[str], cwd: Path) -> str:
    """What `flask run` takes where no application is named: app.py or wsgi.py in its directory; else empty."""
    if "flask" not in [Path(part).name for part in command]:
        return ""
    return next((f"{name}:app" for name in ("wsgi", "app") if (cwd / f"{name}.py").is_file()), "")


def ask(python: str, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> FrameworkRoutes:
    """Ask the interpreter `python` in the directory and environment of the running service. What fails is a note: the
    other sources may know enough."""
    named = application_of(command) or application_of(("flask", "--app", env.get("FLASK_APP", "")))
    named = (usual_application(command, cwd) if named == ":app" else named) or ""
    if not named and not env.get("DJANGO_SETTINGS_MODULE", ""):
        return FrameworkRoutes(
            ServiceEvidence(notes=("The start command names no application, so its route table was not read.",))
        )
    try:
        own = {name: value for name, value in env.items() if name != FOLDER_NAME}
        output = _output_of([python, str(_SCRIPT), named], cwd, {**own, "PYTHONDONTWRITEBYTECODE": "1"})
    except (OSError, subprocess.TimeoutExpired) as error:
        return _not_read(type(error).__name__, python)
    line = next((line for line in reversed(output.splitlines()) if line.startswith(MARK)), "")
    try:
        printed = json.loads(line.removeprefix(MARK))
    except ValueError:
        return _not_read("the interpreter ended early", python)
    return _table(printed, python)


def _not_read(reason: str, python: str) -> FrameworkRoutes:
    return FrameworkRoutes(ServiceEvidence(notes=(f"The route table could not be read: {reason}{_asked(python)}",)))


def _asked(python: str) -> str:
    """The end of a sentence about an interpreter that was asked."""
    return f" (asked: the interpreter {python}; --python names another one)."


def from_processes(folder: Path) -> FrameworkRoutes:
    """What the processes of a service write into `folder` once they are asked: that of the one with the most routes.
    Without routes, but with its files, where none has an application that is known."""
    (folder / ASK).touch()
    ends = time.monotonic() + _WRITTEN_WITHIN_S
    pause = Event()
    best: dict[str, Any] | None = None
    while time.monotonic() < ends:
        tables = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
        if tables and best is None:
            ends = min(ends, time.monotonic() + _OTHERS_WITHIN_S)
        best = max(tables, key=lambda printed: (len(printed["routes"]), len(printed["files"])), default=None)
        if best is not None and best["routes"]:
            break
        pause.wait(_POLL_S)
    return _table(best) if best is not None else FrameworkRoutes(ServiceEvidence())


def _output_of(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """What it printed; all that it started is ended with it. Raises OSError, TimeoutExpired."""
    with TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(_WITHIN_S)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return output.read().decode("utf-8", "replace")


def _table(printed: Mapping[str, Any], python: str = "") -> FrameworkRoutes:
    """`python`: the interpreter that was started for it."""
    files = tuple(Path(file) for file in printed["files"])
    by = _asked(python) if python else "."
    notes = [f"The route table is incomplete: {printed['problem']}{by}"] if printed["problem"] else []
    routes, fields = [], {}
    for row in printed["routes"]:
        path, parameters = path_of(row["path"], row["converters"])
        for method in row["methods"]:
            # Django REST framework has each route once more, with the format as a suffix.
            if method not in ("GET", "PUT", "POST", "PATCH", "DELETE") or not path or _FORMAT.search(path):
                continue
            where = f"route table ({printed['framework']}): {method} {path}"
            routes.append(
                ServiceRoute(
                    method, path, parameters, name=row["name"], risk=risk_of(method, path, row["name"]), where=(where,)
                )
            )
            fields[method, path] = fields_in(row["source"])
            if method == "GET" and not parameters:
                names = dict.fromkeys(_QUERY.findall(row["source"]))
                routes[-1] = replace(
                    routes[-1], parameters=tuple(Parameter(name, "query", required=False) for name in names)
                )
    evidence = ServiceEvidence(tuple(routes), tuple(settings_of(files)), notes=tuple(notes))
    for document in printed["openapi"]:
        try:
            evidence = merged([openapi.routes_of(document, "the application's OpenAPI"), evidence])
        except ArgumentError as error:
            evidence = replace(evidence, notes=(*evidence.notes, error.message))
    return FrameworkRoutes(evidence, printed["framework"], fields, files)


def fields_in(source: str) -> tuple[str, ...]:
    """The names that source code reads from a mapping: candidates for fields of a body."""
    return tuple(dict.fromkeys(_FIELD.findall(source)))


def path_of(text: str, converters: Mapping[str, str]) -> tuple[str, tuple[Parameter, ...]]:
    """A path with `{name}`, from `<int:name>`, `{name:int}` or a regular expression; empty for one that can't be
    written so."""
    parameters: list[Parameter] = []

    def braces(match: re.Match[str]) -> str:
        name = match["name"] or match["plain"]
        # Sanic and Bottle have the kind behind the name, the others before it.
        named, kind = match["converter"] or "", match["after"] or match["kind"] or ""
        if match["after"] and named:
            name, kind = named, match["after"]
        elif named:
            name, kind = (named, name) if name in _CONVERTERS and named not in _CONVERTERS else (name, named)
        kind = converters.get(name) or kind.partition("(")[0]
        kind = "int" if kind in _DIGITS else kind
        parameters.append(Parameter(name, "path", _KINDS.get(kind, "string")))
        return "{" + name + "}"

    def group(match: re.Match[str]) -> str:
        name, inside = (match[1], match[2]) if len(match.groups()) > 1 else (f"id{len(parameters) or ''}", match[1])
        parameters.append(Parameter(name, "path", "integer" if inside in _DIGITS else "string"))
        return "{" + name + "}"

    named = _NAMED_GROUP.sub(group, text) if "(?P<" in text else _BRACES.sub(braces, text)
    path = _GROUP.sub(group, named)
    path = re.sub(r"\\([-./_])", r"\1", path.replace("^", "").replace("$", "").replace(r"\Z", ""))
    path = re.sub(r"/{2,}", "/", path).replace("/?", "/")
    return ("", ()) if re.search(r"[\\()\[\]*+|<>]", path) else (path, tuple(parameters))

"""A file for a service that tells nothing of its cache: written here, kept by whoever owns the service.

counts, caches, databases, libraries    what is counted, and in which libraries
requests                                what is told of a request
asgi, wsgi, django                      how requests are met
statements, cache_writes, recording     for a trace: each call as a line in a file

`visibility_file` puts all of them and one of the last three together: one file that needs nothing but the standard
library (and Django, for Django). `trace_file` puts the first four and the last three together, as a `sitecustomize.py`
for a service that is started to be traced.
"""

from __future__ import annotations

import ast
from importlib.resources import files
from typing import Literal, get_args

from luckyhit.errors import ArgumentError
from luckyhit.visibility.requests import PATH

Framework = Literal["asgi", "wsgi", "django"]
FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)

_CORE = ("counts", "caches", "databases", "libraries", "requests")
_HEAD = '''"""Cache status and database calls of each request, for whoever measures this service.

{use}

It adds the headers `X-Cache` (HIT where every lookup found something, MISS where one did not, none where no cache was
asked) and `X-DB-Calls`, writes one line of JSON for each request to standard error, and answers
{path} with the settings in effect and with what is watched. A header that the service writes itself
stays as it is.

Watched, where the service imports them: redis-py, valkey-py, Django's cache framework, cachelib and Flask-Caching,
aiocache, cashews; SQLAlchemy, Django's database layer, sqlite3, aiosqlite, psycopg, psycopg2, asyncpg, PyMySQL,
mysqlclient. For all others there are `cache_lookup(found, key)` and `database_call()`. Where a database may be asked
that is not watched, there is no `X-DB-Calls`.

It costs about {cost_us} microseconds a request by itself; a service that does nothing but one lookup serves a tenth
fewer requests with it.

Written by Lucky Hit's `luckyhit visibility {framework}` (MIT licence). It is yours: keep it, change it.
"""
'''
_USE = {
    "asgi": "Wrap the application, outside of all other middleware: `app = CacheVisibility(app, settings={...})`, or\n"
    "in Starlette and FastAPI `app.add_middleware(CacheVisibility)` behind all others.",
    "wsgi": "Wrap the application, outside of all other middleware: in Flask\n"
    "`app.wsgi_app = CacheVisibility(app.wsgi_app, settings={...})`.",
    "django": 'Put `"cache_visibility.CacheVisibility"` first in `MIDDLEWARE`, and into the settings\n'
    '`CACHE_VISIBILITY = {"settings": ["NAME", ...]}`.',
}
COST_US = 4
"""As `benchmarks/visibility.py` measures it."""


def visibility_file(framework: str) -> str:
    """The file for a framework: `asgi`, `wsgi` or `django`. Raises ArgumentError for another."""
    if framework not in FRAMEWORKS:
        raise ArgumentError(f"unknown framework: {framework!r}", hint=f"There are: {', '.join(FRAMEWORKS)}.")
    parts = [(files(__package__) / f"{name}.py").read_text(encoding="utf-8") for name in (*_CORE, framework)]
    head = _HEAD.format(use=_USE[framework], path=PATH, cost_us=COST_US, framework=framework)
    first, *others = map(_body, parts)
    return "\n\n".join([f"{head}\n{_imports(parts)}\n{first}", *others])


_TRACED = ("counts", "caches", "databases", "libraries", "statements", "cache_writes", "recording")


def trace_file(folder: str, lines: str) -> str:
    """A `sitecustomize.py` that writes each call of a watched library to the file `lines`. `folder`: where it will lie,
    first on PYTHONPATH. It has to work with Python 3.9."""
    parts = [(files(__package__) / f"{name}.py").read_text(encoding="utf-8") for name in _TRACED]
    begin = f"record({lines!r})\nalso_import({folder!r})\n"
    return "\n\n".join([_imports(parts), *map(_body, parts), begin])


def _imports(parts: list[str]) -> str:
    """All imports of the parts, each name once: the standard library's, then others."""
    whole: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in (node for part in parts for node in ast.parse(part).body):
        if isinstance(node, ast.Import):
            whole.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not str(node.module).startswith("luckyhit."):
            names.setdefault(str(node.module), set()).update(ast.unparse(alias) for alias in node.names)
    ours = ["from __future__ import annotations"] if names.pop("__future__", None) else []
    others = sorted(module for module in names if module.partition(".")[0] in ("asgiref", "django"))
    lines = [f"import {module}" for module in sorted(whole)]
    lines += [_from(module, names[module]) for module in sorted(set(names) - set(others))]
    groups = [ours, lines, [_from(module, names[module]) for module in others]]
    return "\n\n".join("\n".join(group) for group in groups if group) + "\n"


def _from(module: str, names: set[str]) -> str:
    return f"from {module} import {', '.join(sorted(names))}"


def _body(part: str) -> str:
    """A part without its docstring and its imports."""
    lines, nodes = part.splitlines(), ast.parse(part).body
    head = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    return "\n".join(lines[max(node.end_lineno or 0 for node in head) :]).strip("\n") + "\n"


__all__ = ["COST_US", "FRAMEWORKS", "Framework", "trace_file", "visibility_file"]

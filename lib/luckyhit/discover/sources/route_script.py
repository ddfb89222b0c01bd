"""Runs in the *service's* interpreter, directory and environment: prints its routes and source files as JSON.

It imports the standard library and the service, and nothing of Lucky Hit; Python 3.8 and newer. Called with the
application as `module:attribute`, with the path of a
manage.py, or with nothing for a Django project that DJANGO_SETTINGS_MODULE names.
"""

# mypy: disallow-untyped-defs=False

import contextlib
import importlib
import inspect
import json
import os
import re
import sys

MARK = "luckyhit-routes:"


def main(named):
    # The folder of this script would shadow modules of the service: it has a settings.py of its own.
    own = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.getcwd()] + [path for path in sys.path if os.path.realpath(path or ".") != own]
    # What the service prints, also past sys.stdout, must not mix with the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    application = None
    result = {"routes": [], "openapi": None, "files": [], "framework": "", "problem": ""}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            if named.endswith("manage.py"):
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_module(named))
            elif named:
                application = imported(named)
            describe(application, result)
    except BaseException as error:  # whatever the service does on import, it is reported
        result["problem"] = "%s: %s" % (type(error).__name__, str(error)[:300])
    result["files"] = source_files()
    answer.write(MARK + json.dumps(result, default=str) + "\n")
    answer.flush()
    os._exit(0)  # threads of the service may never end


def imported(named):
    module, _, attribute = named.partition(":")
    application = importlib.import_module(module)
    call = attribute.endswith("()")
    attribute = attribute.rstrip("()") or "app"
    if attribute == "app" and not hasattr(application, "app"):  # as Flask looks for it
        attribute = next(
            (name for name in ("application", "create_app", "make_app") if hasattr(application, name)), "app"
        )
        call = attribute.endswith("_app")
    for part in attribute.split("."):
        application = getattr(application, part)
    return application() if call else application


def settings_module(path):
    """What manage.py sets where the environment names no settings."""
    with open(path, encoding="utf-8") as file:
        match = re.search(r"""DJANGO_SETTINGS_MODULE["']\s*[,\]]\s*=?\s*["']([\w.]+)["']""", file.read())
    return match.group(1) if match else ""


def describe(application, result):
    application = unwrapped(application)
    if hasattr(application, "url_map") and hasattr(application, "view_functions"):
        result["framework"] = "flask"
        for rule in application.url_map.iter_rules():
            if rule.endpoint != "static":
                view = application.view_functions.get(rule.endpoint)
                converters = {name: type(converter).__name__ for name, converter in rule._converters.items()}
                add(result, rule.methods or (), rule.rule, view, converters)
    elif callable(getattr(application, "openapi", None)) and hasattr(application, "routes"):
        result["framework"] = "fastapi"
        result["openapi"] = application.openapi()
        for route in application.routes:
            if getattr(route, "include_in_schema", False) and getattr(route, "methods", None):
                add(result, route.methods, route.path, route.endpoint, {})
    elif hasattr(application, "routes"):
        result["framework"] = "starlette"
        for route in application.routes:
            if getattr(route, "methods", None):
                add(result, route.methods, route.path, getattr(route, "endpoint", None), {})
    elif "django" in sys.modules or os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django
        from django.conf import settings
        from django.urls import get_resolver

        if os.environ.get("DJANGO_SETTINGS_MODULE") or settings.configured:
            django.setup()
        result["framework"] = "django"
        walk(get_resolver().url_patterns, "/", {}, result)


def unwrapped(application):
    """The application inside of middleware that wraps it."""
    for _ in range(10):
        if hasattr(application, "url_map") or hasattr(application, "routes"):
            return application
        for name in ("app", "wsgi_app", "application", "_app"):
            inner = getattr(application, name, None)
            if inner is not None and inner is not application and not inspect.ismethod(inner):
                application = inner
                break
        else:
            return application
    return application


def walk(patterns, prefix, converters, result):
    for pattern in patterns:
        text = str(pattern.pattern)
        known = dict(converters)
        for name, converter in getattr(pattern.pattern, "converters", {}).items():
            known[name] = type(converter).__name__
        if hasattr(pattern, "url_patterns"):
            if len(result["routes"]) < 2000:
                walk(pattern.url_patterns, prefix + text, known, result)
            continue
        view = pattern.callback
        methods = methods_of(view)
        add(result, methods, prefix + text, view, known)


def methods_of(view):
    actions = getattr(view, "actions", None)
    if actions:
        return [method.upper() for method in actions]
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is not None:
        return [name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(kind, name)]
    names = closed_over(view)
    if names:
        return names
    source = source_of(view)
    named_methods = [
        name for name in ("GET", "POST", "PUT", "PATCH", "DELETE") if '"%s"' % name in source or "'%s'" % name in source
    ]
    if named_methods and "GET" not in named_methods and "method !=" not in source:
        named_methods.append("GET")
    return named_methods or ["GET"]


def closed_over(view):
    """What require_http_methods allows."""
    for cell in getattr(view, "__closure__", None) or ():
        value = cell.cell_contents
        if isinstance(value, (list, tuple)) and value and all(str(method).isupper() for method in value):
            return [str(method) for method in value]
    return []


def source_of(view):
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None) or view
    try:
        return inspect.getsource(inspect.unwrap(kind))
    except (OSError, TypeError, ValueError):
        return ""


def add(result, methods, path, view, converters):
    result["routes"].append(
        {
            "methods": sorted(str(method) for method in methods),
            "path": path,
            "converters": converters,
            "name": getattr(view, "__name__", ""),
            "source": source_of(view)[:20000] if view is not None else "",
        }
    )


def source_files():
    """The modules that belong to the service: neither the standard library nor installed packages."""
    outside = tuple({os.path.dirname(os.__file__), sys.prefix, sys.base_prefix})
    here = os.path.realpath(__file__)
    files = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            file = os.path.realpath(file)
            if file != here and "site-packages" not in file and not file.startswith(outside):
                files.append(file)
    return sorted(set(files))[:500]


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")

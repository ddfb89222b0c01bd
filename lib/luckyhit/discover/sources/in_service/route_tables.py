"""Runs in the *service's* interpreter: its routes, from the application object of each framework.

It imports the standard library alone; Python 3.8 and newer. A row of FRAMEWORKS is all that one more needs.
"""

# mypy: disallow-untyped-defs=False

import gc
import inspect
import os
import re
import sys

MOST_ROUTES = 2000
LONGEST_SOURCE = 20000


def of_flask(application, result, prefix=""):
    """Flask and Quart."""
    for rule in application.url_map.iter_rules():
        if rule.endpoint != "static":
            view = application.view_functions.get(rule.endpoint)
            converters = {name: type(converter).__name__ for name, converter in rule._converters.items()}
            add(result, rule.methods or (), prefix + rule.rule, view, converters)


def of_starlette(application, result, prefix=""):
    """Starlette and FastAPI, with what is mounted in them."""
    if callable(getattr(application, "openapi", None)):
        try:
            document = application.openapi()
        except Exception as error:  # a schema that can't be made is no reason to know no route
            result["problem"] = result["problem"] or described(error)
        else:
            if prefix:
                document = dict(document, servers=[{"url": prefix}])
            result["openapi"].append(document)
    for route in getattr(application, "routes", None) or ():
        path = prefix + getattr(route, "path", "")
        view = getattr(route, "endpoint", None)
        methods = getattr(route, "methods", None)
        inner = getattr(route, "app", None)
        if view is None and getattr(route, "routes", None):
            of_starlette(inner if hasattr(inner, "routes") else route, result, path)
        elif view is None and hasattr(unwrapped(inner), "url_map"):
            of_flask(unwrapped(inner), result, path)
        elif view is not None and getattr(route, "include_in_schema", True):
            add(result, methods or handled_by(view), path, view, {})


def of_aiohttp(application, result):
    for route in application.router.routes():
        resource = route.resource
        if resource is not None:
            names = resource.get_info().get("pattern")
            numbers = re.findall(r"\(\?P<(\w+)>(?:\\d\+|\[0-9\]\+)\)", names.pattern) if names is not None else ()
            methods = handled_by(route.handler) if route.method == "*" else (route.method,)
            add(result, methods, resource.canonical, route.handler, dict.fromkeys(numbers, "int"))


def of_tornado(application, result):
    for rule in application.wildcard_router.rules:
        pattern = getattr(getattr(rule.matcher, "regex", None), "pattern", None)
        if pattern is not None:
            methods = [name for name in ("GET", "PUT", "POST", "PATCH", "DELETE") if overridden(rule.target, name)]
            add(result, methods, pattern, rule.target, {})


def overridden(kind, method):
    """Whether a handler has the method itself: Tornado's own answers 405."""
    own = getattr(kind, method.lower(), None)
    return own is not None and getattr(own, "__module__", "") != "tornado.web"


def of_bottle(application, result):
    for route in application.routes:
        add(result, (route.method,), route.rule, route.callback, {})


def of_falcon(application, result):
    nodes = list(application._router._roots)
    while nodes:
        node = nodes.pop(0)
        nodes += node.children
        if node.resource is not None:
            # The map has an answer to each method that the resource lacks, too.
            methods = [method for method in node.method_map if hasattr(node.resource, "on_" + method.lower())]
            add(result, methods, node.uri_template, type(node.resource), {})


def of_sanic(application, result):
    for route in application.router.routes:
        add(result, route.methods, "/" + route.path.lstrip("/"), route.handler, {})


def of_litestar(application, result):
    try:
        result["openapi"].append(application.openapi_schema.to_schema())
    except Exception as error:
        result["problem"] = result["problem"] or described(error)
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            if getattr(handler, "include_in_schema", True) is not False:
                add(result, getattr(handler, "http_methods", ()), route.path_format, handler.fn, {})


def of_django(result):
    from django.urls import get_resolver

    walk(get_resolver().url_patterns, "/", {}, result)


FRAMEWORKS = (
    # (name, module of its application's class, name of the class, what reads its routes)
    ("flask", "flask.app", "Flask", of_flask),
    ("quart", "quart.app", "Quart", of_flask),
    ("starlette", "starlette.applications", "Starlette", of_starlette),
    ("aiohttp", "aiohttp.web_app", "Application", of_aiohttp),
    ("tornado", "tornado.web", "Application", of_tornado),
    ("bottle", "bottle", "Bottle", of_bottle),
    ("falcon", "falcon.app", "App", of_falcon),
    ("sanic", "sanic.app", "Sanic", of_sanic),
    ("litestar", "litestar.app", "Litestar", of_litestar),
)


def empty():
    return {"routes": [], "openapi": [], "files": [], "framework": "", "problem": ""}


def described(error):
    return "%s: %s" % (type(error).__name__, str(error)[:300])


def kinds():
    """The classes of applications whose modules this process has loaded, each with its row."""
    rows = []
    for name, module, kind, read in FRAMEWORKS:
        loaded = getattr(sys.modules.get(module), kind, None)
        if isinstance(loaded, type):
            rows.append((loaded, name, read))
    return rows


def of_application(application):
    """The routes of an application object; of a Django project where it is none that is known."""
    application = unwrapped(application)
    for kind, name, read in kinds():
        if isinstance(application, kind):
            return read_with(name, lambda result, read=read: read(application, result))
    return of_project()


def of_project():
    """The routes of a Django project that is set up; empty where there is none."""
    if "django" not in sys.modules or not sys.modules["django.conf"].settings.configured:
        return empty()
    return read_with("django", of_django)


def of_process():
    """The routes of the application with the most of them in this process: one that holds others has theirs too."""
    rows = kinds()
    best = of_project()
    for candidate in gc.get_objects() if rows else ():
        for kind, name, read in rows:
            # A proxy's __class__ may be anything, and asking for it may run its code.
            if issubclass(type(candidate), kind):
                own = read_with(name, lambda result, read=read, candidate=candidate: read(candidate, result))
                if len(own["routes"]) > len(best["routes"]):
                    best = own
    return best


def read_with(name, read):
    result = empty()
    try:
        read(result)
    except Exception as error:
        result["problem"] = described(error)
    if name == "starlette" and result["openapi"]:
        name = "fastapi"
    result["framework"] = name
    return result


def unwrapped(application):
    """The application inside of middleware that wraps it."""
    known = tuple(kind for kind, _, _ in kinds())
    for _ in range(10):
        if isinstance(application, known) or hasattr(application, "url_map"):
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
            walk(pattern.url_patterns, prefix + text, known, result)
            continue
        view = pattern.callback
        # Both views of one resource may be called by a function that looks at the method.
        add(result, methods_of(view), prefix + text, view, known)


def methods_of(view):
    actions = getattr(view, "actions", None)
    if actions:
        return [method.upper() for method in actions]
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is not None:
        return handled_by(kind)
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


def handled_by(kind):
    """The methods that a class of handlers has."""
    return [name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(kind, name)] or ["GET"]


def closed_over(view):
    """What require_http_methods allows."""
    for cell in getattr(view, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not yet filled
            continue
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
    if len(result["routes"]) < MOST_ROUTES:
        result["routes"].append(
            {
                "methods": sorted(str(method) for method in methods),
                "path": path,
                "converters": converters,
                "name": getattr(view, "__name__", ""),
                "source": source_of(view)[:LONGEST_SOURCE] if view is not None else "",
            }
        )


def source_files():
    """The modules that belong to the service: neither the standard library nor installed packages."""
    outside = tuple({os.path.dirname(os.__file__), sys.prefix, sys.base_prefix})
    own = os.path.dirname(os.path.realpath(__file__))
    files = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            file = os.path.realpath(file)
            if not file.startswith((own, *outside)) and "site-packages" not in file:
                files.append(file)
    return sorted(set(files))[:500]

"""Runs in the *service's* interpreter, directory and environment: prints its routes and source files as JSON.

It imports the standard library and the service, and nothing of Lucky Hit; Python 3.8 and newer. Called with the
application as `module:attribute`, with the path of a manage.py, or with nothing for a Django project that
DJANGO_SETTINGS_MODULE names.
"""

# mypy: disallow-untyped-defs=False

import contextlib
import importlib
import json
import os
import re
import sys

MARK = "luckyhit-routes:"


def main(named):
    import route_tables

    # The folder of this script would shadow modules of the service.
    own = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.getcwd()] + [path for path in sys.path if os.path.realpath(path or ".") != own]
    # What the service prints, also past sys.stdout, must not mix with the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = route_tables.empty()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = routes_of(named, route_tables)
    except BaseException as error:  # whatever the service does on import, it is reported
        result["problem"] = route_tables.described(error)
    result["files"] = route_tables.source_files()
    answer.write(MARK + json.dumps(result, default=str) + "\n")
    answer.flush()
    os._exit(0)  # threads of the service may never end


def routes_of(named, route_tables):
    application = None
    if named.endswith("manage.py"):
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_module(named))
    elif named:
        application = imported(named)
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django

        django.setup()
    return route_tables.of_application(application)


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


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
